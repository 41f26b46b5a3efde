"""Replica counts, what wakes a tier at zero, queues, windows."""

from collections.abc import Iterator
from typing import Final

from stoker.platform.autoscaling import Autoscaling, Broker, CronWindow, ModelAutoscaling, Wake
from stoker.platform.check.cron import cron_fault, timezone_fault
from stoker.platform.check.finding import Finding, mode_of
from stoker.platform.document import Platform
from stoker.platform.models import Model, Tier
from stoker.platform.positions import Path, shown
from stoker.platform.serving import ServingMode

__all__ = ["brokers", "replicas", "wakes", "windows"]

_GROUPED: Final = frozenset(("kafka", "redis-streams"))


def _enabled(platform: Platform, model: Model) -> bool:
    own = model.autoscaling.enabled
    return platform.autoscaling.enabled if own is None else own


def replicas(platform: Platform) -> Iterator[Finding]:
    """Bounds of the replica count against the tier."""
    for index, model in enumerate(platform.models):
        bounds = model.replicas
        if bounds is None:
            continue
        at: Path = ("models", index, "replicas")
        if bounds.min > bounds.max:
            yield Finding(
                (*at, "min"),
                "min is more than max",
                found=f"min {bounds.min}, max {bounds.max}",
                wanted=f"at most {bounds.max}",
            )
        if bounds.min > 0:
            continue
        if model.tier is Tier.PRODUCTION:
            yield Finding(
                (*at, "min"),
                "a production model at zero makes its users wait for minutes while the weights load",
                found="0",
                wanted="at least 1 (2 survive a drain)",
                fix="set min to 2, or add `tier: batch`",
            )
        elif not _enabled(platform, model):
            yield Finding(
                (*at, "min"),
                "autoscaling is off, so nothing would start the first replica",
                found="0",
                wanted="at least 1",
                fix="set min to 1, or turn autoscaling on",
            )


def wakes(platform: Platform) -> Iterator[Finding]:
    """What wakes a model must exist in its mode."""
    for index, model in enumerate(platform.models):
        own = model.autoscaling.wake
        wake = own or platform.autoscaling.wake or Wake.AUTO
        path: Path = ("models", index, "autoscaling", "wake") if own else ("autoscaling", "wake")
        mode = mode_of(platform, model)
        if model.tier is not Tier.BATCH and own is None:
            continue  # never at zero: the platform's word is not about this model
        if wake is Wake.KNATIVE and mode is not ServingMode.KNATIVE:
            yield Finding(
                path,
                f"model {model.name} is served in mode {mode.value}, which has no Knative activator",
                found="knative",
                wanted="auto, gateway, http-addon, broker or cron",
                fix="delete wake: auto picks one that exists",
            )
        if mode is ServingMode.KNATIVE and wake not in {Wake.AUTO, Wake.KNATIVE}:
            yield Finding(
                path,
                f"Knative owns the replica count of model {model.name}, and its activator wakes it",
                found=wake.value,
                wanted="auto or knative",
                fix="delete wake",
            )
        if wake is Wake.GATEWAY and mode is not ServingMode.LLM_INFERENCE_SERVICE:
            # Envoy Gateway answers a route without endpoints itself (envoyproxy/gateway issue 8288): nothing counts it.
            yield Finding(
                path,
                f"model {model.name} is served in mode {mode.value}; only an LLMInferenceService's endpoint picker holds "
                "and counts requests at zero replicas",
                found="gateway",
                wanted="auto, http-addon, broker or cron",
                fix="delete wake: auto picks one that exists",
            )
        if wake is Wake.BROKER and (model.autoscaling.broker or platform.autoscaling.broker) is None:
            yield Finding(
                path,
                f"wake is broker, and model {model.name} has no broker",
                found="broker",
                wanted="a broker beside it",
                fix="add `broker` with type, address and queue",
            )
        if wake is Wake.CRON and not (model.autoscaling.warm_up or platform.autoscaling.warm_up):
            yield Finding(
                path,
                f"wake is cron, and model {model.name} has no window",
                found="cron",
                wanted="windows in warmUp",
                fix="add `warmUp` with start, end and replicas",
            )


def _sections(platform: Platform) -> Iterator[tuple[Path, Autoscaling | ModelAutoscaling, Model | None]]:
    yield ("autoscaling",), platform.autoscaling, None
    for index, model in enumerate(platform.models):
        yield ("models", index, "autoscaling"), model.autoscaling, model


def brokers(platform: Platform) -> Iterator[Finding]:
    """Fields that one broker needs and another does not know."""
    for path, section, _ in _sections(platform):
        if section.broker is not None:
            yield from _broker((*path, "broker"), section.broker)


def _broker(at: Path, broker: Broker) -> Iterator[Finding]:
    sqs = broker.type == "aws-sqs-queue"
    if sqs and broker.region is None:
        yield Finding(at, "an SQS queue without region", wanted="region", fix="add `region: eu-central-1`")
    if not sqs and broker.region is not None:
        yield Finding(
            (*at, "region"),
            f"{broker.type} has no region",
            found=shown(broker.region),
            wanted="region with aws-sqs-queue only",
            fix="delete it",
        )
    if broker.consumer_group is not None and broker.type not in _GROUPED:
        yield Finding(
            (*at, "consumerGroup"),
            f"{broker.type} has no consumer groups",
            found=shown(broker.consumer_group),
            wanted="consumerGroup with kafka and redis-streams only",
            fix="delete it",
        )


def windows(platform: Platform) -> Iterator[Finding]:
    """Cron windows as KEDA's cron scaler reads them."""
    for path, section, model in _sections(platform):
        for number, window in enumerate(section.warm_up):
            yield from _window((*path, "warmUp", number), window, model)


def _window(at: Path, window: CronWindow, model: Model | None) -> Iterator[Finding]:
    for key, expression in (("start", window.start), ("end", window.end)):
        fault = cron_fault(expression)
        if fault:
            yield Finding(
                (*at, key),
                fault,
                found=shown(expression),
                wanted="minute (0-59), hour (0-23), day (1-31), month (1-12), weekday (0-6)",
            )
    if window.start == window.end:
        yield Finding((*at, "end"), "start and end are the same, which KEDA refuses", found=shown(window.end))
    fault, fix = timezone_fault(window.timezone)
    if fault:
        yield Finding(
            (*at, "timezone"), fault, found=shown(window.timezone), wanted="an IANA time zone", fix=fix
        )
    if model is not None and model.replicas is not None and window.replicas > model.replicas.max:
        yield Finding(
            (*at, "replicas"),
            f"is more than the model's most replicas ({model.replicas.max})",
            found=str(window.replicas),
            wanted=f"at most {model.replicas.max}",
        )
