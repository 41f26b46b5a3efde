"""InferenceService: modes that KServe does not take, and what only one of the modes does."""

import re
from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.rules.serving.kserve import MODE, predictors, services
from stoker.audit.view.scaling import deployment_mode
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.errors import nearest
from stoker.kube.snapshot import Item

_VALIDATION: Final = "kserve 0.20.0 pkg/apis/serving/v1beta1/inference_service_validation.go:685-700"
_UTILS: Final = "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/utils/utils.go:216-248"
_HTTPROUTE: Final = (
    "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/ingress/httproute_reconciler.go:49-87"
)
_KSVC: Final = (
    "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/knative/ksvc_reconciler.go:207-212"
)
_MODES: Final = ("Standard", "Knative", "ModelMesh", "RawDeployment", "Serverless")
_SHORT: Final = 60  # seconds: a thousand tokens at 20 ms each, and the queue


@rule(
    "kserve-mode-unknown",
    Area.SERVING,
    Severity.ERROR,
    title="InferenceService asks for a deployment mode that KServe does not have",
    why=(
        "KServe takes the installation's default mode without a word, Knative as shipped; from then on its webhook refuses every "
        "update of the object, because the annotation is not the mode that it runs in."
    ),
    fix="Write Standard or Knative.",
    references=(_UTILS, _VALIDATION),
    on=lambda view: (item for item in services(view) if MODE in item.annotations),
)
def _kserve_mode_unknown(item: Item, view: View) -> Iterator[Hit]:
    mode = item.annotations[MODE]
    if mode in _MODES or "$" in mode or "{" in mode:
        return
    near = nearest(mode, _MODES, limit=1)
    new = {"RawDeployment": "Standard", "Serverless": "Knative"}.get(near[0], near[0]) if near else ""
    path = ("metadata", "annotations", MODE)
    fix = Fix(f"Write {new}", (replace(path, new),)) if new else None
    yield Hit(item, path, f"{mode or 'an empty text'} is no mode of KServe", mode, fix)


def _pairs(view: View) -> Iterator[tuple[Item, Item]]:
    """Definitions of one InferenceService that follow each other and both name a mode."""
    seen: dict[tuple[str, str], Item] = {}
    for item in services(view):
        key = (item.namespace, item.name)
        if item.live or MODE not in item.annotations:
            continue
        if key in seen and "canaryTrafficPercent" in item.section("spec", "predictor"):
            yield seen[key], item
        seen[key] = item


@rule(
    "kserve-mode-changes",
    Area.SERVING,
    Severity.ERROR,
    title="Canary manifest changes the deployment mode of the service it updates",
    why=(
        "The mode of an InferenceService is fixed when it is first reconciled: the webhook answers `update rejected: deploymentMode "
        "cannot be changed`, and the canary is not rolled out at all."
    ),
    fix="Keep the mode, or create a second InferenceService and split the traffic before both.",
    references=(_VALIDATION,),
    on=_pairs,
)
def _kserve_mode_changes(subject: tuple[Item, Item], view: View) -> Iterator[Hit]:
    earlier, later = subject
    before, after = (deployment_mode(item, view.snapshot) for item in subject)
    if before != after:
        where = earlier.source.file or "the first definition"
        yield Hit(
            later,
            ("metadata", "annotations", MODE),
            f"{where} made it {before}, and this asks for {after}",
            later.annotations[MODE],
        )


def _llms(view: View) -> Iterator[Server]:
    """Language models on GPUs of InferenceServices."""
    for server in view.running_servers:
        if server.workload.item.kind == "InferenceService" and server.caches and server.workload.uses_gpu:
            yield server


@rule(
    "kserve-timeout-cuts-answers",
    Area.SERVING,
    Severity.WARNING,
    title="InferenceService ends requests before a long answer can",
    why=(
        "KServe writes predictor.timeout into the Knative revision or the HTTPRoute, where it counts for the whole answer: a "
        "streamed answer is cut in the middle, and the engine computes on for nobody."
    ),
    fix="Raise predictor.timeout to the longest answer, queueing included.",
    references=(_HTTPROUTE, _KSVC),
    on=lambda view: (server for server in _llms(view) if "timeout" in server.workload.pod),
)
def _kserve_timeout_cuts_answers(server: Server, view: View) -> Iterator[Hit]:
    seconds = server.workload.pod["timeout"]
    if 0 < seconds < _SHORT:
        path = (*server.workload.path, "timeout")
        yield Hit(server.workload.item, path, f"requests end after {seconds} s", seconds)


def _behind_routes(view: View) -> list[Server]:
    """Language models in Standard mode, where KServe's configuration here makes HTTPRoutes with a timeout."""
    config = next((item for item in view.of("ConfigMap") if item.name == "inferenceservice-config"), None)
    ingress = str((config.section("data") if config else {}).get("ingress") or "")
    if not _set(ingress, "enableGatewayApi") or _set(ingress, "disableHTTPRouteTimeout"):
        return []
    return [s for s in _llms(view) if deployment_mode(s.workload.item, view.snapshot) == "Standard"]


def _set(text: str, key: str) -> bool:
    """Whether a switch of the configuration, a JSON text, is on."""
    return re.search(rf'"{key}"\s*:\s*true\b', text) is not None


@rule(
    "kserve-route-timeout-default",
    Area.SERVING,
    Severity.WARNING,
    title="KServe's HTTPRoute ends every request after 60 seconds",
    why=(
        "With the Gateway API enabled KServe gives each route a timeout of 60 s unless predictor.timeout says otherwise: long "
        "answers and those that waited in a queue end with 504, first of all under load."
    ),
    fix="Set predictor.timeout to the longest answer, queueing included.",
    references=(_HTTPROUTE,),
    on=_behind_routes,
)
def _kserve_route_timeout_default(server: Server, view: View) -> Iterator[Hit]:
    if "timeout" not in server.workload.pod:
        path = (*server.workload.path, "timeout")
        yield Hit(server.workload.item, path, f"{server} sets no timeout: its route has 60s")


@rule(
    "kserve-concurrency-default",
    Area.SERVING,
    Severity.INFO,
    title="Knative scales a language model at its default of 100 requests a replica",
    why=(
        "Without scaleTarget or containerConcurrency Knative aims at 70 of 100 concurrent requests for each replica, whatever the "
        "model and the GPU carry: too late for a large one, too early for a small one."
    ),
    fix="Set predictor.scaleTarget to the concurrency at which a load test still meets the target.",
    references=(
        _KSVC,
        "https://knative.dev/docs/serving/autoscaling/concurrency/",
    ),
    on=lambda view: (
        s
        for s in _llms(view)
        if s.workload.part == "predictor" and deployment_mode(s.workload.item, view.snapshot) == "Knative"
    ),
)
def _kserve_concurrency_default(server: Server, view: View) -> Iterator[Hit]:
    pod, annotations = server.workload.pod, {**server.item.annotations, **server.workload.annotations}
    told = pod.get("scaleTarget") or pod.get("containerConcurrency")
    own = any(key.startswith("autoscaling.knative.dev/") and "arget" in key for key in annotations)
    if not told and not own and pod.get("maxReplicas", 0) != 1:
        path = (*server.workload.path, "scaleTarget")
        yield Hit(server.workload.item, path, "neither scaleTarget nor containerConcurrency is set")


def _unprepared(view: View) -> Iterator[Item]:
    """InferenceServices with GPU predictors in Standard mode that set Knative's own annotations."""
    for workload in predictors(view):
        if workload.part == "predictor" and deployment_mode(workload.item, view.snapshot) == "Standard":
            yield workload.item


@rule(
    "kserve-knative-annotation-ignored",
    Area.SERVING,
    Severity.WARNING,
    title="Knative's autoscaling annotation in a mode without Knative",
    why="Standard mode makes a Deployment: nobody reads autoscaling.knative.dev, so the bounds and targets that it sets do not hold.",
    fix="Use minReplicas, maxReplicas and autoscalerClass, or Knative mode.",
    references=(_UTILS, "https://knative.dev/docs/serving/autoscaling/"),
    on=_unprepared,
)
def _kserve_knative_annotation_ignored(item: Item, view: View) -> Iterator[Hit]:
    for key in item.annotations:
        if key.startswith("autoscaling.knative.dev/"):
            path = ("metadata", "annotations", key)
            yield Hit(item, path, f"{key} is not read in Standard mode", item.annotations[key])
