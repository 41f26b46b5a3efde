"""Templates for `stoker init`: a platform file to begin with, from a few answers."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from stoker.errors import InputError, Problem, UnknownNameError
from stoker.platform.base import HostName, Name, ServiceName
from stoker.platform.models import ModelUri
from stoker.platform.positions import shown
from stoker.platform.words import describe
from stoker.platform.yaml_source import is_plain_text

__all__ = ["Question", "questions", "render_template", "templates"]

# What follows an answer without a space is one word with it, and is quoted with it.
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}([\w-]*)")

_DESCRIPTIONS: Final = {
    "minimal": "one model on one kind of GPU node",
    "production": "two tenants: a model that people wait for, and batch work that goes to zero",
    "guide": "48 nodes of A100, a 70B model with a canary, a batch tier, four tenants, alerts",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask before a template can be written.

    Attributes:
        key: name of the answer.
        prompt: what to ask.
        default: answer where none is given.
        fault: what is wrong with an answer, or an empty text.
    """

    key: str
    prompt: str
    default: str
    fault: Callable[[str], str]


def _shape_fault(kind: Any) -> Callable[[str], str]:
    adapter: TypeAdapter[str] = TypeAdapter(kind)

    def fault(answer: str) -> str:
        try:
            adapter.validate_python(answer, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message, wanted, fix = describe(first["type"], dict(first.get("ctx", {})), answer, "")
            return f"{message}: {fix or wanted}"
        return ""

    return fault


def _gpu_fault(answer: str) -> str:
    from stoker.catalog.gpus import gpu

    try:
        gpu(answer)
    except UnknownNameError as error:
        return f"the catalogue has no such GPU: {error.fix}"
    return ""


def _nodes_fault(answer: str) -> str:
    good = re.fullmatch(r"[1-9][0-9]{0,4}", answer) and int(answer) <= 10_000
    return "" if good else "want a whole number from 1 to 10000"


def _short_name_fault(answer: str) -> str:
    # The batch model of the production template is called after it.
    return _shape_fault(ServiceName)(answer) or (
        "" if len(answer) <= 30 else "is too long: at most 30 characters"
    )


_QUESTIONS: Final = {
    "name": ("Name of the platform", "demo", _shape_fault(Name)),
    "gpu": ("GPU type of the nodes (`stoker catalog gpus` lists them)", "L40S", _gpu_fault),
    "nodes": ("Number of GPU nodes", "2", _nodes_fault),
    "modelName": ("Name of the model, as requests will use it", "llama3-8b", _short_name_fault),
    "source": ("Where its weights are", "hf://meta-llama/Llama-3.1-8B-Instruct", _shape_fault(ModelUri)),
    "nfsServer": ("NFS server that holds weights", "nfs.internal", _shape_fault(HostName)),
}


def templates() -> dict[str, str]:
    """Names of the templates, each with what it sets up."""
    return dict(_DESCRIPTIONS)


def questions(template: str) -> tuple[Question, ...]:
    """What to ask for a template, in order.

    Raises:
        UnknownNameError: no template has that name.
    """
    keys = dict.fromkeys(match[1] for match in _PLACEHOLDER.finditer(_text(template)))
    return tuple(Question(key, *_QUESTIONS[key]) for key in keys)


def render_template(name: str, answers: Mapping[str, str] | None = None) -> str:
    """The text of a platform file. Answers that are left out take their defaults.

    Raises:
        UnknownNameError: no template has that name.
        InputError: every answer that cannot be taken.
    """
    given = dict(answers or {})
    asked = {question.key: question for question in questions(name)}
    problems = list(_faults(asked, given))
    if problems:
        raise InputError(problems)
    values = {key: given.get(key, question.default) for key, question in asked.items()}
    return _PLACEHOLDER.sub(lambda match: _scalar(match[1], values[match[1]] + match[2]), _text(name))


def _faults(asked: Mapping[str, Question], given: Mapping[str, str]) -> Iterator[Problem]:
    for key, answer in given.items():
        if key not in asked:
            known = ", ".join(asked) or "this template asks nothing"
            yield Problem("the template does not ask this", path=key, wanted=known)
        elif fault := asked[key].fault(answer):
            yield Problem(fault, path=key, found=shown(answer))


def _scalar(key: str, value: str) -> str:
    # A model may be called 70b, 405 or true; only the last two need quotes.
    return value if key == "nodes" or is_plain_text(value) else json.dumps(value)


def _text(name: str) -> str:
    if name not in _DESCRIPTIONS:
        raise UnknownNameError("template", name, _DESCRIPTIONS)
    return (files("stoker.platform") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
