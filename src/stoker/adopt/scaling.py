"""Replica bounds and what moves them: ScaledObjects, HPAs, KServe's own autoscalers, KEDA's HTTP add-on."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import duration, managed
from stoker.audit.view.scaling import Scaler
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

__all__ = ["Scaling", "platform_autoscaling", "scaling_of"]

_BROKERS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    # type: fields of address, of queue, of messages per replica (KEDA's scalers, kedacore/keda v2.20 pkg/scalers)
    "kafka": (("bootstrapServers",), ("topic",), ("lagThreshold",)),
    "rabbitmq": (("host",), ("queueName",), ("value", "queueLength")),
    "aws-sqs-queue": (("queueURL",), (), ("queueLength",)),
    "redis-streams": (("address", "hosts"), ("stream",), ("lagCount", "pendingEntriesCount", "streamLength")),
}
_ADDRESS: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.:/_,-]{0,511}$")
_QUEUE: Final = re.compile(r"^[A-Za-z0-9._-]{1,249}$")
_URL: Final = re.compile(r"^https?://[^\s@]{1,240}$")
_ZONE: Final = re.compile(r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$")
_CRON: Final = re.compile(r"^\S+ \S+ \S+ \S+ \S+$")
_REGION: Final = re.compile(r"^[a-z0-9-]{1,64}$")
_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")

Scaling = dict[str, Any]


def scaling_of(view: View, workload: Workload, ledger: Ledger) -> tuple[int, int, Scaling]:
    """Least and most replicas, and the model's `autoscaling`."""
    scalers = _scalers(view, workload)
    low, high = workload.minimum, workload.maximum
    if scalers:
        low, high = min(s.minimum for s in scalers), max(s.maximum for s in scalers)
    fields: Scaling = {}
    for scaler in scalers:
        ledger.use(scaler.item)
        if scaler.kind == "ScaledObject":
            _triggers(view, scaler, fields, ledger)
        elif scaler.kind == "HorizontalPodAutoscaler":
            _hpa(scaler, ledger)
        elif scaler.kind.startswith("kserve") and low < high:
            ledger.note(
                scaler.item, scaler.maximum_path,
                "KServe's own autoscaler follows CPU unless it is told otherwise; here KEDA follows the engine's queue",
            )  # fmt: skip
    web = _http(view, workload, ledger)
    if web is not None:
        low, high = web
        fields["wake"] = "http-addon"
    if not scalers and web is None and low == 0 and high == 0:
        ledger.note(
            workload.item,
            workload.replicas_path or (),
            "it stands at no replicas and nothing scales it: one is written",
        )
        low = high = 1
    low = max(0, min(low, 1000))
    return low, max(1, low, min(high, 1000)), fields


def _scalers(view: View, workload: Workload) -> list[Scaler]:
    """The workload's own, and those of another part of the object that becomes the same thing: leader and workers are scaled as one."""
    return [
        scaler
        for scaler in view.scalers
        if (other := scaler.workload) is not None
        and (other is workload or (other.item is workload.item and other.generated == workload.generated))
    ]


def _http(view: View, workload: Workload, ledger: Ledger) -> tuple[int, int] | None:
    for item in view.of("HTTPScaledObject.http.keda.sh"):
        target = item.section("spec", "scaleTargetRef")
        name = target.get("name") or target.get("deployment")
        if item.namespace == workload.namespace and name == workload.generated[1]:
            ledger.use(item)
            bounds = item.section("spec", "replicas")
            return int(bounds.get("min", 0)), int(bounds.get("max", 100))
    return None


def _triggers(view: View, scaler: Scaler, fields: Scaling, ledger: Ledger) -> None:
    spec = scaler.item.spec
    signals: list[str] = []
    for index, trigger in enumerate(spec.get("triggers") or []):
        kind = str(trigger.get("type") or "")
        metadata: Mapping[str, Any] = trigger.get("metadata") or {}
        path: Path = ("spec", "triggers", index)
        if kind == "prometheus":
            signals += _signal(scaler.item, str(metadata.get("query") or ""), path, ledger)
        elif kind in _BROKERS:
            broker = _broker(view, scaler.item, index, ledger) if "broker" not in fields else None
            if broker:
                fields["broker"] = broker
            elif "broker" in fields:
                ledger.note(scaler.item, path, "a model has one broker, the first")
        elif kind == "cron":
            _window(scaler, metadata, path, fields, ledger)
        else:
            ledger.note(
                scaler.item,
                path,
                f"trigger {kind or 'without type'} is not carried over: what a GPU server's load shows in is its queue",
            )
    if (
        signals
        and "signal" not in fields
        and Counter(signals).most_common(1)[0][0] == "kv-cache"
        and "queue" not in signals
    ):
        fields["signal"] = "kv-cache"
    behavior = scaler.item.section(
        "spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleDown"
    )
    window = behavior.get("stabilizationWindowSeconds")
    if isinstance(window, int) and 0 < window <= 3600:
        fields["scaleDownAfter"] = duration(window)
    cooldown = spec.get("cooldownPeriod")
    if isinstance(cooldown, int) and cooldown > 0 and scaler.minimum == 0:
        fields["idleAfter"] = duration(cooldown)


def _signal(item: Item, query: str, path: Path, ledger: Ledger) -> list[str]:
    where = (*path, "metadata", "threshold")
    if re.search(r"cache_usage|token_usage", query):
        ledger.note(item, where, "the threshold follows from sizing (autoscaling.targetUtilization)")
        return ["kv-cache"]
    if re.search(r"waiting|running|queue", query):
        if not managed(item):
            ledger.note(
                item,
                where,
                "the threshold is not carried over: it follows from what a replica holds by sizing (autoscaling.targetUtilization)",
            )
        return ["queue"]
    ledger.note(
        item,
        (*path, "metadata", "query"),
        "this query is not carried over: replicas follow the engine's queue",
    )
    return []


def _broker(view: View, item: Item, index: int, ledger: Ledger) -> dict[str, Any] | None:
    """The broker that a trigger names; None where it names it by a variable or with credentials in its address."""
    path: Path = ("spec", "triggers", index)
    trigger: Mapping[str, Any] = item.spec["triggers"][index]
    kind = str(trigger.get("type"))
    metadata: Mapping[str, Any] = trigger.get("metadata") or {}
    addresses, queues, counts = _BROKERS[kind]
    address, queue, number = (_first(metadata, keys) for keys in (addresses, queues, counts))
    address = re.sub(r"^(amqps?|redis)://", "", address) if "@" not in address else ""
    if kind == "aws-sqs-queue":
        queue = address.rpartition("/")[2]
    region = str(metadata.get("awsRegion") or "")
    plain = bool(_ADDRESS.match(address) and _QUEUE.match(queue))
    if not plain or (kind == "aws-sqs-queue" and not _REGION.match(region)):
        ledger.note(
            item,
            path,
            f"the address, queue or region of this {kind} trigger is not plain (a variable, or with credentials): name it as broker by hand",
        )
        return None
    broker: dict[str, Any] = {"type": kind, "address": address, "queue": queue}
    group = metadata.get("consumerGroup")
    if kind in {"kafka", "redis-streams"} and isinstance(group, str) and _QUEUE.match(group):
        broker["consumerGroup"] = group
    if kind == "aws-sqs-queue":
        broker["region"] = region
    if re.fullmatch(r"[1-9][0-9]{0,5}", number) and not managed(item):  # ours follows from sizing
        broker["messagesPerReplica"] = int(number)
    secret = _credentials(view, item, trigger)
    return {**broker, "credentials": secret} if secret else broker


def _first(metadata: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(metadata[key]) for key in keys if metadata.get(key)), "")


def _credentials(view: View, item: Item, trigger: Mapping[str, Any]) -> dict[str, str] | None:
    reference = trigger.get("authenticationRef") or {}
    found = (
        view.snapshot.get("TriggerAuthentication.keda.sh", item.namespace, str(reference.get("name") or ""))
        if isinstance(reference, dict)
        else None
    )
    if found is None:
        return None
    for entry in found.spec.get("secretTargetRef") or []:
        if entry.get("name") and entry.get("key") and _NAME.match(entry["name"]):
            return {"name": entry["name"], "key": entry["key"]}
    return None


def _window(scaler: Scaler, metadata: Mapping[str, Any], path: Path, fields: Scaling, ledger: Ledger) -> None:
    start, end = str(metadata.get("start") or ""), str(metadata.get("end") or "")
    zone, wanted = str(metadata.get("timezone") or "UTC"), str(metadata.get("desiredReplicas") or "")
    good = (
        _CRON.match(start)
        and _CRON.match(end)
        and start != end
        and _ZONE.match(zone)
        and re.fullmatch(r"[1-9][0-9]{0,2}", wanted)
    )
    windows = fields.setdefault("warmUp", []) if good else []
    if not good or len(windows) >= 16:
        ledger.note(
            scaler.item,
            path,
            "this cron window is not carried over: want start, end, timezone and desiredReplicas as KEDA takes them",
        )
        return
    windows.append(
        {"start": start, "end": end, "timezone": zone, "replicas": min(int(wanted), max(1, scaler.maximum))}
    )


def _hpa(scaler: Scaler, ledger: Ledger) -> None:
    metrics = scaler.item.spec.get("metrics") or []
    names = sorted(
        {str((entry.get("resource") or {}).get("name") or entry.get("type")) for entry in metrics}
    ) or ["cpu"]
    ledger.note(
        scaler.item, ("spec", "metrics"),
        f"the bounds are carried over, its metrics ({', '.join(names)[:80]}) are not: KEDA follows the engine's queue",
    )  # fmt: skip


def platform_autoscaling(view: View) -> Scaling:
    """The Prometheus that KEDA asks, and how it signs in: what most triggers say."""
    addresses: Counter[str] = Counter()
    signs: Counter[str] = Counter()
    for item in view.of("ScaledObject.keda.sh"):
        for trigger in item.spec.get("triggers") or []:
            address = (trigger.get("metadata") or {}).get("serverAddress")
            if trigger.get("type") == "prometheus" and isinstance(address, str) and _URL.match(address):
                addresses[address] += 1
                reference = trigger.get("authenticationRef")
                if isinstance(reference, dict) and reference.get("kind") == "ClusterTriggerAuthentication":
                    signs[str(reference.get("name") or "")] += 1
    fields: Scaling = {}
    if addresses:
        fields["prometheusAddress"] = addresses.most_common(1)[0][0]
    if signs and _NAME.match(signs.most_common(1)[0][0]):
        fields["prometheusAuth"] = signs.most_common(1)[0][0]
    for item in view.of("Deployment.apps"):
        if item.name == "keda-operator" and item.namespace not in {"", "keda"}:
            fields["kedaNamespace"] = item.namespace
    return fields
