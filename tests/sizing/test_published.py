"""The arithmetic against figures that others published: start-up logs, vendors' tables, measurements."""

import pytest

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.sizing.kv import kv_bytes_per_token, sequence_bytes_per_gpu
from stoker.sizing.report import size_model

GIB = 2**30

# (model, quantisation, tensor parallelism, GiB of weights on one GPU, relative tolerance, source)
WEIGHTS = [
    ("llama-3.1-70b", "int8", 1, 67.7229, 0.002, "https://github.com/vllm-project/vllm/pull/12569"),
    ("qwen2.5-14b", "none", 2, 13.9476, 0.02, "https://github.com/vllm-project/vllm/issues/13061"),
    ("qwen3-32b", "none", 1, 61.0, 0.01, "llm-d guides, cold start of Qwen3-32B on one H100"),
    ("gpt-oss-120b", "auto", 1, 60.8, 0.01, "https://arxiv.org/abs/2508.10925, table 1, checkpoint size"),
    ("gpt-oss-20b", "auto", 1, 12.8, 0.01, "https://arxiv.org/abs/2508.10925, table 1, checkpoint size"),
    ("llama-3-70b", "none", 1, 131.4, 0.001, "project facts, 1g"),
]
# (model, tokens, GiB of KV cache, relative tolerance, source)
LLAMA31 = "https://huggingface.co/blog/llama31#inference-memory-requirements"
DEEPSEEK = "https://provide.ai/the-exact-kv-cache-usage-of-deepseek-v4/ (measured with llama.cpp)"
CACHES = [
    ("llama-3.1-8b", 1024, 0.125, 0.001, LLAMA31),
    ("llama-3.1-8b", 16_000, 1.95, 0.005, LLAMA31),
    ("llama-3.1-8b", 128_000, 15.62, 0.001, LLAMA31),
    ("llama-3.1-70b", 1024, 0.313, 0.002, LLAMA31),
    ("llama-3.1-70b", 16_000, 4.88, 0.001, LLAMA31),
    ("llama-3.1-70b", 128_000, 39.06, 0.001, LLAMA31),
    ("deepseek-v3", 131_072, 8.58, 0.001, DEEPSEEK),
    ("deepseek-v3", 163_840, 10.72, 0.001, DEEPSEEK),
    ("deepseek-v2-lite", 32_768, 0.95, 0.005, "https://github.com/vllm-project/vllm/issues/15871"),
    # The blog's row for 405B counts 16 KV heads, the published config has 8 (huggingface/blog issue 2345).
    ("llama-3.1-405b", 128_000, 123.05 / 2, 0.001, LLAMA31),
]


@pytest.mark.parametrize(("name", "quantization", "tensor", "gib", "tolerance", "source"), WEIGHTS)
def test_weights_match_what_was_published(
    name: str, quantization: str, tensor: int, gib: float, tolerance: float, source: str
) -> None:
    report = size_model(model(name), gpu("H200"), quantization=quantization)

    assert gib == pytest.approx(report.weights / GIB / tensor, rel=tolerance), source


@pytest.mark.parametrize(("name", "tokens", "gib", "tolerance", "source"), CACHES)
def test_kv_cache_matches_what_was_published(
    name: str, tokens: int, gib: float, tolerance: float, source: str
) -> None:
    found = kv_bytes_per_token(model(name), 2.0) * tokens / GIB

    assert gib == pytest.approx(found, rel=tolerance), source


@pytest.mark.parametrize(
    ("tensor", "tokens", "sequences"), [(2, 27_000, 3), (4, 485_000, 59), (8, 1_400_000, 171)]
)
def test_the_anchors_of_llama_3_70b_on_a100(tensor: int, tokens: int, sequences: int) -> None:
    report = size_model(model("llama-3-70b"), gpu("A100-SXM-80GB"))
    layout = next(
        item for item in report.layouts if (item.tensor_parallel, item.pipeline_parallel) == (tensor, 1)
    )

    assert tokens == pytest.approx(layout.kv_tokens, rel=0.02)
    assert sequences == layout.max_sequences


def test_one_a100_cannot_hold_it_and_four_are_recommended() -> None:
    report = size_model(model("llama-3-70b"), gpu("A100-SXM-80GB"))
    alone = report.layouts[0]

    assert not alone.fits
    assert "131.4 GiB of weights" in alone.reason
    assert report.recommended is not None
    assert (4, 1) == (report.recommended.tensor_parallel, report.recommended.pipeline_parallel)


def test_four_bit_weights_fit_one_a100_as_the_facts_say() -> None:
    report = size_model(model("llama-3-70b"), gpu("A100-SXM-80GB"), quantization="awq")
    alone = report.layouts[0]

    assert 36 == pytest.approx(alone.weights_gib_per_gpu, rel=0.05)
    assert 110_000 == pytest.approx(alone.kv_tokens, rel=0.05)


def test_kv_heads_are_replicated_where_there_are_more_ranks() -> None:
    architecture = model("qwen2.5-7b")  # 4 KV heads

    by_four, by_seven = (
        sequence_bytes_per_gpu(architecture, 1000, 2.0, tensor=tensor, pipeline=1) for tensor in (4, 7)
    )

    assert by_four == by_seven


def test_windowed_layers_keep_their_window_only() -> None:
    architecture = model("gemma-3-27b")

    long = sequence_bytes_per_gpu(architecture, 100_000, 2.0, tensor=1, pipeline=1)

    assert long < 0.25 * kv_bytes_per_token(architecture, 2.0) * 100_000
