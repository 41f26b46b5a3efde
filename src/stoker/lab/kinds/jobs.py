"""Jobs: pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go, pkg/registry/batch/job/strategy.go, 1.36."""

import copy
from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, internal, invalid_text
from stoker.lab.kinds.jobs_spec import job_spec_causes
from stoker.lab.kinds.metadata import (
    immutable,
    is_dns_label,
    is_dns_subdomain,
    label_selector_causes,
    object_meta_causes,
    object_meta_update_causes,
    selector_matches,
)
from stoker.lab.kinds.pod_defaults import default_template
from stoker.lab.kinds.pod_warnings import template_warnings
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import (
    drop_template_fields,
    keep_status,
    name_warning,
    on_create,
    only_status,
    selector_mismatch,
)
from stoker.lab.status import Cause, invalid_value, required

__all__ = ["JOB", "default_job_spec", "job_spec_warnings"]

_EMPTY: Mapping[str, Any] = {}
_UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")


def _default_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if "parallelism" not in spec:
        spec["parallelism"] = 1
        spec.setdefault("completions", 1)
    if "backoffLimit" not in spec:
        spec["backoffLimit"] = 6 if spec.get("backoffLimitPerIndex") is None else 2**31 - 1
    labels = ((spec.get("template") or _EMPTY).get("metadata") or _EMPTY).get("labels")
    meta = obj.setdefault("metadata", {})
    if labels and not meta.get("labels"):
        meta["labels"] = dict(labels)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    if "podReplacementPolicy" not in spec:
        spec["podReplacementPolicy"] = (
            "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed"
        )
    spec.setdefault("manualSelector", False)
    default_job_spec(spec)


def default_job_spec(spec: Object) -> None:
    """What a CronJob's template is given too."""
    default_template(spec.get("template"))
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"


def _prepare_create(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("manualSelector"):
        _generate_selector(obj, spec)
    obj["status"] = {}
    drop_template_fields(spec.get("template"))


def _generate_selector(obj: Object, spec: Object) -> None:
    """Labels by which the pods of the job, and no others, are found; what the user set stays and is refused later."""
    meta = obj.get("metadata") or {}
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    labels = dict(template.get("labels") or {})
    for keys, value in ((_NAME_LABELS, meta.get("name", "")), (_UID_LABELS, meta.get("uid", ""))):
        for key in keys:
            labels.setdefault(key, value)
    template["labels"] = dict(sorted(labels.items()))
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(_UID_LABELS[1], meta.get("uid", ""))


def _prepare_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    drop_template_fields((new.get("spec") or {}).get("template"), (old.get("spec") or {}).get("template"))


# --- validation ---------------------------------------------------------------------------------------------------


def _job_causes(obj: Object, old: Object | None = None) -> list[Cause]:
    """ValidateJob."""
    spec: Mapping[str, Any] = obj.get("spec") or _EMPTY
    found = object_meta_causes(obj, True, is_dns_subdomain)
    found += _generated_causes(obj, spec, old)
    found += _spec_causes(spec, old)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        name = (obj.get("metadata") or _EMPTY).get("name", "")
        last = f"{name}-{completions - 1}"
        if is_dns_label(last):
            text = f"will not able to create pod with invalid DNS label: {last}"
            found.append(invalid_value("metadata.name", name, text))
    return found


def _spec_causes(spec: Mapping[str, Any], old: Object | None) -> list[Cause]:
    """ValidateJobSpec."""
    before = ((old or _EMPTY).get("spec") or _EMPTY).get("template")
    found = job_spec_causes(spec, "spec", before)
    selector = spec.get("selector")
    if selector is None:
        found.append(required("spec.selector"))
    found += label_selector_causes(selector, "spec.selector")
    return found + selector_mismatch(selector, spec.get("template") or _EMPTY, "spec.template")


def _generated_causes(obj: Object, spec: Mapping[str, Any], old: Object | None) -> list[Cause]:
    """validateGeneratedSelector: the labels that the server writes are there and are its own."""
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return []
    meta = obj.get("metadata") or _EMPTY
    uid, name = meta.get("uid", ""), meta.get("name", "")
    found = [] if uid else [required("metadata.uid")]
    labels = ((spec.get("template") or _EMPTY).get("metadata") or _EMPTY).get("labels") or {}
    expected = {_UID_LABELS[0]: uid, _NAME_LABELS[0]: name}
    if old is None or _had_prefixed_labels(old):
        expected |= {_UID_LABELS[1]: uid, _NAME_LABELS[1]: name}
    for key, value in expected.items():
        at = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            found.append(required(at, f"must be '{value}'"))
        elif labels[key] != value:
            shown = go_text(dict(sorted(labels.items())))
            found.append(invalid_text(at, shown, f"must be '{value}'"))
    if selector_matches(selector, expected) is False:
        found.append(invalid_text("spec.selector", go_text(selector), "`selector` not auto-generated"))
    return found


def _had_prefixed_labels(old: Object) -> bool:
    template = (old.get("spec") or _EMPTY).get("template") or _EMPTY
    labels = (template.get("metadata") or _EMPTY).get("labels") or {}
    return _UID_LABELS[1] in labels and _NAME_LABELS[1] in labels


def _update_causes(new: Object, old: Object) -> list[Cause]:
    """The strategy validates the job as a whole and then the update, which looks at the spec again."""
    spec: Mapping[str, Any] = new.get("spec") or _EMPTY
    before: Mapping[str, Any] = old.get("spec") or _EMPTY
    found = _job_causes(new, old) + object_meta_update_causes(new, old) + _spec_causes(spec, old)
    found += _completions_causes(spec, before)
    found += _fixed("selector", spec, before)
    found += _template_update_causes(spec, before, is_open=_is_template_open(old))
    for key in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        found += _fixed(key, spec, before)
    return found


_INTERNAL = {"podFailurePolicy": "*batch.PodFailurePolicy", "successPolicy": "*batch.SuccessPolicy"}


def _fixed(key: str, spec: Mapping[str, Any], before: Mapping[str, Any]) -> list[Cause]:
    value = spec.get(key)
    if value == before.get(key):
        return []
    text = go_text(internal(_INTERNAL[key], value) if key in _INTERNAL else value)
    return immutable(f"spec.{key}", value, before.get(key), text)


def _completions_causes(spec: Mapping[str, Any], before: Mapping[str, Any]) -> list[Cause]:
    if spec.get("completionMode") != "Indexed":
        return _fixed("completions", spec, before)
    value = spec.get("completions")
    if value is None or value in (before.get("completions"), spec.get("parallelism")):
        return []
    text = "can only be modified in tandem with spec.parallelism"
    return [invalid_value("spec.completions", value, text)]


def _is_template_open(old: Object) -> bool:
    """shouldAllowMutablePodTemplate: a suspended job that has not started, or has stopped."""
    spec, status = old.get("spec") or _EMPTY, old.get("status") or _EMPTY
    has_stopped = any(
        one.get("type") == "Suspended" and one.get("status") == "True"
        for one in status.get("conditions") or ()
    )
    is_idle = (status.get("startTime") is None or has_stopped) and not status.get("active")
    return bool(spec.get("suspend")) and is_idle


def _template_update_causes(
    spec: Mapping[str, Any], before: Mapping[str, Any], *, is_open: bool
) -> list[Cause]:
    """validatePodTemplateUpdate: a job that does not run may be held to other nodes and given other resources."""
    template, old = spec.get("template") or {}, copy.deepcopy(before.get("template") or {})
    if is_open:
        _take_directives(template, old)
    if before.get("suspend") and is_open:
        fresh_pod, old_pod = template.get("spec") or {}, old.get("spec") or {}
        for key in ("containers", "initContainers"):
            _take_resources(fresh_pod.get(key) or [], old_pod.get(key) or [])
        if fresh_pod == old_pod:
            return []
        shown = go_text(internal("core.PodSpec", fresh_pod))
        return [invalid_text("spec.template.spec", shown, "field is immutable")]
    if template == old:
        return []
    shown = go_text(internal("core.PodTemplateSpec", template))
    return [invalid_text("spec.template", shown, "field is immutable")]


def _take_directives(template: Object, old: Object) -> None:
    """What says where the pods run is taken from the new template."""
    fresh, was = template.get("spec") or {}, old.setdefault("spec", {})
    affinity, old_affinity = fresh.get("affinity"), was.get("affinity")
    if affinity is None and old_affinity is not None:
        old_affinity.pop("nodeAffinity", None)
        if not old_affinity:
            del was["affinity"]
    elif affinity is not None:
        kept = was.setdefault("affinity", {})
        _copy(affinity, kept, "nodeAffinity")
    for key in ("nodeSelector", "tolerations", "schedulingGates"):
        _copy(fresh, was, key)
    for key in ("annotations", "labels"):
        _copy(template.get("metadata") or {}, old.setdefault("metadata", {}), key)


def _copy(source: Mapping[str, Any], target: Object, key: str) -> None:
    target.pop(key, None)
    if key in source:
        target[key] = source[key]


def _take_resources(fresh: list[Object], old: list[Object]) -> None:
    if len(fresh) == len(old):
        for one, was in zip(fresh, old, strict=True):
            if one.get("name") == was.get("name"):
                _copy(one, was, "resources")


def job_spec_warnings(spec: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    is_large = (spec.get("completions") or 0) > 100_000 and (spec.get("parallelism") or 0) > 10_000
    if spec.get("completionMode") == "Indexed" and is_large:
        found.append(
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4,"
            " Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    return found + template_warnings(spec.get("template") or {}, f"{path}.template")


JOB = Strategy(
    default=_default_job,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=only_status,
    validate=on_create(_job_causes),
    validate_update=_update_causes,
    warnings=lambda obj: name_warning(obj) + job_spec_warnings(obj.get("spec") or {}, "spec"),
    has_generation=True,
)
