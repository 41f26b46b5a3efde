"""What a scaler names: Prometheus, credentials, the target, the signal."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.rules.autoscaling.zero import gpu_scalers, triggers_of
from stoker.audit.view.expressions import names_in
from stoker.audit.view.queries import Query
from stoker.audit.view.scaling import Scaler
from stoker.audit.view.view import View
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

_SCALER: Final = "keda 2.20.2 pkg/scalers/prometheus_scaler.go"
_TEMPLATE: Final = re.compile(r"[<>{}$]")
_API_PATH: Final = re.compile(r"(/api/v1(/query)?|/graph)/?$")
# Kinds without a scale subresource.
_UNSCALABLE: Final = frozenset(
    ("DaemonSet", "Job", "CronJob", "Pod", "InferenceService", "LLMInferenceService")
)
_TEXT_ENGINES: Final = frozenset(("vllm", "sglang", "tgi", "huggingface"))
_SIGNALS: Final = {
    "DCGM_FI_DEV_GPU_UTIL": "is near 100 with one request and with two hundred",
    "DCGM_FI_DEV_FB_USED": "is constant: the engine takes its memory at start",
    "DCGM_FI_DEV_FB_FREE": "is constant: the engine takes its memory at start",
}


def _address(query: Query) -> str:
    found = (query.rule.get("metadata") or {}).get("serverAddress")
    return found.strip() if isinstance(found, str) and not _TEMPLATE.search(found) else ""


def _host_and_port(address: str) -> tuple[str, int]:
    """Host and port of an address; an empty host where it is none."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "", 0
    return host or "", port or (443 if parts.scheme == "https" else 80)


def _addressed(view: View) -> Iterator[Query]:
    for query in view.queries:
        if query.role == "trigger" and _host_and_port(_address(query))[0]:
            yield query


def _address_path(query: Query) -> Path:
    return (*query.path[:-1], "serverAddress")


@rule(
    "prometheus-address-without-namespace",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Prometheus is named without its namespace",
    why=(
        "KEDA resolves the name in its own namespace, not in the ScaledObject's: unless Prometheus runs beside KEDA, every "
        "query is an error and the replicas stay as they are."
    ),
    fix="Write the name with its namespace: http://prometheus-operated.monitoring:9090.",
    references=(f"{_SCALER} (the operator opens the connection)",),
    on=_addressed,
)
def _prometheus_address_without_namespace(query: Query, view: View) -> Iterator[Hit]:
    address = _address(query)
    host, _ = _host_and_port(address)
    if "." in host or ":" in host or host == "localhost":
        return
    homes = sorted({service.namespace for service in view.of("Service") if service.name == host})
    if "keda" in homes:
        return
    fix = None
    if len(homes) == 1 and homes[0] and address.count(host) == 1:
        full = address.replace(host, f"{host}.{homes[0]}")
        fix = Fix(f"Write {full}", (replace(_address_path(query), full),))
    yield Hit(query.item, _address_path(query), f"{host} is looked up in KEDA's own namespace", address, fix)


@rule(
    "prometheus-address-with-api-path",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Prometheus' address ends in a path that KEDA adds itself",
    why="KEDA appends /api/v1/query: the address answers 404, every query is an error, and nothing scales.",
    fix="Give the address without the API's path.",
    references=(f"{_SCALER} (ExecutePromQuery)",),
    on=_addressed,
)
def _prometheus_address_with_api_path(query: Query, view: View) -> Iterator[Hit]:
    address = _address(query)
    match = _API_PATH.search(address)
    if match:
        plain = address[: match.start()]
        fix = Fix(f"Write {plain}", (replace(_address_path(query), plain),))
        yield Hit(
            query.item, _address_path(query), f"KEDA asks {address.rstrip('/')}/api/v1/query", address, fix
        )


def _services(query: Query, view: View) -> Iterator[tuple[Item, int]]:
    """The Service that an address names, with the address's port; headless ones take any port."""
    host, port = _host_and_port(_address(query))
    name, _, rest = host.partition(".")
    namespace = rest.partition(".")[0]
    service = view.snapshot.get("Service", namespace, name)
    if service is not None and namespace and service.spec.get("clusterIP") != "None":
        yield service, port


@rule(
    "prometheus-address-wrong-port",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Prometheus' Service has no such port",
    why="Nothing answers there: every query times out, the trigger is an error, and the replicas stay through the peak.",
    fix="Name a port of the Service.",
    references=(f"{_SCALER} (ExecutePromQuery)",),
    on=lambda view: (query for query in _addressed(view) if any(_services(query, view))),
)
def _prometheus_address_wrong_port(query: Query, view: View) -> Iterator[Hit]:
    for service, port in _services(query, view):
        served = sorted({entry["port"] for entry in service.spec.get("ports") or [] if "port" in entry})
        if not served or port in served:
            continue
        address, fix = _address(query), None
        if len(served) == 1 and address.count(f":{port}") == 1:
            full = address.replace(f":{port}", f":{served[0]}")
            fix = Fix(f"Write {full}", (replace(_address_path(query), full),))
        ports = ", ".join(map(str, served))
        yield Hit(query.item, _address_path(query), f"{service} serves {ports}, not {port}", address, fix)


def _credentials(view: View) -> Iterator[tuple[Item, int, str, str]]:
    """References to credentials where absence is known: object, trigger, kind and name."""
    for item in view.of("ScaledObject.keda.sh", "ScaledJob.keda.sh"):
        for index, trigger in enumerate(item.spec.get("triggers") or []):
            reference = trigger.get("authenticationRef") or {}
            kind, name = reference.get("kind") or "TriggerAuthentication", reference.get("name") or ""
            if name and view.knows(f"{kind}.keda.sh", "" if kind.startswith("Cluster") else item.namespace):
                yield item, index, kind, name


@rule(
    "trigger-authentication-missing",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Trigger names credentials that do not exist",
    why="KEDA cannot build the scaler: the ScaledObject is not Ready, and the replicas stay as they are through the peak.",
    fix="Create the TriggerAuthentication in the same namespace, or correct kind and name.",
    references=("keda 2.20.2 pkg/scaling/resolver/scale_resolvers.go:459",),
    on=_credentials,
)
def _trigger_authentication_missing(subject: tuple[Item, int, str, str], view: View) -> Iterator[Hit]:
    item, index, kind, name = subject
    namespace = "" if kind.startswith("Cluster") else item.namespace
    if view.snapshot.get(f"{kind}.keda.sh", namespace, name) is None:
        place = f" in namespace {namespace}" if namespace else ""
        path = ("spec", "triggers", index, "authenticationRef", "name")
        yield Hit(item, path, f"there is no {kind} {name}{place}", name)


@rule(
    "scale-target-not-scalable",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Autoscaler's target is of a kind that has no replicas to set",
    why="The kind has no scale subresource: the autoscaler reports an error for ever and never sets a replica.",
    fix="Scale a Deployment, a StatefulSet or a LeaderWorkerSet: of an InferenceService NAME-predictor; for Jobs use a ScaledJob.",
    references=(
        "kserve 0.20.0 config/crd/full/serving.kserve.io_inferenceservices.yaml:39128 (subresources: status alone)",
        "keda 2.20.2 controllers/keda/scaledobject_controller.go:428 (checkTargetResourceIsScalable)",
    ),
    on=lambda view: (scaler for scaler in view.scalers if not scaler.kind.startswith("kserve")),
)
def _scale_target_not_scalable(scaler: Scaler, view: View) -> Iterator[Hit]:
    if scaler.target_kind in _UNSCALABLE:
        path = ("spec", "scaleTargetRef", "kind")
        yield Hit(scaler.item, path, f"a {scaler.target_kind} cannot be scaled", scaler.target_kind)


@rule(
    "hpa-transfer-without-name",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="ScaledObject means to take over an HPA and does not name it",
    why="KEDA's webhook takes over only the HPA that the object names: it refuses the object while the old HPA is there.",
    fix="Set advanced.horizontalPodAutoscalerConfig.name to the HPA's name.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaledobject_webhook.go (verifyHpas)",),
    on=lambda view: view.of("ScaledObject.keda.sh"),
)
def _hpa_transfer_without_name(item: Item, view: View) -> Iterator[Hit]:
    key = "scaledobject.keda.sh/transfer-hpa-ownership"
    named = item.section("spec", "advanced", "horizontalPodAutoscalerConfig").get("name")
    if item.annotations.get(key) == "true" and not named:
        yield Hit(item, ("metadata", "annotations", key), "the HPA to take over is not named", "true")


def _text_scalers(view: View) -> Iterator[Scaler]:
    served = {id(server.workload) for server in view.running_servers if server.engine in _TEXT_ENGINES}
    for scaler in gpu_scalers(view):
        if id(scaler.workload) in served and scaler.kind in {"ScaledObject", "HorizontalPodAutoscaler"}:
            yield scaler


def _read_by(scaler: Scaler, view: View) -> Iterator[tuple[Path, str]]:
    """Metrics that a scaler reads, and where it names them."""
    for query in triggers_of(scaler.item, view):
        if query.tree is not None:
            for name in sorted(names_in(query.tree)):
                yield query.path, name
    if scaler.kind == "HorizontalPodAutoscaler":
        for index, metric in enumerate(scaler.item.spec.get("metrics") or []):
            for source in ("pods", "object", "external"):
                named = ((metric.get(source) or {}).get("metric") or {}).get("name")
                if named:
                    yield ("spec", "metrics", index, source, "metric", "name"), str(named)


@rule(
    "scaled-on-gpu-gauge",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Model server is scaled on a gauge of its GPU that does not follow the load",
    why=(
        "GPU_UTIL says that a kernel ran, not that the GPU is full, and the frame buffer is taken at start: the scaler goes to "
        "its maximum with the first request and stays, or never moves at all."
    ),
    fix="Scale on waiting and running requests, or on the KV cache in use.",
    references=("dcgm-exporter 4.5.3 etc/default-counters.csv", "vllm 0.33.0 vllm/config/cache.py:215"),
    on=_text_scalers,
)
def _scaled_on_gpu_gauge(scaler: Scaler, view: View) -> Iterator[Hit]:
    for path, name in _read_by(scaler, view):
        told = _SIGNALS.get(name.upper())
        if told:
            yield Hit(scaler.item, path, f"{name} {told}", name)


@rule(
    "http-scaled-object-superseded",
    Area.AUTOSCALING,
    Severity.INFO,
    title="HTTPScaledObject is superseded by InterceptorRoute and a ScaledObject",
    why="The HTTP add-on logs a deprecation for it: new settings come to InterceptorRoute alone, and a later release drops the old kind.",
    fix="Write an InterceptorRoute for the route and a ScaledObject for the replicas.",
    references=("kedacore/http-add-on CHANGELOG.md:95,111 (#1501, #1595)",),
    on=lambda view: view.of("HTTPScaledObject.http.keda.sh", "InterceptorRoute.http.keda.sh"),
)
def _http_scaled_object_superseded(item: Item, view: View) -> Iterator[Hit]:
    if item.kind == "HTTPScaledObject":
        yield Hit(item, (), "InterceptorRoute and a ScaledObject are what the add-on goes on with", item.name)
