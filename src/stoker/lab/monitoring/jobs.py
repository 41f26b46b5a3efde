"""ServiceMonitors, PodMonitors and ScrapeConfigs as jobs of Prometheus, as the Prometheus Operator writes them.

The relabelings are the operator's, in its order, so the labels that series end up with are the operator's too. In place of
``kubernetes_sd_configs`` a job reads a file of targets that the monitor's selector has already been applied to.

Source: prometheus-operator v0.93.0 pkg/prometheus/promcfg.go (generateServiceMonitorConfig, generatePodMonitorConfig,
generateScrapeConfig, generateRelabelConfig).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from stoker.errors import StokerError
from stoker.lab.monitoring.speed import LabTime, scaled_interval, seconds_of_duration
from stoker.lab.monitoring.targets import Object, label_name

__all__ = [
    "Job",
    "SecretReader",
    "pod_monitor_jobs",
    "relabelings",
    "scrape_config_jobs",
    "service_monitor_jobs",
]

# Value of a key of a Secret: namespace, name, key; None where there is none.
SecretReader = Callable[[str, str, str], str | None]

_META: Final = "__meta_kubernetes"
_COPIED: Final = {
    "honorTimestamps": "honor_timestamps",
    "path": "metrics_path",
    "params": "params",
    "followRedirects": "follow_redirects",
}
_LIMITS: Final = {
    "sampleLimit": "sample_limit",
    "targetLimit": "target_limit",
    "labelLimit": "label_limit",
    "labelNameLengthLimit": "label_name_length_limit",
    "labelValueLengthLimit": "label_value_length_limit",
    "bodySizeLimit": "body_size_limit",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of ``scrape_configs``.

    Attributes:
        name: of the job in Prometheus; `file` is made from it.
        role: what its targets are; ``static`` brings its own.
        namespaces: where to look; None for everywhere.
        selector: of pods or Services.
        config: the entry, without what finds its targets.
        interval: as the object says it, in the lab's time; empty for the global one.
    """

    name: str
    role: Literal["pod", "service", "static"]
    namespaces: frozenset[str] | None
    selector: Object
    config: Object
    interval: str = ""

    @property
    def file(self) -> str:
        return self.name.replace("/", "_") + ".json"


@dataclass(frozen=True, slots=True)
class _Context:
    """What a job needs besides its object."""

    namespace: str
    time: LabTime
    secret: SecretReader


def service_monitor_jobs(
    monitor: Object, prometheus: Object, time: LabTime, secret: SecretReader
) -> list[Job]:
    """One job an endpoint."""
    metadata, spec = monitor["metadata"], monitor["spec"]
    context = _Context(metadata["namespace"], time, secret)
    found = []
    for index, endpoint in enumerate(spec.get("endpoints") or []):
        rules = [_JOB_NAME, *_service_port(endpoint), *_SERVICE_LABELS]
        if endpoint.get("filterRunning", True):
            rules.append(_RUNNING)
        rules += [_copied("service", key) for key in spec.get("targetLabels") or []]
        rules += _pod_target_labels(spec, prometheus)
        rules.append(
            {"source_labels": [f"{_META}_service_name"], "target_label": "job", "replacement": "${1}"}
        )
        if spec.get("jobLabel"):
            rules.append(_copied("service", spec["jobLabel"], "job"))
        named = endpoint.get("port") or endpoint.get("targetPort")
        if named:
            rules.append({"target_label": "endpoint", "replacement": str(named)})
        found.append(_job("service", monitor, index, rules, context))
    return [_placed(job, metadata, spec, prometheus) for job in found]


def pod_monitor_jobs(monitor: Object, prometheus: Object, time: LabTime, secret: SecretReader) -> list[Job]:
    """One job an endpoint."""
    metadata, spec = monitor["metadata"], monitor["spec"]
    context = _Context(metadata["namespace"], time, secret)
    found = []
    for index, endpoint in enumerate(spec.get("podMetricsEndpoints") or []):
        rules = [_JOB_NAME]
        if endpoint.get("filterRunning", True):
            rules.append(_RUNNING)
        rules += _pod_port(endpoint)
        rules += _POD_LABELS
        rules += _pod_target_labels(spec, prometheus)
        rules.append({"target_label": "job", "replacement": f"{metadata['namespace']}/{metadata['name']}"})
        if spec.get("jobLabel"):
            rules.append(_copied("pod", spec["jobLabel"], "job"))
        named = endpoint.get("port") or endpoint.get("targetPort")
        if named:
            rules.append({"target_label": "endpoint", "replacement": str(named)})
        found.append(_job("pod", monitor, index, rules, context))
    return [_placed(job, metadata, spec, prometheus) for job in found]


def scrape_config_jobs(item: Object, time: LabTime, secret: SecretReader) -> list[Job]:
    """Static targets, and discovery of pods and endpoints.

    Raises:
        StokerError: it finds its targets in a way that a lab does not have.
    """
    metadata, spec = item["metadata"], item["spec"]
    name = f"scrapeConfig/{metadata['namespace']}/{metadata['name']}"
    rules = [_JOB_NAME]
    if spec.get("jobName"):
        rules.append({"target_label": "job", "action": "replace", "replacement": spec["jobName"]})
    endpoint = {**spec, "path": spec.get("metricsPath"), "interval": spec.get("scrapeInterval")}
    if spec.get("params"):
        endpoint["params"] = dict(spec["params"])
    config = _scrape(name, endpoint, spec, rules, _Context(metadata["namespace"], time, secret))
    interval = endpoint["interval"] or ""
    foreign = sorted(
        key for key in spec if key.endswith("SDConfigs") and key != "kubernetesSDConfigs" and spec[key]
    )
    if foreign:
        raise StokerError(f"{name}: {foreign[0]} is not emulated", fix="staticConfigs or kubernetesSDConfigs")
    found = []
    if spec.get("staticConfigs"):
        static = [
            {"targets": one.get("targets") or [], "labels": one.get("labels") or {}}
            for one in spec["staticConfigs"]
        ]
        found.append(Job(name, "static", None, {}, {**config, "static_configs": static}, interval))
    for index, one in enumerate(spec.get("kubernetesSDConfigs") or []):
        roles: dict[str, Literal["pod", "service"]] = {
            "pod": "pod",
            "endpoints": "service",
            "endpointslice": "service",
        }
        role = roles.get(str(one.get("role", "")).lower())
        if role is None:
            raise StokerError(
                f"{name}: discovery of {one.get('role')!r} is not emulated", fix="Pod or Endpoints"
            )
        scope = one.get("namespaces") or {}
        names = set(scope.get("names") or ())
        if scope.get("ownNamespace"):
            names.add(metadata["namespace"])
        own = name if index == 0 and not found else f"{name}/{index}"
        found.append(Job(own, role, frozenset(names) or None, {}, {**config, "job_name": own}, interval))
    return found


# --- parts -------------------------------------------------------------------------------------------------------------

_JOB_NAME: Final[Object] = {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"}
_RUNNING: Final[Object] = {
    "action": "drop",
    "source_labels": [f"{_META}_pod_phase"],
    "regex": "(Failed|Succeeded)",
}
_TARGET: Final = [f"{_META}_endpoint_address_target_kind", f"{_META}_endpoint_address_target_name"]
_SERVICE_LABELS: Final[list[Object]] = [
    *(
        {
            "source_labels": _TARGET,
            "separator": ";",
            "regex": f"{kind};(.*)",
            "replacement": "${1}",
            "target_label": label,
        }
        for kind, label in (("Node", "node"), ("Pod", "pod"))
    ),
    {"source_labels": [f"{_META}_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{_META}_service_name"], "target_label": "service"},
    {"source_labels": [f"{_META}_pod_name"], "target_label": "pod"},
    {"source_labels": [f"{_META}_pod_container_name"], "target_label": "container"},
]
_POD_LABELS: Final[list[Object]] = [
    {"source_labels": [f"{_META}_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{_META}_pod_container_name"], "target_label": "container"},
    {"source_labels": [f"{_META}_pod_name"], "target_label": "pod"},
]


def _keep(label: str, value: object) -> Object:
    return {"action": "keep", "source_labels": [f"{_META}_{label}"], "regex": str(value)}


def _service_port(endpoint: Object) -> list[Object]:
    if endpoint.get("port"):
        return [_keep("endpoint_port_name", endpoint["port"])]
    return _by_number_or_name(endpoint.get("targetPort"))


def _pod_port(endpoint: Object) -> list[Object]:
    if endpoint.get("port"):
        return [_keep("pod_container_port_name", endpoint["port"])]
    if endpoint.get("portNumber"):
        return [_keep("pod_container_port_number", endpoint["portNumber"])]
    return _by_number_or_name(endpoint.get("targetPort"))


def _by_number_or_name(port: str | int | None) -> list[Object]:
    if not port:
        return []
    return [_keep("pod_container_port_number" if isinstance(port, int) else "pod_container_port_name", port)]


def _copied(of: str, key: str, to: str = "") -> Object:
    name = label_name(key)
    return {
        "source_labels": [f"{_META}_{of}_label_{name}"],
        "target_label": to or name,
        "regex": "(.+)",
        "replacement": "${1}",
    }


def _pod_target_labels(spec: Object, prometheus: Object) -> list[Object]:
    keys = [*(spec.get("podTargetLabels") or ()), *(prometheus.get("podTargetLabels") or ())]
    return [_copied("pod", key) for key in keys]


def relabelings(entries: list[Object] | None) -> list[Object]:
    """Relabelings of an object as Prometheus reads them."""
    names = {
        "sourceLabels": "source_labels",
        "separator": "separator",
        "targetLabel": "target_label",
        "regex": "regex",
        "modulus": "modulus",
        "replacement": "replacement",
    }
    found = []
    for entry in entries or []:
        one = {
            name: entry[key]
            for key, name in names.items()
            if entry.get(key) or (key in {"separator", "replacement"} and key in entry)
        }
        if entry.get("action"):
            one["action"] = entry["action"].lower()
        found.append(one)
    return found


def _job(
    role: Literal["pod", "service"], monitor: Object, index: int, rules: list[Object], context: _Context
) -> Job:
    metadata, spec = monitor["metadata"], monitor["spec"]
    word, key = ("podMonitor", "podMetricsEndpoints") if role == "pod" else ("serviceMonitor", "endpoints")
    endpoint = spec[key][index]
    name = f"{word}/{metadata['namespace']}/{metadata['name']}/{index}"
    config = _scrape(name, endpoint, spec, rules, context)
    return Job(name, role, None, spec.get("selector") or {}, config, endpoint.get("interval") or "")


def _placed(job: Job, metadata: Object, spec: Object, prometheus: Object) -> Job:
    own: frozenset[str] | None = frozenset((metadata["namespace"],))
    chosen = spec.get("namespaceSelector") or {}
    if not prometheus.get("ignoreNamespaceSelectors"):
        if chosen.get("any"):
            own = None
        elif chosen.get("matchNames"):
            own = frozenset(chosen["matchNames"])
    return Job(job.name, job.role, own, job.selector, job.config, job.interval)


def _scrape(name: str, endpoint: Object, spec: Object, rules: list[Object], context: _Context) -> Object:
    config: Object = {"job_name": name, "honor_labels": bool(endpoint.get("honorLabels"))}
    interval, timeout = endpoint.get("interval"), endpoint.get("scrapeTimeout")
    if interval and timeout and seconds_of_duration(timeout) > seconds_of_duration(interval):
        raise StokerError(f"{name}: scrapeTimeout {timeout!r} greater than scrapeInterval {interval!r}")
    for key, value in (("scrape_interval", interval), ("scrape_timeout", timeout)):
        if value:
            config[key] = scaled_interval(value, context.time)
    config |= {target: endpoint[key] for key, target in _COPIED.items() if endpoint.get(key) is not None}
    if endpoint.get("scheme"):
        config["scheme"] = str(endpoint["scheme"]).lower()
        if config["scheme"] == "https":
            # Certificates of pods in a lab are nobody's: what is tested is the path, not the chain.
            config["tls_config"] = {"insecure_skip_verify": True}
    config |= _credentials(name, endpoint, context)
    config["relabel_configs"] = [*rules, *relabelings(endpoint.get("relabelings"))]
    metric = relabelings(endpoint.get("metricRelabelings"))
    if metric:
        config["metric_relabel_configs"] = metric
    return config | {target: spec[key] for key, target in _LIMITS.items() if spec.get(key)}


def _credentials(name: str, endpoint: Object, context: _Context) -> Object:
    def value(reference: Any) -> str:
        found = context.secret(context.namespace, reference.get("name", ""), reference.get("key", ""))
        if found is None:
            raise StokerError(
                f"{name}: Secret {context.namespace}/{reference.get('name')} has no key {reference.get('key')!r}"
            )
        return found

    basic, authorization = endpoint.get("basicAuth"), endpoint.get("authorization")
    bearer = endpoint.get("bearerTokenSecret")
    if basic:
        pair = {
            key: value(basic[field])
            for field, key in (("username", "username"), ("password", "password"))
            if basic.get(field)
        }
        return {"basic_auth": pair}
    if authorization and authorization.get("credentials"):
        kind = authorization.get("type") or "Bearer"
        return {"authorization": {"type": kind, "credentials": value(authorization["credentials"])}}
    if bearer and bearer.get("name"):
        return {"authorization": {"type": "Bearer", "credentials": value(bearer)}}
    return {}
