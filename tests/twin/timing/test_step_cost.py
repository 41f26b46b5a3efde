"""What the step times of any model on any GPU must obey, measured or not."""

import itertools
from dataclasses import fields, replace

import pytest

from stoker.catalog.gpus import gpu, gpus
from stoker.catalog.models import Attention, model, models
from stoker.twin.engine.timing import StepCost, step_cost
from stoker.twin.engine.timing.figures import Figures, calibration, figures_for

LEVELS = ("families", "gpus", "formats", "models", "pairs", "releases")


def at(cost: StepCost, tokens: int, *, mixed: bool = False) -> float:
    seconds = cost.mixed_seconds if mixed else cost.knot_seconds
    assert seconds is not None
    return seconds[cost.knot_tokens.index(tokens)]


def test_every_generating_model_has_positive_growing_step_times_on_every_gpu() -> None:
    generating = [each for each in models().values() if each.attention is not Attention.NONE]
    for architecture, kind in itertools.product(generating, gpus().values()):
        cost = step_cost(architecture, kind, tensor=2)
        assert cost.knot_seconds[0] > 0
        assert list(cost.knot_seconds) == sorted(cost.knot_seconds)
        assert cost.mixed_seconds is not None
        assert all(mixed > plain for mixed, plain in zip(cost.mixed_seconds, cost.knot_seconds, strict=True))
        assert min(cost.kv_read_s, cost.prefill_pair_s, cost.decode_seq_s, cost.arrival_s) > 0


def test_one_sequence_of_a_dense_model_takes_no_less_than_reading_its_weights() -> None:
    architecture, kind = model("llama-3.1-8b"), gpu("H100")
    weights = (architecture.parameters - architecture.vocab_size * architecture.hidden_size) * 2
    least = weights / (kind.bandwidth_gb_s * 1e9)

    assert least < at(step_cost(architecture, kind, quantization="none"), 1) < 2.5 * least


def test_a_prompt_takes_no_less_than_its_arithmetic() -> None:
    architecture, kind = model("llama-3.1-70b"), gpu("H100")
    flops = 2 * (architecture.parameters - 2 * architecture.vocab_size * architecture.hidden_size) * 8192
    least = flops / (4 * kind.tflops["bf16"] * 1e12)

    assert (
        least < at(step_cost(architecture, kind, tensor=4, quantization="none"), 8192, mixed=True) < 2 * least
    )


def test_a_mixture_reads_the_experts_that_its_tokens_touch() -> None:
    """Few tokens touch few experts: doubling them costs more than a dense model of the same active size would."""
    mixture = step_cost(model("minimax-m2.5"), gpu("H200"), tensor=8, quantization="fp8")
    dense = step_cost(model("llama-3.1-70b"), gpu("H200"), tensor=8, quantization="fp8")

    assert at(mixture, 32) / at(mixture, 4) > 1.4
    assert at(dense, 32) / at(dense, 4) < 1.1


@pytest.mark.parametrize("tensor", [2, 4, 8])
def test_more_ranks_make_a_large_step_shorter_but_less_than_in_proportion(tensor: int) -> None:
    architecture, kind = model("llama-3.1-70b"), gpu("H200")
    whole = at(step_cost(architecture, kind, quantization="fp8"), 8192)
    split = at(step_cost(architecture, kind, tensor=tensor, quantization="fp8"), 8192)

    assert whole / tensor < split < whole


def test_a_cache_in_eight_bits_is_read_in_half_the_time() -> None:
    wide = step_cost(model("llama-3.1-70b"), gpu("H200"))
    narrow = step_cost(model("llama-3.1-70b"), gpu("H200"), kv_dtype="fp8")

    assert narrow.kv_read_s == pytest.approx(wide.kv_read_s / 2)


def test_pipeline_stages_share_attention_and_the_batch() -> None:
    whole = step_cost(model("llama-3.1-70b"), gpu("H200"), quantization="fp8")
    staged = step_cost(model("llama-3.1-70b"), gpu("H200"), quantization="fp8", pipeline=2)

    assert staged.kv_read_s == pytest.approx(whole.kv_read_s / 2)
    assert at(staged, 8192) == pytest.approx(at(whole, 4096))


def test_data_parallel_ranks_share_decodes_but_wait_for_the_one_with_a_prompt() -> None:
    one = step_cost(model("minimax-m2.5"), gpu("B300"), quantization="nvfp4")
    four = step_cost(model("minimax-m2.5"), gpu("B300"), quantization="nvfp4", data=4, expert_parallel=True)

    assert four.kv_read_s == pytest.approx(one.kv_read_s / 4)
    assert one.prefill_pair_s / 4 < four.prefill_pair_s < one.prefill_pair_s
    assert at(one, 8192, mixed=True) - at(one, 1, mixed=True) == pytest.approx(at(one, 8192) - at(one, 1))
    assert at(four, 8192, mixed=True) - at(four, 1, mixed=True) > 1.005 * (at(four, 8192) - at(four, 1))


def test_a_release_from_before_asynchronous_scheduling_has_its_own_figures() -> None:
    newest = figures_for(model("qwen3-32b"), gpu("H100"), "none")

    assert figures_for(model("qwen3-32b"), gpu("H100"), "none", "0.19.0") == newest
    assert figures_for(model("qwen3-32b"), gpu("H100"), "none", "0.12.0") != newest


@pytest.mark.parametrize(
    ("name", "kind", "quantization", "provenance"),
    [
        ("llama-3.1-70b", "H100", "fp8", "measured"),
        ("llama-3.1-70b", "H100", "none", "interpolated"),
        ("phi-4", "H100", "auto", "interpolated"),
        ("llama-3-8b", "L4", "auto", "extrapolated"),
    ],
)
def test_provenance_says_what_was_measured(name: str, kind: str, quantization: str, provenance: str) -> None:
    assert step_cost(model(name), gpu(kind), quantization=quantization).provenance == provenance


def test_weight_only_formats_of_four_bits_share_their_figures() -> None:
    awq = figures_for(model("llama-3.1-70b"), gpu("H200"), "awq")

    assert awq == figures_for(model("llama-3.1-70b"), gpu("H200"), "gptq")


def test_figures_can_be_given_instead_of_the_calibrations() -> None:
    architecture, kind = model("llama-3.1-8b"), gpu("H100")
    figures = figures_for(architecture, kind, "none")
    slower = replace(figures, host_s=figures.host_s + 1.0)

    assert at(step_cost(architecture, kind, quantization="none", figures=slower), 1) == pytest.approx(
        at(step_cost(architecture, kind, quantization="none"), 1) + 1.0
    )


def test_the_data_file_names_only_known_figures_gpus_and_models() -> None:
    data = calibration()
    known = {field.name for field in fields(Figures)} - {"provenance"}

    assert set(data["general"]) == known
    assert set(data) == {"measured", "general", *LEVELS}
    for level in LEVELS:
        for factors in data[level].values():
            assert set(factors) <= known
            assert all(factor > 0 for factor in factors.values())
    assert set(data["models"]) <= set(models())
    assert set(data["gpus"]) <= set(gpus())
    for pair in (*data["measured"], *data["pairs"]):
        name, kind, _ = pair.split("/")
        assert (name in models(), kind in gpus()) == (True, True)
