"""What a share is in each serving mode, as objects that the compilers make; and what promotion makes of them."""

import copy
from typing import Any

import pytest

from stoker.canary import scene
from stoker.canary.scene import Scene, Split, make_scene
from stoker.errors import InputError, UnsafeError
from stoker.platform.load import loads
from stoker.sizing.resolve import resolve

_PLATFORM = """
name: shop
pools:
  - {{name: gpu, gpu: L40S, nodes: 8}}
serving: {{mode: {mode}}}
models:
  - name: llama
    source: hf://Qwen/Qwen2.5-7B-Instruct
    contextLength: 4096
    replicas: 2
    {canary}
  - {{name: other, source: "hf://Qwen/Qwen2.5-7B-Instruct", contextLength: 4096}}
"""
CANARY = 'canary: {name: v2, source: "hf://Qwen/Qwen3-8B", engineVersion: "0.30.0", args: ["--enable-prefix-caching"]}'


def _scene(mode: str, *, has_routes: bool = True, canary: str = CANARY, model: str = "llama") -> Scene:
    platform = resolve(loads(_PLATFORM.format(mode=mode, canary=canary)))
    return make_scene(platform, model, has_routes=has_routes)


def _kinds(objects: Any) -> dict[str, Any]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in objects}


def test_deployments_are_shared_by_the_weights_of_the_route() -> None:
    found = _scene("Deployment")
    objects = _kinds(scene.shifted(found, 25, 3))

    assert {"Deployment/llama-v2", "HTTPRoute/llama"} == objects.keys()
    rule = objects["HTTPRoute/llama"]["spec"]["rules"][0]
    assert {"llama": 75, "llama-v2": 25} == {one["name"]: one["weight"] for one in rule["backendRefs"]}
    assert 3 == objects["Deployment/llama-v2"]["spec"]["replicas"]
    assert Split.WEIGHTS is found.split
    assert "25%" in objects["HTTPRoute/llama"]["metadata"]["annotations"]["stoker.dev/reason"]


def test_standard_mode_says_the_share_in_both_places_and_keeps_the_stable_count() -> None:
    found = _scene("Standard")
    objects = _kinds(scene.shifted(found, 50, 2))
    spec = objects["InferenceService/llama"]["spec"]

    assert 50 == spec["canary"][0]["trafficPercent"]
    assert (2, 4) == (spec["canary"][0]["predictor"]["minReplicas"], spec["predictor"]["minReplicas"])
    route = next(one for key, one in objects.items() if key.startswith("HTTPRoute/"))
    assert [50, 50] == [one["weight"] for one in route["spec"]["rules"][0]["backendRefs"]]


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_no_share_changes_an_annotation_that_kserve_hands_to_pods(mode: str) -> None:
    found = _scene(mode)
    annotations = [
        next(one for one in scene.shifted(found, percent, 1) if one["kind"] == "InferenceService")["metadata"]
        for percent in (0, 5, 50)
    ]

    assert annotations[0] == annotations[1] == annotations[2]


def test_knative_shares_between_revisions_and_comes_back_pinned() -> None:
    found = _scene("Knative")
    (shifted,) = scene.shifted(found, 25, 1)
    assert 25 == shifted["spec"]["predictor"]["canaryTrafficPercent"]
    assert "--enable-prefix-caching" in shifted["spec"]["predictor"]["model"]["args"]

    (promoted,) = scene.promoted(found, 0, 1)
    (pinned,), (free,) = scene.restored(found, pinned=True), scene.restored(found, pinned=False)

    unshared = copy.deepcopy(shifted)
    del unshared["spec"]["predictor"]["canaryTrafficPercent"]
    assert unshared == promoted  # the same revision: nothing loads again
    assert 0 == pinned["spec"]["predictor"].pop("canaryTrafficPercent")
    assert free == pinned
    assert "--enable-prefix-caching" not in free["spec"]["predictor"]["model"]["args"]


@pytest.mark.parametrize("mode", ["Deployment", "Standard"])
def test_promoted_the_stable_version_runs_what_the_canary_ran_under_its_own_name(mode: str) -> None:
    found = _scene(mode)
    (promoted,) = scene.promoted(found, 50, 1)
    canary = _kinds(scene.shifted(found, 50, 1))
    if mode == "Deployment":
        stable, new = promoted["spec"]["template"], canary["Deployment/llama-v2"]["spec"]["template"]
        assert scene.fingerprint(stable) == scene.fingerprint(new)
        assert "stable" == stable["metadata"]["labels"]["stoker.dev/version"]
        assert promoted["spec"]["selector"] == found.stable[0]["spec"]["selector"]
    else:
        stable, new = promoted["spec"]["predictor"], promoted["spec"]["canary"][0]["predictor"]
        assert stable["model"]["storageUri"] == new["model"]["storageUri"]
        assert stable["model"]["args"] == new["model"]["args"]
        assert stable["model"]["runtime"] == new["model"]["runtime"]
        assert 50 == promoted["spec"]["canary"][0]["trafficPercent"]


def test_versions_that_differ_have_other_fingerprints() -> None:
    found = _scene("Deployment")
    stable = next(one for one in found.stable if one["kind"] == "Deployment")
    canary = next(one for one in found.shift if one["kind"] == "Deployment")

    assert scene.fingerprint(stable["spec"]["template"]) != scene.fingerprint(canary["spec"]["template"])


def test_without_routes_the_service_spans_both_versions_and_says_what_share_that_is() -> None:
    found = _scene("Deployment", has_routes=False)
    objects = _kinds(scene.shifted(found, 50, 2))

    assert Split.REPLICAS is found.split
    assert {"stoker.dev/model": "llama"} == objects["Service/llama"]["spec"]["selector"]
    back = _kinds(scene.shifted(found, 0, 2))["Service/llama"]["spec"]["selector"]
    assert {"stoker.dev/model": "llama", "stoker.dev/version": "stable"} == back
    assert pytest.approx(100 / 3) == scene.reachable(found, 5, 2)
    assert 50 == scene.reachable(found, 50, 2)
    assert scene.reachable(_scene("Deployment"), 5, 2) is None


@pytest.mark.parametrize(("percent", "stable", "replicas"), [(5, 2, 1), (50, 2, 1), (50, 7, 4), (25, 40, 10)])
def test_a_canary_has_as_many_pods_for_its_share_as_the_stable_version_for_all(
    percent: int, stable: int, replicas: int
) -> None:
    assert replicas == scene.capacity(_scene("Deployment"), percent, stable)


@pytest.mark.parametrize(
    ("mode", "canary", "model", "words"),
    [
        ("Deployment", "", "llama", "has no canary"),
        ("Deployment", CANARY, "nobody", "no model nobody"),
        ("LLMInferenceService", CANARY, "llama", "serving mode LLMInferenceService"),
    ],
)
def test_what_cannot_be_is_refused(mode: str, canary: str, model: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        _scene(mode, canary=canary, model=model)


def test_standard_mode_without_a_gateway_is_refused_because_all_traffic_would_stay() -> None:
    with pytest.raises(UnsafeError, match="no HTTPRoutes"):
        _scene("Standard", has_routes=False)
