"""Built-in models: counted parameters against published ones, and names in the spellings people use."""

import pytest

from stoker.catalog._load import read_data
from stoker.catalog.models import Attention, model, models
from stoker.errors import UnknownNameError

RAW = read_data("models.yaml")


def test_there_are_at_least_twenty_five_models_each_with_a_source() -> None:
    assert len(models()) >= 25
    assert all(item.source.startswith("https://") for item in models().values())


@pytest.mark.parametrize("name", RAW)
def test_counted_parameters_match_the_published_total(name: str) -> None:
    published = RAW[name]["published_parameters"]

    assert published == pytest.approx(models()[name].parameters, rel=0.01)


@pytest.mark.parametrize("name", [name for name, entry in RAW.items() if "published_active" in entry])
def test_active_parameters_match_the_published_figure(name: str) -> None:
    # Cards round to the billion, and some leave the embeddings out (gpt-oss: 0.6 B each way).
    architecture = models()[name]
    embeddings = 2 * architecture.vocab_size * architecture.hidden_size
    low, high = architecture.active_parameters - embeddings, architecture.active_parameters

    assert low * 0.95 <= RAW[name]["published_active"] <= high * 1.05


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("llama-3-70b", "llama-3-70b"),
        ("llama3_70b", "llama-3-70b"),
        ("LLAMA3-70B", "llama-3-70b"),
        ("meta-llama/Meta-Llama-3-70B-Instruct", "llama-3-70b"),
        ("Llama-3.3-70B-Instruct", "llama-3.3-70b"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b"),
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b-fp8"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
    ],
)
def test_a_model_is_found_in_any_spelling(spelling: str, name: str) -> None:
    assert name == model(spelling).name


def test_no_two_models_answer_to_one_spelling() -> None:
    for name, architecture in models().items():
        assert [name] * len(architecture.hf_ids) == [model(hf).name for hf in architecture.hf_ids]


def test_a_name_that_is_nearly_right_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError) as caught:
        model("llama-3-7b")
    assert "llama-3-70b" in caught.value.suggestions


@pytest.mark.parametrize(
    ("name", "kind", "windowed"),
    [
        ("llama-3-70b", Attention.GQA, 0),
        ("phi-3-mini", Attention.MHA, 32),
        ("deepseek-v3", Attention.MLA, 0),
        ("gpt-oss-120b", Attention.GQA, 18),
        ("gemma-3-27b", Attention.GQA, 52),
        ("bge-m3", Attention.NONE, 0),
    ],
)
def test_what_the_kv_cache_depends_on(name: str, kind: Attention, windowed: int) -> None:
    architecture = models()[name]

    assert (kind, windowed) == (architecture.attention, architecture.sliding_layers)
