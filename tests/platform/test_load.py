"""Loading from paths and texts, and finding a field's line again afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.platform.documents import SMALL

from stoker.errors import InputError
from stoker.platform.base import Duration, Quantity
from stoker.platform.load import load, load_document, loads
from stoker.platform.schema import json_schema
from stoker.platform.words import PATTERNS

TEXT = (
    "name: demo\npools:\n  - name: gpu\n    gpu: A100-SXM-80GB\n    nodes: 4\n    labels: {example.com/team: a}\n"
    "models:\n  - name: llama\n    source: hf://meta-llama/Llama-3.1-8B-Instruct\n"
)


def test_a_path_a_text_and_bytes_give_the_same_document(tmp_path: Path) -> None:
    path = tmp_path / "platform.yaml"
    path.write_text(TEXT, encoding="utf-8")

    assert (
        loads(TEXT) == load(path) == load(str(path)) == loads(TEXT.encode()) == load_document(path).platform
    )


def test_windows_line_ends_change_nothing() -> None:
    assert loads(TEXT) == loads(TEXT.replace("\n", "\r\n"))


def test_a_path_is_named_in_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "platform.yaml"
    path.write_text("a: 1\n", encoding="utf-8")

    with pytest.raises(InputError) as refused:
        load(path)

    assert {str(path)} == {problem.file for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pools[0].nodes", (5, 12)),
        ('pools[0].labels["example.com/team"]', (6, 32)),
        ("models[0].parallelism", (8, 5)),
        ("models[0].slo.ttftP95", (8, 5)),
        ("models[7]", (7, 1)),
        ("serving.mode", (1, 1)),
        ("", (1, 1)),
        ("]][[..", (1, 1)),
    ],
)
def test_a_document_finds_the_place_of_a_field_or_of_the_section_around_it(
    path: str, expected: tuple[int, int]
) -> None:
    assert expected == load_document(TEXT).locate(path)


def test_short_forms_become_sections() -> None:
    data = json.loads(json.dumps(SMALL))
    data["models"][0] |= {"engine": "sglang", "replicas": 3}
    model = loads(json.dumps(data)).models[0]

    assert "sglang" == model.engine.name
    assert model.replicas is not None
    assert (3, 3) == (model.replicas.min, model.replicas.max)


def test_every_pattern_of_the_models_has_words() -> None:
    def patterns(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str):
                yield node["pattern"]
            yield from (found for value in node.values() for found in patterns(value))
            yield from node.get("patternProperties", ())
        elif isinstance(node, list):
            yield from (found for value in node for found in patterns(value))

    def own(kind: Any) -> set[str]:
        return set(patterns(_schema_of(kind)))

    # Durations and quantities carry words of their own.
    assert set(PATTERNS) == set(patterns(json_schema())) - own(Duration) - own(Quantity)


def _schema_of(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind).json_schema()
