"""Layouts, widths and estimates: what is refused, why, and what the numbers must obey."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.catalog.gpus import gpu, gpus
from stoker.catalog.models import model, models
from stoker.sizing.alternatives import alternatives
from stoker.sizing.host import host_demand
from stoker.sizing.report import size_model, speed_of
from stoker.sizing.resolved import DeliveryKind
from stoker.sizing.startup import startup


@pytest.mark.parametrize(
    ("name", "card", "arguments", "words"),
    [
        pytest.param(
            "qwen2.5-7b", "A100", {}, "28 attention heads do not divide by TP8", id="heads that do not divide"
        ),
        pytest.param(
            "qwen3-235b-a22b",
            "H100",
            {"quantization": "fp8"},
            "works in blocks of 128",
            id="experts too narrow for FP8",
        ),
        pytest.param("llama-3-8b", "V100", {"precision": "bf16"}, "has no BF16", id="BF16 on V100"),
        pytest.param(
            "llama-3-8b", "V100", {"quantization": "fp8"}, "needs compute capability", id="FP8 on V100"
        ),
        pytest.param("llama-3-8b", "MI300X", {"quantization": "nvfp4"}, "no kernels", id="NVFP4 on AMD"),
        pytest.param("llama-3-8b", "T4", {"context_length": 8192}, "exceed", id="weights beyond the card"),
        pytest.param("bge-m3", "L4", {"gpus_per_node": 4}, "encoder", id="an encoder in a pipeline"),
    ],
)
def test_a_layout_that_does_not_fit_says_why(
    name: str, card: str, arguments: dict[str, object], words: str
) -> None:
    report = size_model(model(name), gpu(card), **arguments)  # type: ignore[arg-type]

    assert any(words in item.reason for item in report.layouts if not item.fits)


@pytest.mark.parametrize(
    ("card", "arguments", "words"),
    [
        ("V100", {}, "FP16 is used"),
        ("A100", {"quantization": "fp8"}, "computes in 16 bits"),
    ],
)
def test_what_differs_from_the_publication_is_noted(card: str, arguments: dict[str, str], words: str) -> None:
    report = size_model(model("llama-3-8b"), gpu(card), **arguments)  # type: ignore[arg-type]

    assert any(words in note for note in report.to_dict()["notes"])


def test_a_fast_link_is_asked_for_by_tensor_parallelism() -> None:
    report = size_model(model("llama-3-70b"), gpu("L40S"))
    assert any(
        "slow link" in item.reason for item in report.layouts if item.tensor_parallel > 1 and item.fits
    )


def test_what_fits_nowhere_gets_alternatives_that_fit() -> None:
    assert size_model(model("llama-3.1-405b"), gpu("T4")).recommended is None
    found = alternatives(model("llama-3.1-405b"), gpu("T4"), context_length=8192)
    assert found
    for text in found:
        name = text.partition(":")[0]
        assert size_model(model("llama-3.1-405b"), gpu(name)).recommended is not None


@given(st.sampled_from(sorted(models())), st.sampled_from(sorted(gpus())), st.integers(64, 200_000))
def test_a_longer_context_never_holds_more_sequences(name: str, card: str, context: int) -> None:
    short, long = (
        size_model(model(name), gpu(card), context_length=length).layouts for length in (context, 2 * context)
    )
    for one, two in zip(short, long, strict=True):
        assert one.max_sequences >= two.max_sequences
        assert one.fits or not two.fits
        assert bool(one.reason) or one.fits


@given(st.sampled_from(sorted(models())), st.integers(1, 512))
def test_a_larger_batch_is_never_faster_for_one_request(name: str, batch: int) -> None:
    report = size_model(model(name), gpu("H200"))
    if report.recommended is None:
        return
    speed = speed_of(report, report.recommended)
    assert speed.tpot(batch, 1000).low <= speed.tpot(batch + 1, 1000).low
    assert speed.tpot(batch, 1000).low <= speed.tpot(batch, 1000).high


def test_the_range_holds_what_was_measured_on_a100_and_h100(shared: Path) -> None:
    """Offline batches of Argonne's benchmark (BSD-3, vLLM of 2024): decode and prefill of the whole batch together."""
    rows = list(
        csv.DictReader((shared / "calibration" / "vllm_llama3_a100_h100.csv").read_text().splitlines())
    )
    cards = {"Nvidia A100 GPU": "A100", "Nvidia H100 GPU": "H100"}
    names = {"meta-llama/Meta-Llama-3-8B": "llama-3-8b", "meta-llama/Meta-Llama-3-70B": "llama-3-70b"}
    inside = total = 0
    for row in rows:
        card, name = cards.get(row["Hardware"]), names.get(row["Model"])
        if card is None or name is None:
            continue
        length, batch, ranks = (
            int(row["Input Output Length"]),
            int(row["Batch Size"]),
            int(row["Num of Hardware"]),
        )
        report = size_model(model(name), gpu(card))
        layout = next(
            (item for item in report.layouts if (item.tensor_parallel, item.pipeline_parallel) == (ranks, 1)),
            None,
        )
        if layout is None or not layout.fits:
            continue
        speed = speed_of(report, layout)
        prefill, step = speed.prefill_tokens_per_second(), speed.tpot(batch, length + length // 2)
        low = batch * length / prefill.high + length * step.low
        high = batch * length / prefill.low + length * step.high
        total += 1
        inside += low * 0.9 <= float(row["Latency"]) <= high * 1.1
    assert total > 20
    assert inside / total > 0.7


def test_a_pod_never_asks_for_more_than_its_share_of_the_node() -> None:
    host = host_demand(
        200 * 2**30, gpus_per_pod=4, pods=1, share=0.5, node_millicores=96_000, node_bytes=256 * 2**30
    )

    assert host.memory_bytes <= 128 * 2**30
    assert host.millicores <= 48_000
    assert host.shm_bytes < host.memory_bytes


@pytest.mark.parametrize("kind", list(DeliveryKind))
def test_loading_takes_longer_than_nothing_and_says_what_it_is_made_of(kind: DeliveryKind) -> None:
    assert startup(141e9, kind).seconds > startup(0, kind).seconds > 60
    assert "estimate" in startup(141e9, kind).basis
