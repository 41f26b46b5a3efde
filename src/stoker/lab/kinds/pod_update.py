"""What may change in a pod: ValidatePodUpdate and its kin of pkg/apis/core/validation/validation.go, 1.36."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, internal, invalid_text, spec_diff
from stoker.lab.kinds.metadata import (
    format_causes,
    in_range,
    is_dns_subdomain,
    is_qualified_name,
    object_meta_causes,
    object_meta_update_causes,
)
from stoker.lab.kinds.pod_annotations import (
    MIRROR,
    annotation_update_causes,
    pod_annotations_causes,
    profiles_match_causes,
)
from stoker.lab.kinds.pod_containers import image_space_causes
from stoker.lab.kinds.pod_scheduling import tolerations_causes
from stoker.lab.kinds.pod_spec import pod_spec_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, forbidden_field, invalid_value, required

__all__ = [
    "ephemeral_update_causes",
    "pod_causes",
    "pod_status_causes",
    "pod_update_causes",
    "whole_pod_causes",
]

_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
    " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was"
    " previously negative)"
)
_NEEDED = "requiredDuringSchedulingIgnoredDuringExecution"
_SYSTEM_CONDITIONS = frozenset({"PodScheduled", "Ready", "Initialized"})


def pod_causes(pod: Object) -> list[Cause]:
    """ValidatePodCreate."""
    found = whole_pod_causes(pod)
    spec = pod.get("spec") or {}
    if spec.get("ephemeralContainers"):
        found.append(forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        text = "cannot be set until all schedulingGates have been cleared"
        found.append(forbidden_field("spec.nodeName", text))
    return found + profiles_match_causes(pod, "spec")


def whole_pod_causes(pod: Object, old: Object | None = None) -> list[Cause]:
    """What holds on creates and updates alike (upstream validatePodMetadataAndSpec)."""
    spec = pod.get("spec") or {}
    found = object_meta_causes(pod, True, is_dns_subdomain)
    annotations = (pod.get("metadata") or {}).get("annotations")
    found += pod_annotations_causes(annotations, spec, "metadata.annotations")
    found += pod_spec_causes(spec, "spec", pod, (old or {}).get("spec"))
    if not spec.get("serviceAccountName"):
        found += _token_causes(spec)
    for key in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            found += image_space_causes(container, f"spec.{key}[{index}]")
    return found


def _token_causes(spec: Mapping[str, Any]) -> list[Cause]:
    text = "must not be specified when serviceAccountName is not set"
    return [
        forbidden_field(f"spec.volumes[{index}].projected.sources[{place}].serviceAccountToken", text)
        for index, volume in enumerate(spec.get("volumes") or ())
        for place, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]


def pod_update_causes(new: Object, old: Object) -> list[Cause]:
    """ValidatePodUpdate: images, deadlines, tolerations and gates may change, each in one direction."""
    found = object_meta_update_causes(new, old)
    found += whole_pod_causes(new, old)
    found += annotation_update_causes(new, old, "metadata.annotations")
    fresh, before = new.get("spec") or {}, old.get("spec") or {}
    for key in ("containers", "initContainers"):
        causes, is_end = _image_causes(fresh.get(key) or (), before.get(key) or (), f"spec.{key}")
        found += causes
        if is_end:
            return found
    causes, is_end = _deadline_causes(fresh, before)
    found += causes
    if is_end:
        return found
    found += _toleration_causes(fresh.get("tolerations") or [], before.get("tolerations") or [])
    found += _gate_causes(fresh.get("schedulingGates") or (), before.get("schedulingGates") or ())
    if fresh == before:
        return found
    munged = _with_allowed_changes(fresh, before)
    if before.get("schedulingGates"):
        found += _gated_causes(munged, before)
    if munged != before:
        difference = spec_diff("core.PodSpec", before, munged)
        text = f"pod updates may not change fields other than {_MAY_CHANGE}\n{difference}"
        found.append(forbidden_field("spec", text))
    return found


def _image_causes(
    fresh: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]], path: str
) -> tuple[list[Cause], bool]:
    if len(list(fresh)) != len(list(before)):
        return [forbidden_field(path, "pod updates may not add or remove containers")], True
    found: list[Cause] = []
    for index, container in enumerate(fresh):
        if not container.get("image"):
            found.append(required(f"{path}[{index}].image"))
        found += image_space_causes(container, f"{path}[{index}]")
    return found, False


def _deadline_causes(fresh: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[list[Cause], bool]:
    at = "spec.activeDeadlineSeconds"
    value, old = fresh.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if value is None:
        if old is None:
            return [], False
        return [invalid_value(at, None, "must not update from a positive integer to nil value")], False
    if not 0 <= value < 2**31:
        return [invalid_value(at, value, in_range(0, 2**31 - 1))], True
    if old is not None and old < value:
        return [invalid_value(at, value, "must be less than or equal to previous value")], True
    return [], False


def _toleration_causes(fresh: list[Mapping[str, Any]], before: list[Mapping[str, Any]]) -> list[Cause]:
    def untimed(one: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in one.items() if key != "tolerationSeconds"}

    known = [untimed(one) for one in fresh]
    if any(untimed(one) not in known for one in before):
        text = "existing toleration can not be modified except its tolerationSeconds"
        return [forbidden_field("spec.tolerations", text)]
    return tolerations_causes(fresh, "spec.tolerations")


def _gate_causes(fresh: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]]) -> list[Cause]:
    known = {one.get("name", "") for one in before}
    places = {one.get("name", ""): index for index, one in enumerate(fresh)}
    return [
        forbidden_field(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{name}'",
        )
        for name, index in places.items()
        if name not in known
    ]


def _with_allowed_changes(fresh: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The new spec with what may change taken from the old one."""
    munged = dict(fresh)
    for key in ("containers", "initContainers"):
        if fresh.get(key):
            pairs = zip(fresh[key], before[key], strict=True)
            munged[key] = [{**one, "image": other.get("image", "")} for one, other in pairs]
    for key in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        munged.pop(key, None)
        if key in before:
            munged[key] = before[key]
    grace = before.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = grace
    return munged


def _gated_causes(munged: dict[str, Any], before: Mapping[str, Any]) -> list[Cause]:
    """A gated pod may be held to fewer nodes."""
    found: list[Cause] = []
    fresh_selector, old_selector = munged.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if fresh_selector != old_selector:
        if any(fresh_selector.get(key) != value for key, value in old_selector.items()):
            text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            shown = go_text(dict(sorted(fresh_selector.items()))) if fresh_selector else "null"
            found.append(invalid_text("spec.nodeSelector", shown, text))
        _restore(munged, before, "nodeSelector")
    affinity, old_affinity = munged.get("affinity"), before.get("affinity")
    fresh, old = (affinity or {}).get("nodeAffinity"), (old_affinity or {}).get("nodeAffinity")
    if fresh == old:
        return found
    found += _node_affinity_causes(fresh or {}, old or {})
    if affinity is None:
        if old is not None:
            munged["affinity"] = {"nodeAffinity": old}
    elif old_affinity is None and not affinity.keys() - {"nodeAffinity"}:
        del munged["affinity"]
    else:
        munged["affinity"] = dict(affinity)
        _restore(munged["affinity"], old_affinity or {}, "nodeAffinity")
    return found


def _restore(munged: dict[str, Any], before: Mapping[str, Any], key: str) -> None:
    munged.pop(key, None)
    if key in before:
        munged[key] = before[key]


def _node_affinity_causes(fresh: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    old_terms = (old.get(_NEEDED) or {}).get("nodeSelectorTerms") or []
    terms = (fresh.get(_NEEDED) or {}).get("nodeSelectorTerms") or []
    path = f"spec.affinity.nodeAffinity.{_NEEDED}.nodeSelectorTerms"
    if not old_terms:
        return []
    if len(terms) != len(old_terms):
        text = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid_text(path, go_text(internal("[core.NodeSelectorTerm", terms)), text)]
    found: list[Cause] = []
    for index, (term, was) in enumerate(zip(terms, old_terms, strict=True)):
        if not _has_only_additions(term, was):
            text = "only additions are allowed (no mutations or deletions)"
            shown = go_text(internal("core.NodeSelectorTerm", term))
            found.append(invalid_text(f"{path}[{index}]", shown, text))
    return found


def _has_only_additions(term: Mapping[str, Any], was: Mapping[str, Any]) -> bool:
    keys = ("matchExpressions", "matchFields")
    if not any(was.get(key) for key in keys):
        return not any(term.get(key) for key in keys)
    return all((term.get(key) or [])[: len(was.get(key) or [])] == (was.get(key) or []) for key in keys)


def ephemeral_update_causes(new: Object, old: Object) -> list[Cause]:
    """ValidatePodEphemeralContainersUpdate: containers are added, never changed."""
    found = object_meta_update_causes(new, old)
    found += whole_pod_causes(new, old)
    found += annotation_update_causes(new, old, "metadata.annotations")
    if MIRROR in ((old.get("metadata") or {}).get("annotations") or {}):
        return [forbidden_field("", "static pods do not support ephemeral containers")]
    path = "spec.ephemeralContainers"
    known = {one.get("name", ""): one for one in (new.get("spec") or {}).get("ephemeralContainers") or ()}
    for was in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = was.get("name", "")
        if name not in known:
            found.append(
                forbidden_field(path, f'existing ephemeral containers "{name}" may not be removed\n')
            )
        elif known[name] != was:
            difference = spec_diff("core.EphemeralContainer", was, known[name])
            text = f'existing ephemeral containers "{name}" may not be changed\n{difference}'
            found.append(forbidden_field(path, text))
    return found


def pod_status_causes(new: Object, old: Object) -> list[Cause]:
    """ValidatePodStatusUpdate: conditions, nominated node, quality of service, containers that ended."""
    found = object_meta_update_causes(new, old)
    found += annotation_update_causes(new, old, "metadata.annotations")
    status, before = new.get("status") or {}, old.get("status") or {}
    node = (old.get("spec") or {}).get("nodeName", "")
    for index, condition in enumerate(status.get("conditions") or ()):
        kind = condition.get("type", "")
        if kind not in _SYSTEM_CONDITIONS:
            found += format_causes(f"status.conditions[{index}].Type", kind, is_qualified_name)
    nominated = status.get("nominatedNodeName", "")
    if nominated and nominated != before.get("nominatedNodeName", ""):
        found += format_causes("status.nominatedNodeName", nominated, is_dns_subdomain)
        if node:
            text = "may not be set on pods that are already bound to a node"
            found.append(forbidden_field("status.nominatedNodeName", text))
    generation = status.get("observedGeneration", 0)
    if generation < 0:
        text = "must be a non-negative integer"
        found.append(invalid_value("status.observedGeneration", generation, text))
    if status.get("qosClass", "") != before.get("qosClass", ""):
        found.append(invalid_value("status.qosClass", status.get("qosClass", ""), "field is immutable"))
    return found + _transition_causes(new, old)


def _transition_causes(new: Object, old: Object) -> list[Cause]:
    """A container that ended and is not restarted does not run again."""
    spec = old.get("spec") or {}
    if any(
        rule.get("action") == "RestartAllContainers"
        for key in ("containers", "initContainers")
        for container in spec.get(key) or ()
        for rule in container.get("restartPolicyRules") or ()
    ):
        return []
    found: list[Cause] = []
    for key, list_ in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        containers = {one.get("name", ""): one for one in spec.get(list_) or ()}
        fresh = {one.get("name", ""): one for one in (new.get("status") or {}).get(key) or ()}
        for index, was in enumerate((old.get("status") or {}).get(key) or ()):
            ended = (was.get("state") or {}).get("terminated")
            name = was.get("name", "")
            if ended is None or name not in fresh:
                continue
            is_up = (fresh[name].get("state") or {}).get("terminated") is None
            if is_up and not _restarts(containers.get(name), spec, ended.get("exitCode", 0)):
                text = "may not be transitioned to non-terminated state"
                found.append(forbidden_field(f"status.{key}[{index}].state", text))
    return found


def _restarts(container: Mapping[str, Any] | None, spec: Mapping[str, Any], code: int) -> bool:
    """ContainerShouldRestart (pkg/api/v1/pod/util.go): rules of exit codes, the container's policy, the pod's."""
    if container is None:
        return False
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        is_listed = code in (codes.get("values") or ())
        if rule.get("action") == "Restart" and (codes.get("operator") == "In") == is_listed:
            return True
    policy = container.get("restartPolicy") or spec.get("restartPolicy")
    return policy == "Always" or (policy == "OnFailure" and code != 0)
