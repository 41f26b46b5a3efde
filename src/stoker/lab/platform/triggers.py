"""KEDA's triggers: the names of their metrics, and what they read.

Sources: kedacore/keda v2.20.2 pkg/scalers/{prometheus,kafka,rabbitmq,aws_sqs_queue,redis_streams,cron,external}_scaler.go,
pkg/util/normalize_string.go; kedacore/http-add-on scaler/{naming,handlers}.go. Kinds that are not among them have the name
``s<index>-<kind>`` and are asked as a broker.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stoker.errors import StokerError
from stoker.lab.control.local import Local
from stoker.lab.platform.signals import Answer, Signals
from stoker.twin.autoscaler.cron import Window, parse_window
from stoker.twin.autoscaler.keda import TriggerReading
from stoker.twin.autoscaler.scaledobject import RESOURCES, ScaledObject, Trigger

__all__ = ["metric_name", "read", "route_rule", "with_targets"]

Object = dict[str, Any]

_DASHED = str.maketrans(dict.fromkeys("/.:%()", "-"))
_EXTERNAL = frozenset(("external", "external-push"))
_CRON_LETTERS = {" ": "", "*": "x", "/": "Sl", "?": "Qm", ",": "Cm"}


def metric_name(trigger: Trigger, namespace: str) -> str:
    """Name of a trigger's external metric (GenerateMetricNameWithIndex)."""
    metadata = trigger.metadata
    named: dict[str, Callable[[], str]] = {
        "prometheus": lambda: "prometheus",
        "kafka": lambda: (
            f"kafka-{metadata['topic']}"
            if metadata.get("topic")
            else f"kafka-{metadata.get('consumerGroup', '')}-topics"
        ),
        "rabbitmq": lambda: f"rabbitmq-{quote_plus(metadata.get('queueName', ''))}",
        "aws-sqs-queue": lambda: f"aws-sqs-{metadata.get('queueURL', '').rpartition('/')[2]}",
        "redis-streams": lambda: f"redis-streams-{metadata.get('stream', '')}",
        "cron": lambda: "-".join(
            ("cron", metadata.get("timezone", ""), _cron_text(metadata, "start"), _cron_text(metadata, "end"))
        ),
    }
    if trigger.kind in _EXTERNAL:
        return f"s{trigger.index}-{_http_metric(trigger, namespace)}"
    make = named.get(trigger.kind)
    return f"s{trigger.index}-{(make() if make else trigger.kind).translate(_DASHED)}"


def _cron_text(metadata: Any, name: str) -> str:
    text = str(metadata.get(name, ""))
    for letter, word in _CRON_LETTERS.items():
        text = text.replace(letter, word)
    return text


def _http_metric(trigger: Trigger, namespace: str) -> str:
    """The HTTP add-on names its metric itself; another external scaler is not known here."""
    if "interceptorRoute" in trigger.metadata:
        return f"http_{trigger.metadata['interceptorRoute']}_concurrency"
    if "httpScaledObject" in trigger.metadata:
        return f"http-{namespace}-{trigger.metadata['httpScaledObject']}"
    return trigger.kind


def route_rule(namespace: str, name: str) -> str:
    """Name of the rule under which the interceptor holds the requests of a route."""
    return f"http.keda.sh/{namespace}/{name}"


def read(
    trigger: Trigger, signals: Signals, local: Local, namespace: str, now: datetime
) -> TriggerReading | None:
    """What a trigger's source says now; None where its answer is on the way. CPU and memory are the HPA's own."""
    if trigger.kind in RESOURCES:
        return TriggerReading()
    if trigger.kind == "cron":
        return _cron(trigger, now)
    if trigger.kind == "prometheus":
        return _prometheus(
            trigger,
            signals.prometheus(trigger.metadata.get("serverAddress", ""), trigger.metadata.get("query", "")),
        )
    if trigger.kind in _EXTERNAL:
        return _http(trigger, signals, local, namespace)
    answer = signals.queue(trigger.kind, trigger.metadata)
    if answer is None:
        return None
    return TriggerReading(answer.value or 0.0, answer.error)


def with_targets(scaled: ScaledObject, local: Local, namespace: str) -> ScaledObject:
    """A ScaledObject whose external scalers have said what they aim at: the HTTP add-on has it of its route."""
    if not any(one.kind in _EXTERNAL for one in scaled.triggers):
        return scaled
    triggers = tuple(
        replace(one, threshold=_route_target(one, local, namespace), activation=0.0)
        if one.kind in _EXTERNAL
        else one
        for one in scaled.triggers
    )
    return replace(scaled, triggers=triggers)


def _route_target(trigger: Trigger, local: Local, namespace: str) -> float:
    metadata = trigger.metadata
    if "interceptorRoute" in metadata:
        found = local.get("http.keda.sh/v1beta1", "InterceptorRoute", namespace, metadata["interceptorRoute"])
        metric = ((found or {}).get("spec") or {}).get("scalingMetric") or {}
        return float((metric.get("concurrency") or {}).get("targetValue") or trigger.threshold)
    if "httpScaledObject" in metadata:
        found = local.get(
            "http.keda.sh/v1alpha1", "HTTPScaledObject", namespace, metadata["httpScaledObject"]
        )
        spec = (found or {}).get("spec") or {}
        concurrency = (spec.get("scalingMetric") or {}).get("concurrency") or {}
        return float(concurrency.get("targetValue") or spec.get("targetPendingRequests") or 100)
    return trigger.threshold


def _prometheus(trigger: Trigger, answer: Answer | None) -> TriggerReading | None:
    if answer is None or answer.error:
        return None if answer is None else TriggerReading(error=answer.error)
    value = answer.value
    if value is not None and math.isfinite(value):
        return TriggerReading(value)
    if trigger.metadata.get("ignoreNullValues", "true").lower() in {"true", "t", "1"}:
        return TriggerReading(0.0)
    if value is None:
        return TriggerReading(error="prometheus metrics 'prometheus' target may be lost, the result is empty")
    text = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return TriggerReading(error=f"prometheus query returns {text}")


@cache
def _window(start: str, end: str) -> Window:
    return parse_window(start, end)


def _cron(trigger: Trigger, now: datetime) -> TriggerReading:
    """The window of a week (twin's), in the trigger's time zone."""
    metadata = trigger.metadata
    try:
        local_now = now.astimezone(ZoneInfo(metadata.get("timezone", "")))
        window = _window(metadata.get("start", ""), metadata.get("end", ""))
    except (ZoneInfoNotFoundError, ValueError):
        return TriggerReading(error=f"unable to load timezone: unknown time zone {metadata.get('timezone')}")
    except StokerError as error:
        return TriggerReading(error=f"error parsing cron metadata: {error}")
    minute = (local_now.weekday() * 24 + local_now.hour) * 60 + local_now.minute
    return TriggerReading(
        float(metadata.get("desiredReplicas") or 0) if window.contains(minute * 60) else 0.0
    )


def _http(trigger: Trigger, signals: Signals, local: Local, namespace: str) -> TriggerReading:
    for key, api_version, kind in (
        ("interceptorRoute", "http.keda.sh/v1beta1", "InterceptorRoute"),
        ("httpScaledObject", "http.keda.sh/v1alpha1", "HTTPScaledObject"),
    ):
        name = trigger.metadata.get(key)
        if name is None:
            continue
        if local.get(api_version, kind, namespace, name) is None:
            return TriggerReading(
                error=f'rpc error: code = Unknown desc = {kind}.http.keda.sh "{name}" not found'
            )
        return TriggerReading(signals.requests(route_rule(namespace, name)))
    return TriggerReading(
        error=f"{trigger.kind}: no scaler answers at {trigger.metadata.get('scalerAddress')}"
    )
