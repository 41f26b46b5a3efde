"""Canaries: whether the split that is written down happens."""

from collections.abc import Iterator
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, remove
from stoker.audit.rule import rule
from stoker.audit.rules.serving.kserve import ISVC, services
from stoker.audit.view.scaling import deployment_mode
from stoker.audit.view.view import View
from stoker.kube.paths import dig
from stoker.kube.snapshot import Item

_KSVC: Final = (
    "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/knative/ksvc_reconciler.go:134-160"
)
_VALIDATION: Final = "kserve 0.20.0 pkg/apis/serving/v1beta1/inference_service_validation.go:183-245"
_MODE: Final = "serving.kserve.io/deploymentMode"


@rule(
    "canary-traffic-ignored",
    Area.SERVING,
    Severity.ERROR,
    title="canaryTrafficPercent in a mode that ignores it",
    why=(
        "Only Knative mode reads the field. In Standard mode applying the new version replaces the Deployment's template: all "
        "traffic moves to the untried model at once, while the manifest says 5 %."
    ),
    fix="In Standard mode use spec.canary with trafficPercent (KServe 0.20 and later), or run two services behind an HTTPRoute.",
    references=(_KSVC, _VALIDATION),
    on=lambda view: (
        item for item in services(view) if "canaryTrafficPercent" in item.section("spec", "predictor")
    ),
)
def _canary_traffic_ignored(item: Item, view: View) -> Iterator[Hit]:
    if deployment_mode(item, view.snapshot) == "Standard":
        percent = item.section("spec", "predictor")["canaryTrafficPercent"]
        kept = (
            ""
            if _MODE in item.annotations or item.status.get("deploymentMode")
            else " (the mode of the earlier definition stays)"
        )
        path = ("spec", "predictor", "canaryTrafficPercent")
        yield Hit(
            item,
            path,
            f"Standard mode{kept} ignores canaryTrafficPercent: 100 % of the traffic moves, not {percent} %",
            percent,
        )


def _later_definitions(view: View) -> Iterator[tuple[Item, Item]]:
    """InferenceServices that the same source defines twice, in the order they are applied: earlier, later."""
    seen: dict[tuple[str, str], Item] = {}
    for item in view.of(ISVC):
        key = (item.namespace, item.name)
        if key in seen and not item.live and "canaryTrafficPercent" in item.section("spec", "predictor"):
            yield seen[key], item
        seen[key] = item


_WATCHED: Final[tuple[tuple[str, ...], ...]] = (
    ("metadata", "annotations", _MODE), ("spec", "predictor", "minReplicas"), ("spec", "predictor", "maxReplicas"),
    ("spec", "predictor", "tolerations"), ("spec", "predictor", "nodeSelector"), ("spec", "predictor", "priorityClassName"),
    ("spec", "predictor", "model", "args"), ("spec", "predictor", "model", "env"),
    ("spec", "predictor", "model", "resources", "requests"), ("spec", "predictor", "model", "resources", "limits", "memory"),
    ("spec", "predictor", "model", "resources", "limits", "cpu"),
)  # fmt: skip


@rule(
    "canary-drops-fields",
    Area.SERVING,
    Severity.ERROR,
    title="Canary manifest takes fields away from the service it updates",
    why=(
        "kubectl apply removes what the new manifest leaves out: mode, replicas, engine flags, memory. The canary runs another "
        "configuration than the one that was tested, and the stable version's is gone for the way back."
    ),
    fix="Repeat every field in the canary's manifest, or patch only the model and the traffic.",
    references=(
        "observed on a real 1.36 API server",
        "https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#how-apply-calculates-differences-and-merges-changes",
    ),
    on=_later_definitions,
)
def _canary_drops_fields(subject: tuple[Item, Item], view: View) -> Iterator[Hit]:
    earlier, later = subject
    lost = [
        path for path in _WATCHED if dig(earlier.obj, *path) is not None and dig(later.obj, *path) is None
    ]
    if lost:
        names = ", ".join(path[-1].rpartition("/")[2] for path in lost)
        yield Hit(
            later,
            ("spec", "predictor"),
            f"applied after {earlier.source.file or 'the first definition'}, it removes {names}",
            [str(path[-1]) for path in lost],
        )


def _canaries(view: View) -> Iterator[Item]:
    yield from (item for item in services(view) if item.spec.get("canary"))


@rule(
    "canary-mode-refused",
    Area.SERVING,
    Severity.ERROR,
    title="spec.canary without the Standard mode it needs",
    why="KServe's webhook takes spec.canary only with the annotation deploymentMode Standard: the object is refused.",
    fix="Annotate serving.kserve.io/deploymentMode: Standard, or use canaryTrafficPercent in Knative mode.",
    references=(_VALIDATION,),
    on=_canaries,
)
def _canary_mode_refused(item: Item, view: View) -> Iterator[Hit]:
    mode = item.annotations.get(_MODE)
    if mode not in {"Standard", "RawDeployment"}:
        yield Hit(
            item,
            ("spec", "canary"),
            f"the mode is {mode or 'not annotated'}: canary is only supported in Standard deployment mode, and the shipped default is Knative",
            mode,
        )


@rule(
    "canary-refused",
    Area.SERVING,
    Severity.ERROR,
    title="spec.canary that KServe's webhook refuses",
    why="The object is not admitted: the rollout of the new version does not begin, and the pipeline that applied it may not notice.",
    fix="Name each canary once, keep the sum within 100, and give canaries fixed replicas.",
    references=(_VALIDATION,),
    on=_canaries,
)
def _canary_refused(item: Item, view: View) -> Iterator[Hit]:
    names: set[str] = set()
    total = 0
    stable = item.section("spec", "predictor")
    for index, entry in enumerate(item.spec["canary"]):
        base: tuple[Any, ...] = ("spec", "canary", index)
        predictor = entry.get("predictor") or {}
        name, percent = str(predictor.get("name") or ""), entry.get("trafficPercent", 0)
        total += percent
        if not name:
            yield Hit(item, (*base, "predictor", "name"), "the canary's predictor has no name")
        elif name in names or name == stable.get("name"):
            yield Hit(item, (*base, "predictor", "name"), f"the name {name} is taken", name)
        names.add(name)
        if not 0 <= percent <= 100:
            yield Hit(item, (*base, "trafficPercent"), f"{percent} is no percentage", percent)
        for key in ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "workerSpec"):
            if predictor.get(key):
                path = (*base, "predictor", key)
                yield Hit(
                    item,
                    path,
                    f"{key} is refused: a canary has fixed replicas on one node",
                    predictor[key],
                    Fix(f"Delete {key}", (remove(path),)),
                )
        if predictor.get("minReplicas", 1) > stable.get("minReplicas", 1):
            yield Hit(
                item,
                (*base, "predictor", "minReplicas"),
                f"the canary's {predictor['minReplicas']} replicas exceed the stable {stable.get('minReplicas', 1)}",
                predictor["minReplicas"],
            )
    if total > 100:
        yield Hit(item, ("spec", "canary"), f"the canaries take {total} % of the traffic", total)
