"""Scale to zero: a metric of the server itself cannot wake a server that is not there."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Op, Severity, add
from stoker.audit.rule import rule
from stoker.audit.view.expressions import uses
from stoker.audit.view.queries import Query
from stoker.audit.view.scaling import Scaler
from stoker.audit.view.view import View
from stoker.catalog.metrics import series
from stoker.kube.snapshot import Item

_EXECUTOR: Final = "keda 2.20.2 pkg/scaling/executor/scale_scaledobjects.go:62-113"
_PROMETHEUS: Final = "keda 2.20.2 pkg/scalers/prometheus_scaler.go:238-247"
_OWN: Final = (
    "vllm:",
    "vllm_",
    "sglang:",
    "sglang_",
    "tgi_",
    "nv_inference_",
    "container_",
    "lmdeploy:",
    "trtllm_",
)
_RESOURCE: Final = frozenset(("cpu", "memory"))


def gpu_scalers(view: View) -> Iterator[Scaler]:
    """Scalers whose target asks for GPUs or runs an inference server."""
    servers = {id(server.workload) for server in view.running_servers}
    for scaler in view.scalers:
        if scaler.workload is not None and (scaler.workload.uses_gpu or id(scaler.workload) in servers):
            yield scaler


def llm_scaled_objects(view: View) -> Iterator[Item]:
    """ScaledObjects of GPU workloads, and those whose queries read an engine's series."""
    seen = {id(scaler.item) for scaler in gpu_scalers(view)}
    for item in view.of("ScaledObject.keda.sh"):
        if id(item) in seen or any(own_signal(query) for query in triggers_of(item, view)):
            yield item


def triggers_of(item: Item, view: View) -> list[Query]:
    """Prometheus triggers of one object."""
    return [query for query in view.queries_of(item) if query.role == "trigger"]


def own_signal(query: Query) -> bool:
    """Whether everything the query reads is emitted by the servers that it scales."""
    if query.tree is None:
        return False
    names = [use.name for use in uses(query.tree)]
    return bool(names) and all(
        name.startswith(_OWN) or (series(name) is not None and not name.startswith("DCGM_")) for name in names
    )


def _triggers(item: Item) -> list[Mapping[str, Any]]:
    return list(item.spec.get("triggers") or [])


def to_zero(item: Item) -> bool:
    """Whether the object may go to zero."""
    return item.spec.get("minReplicaCount", 0) == 0 or item.spec.get("idleReplicaCount") == 0


def _wakers(item: Item, view: View) -> list[Mapping[str, Any]]:
    """Triggers that exist while nothing runs."""
    own = {query.path[2] for query in triggers_of(item, view) if own_signal(query)}
    return [
        trigger for index, trigger in enumerate(_triggers(item))
        if trigger.get("type") not in _RESOURCE and index not in own
    ]  # fmt: skip


def cannot_wake(item: Item, view: View) -> bool:
    """Whether an object goes to zero and has nothing that brings it back."""
    forced = item.annotations.get("autoscaling.keda.sh/force-activation") == "true"
    return to_zero(item) and bool(_triggers(item)) and not forced and not _wakers(item, view)


@rule(
    "scale-to-zero-cannot-wake",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Scales to zero on a metric that only the running server emits",
    why=(
        "At zero replicas nothing emits the metric and nothing queues: the value stays empty, the trigger inactive, and 0 to 1 "
        "never happens. The first idle night takes the model offline until somebody scales it by hand."
    ),
    fix="Keep one replica, or wake by a signal that exists at zero: the KEDA HTTP add-on, a broker's backlog, the gateway's metrics.",
    references=(_EXECUTOR, "https://keda.sh/http-add-on/"),
    on=lambda view: (item for item in llm_scaled_objects(view) if _triggers(item)),
)
def _scale_to_zero_cannot_wake(item: Item, view: View) -> Iterator[Hit]:
    if not cannot_wake(item, view):
        return
    names = sorted({use.name for query in triggers_of(item, view) for use in uses(query.tree) if use.name})
    told = ", ".join(names) or "cpu and memory"
    idle = item.spec.get("idleReplicaCount") == 0
    path = ("spec", "idleReplicaCount" if idle else "minReplicaCount")
    # Both timers act between 0 and 1 only: with a replica that stays they would mean nothing.
    timers = [
        key
        for key in ("cooldownPeriod", "pollingInterval")
        if key in item.spec and "idleReplicaCount" not in item.spec
    ]
    keep = (add(path, 1), *(Op("remove", ("spec", key)) for key in timers))
    ops = (Op("remove", path),) if idle else keep
    yield Hit(
        item, path, f"at zero replicas nothing emits {told}, so the server never comes back", item.spec.get(path[1], 0),
        Fix("Drop idleReplicaCount" if idle else "Keep one replica", ops),
    )  # fmt: skip


@rule(
    "scale-to-zero-by-default",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="ScaledObject leaves minReplicaCount out and so goes to zero",
    why="KEDA's default is 0: a server that nobody meant to stop is gone after five idle minutes, and the next user waits for the whole load.",
    fix="Write minReplicaCount down, whatever it is meant to be.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaledobject_types.go:95-190",),
    on=lambda view: (scaler.item for scaler in gpu_scalers(view) if scaler.kind == "ScaledObject"),
)
def _scale_to_zero_by_default(item: Item, view: View) -> Iterator[Hit]:
    if "minReplicaCount" not in item.spec and "idleReplicaCount" not in item.spec:
        path = ("spec", "minReplicaCount")
        yield Hit(
            item,
            path,
            "minReplicaCount is not set: KEDA takes 0",
            None,
            Fix("Keep one replica", (add(path, 1),)),
        )


def _prometheus_objects(view: View) -> Iterator[tuple[Item, int, Mapping[str, Any]]]:
    for item in llm_scaled_objects(view):
        for index, trigger in enumerate(_triggers(item)):
            if trigger.get("type") == "prometheus":
                yield item, index, trigger


@rule(
    "empty-query-scales-in",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="An empty query counts as 0 and scales in",
    why=(
        "ignoreNullValues is true unless said otherwise: when the scrape breaks or a metric is renamed, KEDA reads 0 and takes "
        "replicas away under full load, with no error anywhere."
    ),
    fix='Set ignoreNullValues to "false", so that no data is an error and the replicas stay.',
    references=(_PROMETHEUS,),
    on=_prometheus_objects,
)
def _empty_query_scales_in(subject: tuple[Item, int, Mapping[str, Any]], view: View) -> Iterator[Hit]:
    item, index, trigger = subject
    value = str((trigger.get("metadata") or {}).get("ignoreNullValues", "true")).lower()
    waking = to_zero(item) and _wakers(item, view)
    if value != "false" and not waking:  # at zero an empty answer is the truth, and something else wakes it
        path = ("spec", "triggers", index, "metadata", "ignoreNullValues")
        yield Hit(
            item,
            path,
            "no data is read as 0, which scales in",
            None,
            Fix("Make no data an error", (add(path, "false"),)),
        )


@rule(
    "cooldown-shorter-than-load",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="A server that scales to zero is stopped before its load has paid off",
    why=(
        "cooldownPeriod counts from the last activity, and initialCooldownPeriod from creation: a model that takes minutes to "
        "load is stopped again soon after, and every burst pays the cold start."
    ),
    fix="Set cooldownPeriod and initialCooldownPeriod to the load time at least.",
    references=("keda 2.20.2 pkg/scaling/executor/scale_scaledobjects.go:190-235",),
    on=lambda view: (s for s in gpu_scalers(view) if s.kind == "ScaledObject" and to_zero(s.item)),
)
def _cooldown_shorter_than_load(scaler: Scaler, view: View) -> Iterator[Hit]:
    item = scaler.item
    initial = item.spec.get("initialCooldownPeriod", 0)
    if initial < _LOAD:
        path = ("spec", "initialCooldownPeriod")
        yield Hit(
            item, path, f"initialCooldownPeriod is {initial} s: a fresh server may be stopped while it still loads", initial,
            Fix(f"Wait {_LOAD} s after creation", (add(path, _LOAD),)),
        )  # fmt: skip
    cooldown = item.spec.get("cooldownPeriod", 300)
    if cooldown < _COOLDOWN:
        path = ("spec", "cooldownPeriod")
        yield Hit(
            item, path, f"cooldownPeriod is {cooldown} s, less than loading a model takes", cooldown,
            Fix(f"Wait {_COOLDOWN} s after the last request", (add(path, _COOLDOWN),)),
        )  # fmt: skip


# A 70B model from NFS and the engine's own start: minutes (stoker sizing/startup; the guide says 2 to 8).
_LOAD: Final = 300
_COOLDOWN: Final = 300
