"""From the objects of a cluster to the files of Prometheus and Alertmanager: pure, as the Prometheus Operator does it.

Which objects count: the first Prometheus object (by namespace and name) chooses by its selectors, where one that is absent
chooses nothing and an empty one everything, and namespaces that are absent mean its own. Without any Prometheus object - a
cluster in which nobody has installed one - everything is chosen from everywhere, every 30 s, and alerts go to the lab's
Alertmanager. The same holds for the Alertmanager object. The real operator would run a server for each object; a lab has one.

Not emulated: Probes, remote write and read, scrape classes, sharding, ``enforcedNamespaceLabel``, metadata of nodes, TLS
files, ``additionalScrapeConfigs``. `Compiled.problems` names what was left out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import yaml

from stoker.errors import StokerError
from stoker.kube.selectors import matches
from stoker.lab.monitoring.jobs import (
    Job,
    SecretReader,
    pod_monitor_jobs,
    scrape_config_jobs,
    service_monitor_jobs,
)
from stoker.lab.monitoring.receivers import Receivers, merge_alertmanager_configs
from stoker.lab.monitoring.rules import rule_file, rule_file_name
from stoker.lab.monitoring.speed import LabTime, scaled_interval, seconds_of_duration, useful_speed
from stoker.lab.monitoring.targets import Object, Target, pod_targets, service_targets

__all__ = ["Compiled", "Objects", "Places", "compile_monitoring", "job_targets"]

_INTERVAL: Final = "30s"  # the operator's default of scrapeInterval and evaluationInterval
_TIMEOUT: Final = "10s"  # Prometheus' own
_STATE_METRICS: Final = "kube-state-metrics"


@dataclass(slots=True)
class Objects:
    """What is read of a cluster; lists in no particular order.

    Attributes:
        namespaces: labels by name.
        secret: value of a key of a Secret.
    """

    secret: SecretReader
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prometheuses: Sequence[Object] = ()
    alertmanagers: Sequence[Object] = ()
    service_monitors: Sequence[Object] = ()
    pod_monitors: Sequence[Object] = ()
    probes: Sequence[Object] = ()
    scrape_configs: Sequence[Object] = ()
    rules: Sequence[Object] = ()
    alertmanager_configs: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on this machine.

    Attributes:
        targets: folder of the files of targets.
        rules: folder of the rule files.
        alertmanager: ``address:port``; empty where none runs.
        state_metrics: ``address:port`` of kube-state-metrics' stand-in.
        keda: ``address:port`` of KEDA's operator, at ``/keda``; empty where there is none.
        api_server: ``address:port`` of the API server's metrics, at ``/apiserver``.
        overrides: where pages really go (`receivers`).
    """

    targets: str
    rules: str
    alertmanager: str = ""
    state_metrics: str = ""
    api_server: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    keda: str = ""


@dataclass(slots=True)
class Compiled:
    """Everything that the two servers read. ``alertmanager`` and ``prometheus`` may hold secrets."""

    prometheus: Object
    rules: dict[str, Object]
    receivers: Receivers
    jobs: list[Job]
    problems: list[str]
    useful_speed: float

    def prometheus_text(self) -> str:
        return _yaml(self.prometheus)

    def alertmanager_text(self) -> str:
        return _yaml(self.receivers.config)

    def rule_texts(self) -> dict[str, str]:
        return {name: _yaml(content) for name, content in self.rules.items()}


def _yaml(content: Object) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=4096, allow_unicode=True)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes a value that is used twice twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def compile_monitoring(objects: Objects, places: Places, time: LabTime) -> Compiled:
    """Every file, from what the cluster holds."""
    problems: list[str] = []
    owner = _first(objects.prometheuses, "Prometheus", problems)
    spec: Object = (owner or {}).get("spec") or {}
    choose = _Chooser(objects, owner)
    jobs = _jobs(objects, choose, spec, time, problems)
    rules = _rules(choose(objects.rules, "ruleSelector", "ruleNamespaceSelector"), time, problems)
    if objects.probes:
        problems.append(f"{len(objects.probes)} Probe objects are not emulated")
    receivers = _receivers(objects, places, time, problems)
    interval = spec.get("scrapeInterval") or _INTERVAL
    evaluation = spec.get("evaluationInterval") or _INTERVAL
    config: Object = {
        "global": {
            "scrape_interval": scaled_interval(interval, time),
            "scrape_timeout": scaled_interval(
                spec.get("scrapeTimeout") or _shorter(_TIMEOUT, interval), time
            ),
            "evaluation_interval": scaled_interval(evaluation, time),
        },
        "rule_files": [f"{places.rules}/*.yaml"],
        "scrape_configs": [_entry(job, places) for job in jobs],
    }
    labels = _external_labels(owner)
    if labels:
        config["global"]["external_labels"] = labels
    has_own = any(_is_state_metrics(job) for job in jobs)
    config["scrape_configs"] += _own_jobs(places, has_state_metrics=has_own)
    if places.alertmanager and (owner is None or (spec.get("alerting") or {}).get("alertmanagers")):
        config["alerting"] = {
            "alert_relabel_configs": [{"action": "labeldrop", "regex": "prometheus_replica"}],
            "alertmanagers": [{"static_configs": [{"targets": [places.alertmanager]}], "api_version": "v2"}],
        }
    intervals = [interval, evaluation, *(job.interval for job in jobs if job.interval)]
    return Compiled(config, rules, receivers, jobs, problems, useful_speed(intervals))


def _shorter(timeout: str, interval: str) -> str:
    return min(timeout, interval, key=seconds_of_duration)


def _first(items: Sequence[Object], kind: str, problems: list[str]) -> Object | None:
    ordered = sorted(items, key=lambda one: (one["metadata"]["namespace"], one["metadata"]["name"]))
    for other in ordered[1:]:
        place = f"{other['metadata']['namespace']}/{other['metadata']['name']}"
        problems.append(f"{kind} {place} is not served: a lab runs one, of the first object")
    return ordered[0] if ordered else None


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Applies the selectors of a Prometheus or Alertmanager object; without one everything is chosen."""

    objects: Objects
    owner: Object | None

    def __call__(self, items: Iterable[Object], selector: str, namespaces: str) -> list[Object]:
        ordered = sorted(items, key=lambda one: (one["metadata"]["namespace"], one["metadata"]["name"]))
        if self.owner is None:
            return ordered
        spec = self.owner["spec"]
        own = self.owner["metadata"]["namespace"]
        wanted, places = spec.get(selector), spec.get(namespaces)
        return [
            item
            for item in ordered
            if matches(wanted, item["metadata"].get("labels") or {})
            and (
                item["metadata"]["namespace"] == own
                if places is None
                else matches(places, self.objects.namespaces.get(item["metadata"]["namespace"], {}))
            )
        ]


def _jobs(objects: Objects, choose: _Chooser, spec: Object, time: LabTime, problems: list[str]) -> list[Job]:
    found: list[Job] = []
    secret = objects.secret
    makers: list[tuple[str, Sequence[Object], str, Callable[[Object], list[Job]]]] = [
        (
            "ServiceMonitor",
            objects.service_monitors,
            "serviceMonitor",
            lambda one: service_monitor_jobs(one, spec, time, secret),
        ),
        (
            "PodMonitor",
            objects.pod_monitors,
            "podMonitor",
            lambda one: pod_monitor_jobs(one, spec, time, secret),
        ),
        (
            "ScrapeConfig",
            objects.scrape_configs,
            "scrapeConfig",
            lambda one: scrape_config_jobs(one, time, secret),
        ),
    ]
    for kind, items, prefix, make in makers:
        for item in choose(items, f"{prefix}Selector", f"{prefix}NamespaceSelector"):
            try:
                found += make(item)
            except StokerError as error:
                metadata = item["metadata"]
                problems.append(f"{kind} {metadata['namespace']}/{metadata['name']}: {error.message}")
    return found


def _rules(items: Sequence[Object], time: LabTime, problems: list[str]) -> dict[str, Object]:
    found = {}
    for item in items:
        try:
            found[rule_file_name(item)] = rule_file(item, time)
        except StokerError as error:
            metadata = item["metadata"]
            problems.append(f"PrometheusRule {metadata['namespace']}/{metadata['name']}: {error.message}")
    return found


def _receivers(objects: Objects, places: Places, time: LabTime, problems: list[str]) -> Receivers:
    owner = _first(objects.alertmanagers, "Alertmanager", problems)
    choose = _Chooser(objects, owner)
    configs = choose(
        objects.alertmanager_configs, "alertmanagerConfigSelector", "alertmanagerConfigNamespaceSelector"
    )
    spec: Object = (owner or {}).get("spec") or {}
    namespace = "" if owner is None else owner["metadata"]["namespace"]
    base = None
    if spec.get("configSecret"):
        text = objects.secret(namespace, spec["configSecret"], "alertmanager.yaml")
        base = None if text is None else yaml.safe_load(text)
    named = (spec.get("alertmanagerConfiguration") or {}).get("name")
    root = next(
        (
            one
            for one in objects.alertmanager_configs
            if one["metadata"]["name"] == named and one["metadata"]["namespace"] == namespace
        ),
        None,
    )
    strategy = (spec.get("alertmanagerConfigMatcherStrategy") or {}).get("type") or "OnNamespace"
    found = merge_alertmanager_configs(
        [one for one in configs if one is not root], time, objects.secret, base=base, strategy=strategy,
        own_namespace=namespace, overrides=places.overrides, root=root,
    )  # fmt: skip
    problems += found.problems
    return found


def _external_labels(owner: Object | None) -> dict[str, str]:
    """Those that the operator adds (promcfg.go buildExternalLabels), then the object's own."""
    if owner is None:
        return {}
    metadata, spec = owner["metadata"], owner["spec"]
    found = {
        "prometheus": f"{metadata['namespace']}/{metadata['name']}",
        "prometheus_replica": f"prometheus-{metadata['name']}-0",
    }
    for label, key in (
        ("prometheus", "prometheusExternalLabelName"),
        ("prometheus_replica", "replicaExternalLabelName"),
    ):
        if key in spec:
            value = found.pop(label)
            if spec[key]:
                found[spec[key]] = value
    return {**found, **(spec.get("externalLabels") or {})}


def _is_state_metrics(job: Job) -> bool:
    """Whether a job scrapes kube-state-metrics: its chart's Service carries this label."""
    labels = job.selector.get("matchLabels") or {}
    return _STATE_METRICS in (labels.get("app.kubernetes.io/name"), labels.get("k8s-app"))


def _entry(job: Job, places: Places) -> Object:
    if job.role == "static":
        return job.config
    entry = {
        **job.config,
        "file_sd_configs": [{"files": [f"{places.targets}/{job.file}"], "refresh_interval": "30s"}],
    }
    if places.state_metrics and _is_state_metrics(job):
        # The pod's program is the lab's own: it listens elsewhere, under the pod's name.
        entry["relabel_configs"] = [
            *entry["relabel_configs"],
            {"source_labels": ["__address__"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": places.state_metrics},
            {"target_label": "__scheme__", "replacement": "http"},
            {"target_label": "__metrics_path__", "replacement": "/metrics"},
        ]
    return entry


def _own_jobs(places: Places, *, has_state_metrics: bool) -> list[Object]:
    """What every cluster with the usual charts has, and a lab gives without them."""
    found: list[Object] = []
    if places.state_metrics and not has_state_metrics:
        found.append(
            {
                "job_name": _STATE_METRICS,
                "honor_labels": True,
                "static_configs": [{"targets": [places.state_metrics]}],
            }
        )
    if places.keda:
        # The Service that the operator is scraped through where its chart's monitor is on. The namespace of a ScaledObject
        # is ``exported_namespace`` there.
        labels = {"namespace": "keda", "service": "keda-operator", "endpoint": "metrics"}
        static = [{"targets": [places.keda], "labels": labels}]
        found.append({"job_name": "keda-operator", "metrics_path": "/keda", "static_configs": static})
    if places.api_server:
        # The Service and the endpoint that the API server is scraped through, by the usual charts.
        labels = {"namespace": "default", "service": "kubernetes", "endpoint": "https"}
        static = [{"targets": [places.api_server], "labels": labels}]
        found.append({"job_name": "apiserver", "metrics_path": "/apiserver", "static_configs": static})
    return found


def job_targets(
    job: Job,
    pods: Mapping[tuple[str, str], Object],
    services: Sequence[Object],
    slices: Mapping[tuple[str, str], Sequence[Object]],
) -> list[Target]:
    """What stands in a job's file of targets.

    Args:
        job: the job.
        pods: by namespace and name.
        services: all.
        slices: EndpointSlices by namespace and name of their Service.
    """

    def is_chosen(item: Object) -> bool:
        metadata = item["metadata"]
        if job.namespaces is not None and metadata["namespace"] not in job.namespaces:
            return False
        return matches(job.selector, metadata.get("labels") or {})

    if job.role == "pod":
        return [target for pod in pods.values() if is_chosen(pod) for target in pod_targets(pod)]
    found: list[Target] = []
    for service in services:
        if is_chosen(service):
            place = (service["metadata"]["namespace"], service["metadata"]["name"])
            found += service_targets(service, slices.get(place, ()), pods)
    return found
