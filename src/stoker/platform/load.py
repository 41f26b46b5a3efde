"""Loading the platform file: text to a typed document, or every problem of it at once.

    text ─► yaml_source (data with places) ─► pydantic (shape) ─► check (rules across fields) ─► Platform

Each problem carries file, line, column and the field path as the user writes it. A check across fields needs a document
of the right shape, so it runs where the shape is right.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from stoker.errors import InputError, Problem
from stoker.platform import yaml_source
from stoker.platform.check import check
from stoker.platform.document import Platform
from stoker.platform.fields import fields_of, is_duration, section_at
from stoker.platform.positions import Path, Source, field_path, shown
from stoker.platform.words import DURATION_WORDS, describe, did_you_mean, one_of

__all__ = ["Document", "load", "load_document", "loads"]

_MOST_PROBLEMS: Final = 200
_OBJECT_ERRORS: Final = frozenset(("model_type", "model_attributes_type", "dict_type"))
_MISSING: Final = object()


@dataclass(frozen=True)
class Document:
    """A platform file that was read: the typed document and where its fields stand in the text."""

    platform: Platform
    file: str
    source: Source = field(repr=False)

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return {field_path(path): path for path in self.source.values}

    def locate(self, path: str) -> tuple[int, int]:
        """1-based line and column of a field path such as ``models[0].engine.version``.

        A field that is not written stands where the section around it does; (0, 0) where nothing is known.
        """
        near = path
        while near and near not in self._paths:
            near = near[: max(near.rfind("."), near.rfind("["), 0)]
        return self.source.at(self._paths.get(near, ()), key=near != path)


def load(path: FilePath | str) -> Platform:
    """Read a platform file.

    Raises:
        InputError: every problem of the file, each with its line.
    """
    return load_document(FilePath(path), file=str(path)).platform


def loads(text: str | bytes, *, file: str = "") -> Platform:
    """Read a platform file from its text; ``file`` is the name in messages.

    Raises:
        InputError: every problem of the text, each with its line.
    """
    return load_document(text, file=file).platform


def load_document(source: FilePath | str | bytes, *, file: str = "") -> Document:
    """Read a platform file from a path, or from its text as `str` or `bytes`, and keep the places of its fields.

    Raises:
        InputError: every problem of the file, each with its line.
    """
    text = yaml_source.read_bytes(source) if isinstance(source, FilePath) else source
    parsed, problems = yaml_source.parse(text, file=file)
    if not isinstance(parsed.data, dict):
        line, column = parsed.at(())
        problem = Problem(
            "is not a platform file",
            file=file,
            line=line,
            column=column,
            found=shown(parsed.data),
            wanted="an object that begins with name, pools and models",
            fix="`stoker init` writes one",
        )
        raise InputError([*problems, problem])
    try:
        # JSON mode with strict types: what YAML reads as a text stays a text, exactly as the JSON Schema says.
        platform = Platform.model_validate_json(
            json.dumps(parsed.data), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        problems += _shape_problems(error, parsed)
        raise InputError(_in_order(problems)) from None
    problems += check(platform, parsed)
    if problems:
        raise InputError(_in_order(problems))
    return Document(platform, file, parsed)


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column))


@dataclass(frozen=True, slots=True)
class _Fault:
    """A pydantic error with its place in the user's data instead of in the models."""

    kind: str
    path: Path
    labels: tuple[str, ...]  # parts of pydantic's location that name union branches, not data
    context: dict[str, Any]
    value: Any


def _shape_problems(error: ValidationError, source: Source) -> list[Problem]:
    details = error.errors(include_url=False, include_input=False)
    faults = [_fault(item, source.data) for item in details]
    faults = _meant(faults)
    unknown: dict[Path, list[str]] = {}
    for fault in faults:
        if fault.kind == "extra_forbidden":
            unknown.setdefault(fault.path[:-1], []).append(str(fault.path[-1]))
    problems: list[Problem] = []
    for fault in faults:
        if any(fault.path[:length] in source.unread for length in range(len(fault.path) + 1)):
            continue
        if fault.kind == "missing" and _misspelt(fault, unknown, source):
            continue
        if len(problems) == _MOST_PROBLEMS:
            rest = len(faults) - _MOST_PROBLEMS
            problems.append(Problem(f"{rest} more problems are not shown", file=source.file))
            break
        problems.append(_problem(fault, source))
    # Where everything was put down to something reported before, there is still something wrong with the file.
    return problems


def _fault(item: ErrorDetails, data: Any) -> _Fault:
    path: list[str | int] = []
    labels: list[str] = []
    location = item["loc"]
    for index, part in enumerate(location):
        inside = _get(data, part)
        if inside is not _MISSING:
            path.append(part)
            data = inside
        elif item["type"] == "missing" and index == len(location) - 1 and isinstance(data, dict):
            path.append(part)
            data = _MISSING
        else:
            labels.append(str(part))
    if labels and labels[-1] == "[key]" and path:
        data = path[-1]
    return _Fault(item["type"], tuple(path), tuple(labels), dict(item.get("ctx", {})), data)


def _get(data: Any, part: str | int) -> Any:
    if isinstance(data, dict) and isinstance(part, str):
        return data.get(part, _MISSING)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return _MISSING


def _meant(faults: list[_Fault]) -> list[_Fault]:
    """Without the noise: branches of a union that the user did not mean, and echoes of another error."""
    inside = Counter(fault.path[:length] for fault in faults for length in range(len(fault.path) + 1))
    failed = {fault.path[:length] for fault in faults for length in range(len(fault.path))}
    kept: dict[tuple[Path, str], _Fault] = {}
    for fault in faults:
        if fault.kind == "too_short" and fault.path in failed:
            continue  # pydantic counts the items that passed; one that failed is no missing item
        if fault.labels and fault.labels[-1] != "[key]" and fault.kind in _BRANCH_ERRORS:
            is_object = isinstance(fault.value, dict)
            says_object = fault.kind in _OBJECT_ERRORS
            # `parallelism: {tensr: 2}`: that it is not the word `auto` says nothing.
            if is_object != says_object and (is_object or says_object) and inside[fault.path] > 1:
                continue
            kept.setdefault((fault.path, "branch"), fault)
            continue
        kept[(fault.path, f"{fault.kind}{fault.labels[-1:]}")] = fault
    return list(kept.values())


_BRANCH_ERRORS: Final = _OBJECT_ERRORS | {"literal_error", "int_type", "int_from_float", "string_type"}


def _misspelt(fault: _Fault, unknown: dict[Path, list[str]], source: Source) -> bool:
    """Whether the field that is missing stands there under a wrong name, which is reported by itself."""
    section_path, name = fault.path[:-1], str(fault.path[-1])
    # A dozen keys are enough to look at: comparing spellings is what costs in a hostile file.
    keys = unknown.get(section_path, [])[:12]
    section = section_at(section_path, source.data) if keys else None
    return section is not None and any(f"`{name}`" in _suggestion(key, section) for key in keys)


def _suggestion(key: str, section: Any) -> str:
    known = list(fields_of(section))
    by_python_name = {name: info.alias or name for name, info in section.model_fields.items()}
    if key in by_python_name:
        return f"write it as `{by_python_name[key]}`: fields are in camelCase"
    if len(key) <= 64 and (camel := to_camel(key.replace("-", "_"))) in by_python_name.values():
        return f"write it as `{camel}`: fields are in camelCase"
    return did_you_mean(key, known)


def _problem(fault: _Fault, source: Source) -> Problem:
    if fault.kind == "extra_forbidden":
        return _unknown_field(fault, source)
    if fault.kind == "missing":
        return _missing_field(fault, source)
    if fault.kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _unknown_kind(fault, source)
    raw = source.raw.get(fault.path, "")
    message, wanted, fix = describe(fault.kind, fault.context, fault.value, raw)
    is_key = fault.labels[-1:] == ("[key]",)
    union = _UNIONS.get(str(fault.path[-1])) if fault.path else None
    if union and not is_key and fault.kind in _BRANCH_ERRORS | {"enum"}:
        wanted = union
    if fault.kind == "string_type" and raw and _is_duration(fault.path, source):
        wanted, fix = DURATION_WORDS, f"name the unit: `{raw}s` or `{raw}ms`" if len(raw) < 12 else ""
    line, column = source.at(fault.path, key=is_key or fault.value is None)
    return Problem(
        f"the key {message}" if is_key else message,
        field_path(fault.path),
        source.file,
        line,
        column,
        raw or shown(fault.value),
        wanted,
        fix,
    )


def _is_duration(path: Path, source: Source) -> bool:
    section = section_at(path[:-1], source.data)
    info = fields_of(section).get(str(path[-1])) if section is not None else None
    return info is not None and is_duration(info)


# What a field takes that has a short and a long form.
_UNIONS: Final = {
    "parallelism": "auto, or an object with tensor, pipeline and data",
    "gpus": "a whole number, or an object of pool names with whole numbers",
    "replicas": "a whole number, or an object with min and max",
    "engine": "vllm, sglang, tgi, triton, huggingface or custom, or an object with name, version, image, args, env and port",
}


def _unknown_field(fault: _Fault, source: Source) -> Problem:
    name = str(fault.path[-1])
    section = section_at(fault.path[:-1], source.data)
    known = [] if section is None else list(fields_of(section))
    line, column = source.at(fault.path, key=True)
    where = field_path(fault.path[:-1]) or "a platform file"
    return Problem(
        f"{shown(name)} is no field of {where}",
        field_path(fault.path),
        source.file,
        line,
        column,
        wanted=one_of(known) if known else "",
        fix=_suggestion(name, section) if section else "",
    )


def _missing_field(fault: _Fault, source: Source) -> Problem:
    section_path, name = fault.path[:-1], str(fault.path[-1])
    section = section_at(section_path, source.data)
    info = fields_of(section).get(name) if section is not None else None
    line, column = source.at(section_path, key=True)
    example = f": {info.examples[0]}" if info and info.examples else ": …"
    return Problem(
        f"`{name}` is missing",
        field_path(fault.path),
        source.file,
        line,
        column,
        wanted=(info.description or "") if info else "",
        fix=f"add `{name}{example}`",
    )


def _unknown_kind(fault: _Fault, source: Source) -> Problem:
    line, column = source.at((*fault.path, "kind"))
    kinds = ["nfs", "csi", "nvme", "object-store", "oci", "hub"]
    found = fault.value.get("kind", _MISSING) if isinstance(fault.value, dict) else _MISSING
    given = found is not _MISSING
    return Problem(
        "is not one of the allowed values" if given else "`kind` is missing",
        field_path((*fault.path, "kind")),
        source.file,
        line,
        column,
        shown(found) if given else "",
        one_of(kinds),
        did_you_mean(found, kinds) if isinstance(found, str) else "add `kind`",
    )
