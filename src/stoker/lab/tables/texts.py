"""Texts that several kinds' rows share: selectors, labels, containers, lists cut short."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "NONE",
    "UNSET",
    "containers",
    "format_labels",
    "format_selector",
    "lists_more",
    "selector_text",
    "yes_no",
]

NONE = "<none>"
UNSET = "<unset>"
_OPERATORS = {"In": "in", "NotIn": "notin"}


def format_labels(labels: Mapping[str, str] | None) -> str:
    """``a=1,b=2`` (apimachinery pkg/labels FormatLabels)."""
    return ",".join(sorted(f"{key}={value}" for key, value in labels.items())) if labels else NONE


def selector_text(selector: Mapping[str, Any] | None) -> str | None:
    """A LabelSelector in one line; None where an operator is unknown (apimachinery pkg/apis/meta/v1/helpers.go).

    A selector that is absent selects nothing and one that is empty selects everything: both print as empty.
    """
    if not selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", ()):
        text = _requirement(one["key"], one.get("operator", ""), one.get("values", ()))
        if text is None:
            return None
        parts.append((one["key"], text))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def _requirement(key: str, operator: str, values: Sequence[str]) -> str | None:
    if operator in _OPERATORS:
        return f"{key} {_OPERATORS[operator]} ({','.join(sorted(values))})"
    return {"Exists": key, "DoesNotExist": f"!{key}"}.get(operator)


def format_selector(selector: Mapping[str, Any] | None) -> str:
    text = selector_text(selector)
    return "<error>" if text is None else text or NONE


def containers(pod_spec: Mapping[str, Any] | None) -> tuple[str, str]:
    """Names and images of a template's containers."""
    found = (pod_spec or {}).get("containers", ())
    return ",".join(one.get("name", "") for one in found), ",".join(one.get("image", "") for one in found)


def lists_more(shown: Iterable[str], limit: int = 3) -> str:
    """The first few, and how many more there are; ``<unset>`` for none."""
    every = list(shown)
    text = ",".join(every[:limit])
    if len(every) > limit:
        return f"{text} + {len(every) - limit} more..."
    return text or UNSET


def yes_no(value: bool | None) -> str:  # noqa: FBT001 - three states, as printBoolPtr has
    return UNSET if value is None else str(value)
