"""The JSON Schema agrees with the loader on every example, and stays the same."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.platform.documents import document, problems_of

from stoker.platform.load import load
from stoker.platform.schema import json_schema
from stoker.platform.template import render_template, templates
from stoker.platform.yaml_source import parse

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
VALIDATOR = jsonschema_rs.Draft202012Validator(json_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_every_example_loads_and_fits_the_schema(path: Path) -> None:
    load(path)

    assert VALIDATOR.is_valid(parse(path.read_bytes())[0].data)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_an_example_with_an_unknown_field_does_not_fit(path: Path) -> None:
    data = parse(path.read_bytes())[0].data
    data["models"][0]["unknown"] = 1

    assert not VALIDATOR.is_valid(data)


@pytest.mark.parametrize("name", templates())
def test_every_template_fits_the_schema(name: str) -> None:
    assert VALIDATOR.is_valid(parse(render_template(name))[0].data)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"models.0.engine": "sglang"},
        {"models.0.engine": {"name": "vllm", "args": ["--x"], "env": [{"name": "A", "value": "b"}]}},
        {"models.0.replicas": 3},
        {"models.0.replicas": {"min": 1, "max": 2}},
        {"models.0.parallelism": "auto"},
        {"models.0.parallelism": {"tensor": 2}},
        {"pools.0.cpu": 96, "pools.0.memory": "1152Gi"},
        {"pools.0.maxNodes": None},
        {"tenants": [{"name": "a", "class": "batch", "quota": {"gpus": {"gpu": 3}}}]},
        {"storage": [{"name": "h", "kind": "hub", "credentials": {"name": "s", "key": "k"}}]},
        {"models.0.engine": "vlm"},
        {"models.0.engine": {"name": "vllm", "args": "--x"}},
        {"models.0.replicas": 0},
        {"models.0.replicas": "3"},
        {"models.0.parallelism": "aut"},
        {"models.0.parallelism": {"tensr": 2}},
        {"models.0.slo": {"ttftP95": 2}},
        {"models.0.slo": {"ttftP95": "2 s"}},
        {"pools.0.nodes": True},
        {"pools.0.nodes": "4"},
        {"pools.0.memory": 1.5},
        {"pools.0.spot": "yes"},
        {"cluster": {"version": 1.35}},
        {"cluster": {"version": "1.32"}},
        {"cluster": None},
        {"name": "A"},
        {"models": []},
        {"tenants": [{"name": "a", "workloadClass": "batch"}]},
        {"tenants": [{"name": "a", "quota": {"gpus": -1}}]},
        {"storage": [{"name": "h", "kind": "hub", "server": "x"}]},
        {"storage": [{"name": "h"}]},
        {"cost": {"usdPerGpuHour": {"L4": 0}}},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_schema_and_loader_agree(changes: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(document(changes)) == (problems_of(changes) == ())


def test_the_schema_is_valid_and_the_same_on_every_call() -> None:
    jsonschema_rs.meta.validate(json_schema())

    assert json.dumps(json_schema()) == json.dumps(json_schema())


def test_fields_keep_their_description_default_and_reason() -> None:
    version = json_schema()["$defs"]["Cluster"]["properties"]["version"]

    assert "1.35" == version["default"]
    assert version["x-why"]
    assert version["description"]
    assert "discriminator" not in json.dumps(json_schema())
