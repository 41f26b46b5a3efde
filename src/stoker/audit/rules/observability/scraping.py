"""Scraping: whether the servers' metrics reach Prometheus, of every replica, with labels that queries can use."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, remove, replace
from stoker.audit.rule import rule
from stoker.audit.view.expressions import uses
from stoker.audit.view.memo import once_per_view
from stoker.audit.view.queries import Query
from stoker.audit.view.scraping import ScrapeJob, jobs_of, monitored, monitors_of, selects_namespace
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.catalog.engines import release
from stoker.kube.selectors import matches
from stoker.kube.snapshot import Item

_OPERATOR: Final = "prometheus-operator 0.93.0 Documentation/api-reference/api.md"
_ENGINE_JOB: Final = ("vllm", "llm", "inference", "sglang", "tgi", "model")


@once_per_view
def _static_jobs(view: View) -> tuple[ScrapeJob, ...]:
    """Jobs with static targets that look like model servers: by their names, or by Services of servers."""
    return tuple(_engine_jobs(view))


def _engine_jobs(view: View) -> Iterator[ScrapeJob]:
    owners = {(server.workload.namespace, server.workload.item.name) for server in view.running_servers}
    for job in jobs_of(view.snapshot):
        services = [target.service for target in job.targets if target.service is not None]
        named = any(word in job.name.lower() for word in _ENGINE_JOB)
        if services and (named or any((namespace, name) in owners for namespace, name, _ in services)):
            yield job


@rule(
    "scrape-through-service",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Prometheus scrapes a Service address instead of the pods",
    why=(
        "Each scrape lands on a random replica: counters seem to restart, gauges jump, the other replicas are never seen, and "
        "the series carry no namespace or pod. Every rate, alert and scaling decision over them is wrong."
    ),
    fix="Scrape the pods: a PodMonitor, or kubernetes_sd_configs with role pod.",
    references=(
        "https://prometheus.io/docs/prometheus/latest/configuration/configuration/#static_config",
        _OPERATOR,
    ),
    on=_static_jobs,
)
def _scrape_through_service(job: ScrapeJob, view: View) -> Iterator[Hit]:
    for target in job.targets:
        service = target.service
        if service is None:
            continue
        found = view.snapshot.get("Service", service[0], service[1])
        if found is not None and found.spec.get("clusterIP") == "None":
            continue  # headless: still one address a lookup, but a pod's
        yield Hit(
            job.item,
            job.path,
            f"job {job.name} scrapes {target.address}, one random replica each time",
            target.address,
        )


@rule(
    "scrape-target-missing",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Prometheus scrapes a Service that does not exist",
    why="The target is down for ever: no metric of the model servers is ever stored, and all that is built on them sees nothing.",
    fix="Create the Service with that port, or scrape the pods with a PodMonitor.",
    references=("https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/",),
    on=lambda view: (job for job in _static_jobs(view) if any(True for _ in _resolvable(job, view))),
)
def _scrape_target_missing(job: ScrapeJob, view: View) -> Iterator[Hit]:
    for namespace, name, port, address in _resolvable(job, view):
        service = view.snapshot.get("Service", namespace, name)
        if service is None:
            yield Hit(
                job.item,
                job.path,
                f"job {job.name} scrapes {address}, and there is no Service {name} in {namespace}",
                address,
            )
        elif port and port not in {str(entry.get("port")) for entry in service.spec.get("ports") or []}:
            yield Hit(
                job.item,
                job.path,
                f"job {job.name} scrapes {address}, and Service {name} has no port {port}",
                address,
            )


def _resolvable(job: ScrapeJob, view: View) -> Iterator[tuple[str, str, str, str]]:
    """Targets whose Service must be here: it is, services of the namespace are known, or a workload of that name is here."""
    for target in job.targets:
        if target.service is None:
            continue
        namespace, name, port = target.service
        here = view.snapshot.get("Service", namespace, name) is not None
        workload = any(w.item.name == name for w in view.workloads_in(namespace))
        if here or workload or view.knows("Service", namespace):
            yield namespace, name, port, target.address


@rule(
    "scrape-config-unread",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="ConfigMap holds a scrape configuration that nothing reads",
    why="Prometheus reads no ConfigMap that is not mounted into it: the servers are not scraped, and nothing says so.",
    fix="Use a PodMonitor or ServiceMonitor, or mount the ConfigMap and name it in Prometheus' own configuration.",
    references=(_OPERATOR,),
    on=lambda view: list(
        {id(job.item): job.item for job in _static_jobs(view) if job.item.kind == "ConfigMap"}.values()
    ),
)
def _scrape_config_unread(item: Item, view: View) -> Iterator[Hit]:
    if any(key in {"prometheus.yml", "prometheus.yaml"} for key in item.obj.get("data") or {}):
        return  # the name that Prometheus' own charts mount
    for workload in view.workloads:
        for volume in workload.pod.get("volumes") or []:
            sources = [volume, *_projected(volume)]
            if any(
                (source.get("configMap") or {}).get("name") == item.name
                for source in sources
                if isinstance(source, dict)
            ):
                return
    yield Hit(
        item,
        ("data",),
        f"nothing here mounts {item.name}: its scrape configuration is a text, no configuration",
    )


def _projected(volume: "dict[str, object]") -> list[object]:
    projected = volume.get("projected")
    sources = projected.get("sources") if isinstance(projected, dict) else None
    return sources if isinstance(sources, list) else []


def _label_queries(view: View) -> Iterator[Query]:
    """Queries over vLLM's series in a source whose only scraping of model servers is by static targets."""
    if (
        not _static_jobs(view)
        or monitors_of(view.snapshot)
        or any(job.discovers for job in jobs_of(view.snapshot))
    ):
        return
    for query in view.queries:
        if query.tree is not None and any(u.name.startswith(("vllm:", "vllm_")) for u in uses(query.tree)):
            yield query


@once_per_view
def _target_labels(view: View) -> frozenset[str]:
    """Labels that static targets are given."""
    return frozenset(label for job in _static_jobs(view) for target in job.targets for label in target.labels)


@rule(
    "label-that-no-target-has",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Query selects by a label that the scraped series do not carry",
    why=(
        "vLLM sets model_name and engine; namespace and pod come from the scrape. Static targets add neither, so the selector "
        "matches nothing and the query is empty whatever the load."
    ),
    fix="Scrape with a PodMonitor, which adds namespace, pod and container, or label the static targets.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:527", _OPERATOR),
    on=_label_queries,
)
def _label_that_no_target_has(query: Query, view: View) -> Iterator[Hit]:
    given = _target_labels(view)
    for use in uses(query.tree):
        for label, operator, value in use.labels:
            if (
                operator == "Equal"
                and value
                and label in {"namespace", "pod", "container"}
                and label not in given
            ):
                yield Hit(
                    query.item,
                    query.path,
                    f'{{{label}="{value}"}} matches no series: static targets carry no {label}',
                    query.expr,
                )


def _scraped_queries(view: View) -> Iterator[Query]:
    """Queries over vLLM's series in a source that shows how they are scraped; panels select by variables of their own."""
    if not monitors_of(view.snapshot):
        return
    for query in view.queries:
        if (
            query.role != "panel"
            and query.tree is not None
            and any(u.name.startswith("vllm:") for u in uses(query.tree))
        ):
            yield query


@once_per_view
def _added_labels(view: View) -> frozenset[str]:
    """Labels that the monitors of the source add to what they scrape."""
    added: set[str] = set()
    for monitor in monitors_of(view.snapshot):
        for endpoint in (
            *(monitor.spec.get("podMetricsEndpoints") or []),
            *(monitor.spec.get("endpoints") or []),
        ):
            for relabeling in (
                *(endpoint.get("relabelings") or []),
                *(endpoint.get("metricRelabelings") or []),
            ):
                added.add(str(relabeling.get("targetLabel")))
        added |= {*(monitor.spec.get("podTargetLabels") or []), *(monitor.spec.get("targetLabels") or [])}
    return frozenset(added)


@rule(
    "label-that-engine-lacks",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Query selects vLLM's series by a label that neither the engine nor a scrape sets",
    why="The selector matches nothing: the alert is silent, the panel empty.",
    fix="Select by model_name, the label that vLLM sets to the served model's name.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:527",),
    on=_scraped_queries,
)
def _label_that_engine_lacks(query: Query, view: View) -> Iterator[Hit]:
    given = _added_labels(view)
    for use in uses(query.tree):
        for label, operator, value in use.labels:
            if (
                use.name.startswith("vllm:")
                and label in {"model", "served_model_name", "modelName"} - given
                and operator == "Equal"
                and value
            ):
                old = f'{label}="{value}"'
                new = f'model_name="{value}"'
                fix = (
                    Fix("Select by model_name", (replace(query.path, query.expr.replace(old, new)),))
                    if query.expr.count(old) == 1
                    else None
                )
                yield Hit(
                    query.item,
                    query.path,
                    f"vLLM's series have no label {label}; the served model's name is in model_name",
                    query.expr,
                    fix,
                )


def _scrapable(view: View) -> Iterator[Server]:
    """Servers of a source that shows how monitoring is done, or that is known in whole."""
    told = bool(monitors_of(view.snapshot)) or any(
        q.tree is not None and any(u.name.startswith(("vllm:", "vllm_")) for u in uses(q.tree))
        for q in view.queries
    )
    for server in view.running_servers:
        known = view.knows("PodMonitor.monitoring.coreos.com", server.workload.namespace)
        if (
            server.workload.serves
            and server.engine in {"vllm", "sglang", "tgi", "triton", "huggingface"}
            and (told or known)
        ):
            yield server


@rule(
    "server-not-scraped",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Nothing scrapes the model server's pods",
    why="Queue depth, KV usage and latency of this server are seen by nobody: no alert, no scaling, no capacity planning.",
    fix="Add a PodMonitor that selects the pods, with the port that serves /metrics.",
    references=(_OPERATOR, "kserve 0.20.0 pkg/constants/constants.go:106 (enable-prometheus-scraping)"),
    on=_scrapable,
)
def _server_not_scraped(server: Server, view: View) -> Iterator[Hit]:
    if not monitored(server.workload, view.snapshot) and not (
        set(server.workload.labels) == set() and not server.workload.complete
    ):
        yield Hit(
            server.workload.item, (), f"no PodMonitor or ServiceMonitor here selects the pods of {server}"
        )


def _monitored_workloads(monitor: Item, view: View) -> list[Workload]:
    return [
        w for w in view.workloads
        if not w.template and selects_namespace(monitor, w.namespace) and matches(monitor.spec.get("selector"), w.labels)
    ]  # fmt: skip


def _pod_monitors(view: View) -> Iterator[Item]:
    """PodMonitors that select workloads of the source."""
    for monitor in view.of("PodMonitor.monitoring.coreos.com"):
        if _monitored_workloads(monitor, view):
            yield monitor


@rule(
    "monitor-port-missing",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="PodMonitor names a port that the selected containers do not have",
    why="The operator makes no target of it: the monitor selects the pods and scrapes none of them, without an error anywhere.",
    fix="Name the container port as the monitor does, or name the port that is there.",
    references=(_OPERATOR,),
    on=_pod_monitors,
)
def _monitor_port_missing(monitor: Item, view: View) -> Iterator[Hit]:
    chosen = [w for w in _monitored_workloads(monitor, view) if w.complete]
    if not chosen:
        return
    names = {
        str(port.get("name"))
        for w in chosen
        for c in w.containers
        for port in c.spec.get("ports") or []
        if port.get("name")
    }
    for index, endpoint in enumerate(monitor.spec.get("podMetricsEndpoints") or []):
        port = endpoint.get("port")
        if port and port not in names:
            there = ", ".join(sorted(names)) or "none"
            yield Hit(
                monitor,
                ("spec", "podMetricsEndpoints", index, "port"),
                f"no selected container has a port named {port}; named ports: {there}",
                port,
            )


@rule(
    "monitor-path-wrong",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Monitor scrapes a path where the engine has no metrics",
    why="Every scrape is a 404: the target is down and none of the engine's series exists.",
    fix="Scrape the engine's own path, /metrics.",
    references=("vllm 0.33.0 vllm/entrypoints/serve/instrumentator/metrics.py",),
    on=_pod_monitors,
)
def _monitor_path_wrong(monitor: Item, view: View) -> Iterator[Hit]:
    chosen = {id(w.item) for w in _monitored_workloads(monitor, view)}
    engines = {s.engine for s in view.running_servers if id(s.workload.item) in chosen}
    if len(engines) != 1 or len(chosen) != 1:
        return
    wanted = release(next(iter(engines))).metrics_path
    for index, endpoint in enumerate(monitor.spec.get("podMetricsEndpoints") or []):
        path = endpoint.get("path", "/metrics")
        if wanted and path.rstrip("/") != wanted.rstrip("/") and path.startswith("/v1"):
            where = ("spec", "podMetricsEndpoints", index, "path")
            yield Hit(
                monitor,
                where,
                f"{path} is no metrics path; the engine serves {wanted}",
                path,
                Fix("Scrape the default path", (remove(where),)),
            )


def _selected(view: View) -> Iterator[tuple[Item, list[Item]]]:
    """Monitors and rules with the Prometheus objects of the source."""
    servers = list(view.of("Prometheus.monitoring.coreos.com"))
    if servers:
        for item in (*monitors_of(view.snapshot), *view.of("PrometheusRule.monitoring.coreos.com")):
            yield item, servers


_FIELD: Final = {"PodMonitor": "podMonitor", "ServiceMonitor": "serviceMonitor", "PrometheusRule": "rule"}


@rule(
    "not-selected-by-prometheus",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Monitor or rule that no Prometheus selects",
    why="The operator passes the object over in silence: it exists, and nothing is scraped and no alert is evaluated.",
    fix="Give it the labels that the Prometheus' selector asks for, often release: NAME.",
    references=(_OPERATOR,),
    on=_selected,
)
def _not_selected_by_prometheus(subject: tuple[Item, list[Item]], view: View) -> Iterator[Hit]:
    item, servers = subject
    field = _FIELD[item.kind]
    wanted: list[str] = []
    for server in servers:
        selector = server.spec.get(f"{field}Selector")
        namespaces = server.spec.get(f"{field}NamespaceSelector")
        own = item.namespace == server.namespace
        if matches(selector, item.labels) and (
            own if namespaces is None else _namespace_matches(namespaces, item.namespace, view)
        ):
            return
        if selector:
            wanted += [f"{key}: {value}" for key, value in (selector.get("matchLabels") or {}).items()]
    told = f"; one asks for {', '.join(sorted(set(wanted)))}" if wanted else ""
    yield Hit(
        item,
        ("metadata", "labels"),
        f"none of {len(servers)} Prometheus selects this {item.kind}{told}",
        dict(item.labels),
    )


def _namespace_matches(selector: "dict[str, object]", name: str, view: View) -> bool:
    if not selector:
        return True
    namespace = view.snapshot.get("Namespace", "", name)
    labels = {"kubernetes.io/metadata.name": name, **(namespace.labels if namespace else {})}
    return matches(selector, labels) or namespace is None
