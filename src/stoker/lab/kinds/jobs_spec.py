"""Rules of a job's spec, in a Job and in a CronJob: validateJobSpec of pkg/apis/batch/validation/validation.go, 1.36."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, internal, invalid_text
from stoker.lab.kinds.metadata import (
    format_causes,
    is_dns_subdomain,
    is_qualified_name,
    not_negative,
    regex_message,
)
from stoker.lab.kinds.metadata_memory import whole_number
from stoker.lab.kinds.pod_containers import too_many
from stoker.lab.kinds.templates import template_causes
from stoker.lab.status import Cause, duplicate, invalid_value, required, too_long, unsupported

__all__ = ["job_spec_causes"]

_COUNTS = [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
]
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_MANY = 100_000
_FEW = 10_000
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_PER_INDEX = f"when completions are above {_MANY} and used with backoff limit per index"


def job_spec_causes(
    spec: Mapping[str, Any], path: str, old_template: Mapping[str, Any] | None = None
) -> list[Cause]:
    found: list[Cause] = []
    for key in _COUNTS:
        found += not_negative(f"{path}.{key}", spec.get(key))
    failed = spec.get("maxFailedIndexes")
    if failed is not None:
        found += not_negative(f"{path}.maxFailedIndexes", failed)
        if spec.get("backoffLimitPerIndex") is None:
            found.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.get("managedBy") is not None:
        found += _managed_by_causes(spec["managedBy"], f"{path}.managedBy")
    found += _mode_causes(spec, path)
    if spec.get("podFailurePolicy") is not None:
        found += _failure_policy_causes(spec, f"{path}.podFailurePolicy.rules")
    if spec.get("successPolicy") is not None:
        found += _success_policy_causes(spec, f"{path}.successPolicy")
    found += _replacement_causes(spec, f"{path}.podReplacementPolicy")
    found += template_causes(spec.get("template") or {}, f"{path}.template", old_template)
    return found + _restart_causes(spec, f"{path}.template.spec.restartPolicy")


def _mode_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    mode = spec.get("completionMode")
    found: list[Cause] = []
    if mode is not None and mode not in {"NonIndexed", "Indexed"}:
        found.append(unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed":
        found += _indexed_causes(spec, path)
    if mode in {None, "NonIndexed"}:
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                found.append(invalid_value(f"{path}.{key}", spec[key], "requires indexed completion mode"))
    return found


def _restart_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "")
    if policy in {"Always", ""}:
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in {"OnFailure", "Never"}:
        return [unsupported(path, policy, ("OnFailure", "Never"))]
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        text = 'only "Never" is supported when podFailurePolicy is specified'
        return [invalid_value(path, policy, text)]
    return []


def _managed_by_causes(value: str, path: str) -> list[Cause]:
    """IsDomainPrefixedPath."""
    host, slash, rest = value.partition("/")
    found: list[Cause] = []
    if not value:
        found.append(required(path))
    elif not slash or not host or not rest:
        text = 'must be a domain-prefixed path (such as "acme.io/foo")'
        found.append(invalid_value(path, value, text))
    else:
        found += format_causes(path, host, is_dns_subdomain)
        if not re.fullmatch(_HTTP_PATH, rest):
            found.append(invalid_value(path, rest, regex_message("Invalid path", _HTTP_PATH)))
    return [*found, too_long(path, 63)] if len(value) > 63 else found


def _indexed_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    failed = spec.get("maxFailedIndexes")
    found: list[Cause] = []
    if completions is None:
        found.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _MANY:
        text = f"must be less than or equal to {_MANY} when completion mode is Indexed"
        found.append(invalid_value(f"{path}.parallelism", parallelism, text))
    if completions is not None and failed is not None and failed > completions:
        text = "must be less than or equal to completions"
        found.append(invalid_value(f"{path}.maxFailedIndexes", failed, text))
    if failed is not None and failed > _MANY:
        text = f"must be less than or equal to {_MANY}"
        found.append(invalid_value(f"{path}.maxFailedIndexes", failed, text))
    if completions is None or completions <= _MANY or spec.get("backoffLimitPerIndex") is None:
        return found
    if failed is None:
        text = f"must be specified when completions is above {_MANY}"
        found.append(required(f"{path}.maxFailedIndexes", text))
    for key, value in (("parallelism", parallelism), ("maxFailedIndexes", failed)):
        if value is not None and value > _FEW:
            text = f"must be less than or equal to {_FEW} {_PER_INDEX}"
            found.append(invalid_value(f"{path}.{key}", value, text))
    return found


def _replacement_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    value = spec.get("podReplacementPolicy")
    if value is None:
        return []
    has_policy = spec.get("podFailurePolicy") is not None
    known = ("Failed",) if has_policy else ("Failed", "TerminatingOrFailed")
    return [] if value in known else [unsupported(path, value, known)]


def _quoted(values: Iterable[str]) -> str:
    """A list of texts as ``%q`` prints it."""
    return f"[{' '.join(f'{chr(34)}{one}{chr(34)}' for one in values)}]"


def _failure_policy_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    rules = spec["podFailurePolicy"].get("rules") or ()
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {one.get("name", "") for key in ("containers", "initContainers") for one in pod.get(key) or ()}
    found = [too_many(path, len(rules), 20)] if len(rules) > 20 else []
    for index, rule in enumerate(rules):
        found += _rule_causes(spec, rule, f"{path}[{index}]", names)
    return found


def _rule_causes(
    spec: Mapping[str, Any], rule: Mapping[str, Any], path: str, names: Iterable[str]
) -> list[Cause]:
    action = rule.get("action", "")
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
    found: list[Cause] = []
    if not action:
        found.append(required(f"{path}.action", f"valid values: {_quoted(_ACTIONS)}"))
    elif action == "FailIndex":
        if spec.get("backoffLimitPerIndex") is None:
            text = "requires the backoffLimitPerIndex to be set"
            found.append(invalid_value(f"{path}.action", action, text))
    elif action not in _ACTIONS:
        found.append(unsupported(f"{path}.action", action, _ACTIONS))
    if codes is not None:
        found += _exit_codes_causes(codes, f"{path}.onExitCodes", names)
    if conditions:
        found += _conditions_causes(conditions, f"{path}.onPodConditions")
    if codes is not None and conditions:
        text = "Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"
        found.append(Cause("FieldValueInvalid", text, path))
    if codes is None and not conditions:
        text = "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
        found.append(Cause("FieldValueInvalid", text, path))
    return found


def _conditions_causes(patterns: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    listed = list(patterns)
    found = [too_many(path, len(listed), 20)] if len(listed) > 20 else []
    for index, one in enumerate(listed):
        at, status = f"{path}[{index}]", one.get("status", "")
        found += format_causes(f"{at}.type", one.get("type", ""), is_qualified_name)
        if not status:
            found.append(required(f"{at}.status", f"valid values: {_quoted(_STATUSES)}"))
        elif status not in _STATUSES:
            found.append(unsupported(f"{at}.status", status, _STATUSES))
    return found


def _exit_codes_causes(codes: Mapping[str, Any], path: str, names: Iterable[str]) -> list[Cause]:
    operator, values = codes.get("operator", ""), codes.get("values") or []
    found: list[Cause] = []
    if not operator:
        found.append(required(f"{path}.operator", f"valid values: {_quoted(_OPERATORS)}"))
    elif operator not in _OPERATORS:
        found.append(unsupported(f"{path}.operator", operator, _OPERATORS))
    name = codes.get("containerName")
    if name is not None and name not in names:
        text = "must be one of the container or initContainer names in the pod template"
        found.append(invalid_value(f"{path}.containerName", name, text))
    at = f"{path}.values"
    if not values:
        found.append(invalid_text(at, "null", "at least one value is required"))
    elif len(values) > 255:
        found.append(too_many(at, len(values), 255))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            found.append(invalid_value(f"{at}[{index}]", 0, "must not be 0 for the In operator"))
        if value in seen:
            found.append(duplicate(f"{at}[{index}]", value))
        seen.add(value)
    if any(one > other for one, other in itertools.pairwise(values)):
        found.append(invalid_text(at, go_text(values), "must be ordered"))
    return found


def _success_policy_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    policy = spec["successPolicy"]
    if spec.get("completionMode") != "Indexed":
        shown = go_text(internal("batch.SuccessPolicy", policy))
        return [invalid_text(path, shown, "requires indexed completion mode")]
    rules, completions = policy.get("rules") or (), spec.get("completions") or 0
    found: list[Cause] = []
    if not rules:
        text = "at least one rules must be specified when the successPolicy is specified"
        found.append(required(f"{path}.rules", text))
    if len(rules) > 20:
        found.append(too_many(f"{path}.rules", len(rules), 20))
    for index, rule in enumerate(rules):
        found += _success_rule_causes(rule, completions, f"{path}.rules[{index}]")
    return found


def _success_rule_causes(rule: Mapping[str, Any], completions: int, path: str) -> list[Cause]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    found: list[Cause] = []
    total = 0
    if count is None and indexes is None:
        found.append(required(path, "at least one of succeededCount or succeededIndexes must be specified"))
    if indexes is not None:
        if len(indexes) > 64 * 1024:
            found.append(too_long(f"{path}.succeededIndexes", 64 * 1024))
        total, why = _count_indexes(indexes, completions)
        if why:
            text = f"error parsing succeededIndexes: {why}"
            found.append(invalid_value(f"{path}.succeededIndexes", indexes, text))
    if count is None:
        return found
    at = f"{path}.succeededCount"
    found += not_negative(at, count)
    for is_above, most, what in (
        (count > completions, completions, "the number of specified completions"),
        (
            indexes is not None and count > total,
            total,
            "the number of indexes in the specified succeededIndexes field",
        ),
    ):
        if is_above:
            found.append(invalid_value(at, count, f"must be less than or equal to {most} ({what})"))
    return found


def _count_indexes(text: str, completions: int) -> tuple[int, str]:
    """validateIndexesFormat: how many indexes ``1,3-5`` names, and what is wrong with it."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            why = (
                "violates the requirement that an index interval can have at most two parts separated by '-'"
            )
            return 0, f'the fragment "{part}" {why}'
        for end in ends:
            if not re.fullmatch("[+-]?[0-9]+", end):
                return 0, f'cannot convert string to integer for index: "{end}"'
            if whole_number(end) >= completions:
                return 0, f'too large index: "{end}"'
        first, second = whole_number(ends[0]), whole_number(ends[-1])
        if len(ends) == 2 and first >= second:
            return 0, f"non-increasing order, previous: {first}, current: {second}"
        if last >= first:
            return 0, f"non-increasing order, previous: {last}, current: {first}"
        total, last = total + second - first + 1, second
    return total, ""
