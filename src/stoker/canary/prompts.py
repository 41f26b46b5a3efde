r"""The user's prompt set: YAML or JSON Lines, every mistake with its line.

    embeddings: {url: http://embedder.tools:8000, model: bge-m3}      # where a prompt compares by meaning
    judge: {command: [./judge.py, --strict]}                           # or {url: …, model: …}
    prompts:
      - {prompt: "What is 17 + 4? Answer with the number.", expect: {regex: "\\b21\\b"}}
      - {prompt: "Say yes.", expect: {exact: "Yes"}}
      - prompt: "What does the fox do?"
        expect: {embedding: {reference: "The fox jumps over the dog.", least: 0.8}}
      - prompt: "Explain DNS to a child."
        maxTokens: 128
        expect: {judge: "Correct, and free of jargon."}

JSON Lines have one prompt a line; a line with ``embeddings`` or ``judge`` and no prompt says where those are.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from stoker.errors import InputError, Problem
from stoker.platform import yaml_source
from stoker.platform.positions import Source, field_path

__all__ = ["DEFAULT", "Embedding", "Endpoint", "Expectation", "Judge", "Prompt", "PromptSet", "read_prompts"]

_MOST_BYTES: Final = 16 << 20
_MOST_PROBLEMS: Final = 50
Text = Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=512)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=False, strict=True
    )


class Endpoint(_Section):
    """An OpenAI-compatible server: ``url`` before ``/v1``."""

    url: Url
    model: Text


class Judge(_Section):
    """Who judges answers: a program with its arguments, or a model."""

    command: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None
    url: Url | None = None
    model: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> "Judge":
        if (self.command is None) == (self.url is None) or (self.url is None) != (self.model is None):
            raise ValueError("want either `command`, or `url` and `model`")
        return self


class Embedding(_Section):
    """Near enough in meaning: cosine of the two embeddings."""

    reference: Text
    least: Annotated[float, Field(gt=0, le=1)] = 0.85


class Expectation(_Section):
    """What an answer must be: exactly this (spaces around it apart), matching, near in meaning, or good to a judge."""

    exact: Text | None = None
    regex: Text | None = None
    embedding: Embedding | None = None
    judge: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> "Expectation":
        given = [one for one in (self.exact, self.regex, self.embedding, self.judge) if one is not None]
        if len(given) != 1:
            raise ValueError("want one of `exact`, `regex`, `embedding`, `judge`")
        if self.regex is not None:
            import re

            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"`regex` is no regular expression: {error}") from error
        return self


class Message(_Section):
    """One turn of a conversation."""

    role: Annotated[str, StringConstraints(pattern=r"^(system|user|assistant)$")]
    content: Text


class Prompt(_Section):
    """One prompt: a text, or a conversation; what its answer must be, where that is known."""

    prompt: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=64)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] = 64
    expect: Expectation | None = None

    @model_validator(mode="after")
    def _one(self) -> "Prompt":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("want either `prompt` or `messages`")
        return self

    @property
    def conversation(self) -> list[dict[str, str]]:
        """As the OpenAI API takes it."""
        if self.messages is not None:
            return [{"role": one.role, "content": one.content} for one in self.messages]
        return [{"role": "user", "content": self.prompt or ""}]


class PromptSet(_Section):
    """Everything of a file."""

    prompts: Annotated[list[Prompt], Field(min_length=1, max_length=100_000)]
    embeddings: Endpoint | None = None
    judge: Judge | None = None

    @model_validator(mode="after")
    def _complete(self) -> "PromptSet":
        expected = [one.expect for one in self.prompts if one.expect]
        if self.embeddings is None and any(one.embedding for one in expected):
            raise ValueError("a prompt compares by embedding: want `embeddings: {url, model}`")
        if self.judge is None and any(one.judge for one in expected):
            raise ValueError("a prompt wants a judge: want `judge: {command}` or `judge: {url, model}`")
        return self

    @property
    def digest(self) -> str:
        """The same for the same prompts and expectations, wherever the file lies."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def has_quality(self) -> bool:
        """Whether any answer can be right or wrong."""
        return any(one.expect for one in self.prompts)


DEFAULT: Final = PromptSet(
    prompts=[
        Prompt(prompt=text, maxTokens=tokens)
        for text, tokens in (
            ("Write one sentence about the sea.", 32),
            ("List the first ten prime numbers, separated by commas.", 48),
            ("Explain in three sentences what a load balancer does.", 96),
            ("Summarise: " + "The quick brown fox jumps over the lazy dog. " * 20, 48),
            ("Translate into French: Where is the nearest station, and when does the next train leave?", 48),
        )
    ]
)
"""For latency and errors where the user gives no prompts."""


def read_prompts(path: Path) -> PromptSet:
    """Read a prompt set.

    Raises:
        InputError: the file cannot be read, or every mistake in it with its line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError([Problem("is larger than 16 MiB", file=str(path))])
        if path.suffix == ".jsonl":
            return _read_lines(path.read_text(encoding="utf-8"), str(path))
        data = path.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Problem(f"cannot be read: {error}", file=str(path))]) from error
    source, problems = yaml_source.parse(data, file=str(path))
    if problems:
        raise InputError(problems)
    try:
        return PromptSet.model_validate_json(json.dumps(source.data))
    except ValidationError as error:
        raise InputError(_placed(error, source, str(path))) from error


def _placed(error: ValidationError, source: Source, file: str) -> list[Problem]:
    found = []
    for item in error.errors(include_url=False, include_input=False)[:_MOST_PROBLEMS]:
        path = tuple(item["loc"])
        near = path
        while near and near not in source.values:
            near = near[:-1]
        line, column = source.at(near, key=near != path)
        found.append(Problem(_words(item["msg"]), field_path(path), file, line, column))
    return found


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def _read_lines(text: str, file: str) -> PromptSet:
    whole: dict[str, Any] = {"prompts": []}
    lines: list[int] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            problems.append(Problem(f"is no JSON: {error}", file=file, line=number, column=1))
            continue
        if isinstance(entry, dict) and entry.keys() <= {"embeddings", "judge"} and entry:
            whole |= entry
            continue
        whole["prompts"].append(entry)
        lines.append(number)
    try:
        found = PromptSet.model_validate_json(json.dumps(whole))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False)[:_MOST_PROBLEMS]:
            path = item["loc"]
            inside = len(path) > 1 and path[0] == "prompts" and isinstance(path[1], int)
            place = lines[int(path[1])] if inside else 0
            problems.append(
                Problem(
                    _words(item["msg"]),
                    field_path(path[2:] if inside else path),
                    file,
                    place,
                    1 if place else 0,
                )
            )
    if problems:
        raise InputError(sorted(problems, key=lambda one: one.line))
    return found
