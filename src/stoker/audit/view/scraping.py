"""What Prometheus scrapes: configurations in files and ConfigMaps, monitors of the operator, annotations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import yaml

from stoker.audit.view.workloads import Workload
from stoker.kube.paths import Path
from stoker.kube.selectors import matches
from stoker.kube.shapes import PROMETHEUS_CONFIG, conform_shape
from stoker.kube.snapshot import Item, Snapshot
from stoker.kube.yaml_text import Loader

__all__ = ["ScrapeJob", "StaticTarget", "jobs_of", "monitored", "monitors_of"]

_MOST_TEXT: Final = 1 << 20
_MONITORS: Final = ("PodMonitor.monitoring.coreos.com", "ServiceMonitor.monitoring.coreos.com")
_PROMETHEUS: Final = ("prometheus.yaml", "prometheus.yml")


@dataclass(frozen=True, slots=True)
class ScrapeJob:
    """One job of a scrape configuration.

    Attributes:
        item: the ConfigMap or file that holds it.
        path: of the text in the object: ``("data", "prometheus.yml")``, empty for a file of its own.
        job: the job's mapping.
    """

    item: Item
    path: Path
    job: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.job.get("job_name") or "")

    @property
    def targets(self) -> "Iterator[StaticTarget]":
        """Static targets, each with the labels it is given."""
        for config in self.job.get("static_configs") or []:
            for target in config.get("targets") or []:
                yield StaticTarget(target, config.get("labels") or {})

    @property
    def discovers(self) -> bool:
        """It finds its targets by itself."""
        return any(key.endswith("_sd_configs") for key in self.job)


@dataclass(frozen=True, slots=True)
class StaticTarget:
    """``host:port`` with the labels it is given."""

    address: str
    labels: Mapping[str, str]

    @property
    def service(self) -> tuple[str, str, str] | None:
        """Namespace, name and port where the host is a cluster Service's DNS name; None for an address or another host.

        ``name.namespace``, with or without ``.svc`` and the cluster's domain; a headless pod name has more parts.
        """
        host, _, port = self.address.rpartition("://")[2].partition("/")[0].partition(":")
        parts = host.split(".")
        if all(part.isdigit() for part in parts) or not parts[0]:
            return None
        if len(parts) == 2 and parts[1] not in {"com", "org", "net", "io", "dev", "local", "internal"}:
            return parts[1], parts[0], port
        if len(parts) > 2 and parts[2] == "svc":
            return parts[1], parts[0], port
        return None


_JOBS: Final[WeakKeyDictionary[Snapshot, tuple[ScrapeJob, ...]]] = WeakKeyDictionary()


def jobs_of(snapshot: Snapshot) -> tuple[ScrapeJob, ...]:
    """Jobs of every Prometheus configuration: files, and texts in ConfigMaps, which are parsed once."""
    if snapshot not in _JOBS:
        _JOBS[snapshot] = tuple(_jobs(snapshot))
    return _JOBS[snapshot]


def _jobs(snapshot: Snapshot) -> Iterator[ScrapeJob]:
    for item in snapshot.of("ConfigFile.prometheus"):
        yield from (ScrapeJob(item, (), job) for job in item.obj.get("scrape_configs") or [])
    for item in snapshot.of("ConfigMap"):
        for key, text in (item.obj.get("data") or {}).items():
            if "scrape_configs" in text and len(text) <= _MOST_TEXT:
                for job in _parsed(text).get("scrape_configs") or []:
                    yield ScrapeJob(item, ("data", key), job)


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        value = yaml.load(text, Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}  # no YAML: another program's text that speaks of scrape_configs
    return conform_shape(value, PROMETHEUS_CONFIG) if isinstance(value, dict) else {}


def monitors_of(snapshot: Snapshot) -> tuple[Item, ...]:
    """PodMonitors and ServiceMonitors."""
    return snapshot.of(*_MONITORS)


def selects_namespace(monitor: Item, namespace: str) -> bool:
    """Whether a monitor looks into a namespace: its own unless it says otherwise."""
    selector = monitor.section("spec", "namespaceSelector")
    if selector.get("any"):
        return True
    names = selector.get("matchNames")
    return namespace in names if names else namespace == monitor.namespace


def monitored(workload: Workload, snapshot: Snapshot) -> bool:
    """Whether anything in the snapshot scrapes the workload's pods, one by one or through a Service."""
    marks = {**workload.item.annotations, **workload.annotations}
    if (
        marks.get("prometheus.io/scrape") == "true"
        or marks.get("serving.kserve.io/enable-prometheus-scraping") == "true"
    ):
        return True
    for monitor in monitors_of(snapshot):
        if not selects_namespace(monitor, workload.namespace):
            continue
        selector = monitor.spec.get("selector")
        if monitor.kind == "PodMonitor":
            if matches(selector, workload.labels):
                return True
        elif any(
            matches(selector, s.labels) and _selects(s, workload)
            for s in snapshot.within("Service", workload.namespace)
        ) or (workload.item.kind == "InferenceService" and matches(selector, workload.labels)):
            return True
    return any(job.discovers for job in jobs_of(snapshot))


def _selects(service: Item, workload: Workload) -> bool:
    selector = service.spec.get("selector")
    return (
        selector is not None
        and bool(selector)
        and all(workload.labels.get(key) == value for key, value in selector.items())
    )
