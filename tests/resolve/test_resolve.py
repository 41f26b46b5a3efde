"""The platform with every open question answered."""

import pytest

from stoker.errors import InputError
from stoker.platform.autoscaling import Wake
from stoker.platform.load import loads
from stoker.sizing.advice import advise
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform

HEAD = "apiVersion: stoker.dev/v1\nkind: Platform\nname: t\n"
POOL = "pools: [{name: a, gpu: A100-SXM-80GB, nodes: %d}]\n"
BIG = "hf://meta-llama/Meta-Llama-3-70B-Instruct"
SMALL = "hf://meta-llama/Meta-Llama-3-8B-Instruct"


def platform(models: str, *, nodes: int = 8, rest: str = "") -> ResolvedPlatform:
    return resolve(loads(f"{HEAD}{POOL % nodes}models:\n{models}{rest}"))


def test_the_smallest_useful_layout_and_two_warm_replicas_are_the_defaults() -> None:
    model = platform(f"- {{name: m, source: '{BIG}'}}\n").models["m"]

    assert (4, 1, 4) == (model.tensor, model.pipeline, model.gpus_per_pod)
    assert (2, 4) == (model.min_replicas, model.max_replicas)
    assert model.tenant.name == "inference"


def test_the_cheapest_pool_that_holds_the_model_is_chosen_and_spot_only_for_batch() -> None:
    pools = (
        "pools:\n- {name: h100, gpu: H100, nodes: 4, usdPerGpuHour: 4}\n- {name: spot, gpu: L40S, nodes: 4, spot: true, "
        "usdPerGpuHour: 0.5}\n- {name: l40s, gpu: L40S, nodes: 4, usdPerGpuHour: 1}\n"
    )
    models = (
        f"models:\n- {{name: live, source: '{SMALL}'}}\n"
        f"- {{name: night, source: '{SMALL}', tier: batch}}\n- {{name: fixed, source: '{SMALL}', pool: h100}}\n"
    )

    found = resolve(loads(HEAD + pools + models)).models

    assert {"live": "l40s", "night": "spot", "fixed": "h100"} == {
        name: item.pool.name for name, item in found.items()
    }


def test_a_surge_is_allowed_only_where_gpus_are_free_at_the_peak() -> None:
    free = platform(f"- {{name: m, source: '{BIG}', replicas: 2}}\n", nodes=2).models["m"]
    full = platform(f"- {{name: m, source: '{BIG}', replicas: 2}}\n", nodes=1).models["m"]

    assert (1, 0) == (free.max_surge, free.max_unavailable)
    assert (0, 1) == (full.max_surge, full.max_unavailable)


def test_a_quota_that_leaves_no_room_forbids_the_surge_too() -> None:
    rest = "tenants: [{name: p, class: production, quota: {gpus: 8}}]\n"
    model = platform(f"- {{name: m, source: '{BIG}', replicas: 2}}\n", rest=rest).models["m"]

    assert (0, 1) == (model.max_surge, model.max_unavailable)


def test_a_quota_follows_from_the_models_where_none_is_given() -> None:
    found = platform(f"- {{name: m, source: '{BIG}', canary: {{}}}}\n")

    # Four replicas, one canary and one surge pod of four GPUs.
    assert {"nvidia.com/gpu": 24} == found.tenants["inference"].gpu_quota


@pytest.mark.parametrize(
    ("models", "nodes", "rest", "words"),
    [
        pytest.param(
            f"- {{name: m, source: '{BIG}', replicas: 9}}\n", 2, "", "the pool has 16", id="beyond the pool"
        ),
        pytest.param(
            f"- {{name: m, source: '{BIG}'}}\n",
            8,
            "tenants: [{name: p, class: production, quota: {gpus: 4}}]\n",
            "its quota is 4",
            id="beyond the quota",
        ),
        pytest.param(
            f"- {{name: m, source: '{BIG}', parallelism: {{tensor: 1}}}}\n",
            8,
            "",
            "exceed",
            id="a layout that does not fit",
        ),
        pytest.param(
            "- {name: m, source: 'hf://acme/unheard-of'}\n", 8, "", "does not know", id="an unknown model"
        ),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_numbers(
    models: str, nodes: int, rest: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        platform(models, nodes=nodes, rest=rest)


def test_targets_come_from_the_objectives() -> None:
    slow, fast = (
        platform(f"- {{name: m, source: '{BIG}', slo: {{tpotP95: {tpot}}}}}\n")
        .models["m"]
        .scaling.target_concurrency
        for tpot in ("200ms", "50ms")
    )

    assert slow > fast >= 1


def test_stated_traffic_raises_the_maximum() -> None:
    quiet = platform(f"- {{name: m, source: '{SMALL}', traffic: {{requestsPerSecond: 1}}}}\n").models["m"]
    busy = platform(f"- {{name: m, source: '{SMALL}', traffic: {{requestsPerSecond: 100}}}}\n").models["m"]

    assert quiet.max_replicas == 4
    assert busy.max_replicas > 4


def test_a_batch_tier_rests_at_zero_and_is_not_stopped_while_it_loads() -> None:
    model = platform(f"- {{name: m, source: '{BIG}', tier: batch}}\n").models["m"]

    assert model.min_replicas == 0
    assert model.scaling.wake is Wake.HTTP_ADDON
    assert model.scaling.cooldown_seconds >= 2 * model.startup_seconds


def test_one_replica_in_production_and_a_tenant_without_ceiling_are_noted() -> None:
    rest = "tenants: [{name: p, class: production}, {name: lab}]\n"
    notes = platform(f"- {{name: m, source: '{SMALL}', replicas: 1}}\n", rest=rest).notes

    assert any("one replica" in note.message for note in notes)
    assert any("lab" in note.message and "every free GPU" in note.message for note in notes)


def test_pods_of_different_sizes_on_one_pool_get_the_bin_packing_scheduler() -> None:
    mixed = platform(f"- {{name: big, source: '{BIG}'}}\n- {{name: small, source: '{SMALL}'}}\n")
    alike = platform(f"- {{name: big, source: '{BIG}'}}\n")

    assert mixed.bin_packing
    assert not alike.bin_packing
    assert {model.scheduler_name for model in alike.models.values()} == {None}


def test_advice_is_computed_from_the_file() -> None:
    rest = "tenants: [{name: p, class: production}, {name: lab, quota: {gpus: 62}}]\n"
    tight = {
        item.question: item.answer
        for item in advise(platform(f"- {{name: m, source: '{BIG}'}}\n", rest=rest))
    }
    loose = {
        item.question: item.answer
        for item in advise(platform(f"- {{name: m, source: '{BIG}'}}\n", rest=rest.replace("62", "4")))
    }

    assert "preemption" in tight["Shared or dedicated cluster?"]
    assert tight["Shared or dedicated cluster?"] != loose["Shared or dedicated cluster?"]
    assert "hub" in loose["Where should the weights live?"]


def test_a_canary_behind_the_interceptor_is_refused() -> None:
    with pytest.raises(InputError, match="interceptor"):
        platform(f"- {{name: m, source: '{SMALL}', tier: batch, canary: {{}}}}\n")


def test_an_engine_without_metrics_is_not_left_to_an_autoscaler_that_sees_nothing() -> None:
    custom = "engine: {name: custom, image: 'registry.example.com/server:1.0', port: 9000}"
    found = platform(f"- {{name: m, source: '{SMALL}', {custom}, replicas: {{min: 2, max: 4}}}}\n")

    assert not found.models["m"].scaling.enabled
    assert any("stays at 2 replicas" in note.message for note in found.notes)


def test_batch_bounds_are_those_of_the_engines_release() -> None:
    pool = "pools: [{name: a, gpu: H100, nodes: 4}]\n"
    model = f"models:\n- {{name: m, source: '{SMALL}', slo: {{tpotP95: 5s}}, traffic: {{inputTokens: 100}}, "
    old, new = (
        resolve(loads(f"{HEAD}{pool}{model}engine: {{name: vllm, version: '{version}'}}}}\n"))
        .models["m"]
        .scaling
        for version in ("0.6.6", "0.33.0")
    )

    assert old.target_concurrency < new.target_concurrency
