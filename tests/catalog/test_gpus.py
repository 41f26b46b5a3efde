"""The GPU catalogue: complete, sourced, dense, and found under the names people and GFD use."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
import yaml

from stoker.catalog.gpus import Gpu, gpu, gpus
from stoker.errors import UnknownNameError

WANTED = {
    "T4", "V100-SXM-16GB", "V100-SXM-32GB", "A10G", "A10", "L4", "L40S", "A100-PCIE-40GB", "A100-PCIE-80GB",
    "A100-SXM-40GB", "A100-SXM-80GB", "H100-PCIE-80GB", "H100-SXM-80GB", "H200-SXM-141GB", "B200-SXM-180GB",
    "GB200", "RTX-6000-Ada", "RTX-PRO-6000", "MI300X",
}  # fmt: skip
PRECISIONS = {"fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4"}
# Tensor-core precisions by architecture (CUDA C++ Programming Guide, compute capabilities; AMD CDNA 3 white paper).
MISSING = {
    "turing": {"tf32", "bf16", "fp8", "fp4"},
    "volta": {"tf32", "bf16", "fp8", "fp4"},
    "ampere": {"fp8", "fp4"},
    "ada-lovelace": {"fp4"},
    "hopper": {"fp4"},
    "blackwell": set[str](),
    "cdna3": {"fp4"},
}
# BF16 tensor TFLOPS as NVIDIA's data sheets print them, with 2:4 sparsity.
SPARSE_BF16 = {
    "A10": 250, "A100-PCIE-80GB": 624, "A100-SXM-80GB": 624, "L4": 242, "L40S": 733, "H100-PCIE-80GB": 1513,
    "H100-SXM-80GB": 1979, "H200-SXM-141GB": 1979, "B200-SXM-180GB": 4500, "GB200": 5000,
}  # fmt: skip
EVERY = pytest.mark.parametrize("entry", gpus().values(), ids=list(gpus()))


def test_every_promised_gpu_is_there() -> None:
    assert set() == WANTED - set(gpus())


def test_the_mapping_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        gpus()["T4"] = gpu("L4")  # type: ignore[index]


# Known for the measurements made on them; no cloud's list price was found.
UNPRICED = {"B300-SXM-288GB", "RTX-4090"}


@EVERY
def test_its_main_figures_have_a_dated_source(entry: Gpu) -> None:
    needed = {"memory_gib", "bandwidth_gb_s", "tflops", "interconnect"}
    needed |= {"mig"} if entry.mig else set()
    needed |= {"memory_mib_label"} if entry.memory_mib_label else set()
    assert set() == needed - set(entry.sources)
    for source in (*entry.sources.values(), *(price.source for price in entry.prices)):
        assert source.url.startswith("https://")
        assert date(2017, 1, 1) <= date.fromisoformat(source.date) <= date(2026, 11, 24)


@EVERY
def test_its_figures_are_plausible(entry: Gpu) -> None:
    assert 14 < entry.memory_gib < 300
    assert 300 <= entry.bandwidth_gb_s <= 8000
    assert entry.vendor in {"nvidia", "amd"}
    assert entry.resource == f"{entry.vendor}.com/gpu"
    assert entry.interconnect.kind in {"nvlink-switch", "nvlink-mesh", "nvlink-bridge", "xgmi", "pcie"}
    assert (entry.interconnect.domain_gpus == 1) == (entry.interconnect.kind == "pcie")
    assert entry.product_labels
    assert entry.gpus_per_node >= 1


@EVERY
def test_usable_memory_is_below_what_nvml_reports_but_not_by_much(entry: Gpu) -> None:
    if entry.memory_mib_label:
        assert 0.95 < entry.memory_gib / (entry.memory_mib_label / 1024) < 1


@EVERY
def test_it_lists_only_precisions_its_tensor_cores_have(entry: Gpu) -> None:
    assert set() == set(entry.tflops) - PRECISIONS
    assert set() == MISSING[entry.family] & set(entry.tflops)
    if "bf16" in entry.tflops:
        assert entry.tflops["fp16"] == entry.tflops["bf16"]
    # Blackwell Ultra has half as many FP4 units again (14 dense PFLOPS beside 4.5 of FP8).
    fp4 = 14 / 4.5 if entry.name.startswith("B300") else 2
    for half, full, ratio in (("fp8", "bf16", 2), ("fp4", "fp8", fp4)):
        if half in entry.tflops:
            assert pytest.approx(ratio, rel=0.02) == entry.tflops[half] / entry.tflops[full]


@pytest.mark.parametrize(("name", "sparse"), SPARSE_BF16.items())
def test_bf16_is_the_dense_half_of_the_data_sheet(name: str, sparse: float) -> None:
    assert pytest.approx(sparse / 2, rel=0.015) == gpu(name).tflops["bf16"]


@pytest.mark.parametrize("system", ["a100_sxm", "h100_sxm", "h200_sxm", "l4", "l40s"])
def test_it_agrees_with_aiconfigurator(system: str, shared: Path) -> None:
    theirs = yaml.safe_load((shared / f"calibration/aic_llama3/{system}.yaml").read_text())["gpu"]
    ours = gpu(system.replace("_sxm", ""))
    assert pytest.approx(theirs["mem_bw"] / 1e9) == ours.bandwidth_gb_s
    assert pytest.approx(theirs["bfloat16_tc_flops"] / 1e12) == ours.tflops["bf16"]
    assert ours.memory_gib < theirs["mem_capacity"] / 2**30


@EVERY
def test_its_mig_slices_fit_it(entry: Gpu) -> None:
    total_slices = 4 if entry.name == "RTX-PRO-6000" else 7
    for profile in entry.mig:
        slices, size = profile.name.split(".")
        assert f"{profile.compute_slices}g" == slices
        assert profile.memory_gib < float(size.removesuffix("gb"))
        assert profile.max_per_gpu * profile.memory_gib <= entry.memory_mib_label / 1024
        assert profile.max_per_gpu * profile.compute_slices <= total_slices


@pytest.mark.parametrize(
    "name", ["A100-SXM-40GB", "A100-SXM-80GB", "H100-SXM-80GB", "H200-SXM-141GB", "B200-SXM-180GB", "GB200"]
)
def test_a_seven_slice_gpu_has_its_six_profiles(name: str) -> None:
    assert [profile.name.split(".")[0] for profile in gpu(name).mig] == ["1g", "1g", "2g", "3g", "4g", "7g"]


def test_consumer_and_inference_cards_have_no_mig() -> None:
    assert [
        name for name in ("T4", "A10G", "L4", "L40S", "RTX-6000-Ada", "V100-SXM-16GB") if gpu(name).mig
    ] == []


@EVERY
def test_its_prices_are_per_gpu_and_cheapest_first(entry: Gpu) -> None:
    paid = [price.usd_per_gpu_hour for price in entry.prices]
    assert bool(paid) == (entry.name not in UNPRICED)
    assert sorted(paid) == paid
    assert all(0.2 < usd < 20 for usd in paid)


def test_no_two_gpus_share_a_name() -> None:
    def key(name: str) -> str:
        return name.casefold().replace("_", "-").replace(" ", "-")

    claims = Counter(
        claim for entry in gpus().values() for claim in {key(name) for name in (entry.name, *entry.aliases)}
    )
    assert {name: count for name, count in claims.items() if count > 1} == {}


@EVERY
def test_every_gfd_label_leads_back_to_it(entry: Gpu) -> None:
    assert [entry.name] * len(entry.product_labels) == [gpu(label).name for label in entry.product_labels]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a100", "A100-SXM-80GB"),
        ("A100_80GB", "A100-SXM-80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM-80GB"),
        ("a100-40gb", "A100-SXM-40GB"),
        ("NVIDIA-A100-PCIE-40GB", "A100-PCIE-40GB"),
        ("h100", "H100-SXM-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM-80GB"),
        ("h200", "H200-SXM-141GB"),
        ("b200", "B200-SXM-180GB"),
        ("gb200", "GB200"),
        (" l40s ", "L40S"),
        ("mi300x", "MI300X"),
        ("rtx pro 6000", "RTX-PRO-6000"),
        ("v100", "V100-SXM-16GB"),
    ],
)
def test_it_is_found_by_the_names_people_use(said: str, meant: str) -> None:
    assert meant == gpu(said).name


def test_an_unknown_name_gets_the_nearest_known_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        gpu("H100-SMX-80GB")
    assert "H100-SXM-80GB" in caught.value.suggestions


def test_the_anchor_of_the_sizing_facts_holds() -> None:
    a100 = gpu("A100-SXM-80GB")
    assert (
        a100.memory_gib,
        a100.memory_mib_label,
        a100.bandwidth_gb_s,
        a100.tflops["bf16"],
    ) == (79.15, 81920, 2039, 312)
    assert (a100.interconnect.kind, a100.interconnect.domain_gpus) == ("nvlink-switch", 8)
