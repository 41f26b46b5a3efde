"""What `stoker init` writes loads, whatever the answers."""

from pathlib import Path

import pytest

from stoker.errors import InputError, UnknownNameError
from stoker.platform.load import loads
from stoker.platform.template import questions, render_template, templates


@pytest.mark.parametrize("name", templates())
def test_a_template_loads_with_its_default_answers(name: str) -> None:
    assert loads(render_template(name)).models


def test_the_minimal_file_is_under_twenty_lines() -> None:
    assert len(render_template("minimal").splitlines()) < 20


def test_the_guide_template_is_the_example() -> None:
    example = Path(__file__).parents[2] / "examples" / "guide.yaml"

    assert example.read_text(encoding="utf-8") == render_template("guide")


@pytest.mark.parametrize("name", ["405", "true", "null", "1e3", "on", "0x10", "a-b"])
def test_a_name_that_yaml_would_read_as_something_else_stays_a_name(name: str) -> None:
    # A Service is named after the model, and begins with a letter.
    model_name = name if name[0].isalpha() else "m"
    platform = loads(render_template("production", {"name": name, "modelName": model_name}))

    assert name == platform.name
    assert [model_name, f"{model_name}-batch"] == [model.name for model in platform.models]


def test_answers_are_checked_all_at_once() -> None:
    with pytest.raises(InputError) as refused:
        render_template(
            "minimal", {"name": "A b", "gpu": "A1000000", "nodes": "0", "source": "x\ny", "colour": "red"}
        )

    assert ["name", "gpu", "nodes", "source", "colour"] == [
        problem.path for problem in refused.value.problems
    ]


def test_questions_have_defaults_that_pass_their_own_check() -> None:
    for template in templates():
        assert all(question.fault(question.default) == "" for question in questions(template))


def test_an_unknown_template_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as refused:
        render_template("minimum")

    assert ["minimal"] == refused.value.suggestions
