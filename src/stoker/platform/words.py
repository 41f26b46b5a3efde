"""What pydantic finds, in words that a person who wrote a YAML file can act on."""

import re
from collections.abc import Callable
from typing import Any, Final

from stoker.errors import nearest
from stoker.platform.positions import shown

__all__ = ["DURATION_WORDS", "PATTERNS", "describe", "did_you_mean", "one_of"]

# Words for every pattern of the models; a test keeps the two in step.
_LABEL_WORDS: Final = "lower-case letters, digits and '-', beginning and ending with a letter or a digit"
_SERVICE_WORDS: Final = (
    "lower-case letters, digits and '-', beginning with a letter and ending with a letter or a digit"
)
PATTERNS: Final = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": _LABEL_WORDS,
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$": _SERVICE_WORDS,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": f"{_LABEL_WORDS}; parts separated by dots",
    r"^[-._a-zA-Z0-9]+$": "letters, digits, '-', '_' and '.'",
    r"^[A-Za-z0-9._-]+$": "letters, digits, '-', '_' and '.'",
    r"^\S+ \S+ \S+ \S+ \S+$": "a cron expression of five fields, such as 0 7 * * 1-5",
    r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$": "an IANA time zone, such as Europe/Berlin",
    r"^[A-Za-z0-9][A-Za-z0-9.:/_,-]*$": "an address without credentials, such as kafka.internal:9092",
    r"^[a-z0-9-]+$": "a region, such as eu-central-1",
    r"^https?://[^\s]+$": "an http:// or https:// address",
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$": "a label key, such as example.com/team",
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$": "a label value: letters, digits, '-', '_' and '.', at most 63",
    r"^(components|scheduling|tenancy|storage|serving|autoscaling|observability)(/[A-Z][A-Za-z0-9]*)?$": (
        "an upgrade, such as scheduling, or one kind of it, such as observability/PodMonitor"
    ),
    r"^[a-z0-9][-a-z0-9]*/(\*|[a-z0-9][-a-z0-9]*)$": "a gate, such as week-1/untolerated, or week-1/* for all of them",
    r"^[a-z][A-Za-z0-9_]*$": "letters, digits and '_', beginning with a lower-case letter",
    r"^1\.(3[3-7])$": "1.33, 1.34, 1.35, 1.36 or 1.37",
    r"^(NoSchedule|NoExecute|PreferNoSchedule)$": "NoSchedule, NoExecute or PreferNoSchedule",
    r"^\d+g\.\d+gb(\+me)?$": "a MIG profile, such as 3g.40gb",
    r"^(hf|s3|gs|oci|pvc|modelscope|https)://[A-Za-z0-9][A-Za-z0-9._/:@+-]*$": (
        "hf://, s3://, gs://, https://, oci:// or modelscope:// and a path, or pvc://CLAIM/PATH"
    ),
    r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$": (
        "an image with a tag or digest, such as registry.example.com/team/server:1.4.2"
    ),
    r"^[A-Za-z_][A-Za-z0-9_]*$": "letters, digits and '_', not beginning with a digit",
    r"^\d{1,4}\.\d{1,4}(\.\d{1,4})?([.+-][A-Za-z0-9.]+)?$": "a release, such as 0.33.0",
    r"^[#@]?[A-Za-z0-9._-]+$": "a Slack channel, such as #llm-alerts",
    r"^[A-Za-z0-9 _-]+$": "letters, digits, spaces, '-' and '_'",
    r"^/[A-Za-z0-9._/-]*$": "an absolute path, such as /models",
    r"^[^\s:][^\n]*$": "the name of a group",
    r"^v?\d+\.\d+\.\d+([.+-][A-Za-z0-9.-]+)?$": "a release, such as 2.20.2",
}

_KINDS: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "an object (NAME: VALUE lines)",
    "model_type": "an object (FIELD: VALUE lines)",
    "model_attributes_type": "an object (FIELD: VALUE lines)",
    "finite_number": "a finite number",
}

DURATION_WORDS: Final = "a duration such as 200ms, 2s, 15m, 4h or 1d"

Words = tuple[str, str, str]  # message, wanted, fix


def did_you_mean(name: str, known: list[str]) -> str:
    """The nearest known name as a question, or nothing. Long texts are no misspelt names."""
    near = nearest(name, known, limit=1) if len(name) <= 64 else []
    return f"did you mean `{near[0]}`?" if near else ""


def one_of(names: list[str]) -> str:
    """Names as a sentence part: a, b or c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def describe(kind: str, context: dict[str, Any], value: Any, raw: str) -> Words:
    """Message, wanted and fix for one pydantic error.

    Args:
        kind: pydantic's error type.
        context: its context.
        value: the value in the file.
        raw: the scalar as written, where it was read as a number.
    """
    if kind in {"enum", "literal_error"}:
        return _choice(context, value)
    if kind == "string_pattern_mismatch":
        wanted = PATTERNS.get(str(context["pattern"]), str(context["pattern"]))
        return "has the wrong form", wanted, _reshaped(str(value), wanted)
    if kind == "value_error":
        return _own_words(context, value)
    if kind in _KINDS:
        return _wrong_kind(kind, value, raw)
    return _bounds(kind, context)


def _choice(context: dict[str, Any], value: Any) -> Words:
    allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    fix = ""
    if isinstance(value, str):
        fix = did_you_mean(value, allowed)
    elif isinstance(value, bool) and "none" in allowed:
        fix = "did you mean `none`?"
    elif value is None:
        fix = "give it a value, or delete the line"
    return "is not one of the allowed values", one_of(allowed), fix


def _own_words(context: dict[str, Any], value: Any) -> Words:
    text = str(context.get("error", "is not allowed"))
    wanted = text.removeprefix("want ")
    fix = ""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        unit = match[2].casefold() if match else ""
        table = _DURATION_UNITS if "duration" in wanted else _QUANTITY_UNITS
        if match and unit in table:
            fix = f"write `{match[1]}{table[unit]}`"
        elif match and not unit and "duration" in wanted:
            fix = f"name the unit: `{match[1]}s` or `{match[1]}m`"
    return "has the wrong form", wanted, fix


_DURATION_UNITS: Final = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("msec", "millis", "milliseconds"), "ms"),
    **{unit: unit for unit in ("s", "m", "h", "d", "ms")},
}
_QUANTITY_UNITS: Final = {
    **{f"{letter}ib": f"{letter.upper()}i" for letter in "kmgtp"},
    **{f"{letter}i": f"{letter.upper()}i" for letter in "kmgtp"},
    **{f"{letter}b": letter.upper() for letter in "mgtp"},
    **{letter: letter.upper() for letter in "gtp"},
    "kb": "k",
}


def _wrong_kind(kind: str, value: Any, raw: str) -> Words:
    wanted = _KINDS[kind]
    if value is None:
        return "has no value", wanted, "give it a value, or delete the line"
    fix = ""
    if kind == "string_type" and raw:
        fix = f'write it in quotes: "{raw}"' if len(raw) <= 40 else "write it in quotes"
    elif kind == "string_type" and isinstance(value, bool):
        fix = f'write it in quotes: "{shown(value)}"'
    elif kind == "bool_type" and isinstance(value, str) and value.casefold() in _SWITCHES:
        fix = f"write `{_SWITCHES[value.casefold()]}` (YAML 1.2 has no yes/no, on/off)"
    elif kind in {"int_type", "float_type"} and isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        fix = f"write it without quotes: {value}"
    elif kind == "tuple_type":
        fix = "begin each item with '- '"
    return "has the wrong type", wanted, fix


_SWITCHES: Final = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
}

_BOUNDS: Final[dict[str, tuple[str, Callable[[dict[str, Any]], str]]]] = {
    "greater_than_equal": ("is too small", lambda c: f"at least {c['ge']}"),
    "greater_than": ("is too small", lambda c: f"more than {c['gt']}"),
    "less_than_equal": ("is too large", lambda c: f"at most {c['le']}"),
    "less_than": ("is too large", lambda c: f"less than {c['lt']}"),
    "string_too_short": ("is too short", lambda c: f"at least {c['min_length']} character"),
    "string_too_long": ("is too long", lambda c: f"at most {c['max_length']} characters"),
    "too_short": ("has too few items", lambda c: f"at least {c['min_length']}"),
    "too_long": ("has too many items", lambda c: f"at most {c['max_length']}"),
}


def _bounds(kind: str, context: dict[str, Any]) -> Words:
    if kind in _BOUNDS:
        message, wanted = _BOUNDS[kind]
        return message, wanted(context), ""
    return f"is not allowed ({kind.replace('_', ' ')})", "", ""


def _reshaped(value: str, wanted: str) -> str:
    """A value of the wanted form that the user may have meant."""
    if len(value) > 64:
        return ""
    if wanted.startswith((_LABEL_WORDS, _SERVICE_WORDS)):
        slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
        if wanted.startswith(_SERVICE_WORDS):
            slug = slug.lstrip("-0123456789")
        return f"write `{slug}`" if slug else ""
    if wanted.startswith("hf://"):
        if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", value):
            return f"write `hf://{value}` for the Hugging Face hub"
        return "write `pvc://CLAIM/PATH` for a folder on a volume" if value.startswith(("/", "file:")) else ""
    if wanted.startswith("1.33"):
        minor = re.match(r"^v?(1\.3[3-7])\b", value)
        return f'write "{minor[1]}"' if minor else ""
    if wanted.startswith("a release") and re.match(r"^v\d", value):
        return f"write `{value[1:]}`"
    return ""
