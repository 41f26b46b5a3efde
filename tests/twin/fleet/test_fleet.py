"""The fleet: what must hold of every run, and the failure modes that the upgrades exist for."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stoker.catalog.models import model
from stoker.platform.load import load_document
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.twin.engine import Policy
from stoker.twin.engine import layout as at
from stoker.twin.fleet.adapters import adapter_bytes
from stoker.twin.fleet.agenda import Agenda
from stoker.twin.fleet.build import ALL_UPGRADES, Upgrade, build_fleet
from stoker.twin.fleet.capacity import place
from stoker.twin.fleet.cpu import paces
from stoker.twin.fleet.memory import victims
from stoker.twin.fleet.pods import PodRun
from stoker.twin.fleet.results import summarise
from stoker.twin.fleet.rolling import rolling_step
from stoker.twin.fleet.simulation import FleetRun, run_fleet
from stoker.twin.fleet.spec import Faults, FleetSpec, Neighbour
from stoker.twin.fleet.transfers import Source
from stoker.twin.workload import Traffic
from stoker.upgrades import compile_platform

PLATFORM = """
apiVersion: stoker.dev/v1
kind: Platform
name: small
pools:
  - {name: h100, gpu: H100-SXM-80GB, nodes: 2, gpusPerNode: 4, memory: 400Gi, localNvme: 4Ti}
tenants:
  - {name: chat, class: production, quota: {gpus: {h100: 8}}}
  - {name: lab, class: training, quota: {gpus: {h100: 4}}}
storage: [{name: nvme, kind: nvme}]
models:
  - name: m
    source: hf://meta-llama/Meta-Llama-3-8B-Instruct
    tenant: chat
    pool: h100
    storage: nvme
    contextLength: 8192
    parallelism: {tensor: 1}
    replicas: {min: MIN, max: MAX}
"""


def platform(least: int = 1, most: int = 4) -> tuple[ResolvedPlatform, list[Any]]:
    text = PLATFORM.replace("MIN", str(least)).replace("MAX", str(most))
    resolved = resolve(load_document(text.encode(), file="small.yaml").platform)
    return resolved, [item.object for item in compile_platform(resolved)]


def traffic(rate: float, seconds: float, seed: int = 0) -> Traffic:
    rng = np.random.default_rng(seed)
    count = int(rate * seconds)
    return Traffic(
        np.sort(rng.uniform(0, seconds, count)),
        rng.integers(50, 1500, count).astype(np.int32),
        rng.integers(20, 300, count).astype(np.int32),
        np.zeros(count, np.int16),
        np.zeros(count, np.int16),
        ("",),
        ("",),
        None,
        None,
        0,
        seconds,
    )


def run(spec: FleetSpec, load: Traffic, seconds: float, seed: int = 0) -> FleetRun:
    return run_fleet(spec, load, duration_s=seconds, seed=seed)


def job(name: str, gpus: int, *, arrival: float = 0.0, duration: float = 1e6, memory_gib: float = 8, use_gib: float = 8,
        limited: bool = False, tolerates: bool = True, priority: str | None = None) -> Neighbour:  # fmt: skip
    amounts = {"cpu": "2", "memory": f"{memory_gib:g}Gi"}
    gpu = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    limits = {**amounts, **gpu} if limited else gpu
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "resources": {"requests": {**amounts, **gpu}, "limits": limits}}]
    }
    if tolerates:
        spec["tolerations"] = [{"operator": "Exists"}]
    if priority:
        spec["priorityClassName"] = priority
    pod = {"kind": "Pod", "metadata": {"namespace": "lab", "name": name, "labels": {}}, "spec": spec}
    return Neighbour("training", arrival, duration, pod, float(gpus), use_gib * 2**30, 2.0, 0.9)


def test_every_request_ends_exactly_once_and_gpu_seconds_are_pod_lifetimes() -> None:
    resolved, objects = platform()
    load = traffic(6.0, 1800)
    found = run(build_fleet(resolved, objects, neighbours=[job("t", 2)]), load, 1800)
    result = summarise(found, 1800)
    total = result.total
    assert total.requests == len(load)
    assert total.completed + total.refused + total.failed + total.unfinished == total.requests
    statuses = np.concatenate([route.service.requests(at.Q_STATUS) for route in found.routes])
    assert np.count_nonzero(statuses == at.PENDING) == 0
    held = total.gpu_allocated * result.owned_gpu_hours * 3600
    pods = sum(route.run.allocated(found.end_s)[0] for route in found.routes)
    assert held == pytest.approx(pods + (result.neighbours["training"]["gpu_hours"] or 0.0) * 3600, rel=1e-9)
    assert total.gpu_useful <= total.gpu_utilization <= total.gpu_allocated <= 1
    assert total.cost_usd == pytest.approx(
        result.owned_gpu_hours * (resolved.pools["h100"].usd_per_gpu_hour or 0.0), rel=1e-9
    )


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    resolved, objects = platform(2, 4)
    spec = build_fleet(resolved, objects, upgrades=frozenset())
    assert spec.workloads[0].policy is Policy.RANDOM
    load = traffic(8.0, 900)
    one, two, other = (summarise(run(spec, load, 900, seed), 900) for seed in (1, 1, 2))
    assert repr(one) == repr(two)
    assert repr(one) != repr(other)


def test_load_brings_replicas_and_quiet_takes_them_away() -> None:
    resolved, objects = platform(1, 4)
    load = traffic(60.0, 600)
    found = run(build_fleet(resolved, objects), load, 3600)
    columns = found.series.workloads()
    assert columns["desired"].max() > 1
    assert columns["desired"][-1] == 1
    assert summarise(found, 3600).total.cold_starts >= 1


def test_replicas_that_start_together_from_one_server_slow_each_other() -> None:
    agenda = Agenda()
    alone, shared = Source(agenda, 100.0, 200.0), Source(agenda, 100.0, 200.0)
    done: dict[str, float] = {}

    def note(name: str) -> Callable[[], None]:
        return lambda: done.update({name: agenda.now})

    alone.read(0, 1000.0, note("alone"))
    for key in range(4):
        shared.read(key, 1000.0, note(f"shared {key}"))
    while agenda.next_time() < 1e9:
        agenda.step()
    assert done["alone"] == pytest.approx(10.0)
    assert [done[f"shared {key}"] for key in range(4)] == pytest.approx([20.0] * 4)


def test_without_priority_training_keeps_inference_from_scaling_and_with_it_yields() -> None:
    resolved, objects = platform(1, 6)
    busy = traffic(80.0, 1500)
    greedy = [job(f"t{number}", 1, priority=None) for number in range(7)]
    starved = run(
        build_fleet(resolved, objects, upgrades=ALL_UPGRADES - {Upgrade.TENANCY}, neighbours=greedy),
        busy,
        1500,
    )
    assert starved.series.workloads()["ready"].max() == 1
    assert starved.machines.preempted == 0
    training = resolved.tenants["lab"].priority_class
    spec = build_fleet(
        resolved, objects, neighbours=[job(f"t{n}", 1, priority=training, limited=True) for n in range(7)]
    )
    # The same training, admitted: without its quota, so that priority alone decides.
    spec = dataclasses.replace(spec, policies=tuple(p for p in spec.policies if p["kind"] != "ResourceQuota"))
    yielding = run(spec, busy, 1500)
    assert yielding.series.workloads()["ready"].max() > 1
    assert yielding.machines.preempted > 0


def test_quota_bounds_training_however_much_is_submitted() -> None:
    resolved, objects = platform()
    training = resolved.tenants["lab"].priority_class
    jobs = [job(f"t{n}", 1, priority=training, limited=True) for n in range(8)]
    found = run(build_fleet(resolved, objects, neighbours=jobs), traffic(1.0, 300), 300)
    assert (
        sum(
            pod.gpus
            for node in found.machines.nodes.values()
            for pod in node.pods.values()
            if pod.owner is found.neighbours
        )
        == 4
    )


def test_without_limits_a_neighbour_takes_the_nodes_memory_and_serving_is_killed() -> None:
    resolved, objects = platform(2, 2)
    hungry = [job(f"t{n}", 1, memory_gib=8, use_gib=500) for n in range(2)]
    vanilla = run(
        build_fleet(resolved, objects, upgrades=frozenset(), neighbours=hungry), traffic(2.0, 2400), 2400
    )
    killed = (
        sum(route.run.oom_kills for route in vanilla.routes)
        + vanilla.neighbours.tallies["training"].oom_kills
    )
    assert killed > 0
    training = resolved.tenants["lab"].priority_class
    bounded = [job(f"t{n}", 1, memory_gib=8, use_gib=500, limited=True, priority=training) for n in range(2)]
    upgraded = run(build_fleet(resolved, objects, neighbours=bounded), traffic(2.0, 2400), 2400)
    assert sum(route.run.oom_kills for route in upgraded.routes) == 0
    assert upgraded.neighbours.tallies["training"].oom_kills > 0


def test_without_taints_pods_without_gpus_eat_the_headroom() -> None:
    resolved, objects = platform(2, 2)
    cpu = [job(f"s{n}", 0, memory_gib=300, tolerates=False) for n in range(2)]
    spec = build_fleet(resolved, objects, neighbours=cpu)
    kept_off = run(spec, traffic(1.0, 300), 300)
    assert len(kept_off.machines.pending) == 2
    open_nodes = dataclasses.replace(
        spec,
        groups=tuple(
            dataclasses.replace(group, template={**group.template, "spec": {}}) for group in spec.groups
        ),
    )
    eaten = run(open_nodes, traffic(1.0, 300), 300)
    assert not [key for key in eaten.machines.pending if key[0] == "lab"]


def test_a_failed_node_loses_its_requests_and_comes_back() -> None:
    resolved, objects = platform(2, 2)
    spec = dataclasses.replace(
        build_fleet(resolved, objects), faults=Faults(node_mtbf_s=900.0, node_repair_s=300.0)
    )
    found = run(spec, traffic(20.0, 3600), 3600)
    result = summarise(found, 3600)
    assert result.total.failed > 0
    assert len(found.machines.nodes) >= 1
    assert result.owned_gpu_hours < 8


def test_the_kernels_choice_of_victims() -> None:
    def pod(name: str, use: float, request: float, limit: float) -> PodRun:
        return PodRun(
            ("n", name), {}, None, 0, 0.0, 0.0,  # type: ignore[arg-type]
            host_memory_bytes=use, memory_request=request, memory_limit=limit, node="x",
        )  # fmt: skip

    gib = 2**30
    guaranteed = pod("guaranteed", 60 * gib, 64 * gib, 64 * gib)
    burstable = pod("burstable", 50 * gib, 8 * gib, float("inf"))
    over = pod("over its own limit", 20 * gib, 8 * gib, 16 * gib)
    assert [v.key[1] for v in victims([guaranteed, burstable, over], 100 * gib)] == [
        "over its own limit",
        "burstable",
    ]
    assert victims([guaranteed], 100 * gib) == []


def test_cpu_that_is_short_goes_to_requests_first() -> None:
    def pod(name: str, uses: float, request: float) -> PodRun:
        return PodRun(("n", name), {}, None, 0, 0.0, 0.0, cores=uses, cpu_request=request)  # type: ignore[arg-type]

    asked, greedy = pod("asked", 8, 8), pod("greedy", 24, 0)
    assert [pace for _, pace in paces([asked, greedy], 16)] == [1.0, 3.0]
    assert [pace for _, pace in paces([asked, greedy], 64)] == [1.0, 1.0]


def test_capacity_says_why_in_the_schedulers_words() -> None:
    resolved, objects = platform(1, 4)
    spec = build_fleet(resolved, objects)
    assert place(spec, at_most=True).fits
    small = dataclasses.replace(
        spec, groups=tuple(dataclasses.replace(group, nodes=0) for group in spec.groups)
    )
    short = place(small, at_most=True)
    assert not short.fits
    wide = dataclasses.replace(
        spec, workloads=tuple(dataclasses.replace(w, max_replicas=12) for w in spec.workloads)
    )
    crowded = place(wide, at_most=True)
    assert (crowded.workloads[0].bound, crowded.fits) == (8, False)
    assert "exceeded quota" in crowded.workloads[0].message


def test_every_example_of_the_project_can_be_simulated() -> None:
    for path in sorted((Path(__file__).parents[3] / "examples").glob("*.yaml")):
        resolved = resolve(load_document(path).platform)
        if any(model.architecture is None or not model.kv_tokens for model in resolved.models.values()):
            continue
        objects = [item.object for item in compile_platform(resolved)]
        for upgrades in (ALL_UPGRADES, frozenset()):
            found = run(build_fleet(resolved, objects, upgrades=upgrades), traffic(1.0, 60), 60)
            assert found.end_s >= 60, path.name


@pytest.mark.parametrize(("arguments", "slots"), [("", 3), ("--max-loras=1", 1), ("--max-loras 2", 2)])
def test_adapters_are_models_of_their_own_to_clients_and_share_the_replicas_slots(
    arguments: str, slots: int
) -> None:
    names = ("de", "fr", "es")
    lora = "".join(f"{{name: {name}, source: 's3://b/{name}', rank: 32}}, " for name in names)
    text = PLATFORM.replace("MIN", "1").replace("MAX", "1") + f"    lora: [{lora}]\n"
    text += f"    engine: {{args: {arguments.split()}}}\n"
    resolved = resolve(load_document(text.encode(), file="small.yaml").platform)
    spec = build_fleet(resolved, [item.object for item in compile_platform(resolved)], upgrades=ALL_UPGRADES)
    assert spec.workloads[0].engine.max_loras == slots
    asked = traffic(3.0, 300.0)
    number = np.arange(len(asked)) % 5  # every fifth request asks for a model that nobody has
    named = dataclasses.replace(asked, model=number.astype(np.int16), models=("m", *names, "unknown"))
    run = run_fleet(spec, named, duration_s=300.0, seed=0)
    total = summarise(run, 300.0).models["m"]
    assert len(run.unrouted) == np.sum(number == 4)
    assert total.completed == np.sum(number < 4)
    # With a slot for each adapter every one is loaded once; with fewer they take turns.
    assert (total.lora_loads == 3) is (slots == 3)
    assert total.lora_loads >= 3


def test_an_adapter_of_llama_3_8b_has_its_published_size() -> None:
    """Rank 16 on all linear layers: 41.9 million parameters (PEFT's print_trainable_parameters)."""
    assert adapter_bytes(model("llama-3-8b"), 16) == 2 * 41_943_040


@pytest.mark.parametrize(
    ("state", "step"),
    [
        # (desired, surge, unavailable, old ready, old unready, new, new ready) -> create, stop unready, ready, new
        ((3, 1, 0, 3, 0, 0, 0), (1, 0, 0, 0)),
        ((3, 1, 0, 3, 0, 1, 0), (0, 0, 0, 0)),  # the first new one is not ready: nobody may go
        ((3, 1, 0, 3, 0, 1, 1), (0, 0, 1, 0)),
        ((3, 0, 1, 3, 0, 0, 0), (0, 0, 1, 0)),
        ((3, 0, 0, 3, 0, 0, 0), (0, 0, 1, 0)),  # two zeros mean one unavailable
        ((3, 0, 1, 2, 0, 0, 0), (1, 0, 0, 0)),
        ((3, 1, 0, 2, 1, 1, 0), (0, 0, 0, 0)),
        ((3, 1, 1, 2, 2, 0, 0), (0, 2, 0, 0)),  # old ones that never became ready go first
        ((2, 1, 0, 1, 0, 3, 1), (0, 0, 0, 1)),  # scaled in meanwhile
    ],
)
def test_a_rolling_update_goes_as_far_as_the_deployment_controller_would(
    state: tuple[int, ...], step: tuple[int, ...]
) -> None:
    desired, surge, unavailable, old_ready, old_unready, new, new_ready = state
    assert (
        rolling_step(
            desired=desired,
            surge=surge,
            unavailable=unavailable,
            old_ready=old_ready,
            old_unready=old_unready,
            new=new,
            new_ready=new_ready,
        )
        == step
    )


def test_a_rolling_update_replaces_every_replica_and_loses_no_request() -> None:
    resolved, objects = platform(3, 3)
    built = build_fleet(resolved, objects)
    spec = dataclasses.replace(built, faults=Faults(rollouts=(600.0,)))
    found = run(spec, traffic(6.0, 3600), 3600)
    result = summarise(found, 3600)
    assert result.total.completed == result.total.requests
    assert result.total.cold_starts == 3
    assert len(result.rollout_s) == 1
    # One after the other: three starts, none beside another.
    assert result.rollout_s[0] == pytest.approx(sum(found.routes[0].run.cold_start_s), abs=10)
    # A web service's defaults abort what runs when a pod stops.
    rude = dataclasses.replace(
        spec, workloads=tuple(dataclasses.replace(each, drain_s=0.0) for each in spec.workloads)
    )
    assert summarise(run(rude, traffic(6.0, 3600), 3600), 3600).total.failed > 0


def test_a_drain_waits_for_the_budget_and_without_one_takes_every_replica_at_once() -> None:
    resolved, objects = platform(4, 4)
    built = build_fleet(resolved, objects)
    packed = dataclasses.replace(
        built,
        groups=tuple(dataclasses.replace(group, nodes=1, max_nodes=1) for group in built.groups),
        faults=Faults(drains=(600.0,), node_repair_s=60.0),
    )
    spare = dataclasses.replace(built, faults=Faults(drains=(600.0, 900.0), node_repair_s=60.0))
    load = traffic(4.0, 2400)
    kept = summarise(run(spare, load, 2400), 2400)
    assert kept.faults.drains == 2
    assert kept.faults.evictions >= 4
    assert kept.total.completed == kept.total.requests
    # On one node nothing can start elsewhere: the budget puts the other three off, for as long as it takes.
    stuck = summarise(run(packed, load, 2400), 2400)
    assert stuck.faults.evictions == 1
    assert stuck.faults.evictions_put_off > 3
    without = dataclasses.replace(
        packed, policies=tuple(item for item in packed.policies if item["kind"] != "PodDisruptionBudget")
    )
    assert summarise(run(without, load, 2400), 2400).faults.evictions == 4


def test_only_spot_nodes_are_reclaimed_and_faults_are_paired_between_fleets() -> None:
    resolved, objects = platform(2, 2)
    faults = Faults(node_mtbf_s=3000.0, spot_reclaim_s=900.0, node_repair_s=300.0)
    spec = dataclasses.replace(build_fleet(resolved, objects), faults=faults)
    owned = summarise(run(spec, traffic(2.0, 3600), 3600), 3600)
    assert owned.faults.spot_reclaims == 0
    spot = dataclasses.replace(
        spec, groups=tuple(dataclasses.replace(group, spot=True) for group in spec.groups)
    )
    assert summarise(run(spot, traffic(2.0, 3600), 3600), 3600).faults.spot_reclaims > 0
    vanilla = dataclasses.replace(build_fleet(resolved, objects, upgrades=frozenset()), faults=faults)
    assert (
        summarise(run(vanilla, traffic(2.0, 3600), 3600), 3600).faults.node_failures
        == owned.faults.node_failures
    )


def test_a_request_at_the_very_beginning_is_answered_by_the_replica_that_serves_from_the_start() -> None:
    resolved, objects = platform()
    few = traffic(0.05, 60)
    load = dataclasses.replace(few, arrival_s=np.zeros(len(few.arrival_s)))

    total = summarise(run(build_fleet(resolved, objects), load, 60), 60.0).total

    assert (len(load.arrival_s), 0) == (total.completed, total.refused)


def test_a_model_costs_the_price_of_the_nodes_it_runs_on() -> None:
    """Two pools at two prices, one model on each, the same GPU hours: the money is not spread evenly."""
    text = PLATFORM.replace("MIN", "1").replace("MAX", "1")
    text = text.replace("models:\n", "cost: {usdPerGpuHour: {H100-SXM: 4.0, L40S: 1.0}}\nmodels:\n")
    text = text.replace("tenants:", "  - {name: l40s, gpu: L40S, nodes: 1, localNvme: 4Ti}\ntenants:", 1)
    text += (
        text[text.index("  - name: m\n") :]
        .replace("name: m\n", "name: n\n")
        .replace("pool: h100", "pool: l40s")
    )
    resolved = resolve(load_document(text.encode(), file="two.yaml").platform)
    objects = [item.object for item in compile_platform(resolved)]
    few = traffic(0.01, 600)
    load = dataclasses.replace(few, models=("m", "n"))

    models = summarise(run(build_fleet(resolved, objects), load, 600), 600.0).models

    assert pytest.approx(4.0) == models["m"].cost_usd / models["n"].cost_usd
