"""config.json files as people have them, and as nobody should."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.catalog._load import read_data
from stoker.catalog.hf_config import from_hf_config, load_model_folder
from stoker.errors import InputError

LLAMA: dict[str, Any] = read_data("models.yaml")["llama-3-8b"]["config"]


def folder(path: Path, config: object, **files: str) -> Path:
    (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


def test_a_folder_gives_the_architecture_and_the_bytes_of_its_index(tmp_path: Path) -> None:
    index = json.dumps({"metadata": {"total_size": 16060522496}})
    path = folder(tmp_path, LLAMA)
    (path / "model.safetensors.index.json").write_text(index)

    found = load_model_folder(path)

    assert (8030261248, 16060522496) == (found.parameters, found.weight_bytes)


def test_without_an_index_the_files_are_weighed(tmp_path: Path) -> None:
    path = folder(tmp_path, LLAMA)
    (path / "a.safetensors").write_bytes(b"12345")

    assert load_model_folder(path).weight_bytes == 5


def test_a_multimodal_config_is_read_by_its_text_part() -> None:
    nested = {
        "model_type": "gemma3",
        "text_config": {**LLAMA, "model_type": "gemma3_text", "sliding_window": 1024},
    }

    found = from_hf_config(nested, name="x")

    assert found.family == "gemma3_text"
    assert found.sliding_layers == 32 - 32 // 6


@pytest.mark.parametrize(
    ("quantization", "dtype"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "gptq"}, "gptq"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"type": "float"}}}},
            "fp8",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"type": "int"}}}},
            "int8",
        ),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
    ],
    ids=str,
)
def test_a_quantised_config_says_its_width(quantization: dict[str, Any], dtype: str) -> None:
    assert dtype == from_hf_config({**LLAMA, "quantization_config": quantization}, name="x").dtype


def test_an_unknown_family_is_read_as_a_decoder_and_says_so() -> None:
    found = from_hf_config({**LLAMA, "model_type": "brandnew"}, name="x")

    assert found.parameters == 8030261248
    assert "brandnew" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 1.5}, "num_hidden_layers"),
        ({"vocab_size": []}, "vocab_size"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"model_type": None}, "model_type"),
        ({"model_type": 7}, "model_type"),
        ({"kv_lora_rank": "x"}, "kv_lora_rank"),
        ({"num_local_experts": -8}, "num_local_experts"),
    ],
    ids=str,
)
def test_a_field_that_cannot_be_used_is_named(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as caught:
        from_hf_config({**LLAMA, **change}, name="x", file="config.json")
    assert path in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"hidden_size": NaN}',
        '{"a": 1e999}x',
        "[" * 100_000,
        "\udcff",
        '{"model_type": "llama"}',
    ],
    ids=["empty", "a list", "null", "cut off", "NaN", "rest", "nested deep", "not utf-8", "no sizes"],
)
def test_a_file_that_is_no_config_is_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError):
        load_model_folder(tmp_path)


def test_a_folder_without_a_config_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        load_model_folder(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*LLAMA, "text_config", "layer_types", "kv_lora_rank", "num_experts"]), JSON
    )
)
def test_no_config_ends_in_anything_but_an_architecture_or_an_input_error(changes: dict[str, Any]) -> None:
    try:
        found = from_hf_config({**LLAMA, **changes}, name="x")
    except InputError:
        return
    assert found.parameters > 0
