"""CronJobs: pkg/apis/batch (defaults, validation), pkg/registry/batch/cronjob/strategy.go, github.com/robfig/cron/v3."""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.jobs import default_job_spec, job_spec_warnings
from stoker.lab.kinds.jobs_spec import job_spec_causes
from stoker.lab.kinds.metadata import (
    is_dns_subdomain,
    not_negative,
    object_meta_causes,
    object_meta_update_causes,
)
from stoker.lab.kinds.metadata_memory import remembered, whole_number
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import drop_template_fields, keep_status, name_warning, on_create, only_status
from stoker.lab.status import Cause, invalid_value, required, unsupported

__all__ = ["CRON_JOB", "schedule_error"]

_EMPTY: Mapping[str, Any] = {}
_POLICIES = ("Allow", "Forbid", "Replace")
_MONTHS = {
    name: index
    for index, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS = {name: index for index, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_BOUNDS: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_DURATION = re.compile(r"[-+]?(?:0|(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_ZONE_PART = re.compile(r"[A-Za-z._0-9+-]{1,14}")


# --- schedules ----------------------------------------------------------------------------------------------------


@remembered
def schedule_error(text: str) -> str:
    """What ParseStandard says of a schedule; empty where it is right."""
    if not text:
        return "empty spec string"
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, space, rest = text.partition("=")[2].partition(" ")
        if not space:
            return "invalid schedule format: runtime error: slice bounds out of range [:-1]"
        if zone not in {"", "UTC", "Local"} and not _is_zone(zone):
            return f"provided bad location {zone}: unknown time zone {zone}"
        text = rest.strip()
    if text.startswith("@"):
        return _descriptor_error(text)
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, bounds in zip(fields, _BOUNDS, strict=True):
        for part in filter(None, field.split(",")):
            error = _range_error(part, *bounds)
            if error:
                return error
    return ""


def _descriptor_error(text: str) -> str:
    if text in _DESCRIPTORS:
        return ""
    if text.startswith("@every "):
        duration = text.removeprefix("@every ")
        if _DURATION.fullmatch(duration):
            return ""
        return f'failed to parse duration {text}: time: invalid duration "{duration}"'
    return f"unrecognized descriptor: {text}"


class _ScheduleError(Exception):
    """A part of a schedule that cannot be read."""


def _number(text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise _ScheduleError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
        )
    if whole_number(text) < 0:
        raise _ScheduleError(f"negative number ({whole_number(text)}) not allowed: {text}")
    return whole_number(text)


def _range_error(part: str, low: int, high: int, names: Mapping[str, int]) -> str:
    """One range of a field."""
    try:
        return _checked_range(part, low, high, names)
    except _ScheduleError as error:
        return str(error)


def _checked_range(part: str, low: int, high: int, names: Mapping[str, int]) -> str:
    steps = part.split("/")
    ends = steps[0].split("-")
    if ends[0] in {"*", "?"}:
        start, end = low, high
    else:
        start = end = _number(ends[0], names)
        if len(ends) == 2:
            end = _number(ends[1], names)
        elif len(ends) > 2:
            return f"too many hyphens: {part}"
    step = 1
    if len(steps) == 2:
        step = _number(steps[1], {})
        if len(ends) == 1:
            end = high
    elif len(steps) > 2:
        return f"too many slashes: {part}"
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {part}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {part}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {part}"
    return "" if step else f"step of range should be a positive number: {part}"


@remembered
def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _zone_causes(zone: str | None, path: str) -> list[Cause]:
    if zone is None:
        return []
    if not zone:
        return [invalid_value(path, "", "timeZone must be nil or non-empty string")]
    unknown = invalid_value(path, zone, f"unknown time zone {zone}")
    for part in zone.split("/"):
        if part in {".", ".."} or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            return [unknown]
    found: list[Cause] = []
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        found.append(invalid_value(path, zone, text))
    if zone not in {"UTC", "Local"} and not _is_zone(zone):
        found.append(unknown)
    return found


# --- the kind -----------------------------------------------------------------------------------------------------


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for key, value in (
        ("concurrencyPolicy", "Allow"),
        ("suspend", False),
        ("successfulJobsHistoryLimit", 3),
        ("failedJobsHistoryLimit", 1),
    ):
        spec.setdefault(key, value)
    job = (spec.get("jobTemplate") or {}).get("spec")
    if job is not None:
        default_job_spec(job)


def _template(obj: Mapping[str, Any]) -> Object | None:
    job = (((obj.get("spec") or {}).get("jobTemplate") or {}).get("spec")) or {}
    found: Object | None = job.get("template")
    return found


def _prepare_create(obj: Object) -> None:
    obj["status"] = {}
    drop_template_fields(_template(obj))


def _prepare_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    drop_template_fields(_template(new), _template(old))


def _spec_causes(obj: Object, old: Object | None = None) -> list[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or _EMPTY
    before: Mapping[str, Any] | None = None if old is None else old.get("spec") or _EMPTY
    schedule, zone = spec.get("schedule", ""), spec.get("timeZone")
    found: list[Cause] = []
    if not schedule:
        found.append(required("spec.schedule"))
    else:
        allows_zone = "TZ" in (before or _EMPTY).get("schedule", "")
        found += _schedule_causes(schedule, zone, "spec.schedule", allows_zone=allows_zone)
    found += not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    if before is None or before.get("timeZone") != zone:
        found += _zone_causes(zone, "spec.timeZone")
    policy = spec.get("concurrencyPolicy", "")
    if policy not in _POLICIES:
        at = "spec.concurrencyPolicy"
        found.append(unsupported(at, policy, _POLICIES) if policy else required(at))
    job = (spec.get("jobTemplate") or _EMPTY).get("spec") or _EMPTY
    path = "spec.jobTemplate.spec"
    found += job_spec_causes(job, path, None if old is None else _template(old))
    if job.get("selector") is not None:
        text = "`selector` will be auto-generated"
        found.append(invalid_text(f"{path}.selector", go_text(job["selector"]), text))
    if job.get("manualSelector"):
        found.append(unsupported(f"{path}.manualSelector", True, ("nil", "false")))
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        found += not_negative(f"spec.{key}", spec.get(key))
    return found


def _schedule_causes(schedule: str, zone: str | None, path: str, *, allows_zone: bool) -> list[Cause]:
    error = schedule_error(schedule)
    found = [invalid_value(path, schedule, error)] if error else []
    if "TZ" in schedule and allows_zone and zone is not None:
        text = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        found.append(invalid_value(path, schedule, text))
    elif "TZ" in schedule and not allows_zone:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        found.append(invalid_value(path, schedule, text))
    return found


def _causes(obj: Object) -> list[Cause]:
    found = object_meta_causes(obj, True, is_dns_subdomain) + _spec_causes(obj)
    name = (obj.get("metadata") or _EMPTY).get("name", "")
    if len(name) > 52:  # the controller appends eleven characters
        found.append(invalid_value("metadata.name", name, "must be no more than 52 characters"))
    return found


def _update_causes(new: Object, old: Object) -> list[Cause]:
    return object_meta_update_causes(new, old) + _spec_causes(new, old)


def _warnings(obj: Object) -> list[str]:
    job = ((obj.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}
    return name_warning(obj) + job_spec_warnings(job, "spec.jobTemplate.spec")


CRON_JOB = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=only_status,
    validate=on_create(_causes),
    validate_update=_update_causes,
    warnings=_warnings,
    has_generation=True,
)
