"""Pods that share GPUs: which GPU they get, whose memory it is, how its time is divided, and what the figures say of it."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from stoker.platform.cluster import SharingMode
from stoker.platform.load import load_document
from stoker.report.simulation.document import Provenance, simulation_document
from stoker.report.simulation.text import figure_rows
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.twin.fleet.build import ALL_UPGRADES, Upgrade, build_fleet
from stoker.twin.fleet.population import population
from stoker.twin.fleet.results import Result, summarise
from stoker.twin.fleet.sharing import GpuSharing, SharedGpus, crash_pause, distributed, slowdowns
from stoker.twin.fleet.simulation import FleetRun, run_fleet
from stoker.twin.fleet.spec import FleetSpec, Neighbour
from stoker.twin.workload import Traffic
from stoker.upgrades import compile_platform

PLATFORM = """
apiVersion: stoker.dev/v1
kind: Platform
name: small
pools:
  - {name: a100, gpu: A100-SXM-80GB, nodes: 1, gpusPerNode: 2, sharing: {SHARING}}
tenants:
  - {name: chat, class: production, quota: {gpus: {a100: 4}}}
  - {name: lab, class: experiments, quota: {gpus: {a100: 4}}}
models:
  - name: m
    source: hf://meta-llama/Meta-Llama-3-8B-Instruct
    tenant: chat
    pool: a100
    contextLength: 8192
    replicas: {min: MIN, max: MAX}
    engine: {args: [ARGS]}
"""
SLICED = "mode: time-slicing, replicas: 2"
MPS = "mode: mps, replicas: 2"
MIG = "mode: mig, migProfiles: {3g.40gb: 2}"
VANILLA: frozenset[Upgrade] = frozenset()
GIB = 2**30
HALF = "--gpu-memory-utilization=0.46"


def platform(sharing: str, least: int, most: int, arguments: str = "") -> tuple[ResolvedPlatform, list[Any]]:
    text = PLATFORM.replace("SHARING", sharing).replace("ARGS", arguments)
    text = text.replace("MIN", str(least)).replace("MAX", str(most))
    resolved = resolve(load_document(text.encode(), file="small.yaml").platform)
    return resolved, [item.object for item in compile_platform(resolved)]


def fleet(
    sharing: str,
    replicas: int,
    arguments: str = "",
    *,
    most: int = 0,
    upgrades: frozenset[Upgrade] = ALL_UPGRADES,
    neighbours: tuple[Neighbour, ...] = (),
) -> FleetSpec:
    resolved, objects = platform(sharing, replicas, most or replicas, arguments)
    return build_fleet(resolved, objects, upgrades=upgrades, neighbours=neighbours)


def traffic(rate: float, seconds: float, begin: float = 0.0) -> Traffic:
    rng = np.random.default_rng(0)
    count = int(rate * (seconds - begin))
    zeros = np.zeros(count, np.int16)
    prompts = rng.integers(50, 1500, count).astype(np.int32)
    answers = rng.integers(20, 300, count).astype(np.int32)
    arrivals = np.sort(rng.uniform(begin, seconds, count))
    return Traffic(arrivals, prompts, answers, zeros, zeros, ("",), ("",), None, None, 0, seconds)


def run(
    spec: FleetSpec, seconds: float = 3600, rate: float = 2.0, begin: float = 0.0
) -> tuple[FleetRun, Result]:
    found = run_fleet(spec, traffic(rate, seconds, begin), duration_s=seconds, seed=0)
    return found, summarise(found, seconds)


def notebook(
    name: str,
    gpu_gib: float,
    *,
    resource: str = "nvidia.com/gpu.shared",
    arrival: float = 1.0,
    duration: float = 1e6,
) -> Neighbour:
    requests = {"cpu": "1", "memory": "4Gi", resource: "1"}
    container = {"name": "c", "resources": {"requests": requests, "limits": requests}}
    spec = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
    pod = {"kind": "Pod", "metadata": {"namespace": "lab", "name": name, "labels": {}}, "spec": spec}
    return Neighbour("notebook", arrival, duration, pod, 0.5, 2.0 * GIB, 1.0, 0.05, gpu_gib * GIB)


def asks(size: int, resource: str = "shared") -> dict[str, Any]:
    return {"spec": {"containers": [{"resources": {"limits": {resource: str(size), "cpu": "1"}}}]}}


def gpus(mode: SharingMode, limit: float, *, count: int = 2, per_gpu: int = 2) -> SharedGpus:
    return SharedGpus(GpuSharing(mode, 80.0 * GIB, {"shared": limit * GIB}, {"shared": per_gpu}), count)


@pytest.mark.parametrize(
    ("given", "per_gpu", "size", "chosen"),
    [
        ([0, 0, 0], 4, 1, [0]),
        ([1, 0, 1], 4, 1, [1]),
        ([2, 1, 2], 4, 3, [1, 0, 2]),  # of GPUs that gave away as many, the one that this pod has less of
        ([4, 4, 3], 4, 1, [2]),
        ([3, 0], 4, 4, [1, 1, 1, 0]),
    ],
)
def test_a_pod_gets_shares_of_the_gpus_that_gave_away_the_fewest(
    given: list[int], per_gpu: int, size: int, chosen: list[int]
) -> None:
    assert distributed(given, per_gpu, size) == chosen


def test_more_shares_than_are_left_are_an_error_and_not_a_third_half() -> None:
    with pytest.raises(ValueError, match="2 shares asked for, 1 left"):
        distributed([2, 1], 2, 2)


def test_a_share_that_is_given_back_is_given_again() -> None:
    node = gpus(SharingMode.TIME_SLICING, 80)
    for name in "abcd":
        node.bind(("n", name), asks(1))
    assert [node.gpus_of(("n", name)) for name in "abcd"] == [(0,), (1,), (0,), (1,)]
    node.remove(("n", "b"))
    node.bind(("n", "e"), asks(1))
    assert node.gpus_of(("n", "e")) == (1,)
    assert node.gpus_of(("n", "b")) == ()


def test_on_a_time_sliced_gpu_the_later_one_finds_no_memory_until_the_first_has_gone() -> None:
    node = gpus(SharingMode.TIME_SLICING, 80, count=1)
    first, later = ("n", "first"), ("n", "later")
    node.bind(first, asks(1))
    node.bind(later, asks(1))
    assert node.take(first, 73 * GIB)
    assert not node.take(later, 8 * GIB)
    assert node.free(0) == 7 * GIB
    assert node.take(first, 74 * GIB)  # in place of its 73, not beside them
    node.drop(first)
    assert node.take(later, 73 * GIB)
    assert node.gpus_of(first) == (0,)


def test_mps_holds_each_client_to_its_part_however_much_is_free() -> None:
    node = gpus(SharingMode.MPS, 40, count=1)
    for name in "ab":
        node.bind(("n", name), asks(1))
    assert not node.take(("n", "a"), 41 * GIB)
    assert node.take(("n", "a"), 40 * GIB)
    assert node.take(("n", "b"), 40 * GIB)


def test_a_pod_without_a_share_is_nobodys_business() -> None:
    node = gpus(SharingMode.TIME_SLICING, 80)
    node.bind(("n", "web"), {"spec": {"containers": [{"name": "c"}]}})
    assert node.take(("n", "web"), 1000 * GIB)
    assert node.free(0) == 80 * GIB


def test_who_has_work_slows_those_on_the_same_gpu_and_nobody_else() -> None:
    a, b, c, idle = ("n", "a"), ("n", "b"), ("n", "c"), ("n", "idle")
    places = {a: (0,), b: (0,), c: (1,), idle: (1,)}
    assert slowdowns(places, {a: 1.0, b: 0.5, c: 1.0, idle: 0.0}) == {a: 1.5, b: 2.0, c: 1.0, idle: 2.0}


def test_a_crash_loop_backs_off_as_the_kubelets_does() -> None:
    assert [crash_pause(number) for number in (1, 2, 3, 4, 5, 6, 60)] == [10, 20, 40, 80, 160, 300, 300]


def test_engines_that_each_take_the_whole_of_a_sliced_gpu_leave_half_of_them_crashing() -> None:
    found, result = run(fleet(SLICED, 4, upgrades=VANILLA), 3500)
    assert found.series.workloads()["ready"].max() == 2
    # At 0, 10, 30, 70, 150, 310, and then every 300 s.
    each = len([0, 10, 30, 70, 150, 310, *range(610, 3500, 300)])
    assert result.total.oom_gpu_memory == 2 * each
    assert (result.total.oom_host_memory, result.total.oom_incidents) == (0, 2 * each)
    assert result.total.completed == result.total.requests


def test_engines_told_to_take_their_part_all_serve() -> None:
    found, result = run(fleet(SLICED, 4, HALF))
    assert found.series.workloads()["ready"][1:].min() == 4
    assert result.total.oom_incidents == 0


def test_the_cache_has_the_blocks_of_the_memory_that_the_command_takes() -> None:
    resolved, _ = platform(SLICED, 1, 1)
    sized = int(resolved.models["m"].kv_tokens) // 16
    assert fleet(SLICED, 1, HALF).workloads[0].engine.blocks == sized
    greedy = fleet(SLICED, 1, upgrades=VANILLA).workloads[0]
    assert greedy.gpu_memory_bytes == pytest.approx(0.92 * 79.15 * GIB)
    # 128 KiB a token: 32 layers, 8 KV heads of 128 values, keys and values, two bytes each.
    assert greedy.engine.blocks - sized == pytest.approx(0.46 * 79.15 * GIB / (128 * 1024) / 16, abs=1)


def test_an_engine_with_too_little_memory_for_one_sequence_never_starts() -> None:
    _, result = run(fleet(SLICED, 1, "--gpu-memory-utilization=0.2"), 600)
    assert result.total.completed == 0
    assert result.total.oom_gpu_memory == len([0, 10, 30, 70, 150, 310])


def test_an_engine_starts_when_the_notebook_on_its_gpu_has_gone() -> None:
    beside = (notebook("holds", 40.0, duration=2000.0), notebook("small", 0.0, arrival=2.0))
    spec = fleet(SLICED, 1, "--gpu-memory-utilization=0.6", most=2, neighbours=beside)
    found, result = run(spec, 3600, rate=90.0, begin=900.0)
    columns = found.series.workloads()
    first = columns["time_s"][columns["ready"] == 2].min()
    assert result.total.oom_gpu_memory > 0
    assert 2000 < first < 2000 + 300 + 300  # the longest back-off, and the start
    assert found.series.workloads()["replicas"][columns["time_s"] == 1500.0] == 2


def test_the_one_that_grows_dies_and_the_engine_that_has_its_memory_stays() -> None:
    beside = (notebook("one", 20.0), notebook("two", 20.0))
    _, result = run(fleet(SLICED, 2, upgrades=VANILLA, neighbours=beside), 2 * 3600 + 1000)
    tally = result.neighbours["notebook"]
    assert (tally["oom_kills"], tally["gpu_oom_kills"], tally["given_up"]) == (14, 14, 2)
    assert result.total.oom_incidents == 0
    assert result.total.failed == 0


def test_a_process_that_the_kernel_kills_for_host_memory_leaves_its_gpu_memory_too() -> None:
    greedy = dataclasses.replace(notebook("greedy", 30.0), host_memory_bytes=5.0 * GIB)  # its limit is 4
    spec = dataclasses.replace(fleet(SLICED, 1, neighbours=(greedy, notebook("modest", 20.0))), workloads=())
    found, result = run(spec, 700)
    node = found.machines.nodes["a100-0"].gpus
    assert node is not None
    assert (result.neighbours["notebook"]["oom_kills"], result.neighbours["notebook"]["gpu_oom_kills"]) == (
        1,
        0,
    )
    assert [79.15 - round(node.free(gpu) / GIB, 2) for gpu in (0, 1)] == pytest.approx([0.0, 20.0])


def test_mps_refuses_an_engine_that_wants_more_than_its_part_and_serves_one_that_does_not() -> None:
    _, greedy = run(fleet(MPS, 2, upgrades=VANILLA), 600)
    assert (greedy.total.completed, greedy.total.oom_gpu_memory) == (0, 2 * 6)
    _, modest = run(fleet(MPS, 2, HALF), 600)
    assert (modest.total.completed, modest.total.oom_gpu_memory) == (modest.total.requests, 0)


def test_on_mig_a_notebook_that_outgrows_its_slice_hurts_nobody_else() -> None:
    resource = "nvidia.com/mig-3g.40gb"
    beside = (notebook("fits", 39.0, resource=resource), notebook("grows", 41.0, resource=resource))
    found, result = run(fleet(MIG, 2, upgrades=VANILLA, neighbours=beside), 1200)
    assert found.series.workloads()["ready"][1:].min() == 2
    assert (result.total.oom_incidents, result.neighbours["notebook"]["gpu_oom_kills"]) == (0, 1)


def test_a_mig_slice_is_as_slow_as_its_part_of_the_gpu() -> None:
    whole = fleet("mode: none", 1).workloads[0].engine.cost
    part = fleet(MIG, 1).workloads[0].engine.cost
    assert part.kv_read_s / whole.kv_read_s == pytest.approx(79.15 / 39.25)
    assert part.prefill_pair_s / whole.prefill_pair_s == pytest.approx(7 / 3)
    assert (whole.provenance, part.provenance) == ("measured", "extrapolated")


def test_two_busy_engines_on_one_gpu_take_turns() -> None:
    def tpot(replicas: int, rate: float) -> float:
        found = run(fleet(SLICED, replicas, HALF), 300, rate=rate)[1].total.tpot_p50_s
        assert found is not None
        return found

    # So many that batches are full, and steps as long but for the turns.
    apart, together = tpot(2, 100.0), tpot(4, 200.0)
    assert together / apart == pytest.approx(2.0, rel=0.05)


def test_a_shared_pool_repeats_byte_for_byte() -> None:
    spec = fleet(SLICED, 3, upgrades=VANILLA, neighbours=(notebook("one", 20.0), notebook("two", 2.0)))
    assert repr(run(spec, 1800)[1]) == repr(run(spec, 1800)[1])


def test_whole_gpus_have_nothing_to_share() -> None:
    spec = fleet("mode: none", 2, neighbours=(notebook("one", 1000.0, resource="nvidia.com/gpu"),))
    assert spec.groups[0].sharing is None
    assert spec.workloads[0].gpu_memory_bytes == 0.0
    found, result = run(dataclasses.replace(spec, workloads=(), policies=()), 1800)
    assert result.neighbours["notebook"]["gpu_oom_kills"] == 0
    assert {node.gpus for node in found.machines.nodes.values()} == {None}


def test_text_and_json_say_which_memory_ran_out() -> None:
    _, result = run(fleet(SLICED, 4, upgrades=VANILLA), 50)
    rows = {row[0].strip(): row[1] for row in figure_rows([result.total])}
    assert (rows["OOM incidents"], rows["for want of GPU memory"]) == ("6", "6")
    document = simulation_document(result, Provenance("twin", "t", "", 0, {}, "", 0, "", {}, (), {}))
    split = {name: document[name] for name in ("oom_incidents", "oom_host_memory", "oom_gpu_memory")}
    assert split == {"oom_incidents": 6, "oom_host_memory": 0, "oom_gpu_memory": 6}
    _, quiet = run(fleet(SLICED, 4, HALF), 50)
    names = [row[0].strip() for row in figure_rows([quiet.total])]
    assert "for want of GPU memory" not in names


def test_notebooks_of_a_tenant_with_a_quota_of_shares_ask_for_one_and_use_about_that() -> None:
    text = PLATFORM.replace("SHARING", SLICED).replace("ARGS", "").replace("MIN", "1").replace("MAX", "1")
    text = text.replace("nodes: 1,", "nodes: 8,").replace(
        "pools:\n", "pools:\n  - {name: big, gpu: H100-SXM-80GB, nodes: 8}\n"
    )
    resolved = resolve(load_document(text.encode(), file="small.yaml").platform)
    drawn = population(resolved, 30 * 86_400.0, np.random.default_rng(1), ALL_UPGRADES)
    books = [each for each in drawn if each.kind == "notebook"]
    limits = [each.pod["spec"]["containers"][0]["resources"]["limits"] for each in books]
    assert {each["nvidia.com/gpu.shared"] for each in limits} == {"1"}
    used = np.array([each.gpu_memory_bytes for each in books]) / (79.15 / 2 * GIB)
    assert 0.4 <= used.min() < used.max() <= 3.0
    assert 0.05 < np.mean(used > 1.0) < 0.15
