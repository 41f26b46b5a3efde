"""The objects that a canary's traffic is shifted with, as the compilers make them, and what they say at each share. Pure.

They are compiled once, when a run begins, and kept with its state: whoever goes on with the run uses what was checked then,
whatever has become of the platform file. Every write is the whole object under Stoker's field manager, so that doing it twice
is doing it once, and so that `stoker apply` finds its own fields afterwards.

How the share comes about:

* **weights**: an HTTPRoute's ``backendRefs`` (serving mode Deployment, and Standard: KServe 0.20.0 splits nothing itself;
  its ``spec.canary[].trafficPercent`` says the same for releases that do).
* **revisions**: ``canaryTrafficPercent`` of an InferenceService, which only Knative mode obeys.
* **replicas**: where the cluster has no Gateway API, the Service selects the pods of both versions and connections are
  shared by their numbers. Such a split is as coarse as the replicas are few; `reachable` says what it comes to.
"""

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from stoker.errors import InputError, Problem, UnsafeError
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Object
from stoker.upgrades.serving.compiler import compile_serving
from stoker.upgrades.serving.engine import launch_of

__all__ = [
    "Scene",
    "Split",
    "capacity",
    "fingerprint",
    "make_scene",
    "promoted",
    "reachable",
    "restored",
    "shifted",
]

VERSION_LABEL: Final = "stoker.dev/version"
_REASON: Final = "stoker.dev/reason"
_STEP: Final = "inferenceservice.json"


class Split(StrEnum):
    """What shares the requests between the versions."""

    WEIGHTS = "weights"
    REVISIONS = "revisions"
    REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a run needs to know of the model in the cluster.

    Attributes:
        canary: name of the version.
        stable_service, canary_service: Services that the weights name.
        stable_workload, canary_workload: Deployments; empty in Knative mode.
        selector: labels of all its pods; the version's own label tells the two apart.
        port: at which its pods answer.
        base_path: before ``/v1/…``. ``served``: the model's name in requests; empty where the engine speaks no OpenAI API.
        stable_replicas, canary_replicas: least replicas by the platform file.
        shift: objects that carry the share, or the canary's replicas.
        stable: objects as they are without a canary.
        promoted: the stable version's objects once it is what the canary is.
    """

    model: str
    namespace: str
    mode: str
    split: Split
    canary: str
    stable_service: str
    canary_service: str
    stable_workload: str
    canary_workload: str
    selector: dict[str, str]
    port: int
    base_path: str
    served: str
    stable_replicas: int
    canary_replicas: int
    shift: tuple[dict[str, Any], ...]
    stable: tuple[dict[str, Any], ...]
    promoted: tuple[dict[str, Any], ...]

    def labels(self, version: str) -> str:
        """A selector of one version's pods, in the API's words."""
        wanted = {**self.selector, VERSION_LABEL: version}
        return ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))


def make_scene(platform: ResolvedPlatform, name: str, *, has_routes: bool) -> Scene:
    """The scene of a model's canary.

    Args:
        platform: as the file says.
        name: the model.
        has_routes: whether the cluster serves HTTPRoutes.

    Raises:
        InputError: no such model, none that has a canary, or a serving mode without one here.
    """
    model = _model(platform, name)
    canary = model.canary
    if canary is None:
        raise InputError(
            [Problem(f"{name} has no canary", path=f"models.{name}.canary", wanted="a second version beside it",
                     fix="canary: {name: v2, source: …} or another engineVersion or args")]
        )  # fmt: skip
    split = _split(model, has_routes=has_routes)
    knative = split is Split.REVISIONS
    plain = _of_model(platform, replace(model, canary=None))
    return Scene(
        model=name,
        namespace=model.namespace,
        mode=model.mode.value,
        split=split,
        canary=canary.name,
        stable_service=model.service,
        canary_service=canary.service,
        stable_workload="" if knative else model.workload,
        canary_workload="" if knative else canary.workload,
        selector=dict(model.pod_labels),
        port=model.port,
        base_path="/openai" if model.release.engine == "huggingface" else "",
        served=name if model.spec.protocol == "openai" else "",
        stable_replicas=model.min_replicas,
        canary_replicas=canary.replicas,
        shift=tuple(_shifting(_of_model(platform, model), model, split)),
        stable=tuple(one for one in plain if _is_stable(one, model)),
        promoted=tuple(one for one in _of_model(platform, _proven(model)) if _is_stable(one, model)),
    )


def _model(platform: ResolvedPlatform, name: str) -> ResolvedModel:
    found = platform.models.get(name)
    if found is None:
        known = ", ".join(platform.models)
        raise InputError(
            [Problem(f"the platform has no model {name}", path="MODEL", found=name, wanted=known)]
        )
    return found


def _split(model: ResolvedModel, *, has_routes: bool) -> Split:
    path = f"models.{model.name}"
    if model.nodes_per_replica > 1 or model.mode is ServingMode.LLM_INFERENCE_SERVICE:
        what = (
            "several nodes for a replica"
            if model.nodes_per_replica > 1
            else f"serving mode {model.mode.value}"
        )
        raise InputError(
            [Problem(f"`stoker canary` does not run canaries of {what}", path=path,
                     wanted="Standard, Knative or Deployment, one node a replica",
                     fix="set `trafficPercent` in the platform file step by step, and apply")]
        )  # fmt: skip
    if model.mode is ServingMode.KNATIVE:
        return Split.REVISIONS
    if has_routes:
        return Split.WEIGHTS
    if model.mode is ServingMode.STANDARD:
        raise UnsafeError(
            f"{model.name} cannot share its requests: the cluster has no HTTPRoutes, and KServe 0.20 splits none itself",
            fix="install the Gateway API and a gateway (`stoker components`), or serve it in mode Knative or Deployment",
        )
    return Split.REPLICAS


def _of_model(platform: ResolvedPlatform, model: ResolvedModel) -> list[Object]:
    """What upgrade 2 makes of one model."""
    alone = replace(platform, models={model.name: model})
    return [one.object for one in compile_serving(alone) if one.group == f"models/{model.name}"]


def _proven(model: ResolvedModel) -> ResolvedModel:
    """The model with its canary's release, weights and arguments in the place of its own; the canary stays beside it."""
    canary = model.canary
    if canary is None:
        return model
    launch = launch_of(model, canary)
    engine = model.spec.engine.model_copy(update={"args": canary.args, "version": canary.release.version})
    return replace(
        model,
        release=canary.release,
        delivery=canary.delivery,
        image=launch.image,
        spec=model.spec.model_copy(update={"engine": engine}),
    )


def _shifting(objects: list[Object], model: ResolvedModel, split: Split) -> list[Object]:
    canary = model.canary.workload if model.canary else ""
    if split is Split.REVISIONS:
        step = next(one for one in objects if one["kind"] == "ConfigMap" and _STEP in one["data"])
        following: Object = json.loads(step["data"][_STEP])
        return [following]
    kinds = {"InferenceService", "HTTPRoute"} if split is Split.WEIGHTS else set()
    found = [
        one
        for one in objects
        if one["kind"] in kinds or (one["kind"] == "Deployment" and one["metadata"]["name"] == canary)
    ]
    if split is Split.REPLICAS:
        service = next(
            one for one in objects if one["kind"] == "Service" and one["metadata"]["name"] == model.service
        )
        spans = copy.deepcopy(service)
        del spans["spec"]["selector"][VERSION_LABEL]
        found.append(spans)
    return found


def _is_stable(obj: Object, model: ResolvedModel) -> bool:
    """Whether an object is the stable version's own workload or the Service in front of it."""
    name = obj["metadata"]["name"]
    return (obj["kind"] in {"InferenceService", "Deployment"} and name in {model.name, model.workload}) or (
        obj["kind"] == "Service" and name == model.service
    )


# --- what they say at a share -----------------------------------------------------------------------------------------


def shifted(scene: Scene, percent: int, replicas: int) -> list[Object]:
    """Every object of `Scene.shift` for a share, in the order of application: first who gives the canary its pods.

    ``replicas`` are the canary's; Knative scales its revisions itself and is not told.
    """
    return [
        _at(scene, one, percent, replicas) for one in scene.shift if percent or one["kind"] != "Service"
    ] + ([one for one in scene.stable if one["kind"] == "Service"] if not percent else [])


def _at(scene: Scene, obj: Object, percent: int, replicas: int) -> Object:
    found = copy.deepcopy(obj)
    spec = found["spec"]
    if found["kind"] == "HTTPRoute":
        # Of an InferenceService no annotation may change: KServe hands them on to its pods, which would all start anew.
        found["metadata"].setdefault("annotations", {})[_REASON] = (
            f"Canary of {scene.model}: {percent}% of the requests reach {scene.canary}"
        )
        weights = {scene.stable_service: 100 - percent, scene.canary_service: percent}
        for rule in spec["rules"]:
            for backend in rule["backendRefs"]:
                backend["weight"] = weights.get(backend["name"], backend.get("weight", 1))
    elif found["kind"] == "Deployment":
        spec["replicas"] = replicas
    elif found["kind"] == "InferenceService":
        if spec.get("canary"):
            # KServe takes the canary's replicas out of the stable ones; see `upgrades.serving.kserve`.
            more = replicas - scene.canary_replicas
            spec["canary"][0]["trafficPercent"] = percent
            spec["canary"][0]["predictor"]["minReplicas"] = replicas
            for bound in ("minReplicas", "maxReplicas"):
                spec["predictor"][bound] = spec["predictor"].get(bound, 1) + more
        else:
            spec["predictor"]["canaryTrafficPercent"] = percent
    return found


def promoted(scene: Scene, percent: int, replicas: int) -> list[Object]:
    """The stable version's objects once it is what the canary is, while ``percent`` of the requests still go to the canary.

    In Knative mode the newest revision takes everything; the others roll their pods over, as in any update.
    """
    if scene.split is Split.REVISIONS:
        found = copy.deepcopy(dict(scene.shift[0]))
        found["spec"]["predictor"].pop("canaryTrafficPercent", None)
        return [found]
    return [
        _at(scene, one, percent, replicas) if one["kind"] == "InferenceService" else copy.deepcopy(one)
        for one in scene.promoted
        if one["kind"] != "Service"
    ]


def restored(scene: Scene, *, pinned: bool) -> list[Object]:
    """Knative only: the stable version's specification again.

    Without ``canaryTrafficPercent`` Knative would send everything to the newest *ready* revision, which is the canary's until
    the stable version's pods have loaded again. ``pinned`` keeps the newest revision at 0 % until then.
    """
    found = [copy.deepcopy(dict(one)) for one in scene.stable if one["kind"] == "InferenceService"]
    if pinned:
        for one in found:
            one["spec"]["predictor"]["canaryTrafficPercent"] = 0
    return found


# --- how many pods ----------------------------------------------------------------------------------------------------


def capacity(scene: Scene, percent: int, stable: int) -> int:
    """Replicas that the canary needs for a share, beside ``stable`` of the stable version.

    By weights: as many for its share as the stable version has for all. By replicas the number *is* the share.
    """
    if scene.split is Split.REVISIONS:
        return 1
    if scene.split is Split.REPLICAS:
        return max(1, round(stable * percent / (100 - percent))) if percent < 100 else max(1, stable)
    return max(scene.canary_replicas, math.ceil(stable * percent / 100))


def reachable(scene: Scene, percent: int, stable: int) -> float | None:
    """Percent that the split really gives; None where it is as asked."""
    if scene.split is not Split.REPLICAS or percent == 0:
        return None
    canary = capacity(scene, percent, stable)
    return 100 * canary / (canary + stable)


def fingerprint(template: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a pod template runs: alike in two versions that are the same but for their labels."""
    spec = template.get("spec") or {}
    first = (spec.get("containers") or [{}])[0]
    claims = sorted(
        str((one.get("persistentVolumeClaim") or {}).get("claimName") or "")
        for one in spec.get("volumes") or ()
    )
    paths = sorted(
        f"{one.get('mountPath')}:{one.get('subPath', '')}" for one in first.get("volumeMounts") or ()
    )
    source = ((template.get("metadata") or {}).get("annotations") or {}).get(
        "internal.serving.kserve.io/storage-initializer-sourceuri"
    )
    return first.get("image"), first.get("command"), first.get("args"), claims, paths, source
