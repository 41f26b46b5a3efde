"""Autoscaling: what moves the replica count, how fast, and what wakes a tier that stands at zero."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stoker.platform.base import Duration, HostName, Label, SecretKey, Section, about

__all__ = ["Autoscaling", "Broker", "CronWindow", "ModelAutoscaling", "Signal", "Wake"]

CronExpression = Annotated[str, StringConstraints(pattern=r"^\S+ \S+ \S+ \S+ \S+$", max_length=100)]


class Signal(StrEnum):
    """What the replica count follows. ``queue`` is waiting plus running requests per replica against capacity."""

    AUTO = "auto"
    QUEUE = "queue"
    CONCURRENCY = "concurrency"
    KV_CACHE = "kv-cache"


class Wake(StrEnum):
    """What exists while there are no replicas and can start the first one."""

    AUTO = "auto"
    GATEWAY = "gateway"
    HTTP_ADDON = "http-addon"
    KNATIVE = "knative"
    BROKER = "broker"
    CRON = "cron"


class CronWindow(Section):
    """Replicas held in a window of time, so that they are warm before people arrive."""

    start: Annotated[CronExpression, about("Start, as a cron expression.", example="0 7 * * 1-5")]
    end: Annotated[CronExpression, about("End, as a cron expression.", example="0 19 * * 1-5")]
    timezone: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$", max_length=64),
        about("IANA time zone.", why="UTC."),
    ] = "UTC"
    replicas: Annotated[int, Field(ge=1, le=1000), about("Replicas in the window.")]


class Broker(Section):
    """A queue that batch work waits in; it exists at zero replicas."""

    type: Annotated[
        Literal["kafka", "rabbitmq", "aws-sqs-queue", "redis-streams"],
        about("KEDA scaler.", why="As KEDA spells it."),
    ]
    address: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:/_,-]*$", max_length=512),
        about("Bootstrap servers, host or queue URL, without credentials."),
    ]
    queue: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=249), about("Topic, queue or stream.")
    ]
    consumer_group: Annotated[
        str | None,
        StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=249),
        about("Consumer group, for kafka and redis-streams.", why="The model's name."),
    ] = None
    region: Annotated[
        str | None,
        StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=64),
        about("AWS region, for SQS.", why="None: only SQS has one, and there it must be given."),
    ] = None
    messages_per_replica: Annotated[
        int | None,
        Field(ge=1, le=1_000_000),
        about(
            "Messages that one replica should have before it.",
            why="The sequences that one replica runs at once.",
        ),
    ] = None
    credentials: Annotated[
        SecretKey | None,
        about(
            "Key of a Secret with the broker's connection string or password.",
            why="None: pod identity or an open broker.",
        ),
    ] = None


class _Tuning(Section):
    signal: Annotated[
        Signal | None,
        about(
            "What the count follows: auto, queue, concurrency or kv-cache.",
            why="Queue: waiting requests are what users feel, and they exist in every engine.",
        ),
    ] = None
    target_utilization: Annotated[
        float | None,
        Field(gt=0, le=1, allow_inf_nan=False),
        about(
            "Share of a replica's sized concurrency at which the next one starts.",
            why="0.7: room for the minutes that the next replica needs to load.",
        ),
    ] = None
    scale_down_after: Annotated[
        Duration | None,
        about(
            "Time the lower load must last before a replica goes (HPA stabilisation).",
            why="10m: longer than loading a model, so that no replica is given up and needed again while it would load.",
        ),
    ] = None
    idle_after: Annotated[
        Duration | None,
        about(
            "Idle time after which a batch tier goes to zero (KEDA cooldownPeriod).",
            why="15m, or twice the load time where that is longer.",
        ),
    ] = None
    wake: Annotated[
        Wake | None,
        about(
            "What starts the first replica of a tier at zero.",
            why="Knative's activator in Knative mode; a broker where one is named; else KEDA's HTTP add-on, which holds "
            "the request while the model loads.",
        ),
    ] = None
    broker: Annotated[Broker | None, about("Queue that wakes and scales a batch tier.", why="None.")] = None
    warm_up: Annotated[
        tuple[CronWindow, ...], Field(max_length=16), about("Windows with replicas warm ahead of the load.")
    ] = ()


class ModelAutoscaling(_Tuning):
    """Exceptions of one model; what is left out follows the platform."""

    enabled: Annotated[bool | None, about("Scale this model.", why="The platform's.")] = None


class Autoscaling(_Tuning):
    """Autoscaling of every model, by KEDA."""

    enabled: Annotated[
        bool, about("Emit ScaledObjects.", why="On: CPU-driven autoscaling does not see a GPU queue.")
    ] = True
    prometheus_address: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s]+$", max_length=255),
        about(
            "Address of the Prometheus that KEDA asks.", why="The Service that the Prometheus Operator makes."
        ),
    ] = "http://prometheus-operated.monitoring.svc:9090"
    prometheus_auth: Annotated[
        HostName | None,
        about("ClusterTriggerAuthentication for that Prometheus.", why="None: in-cluster and open."),
    ] = None
    keda_namespace: Annotated[Label, about("Namespace of KEDA.", why="The chart's documented one.")] = "keda"
