"""Observability: who scrapes, how often, by which labels, and where alerts go."""

import re
from collections import Counter
from typing import Any, Final

from stoker.adopt.around import labels_of
from stoker.adopt.ledger import Ledger
from stoker.adopt.names import free, managed, name_of
from stoker.adopt.tenants import Namespaces
from stoker.audit.view.view import View
from stoker.kube.snapshot import Item

__all__ = ["observability"]

_MONITORS: Final = ("PodMonitor.monitoring.coreos.com", "ServiceMonitor.monitoring.coreos.com")
_OPERATOR: Final = (*_MONITORS, "PrometheusRule.monitoring.coreos.com", "Prometheus.monitoring.coreos.com")
_ENGINE_METRICS: Final = re.compile(r"vllm:|sglang:|tgi_|nv_inference|llm", re.IGNORECASE)
_DURATION: Final = re.compile(r"^\d{1,9}(ms|s|m|h|d)$")
_LABEL: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_CONFIGS: Final = (
    # receiver's list in AlertmanagerConfig, type here, fields that name a Secret's key
    ("pagerdutyConfigs", "pagerduty", ("routingKey", "serviceKey")),
    ("opsgenieConfigs", "opsgenie", ("apiKey",)),
    ("slackConfigs", "slack", ("apiURL",)),
    ("webhookConfigs", "webhook", ("urlSecret",)),
)
_SEVERITIES: Final[tuple[str, ...]] = ("critical", "warning", "info")


def observability(view: View, namespaces: Namespaces, ledger: Ledger) -> dict[str, Any]:
    """The section, only with what differs from its defaults or was read."""
    found: dict[str, Any] = {}
    operator = view.of(*_OPERATOR)
    plain = [item for item in view.of("ConfigMap") if _scrapes(item)]
    plain += [*view.of("ConfigFile.prometheus"), *view.of("RuleFile.prometheus")]
    if plain and not operator:
        found["prometheus"] = "scrape-config"
    if not plain and not operator:
        ledger.assume("observability.prometheus", "operator", "nothing here scrapes: the schema's default")
    namespace = _namespace(view, plain)
    if namespace and namespace not in namespaces.names:
        found["namespace"] = namespace
    labels = _selector(view)
    if labels is not None:
        found["selectorLabels"] = labels
    interval = _interval(view, plain)
    if interval:
        found["scrapeInterval"] = interval
    receivers = _receivers(view, ledger)
    if receivers:
        found["receivers"] = receivers
    runbooks = _runbooks(view)
    if runbooks:
        found["runbookUrl"] = runbooks
    _rules(view, ledger)
    for item in plain:
        if not managed(item):
            ledger.note(
                item, (), "Stoker writes scrape and rule files of its own: this one is not carried over"
            )
    return found


def _scrapes(item: Item) -> bool:
    return any(
        "scrape_configs:" in text or "job_name:" in text
        for text in item.section("data").values()
        if isinstance(text, str)
    )


def _namespace(view: View, plain: list[Item]) -> str:
    for kind in (
        "Prometheus.monitoring.coreos.com",
        "Alertmanager.monitoring.coreos.com",
        "AlertmanagerConfig.monitoring.coreos.com",
    ):
        for item in view.of(kind):
            if _LABEL.match(item.namespace):
                return item.namespace
    return next((item.namespace for item in plain if _LABEL.match(item.namespace)), "")


def _selector(view: View) -> dict[str, str] | None:
    for item in view.of("Prometheus.monitoring.coreos.com"):
        for key in ("podMonitorSelector", "ruleSelector", "serviceMonitorSelector"):
            labels = item.section("spec", key).get("matchLabels")
            if isinstance(labels, dict) and labels:
                return dict(list(labels.items())[:8])
    monitors = view.of(*_OPERATOR[:3])
    shared = [labels_of(item) for item in monitors]
    common = dict(set.intersection(*(set(labels.items()) for labels in shared))) if shared else {}
    return dict(sorted(common.items())[:8]) if common else None


def _interval(view: View, plain: list[Item]) -> str:
    found: Counter[str] = Counter()
    for item in view.of(*_MONITORS):
        for entry in [*(item.spec.get("podMetricsEndpoints") or []), *(item.spec.get("endpoints") or [])]:
            found[str(entry.get("interval") or "")] += 1
    for item in plain:
        for text in item.section("data").values():
            found.update(re.findall(r"^\s*scrape_interval:\s*[\"']?(\w+)", str(text), re.MULTILINE))
    best = next((text for text, _ in found.most_common() if _DURATION.match(text)), "")
    return "" if best == "15s" else best


def _receivers(view: View, ledger: Ledger) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in view.of("AlertmanagerConfig.monitoring.coreos.com"):
        ledger.use(item)
        severities = _severities(item)
        for index, receiver in enumerate(item.spec.get("receivers") or []):
            name = str(receiver.get("name") or "")
            known = [entry for entry in (_receiver(receiver, *config) for config in _CONFIGS) if entry]
            lists = [
                key for key, value in receiver.items() if key.endswith("Configs") and isinstance(value, list)
            ]
            if len(known) < len(lists):
                ledger.note(
                    item,
                    ("spec", "receivers", index),
                    f"of receiver {name[:60]} only PagerDuty, Opsgenie, Slack and webhooks whose key is in a Secret are carried over",
                )
            for entry in known:
                taken = [str(other["name"]) for other in found]
                found.append(
                    {
                        "name": free(name_of(name, "receiver"), taken, entry["type"]),
                        **entry,
                        "severities": severities.get(name, ["critical"]),
                    }
                )
    order = ("name", "type", "secret", "severities", "channel")
    return [{key: entry[key] for key in order if key in entry} for entry in found[:32]]


def _receiver(
    receiver: dict[str, Any], key: str, kind: str, fields: tuple[str, ...]
) -> dict[str, Any] | None:
    configs = receiver.get(key)
    config = configs[0] if isinstance(configs, list) and configs and isinstance(configs[0], dict) else {}
    secret = next((config[name] for name in fields if isinstance(config.get(name), dict)), None)
    name, entry = (secret or {}).get("name"), (secret or {}).get("key")
    if (
        not isinstance(name, str)
        or not isinstance(entry, str)
        or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name)
        or not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", entry)
    ):
        return None
    channel = config.get("channel")
    more = (
        {"channel": channel}
        if kind == "slack"
        and isinstance(channel, str)
        and re.fullmatch(r"[#@]?[A-Za-z0-9._-]{1,79}", channel)
        else {}
    )
    return {"type": kind, "secret": {"name": name, "key": entry}, **more}


def _severities(item: Item) -> dict[str, list[str]]:
    """Severities by receiver, from the routes' matchers."""
    found: dict[str, list[str]] = {}
    routes = item.section("spec", "route").get("routes")
    for route in routes if isinstance(routes, list) else []:
        matchers = route.get("matchers") if isinstance(route, dict) else None
        for matcher in matchers if isinstance(matchers, list) else []:
            if isinstance(matcher, dict) and matcher.get("name") == "severity":
                words = [word for word in _SEVERITIES if word in str(matcher.get("value")).split("|")]
                if words:
                    found[str(route.get("receiver"))] = words
    return found


def _runbooks(view: View) -> str:
    bases: Counter[str] = Counter()
    for query in view.queries:
        url = (query.rule.get("annotations") or {}).get("runbook_url") if query.role == "alert" else None
        if isinstance(url, str) and managed(query.item) and url.endswith(f"/{query.name}"):
            bases[url.removesuffix(f"/{query.name}")] += 1
    best = bases.most_common(1)[0][0] if bases else ""
    return best if re.fullmatch(r"https?://[^\s@]{1,240}", best) else ""


def _rules(view: View, ledger: Ledger) -> None:
    for query in view.queries:
        if (
            query.role in {"alert", "record"}
            and not managed(query.item)
            and _ENGINE_METRICS.search(query.expr)
            and not ledger.used(query.item)
        ):
            ledger.note(
                query.item,
                query.path[:-1],
                "Stoker writes recording rules and alerts of its own from each model's slo: yours are not carried over, nor their thresholds",
            )
