"""Pod templates, alone and inside the kinds that make pods, and the ReplicationController.

Sources: pkg/apis/core/validation/validation.go (ValidatePodTemplateSpec, ValidateReplicationController),
pkg/registry/core/{podtemplate,replicationcontroller}/strategy.go, 1.36.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.metadata import (
    annotations_causes,
    is_dns_label,
    is_dns_subdomain,
    labels_causes,
    not_negative,
    object_meta_causes,
    object_meta_update_causes,
    selector_matches,
)
from stoker.lab.kinds.pod_annotations import pod_annotations_causes, profiles_match_causes
from stoker.lab.kinds.pod_defaults import default_template
from stoker.lab.kinds.pod_spec import pod_spec_causes
from stoker.lab.kinds.pod_warnings import template_warnings
from stoker.lab.kinds.pods_fields import drop_disabled_fields
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, required, unsupported

__all__ = [
    "POD_TEMPLATE",
    "REPLICATION_CONTROLLER",
    "drop_template_fields",
    "keep_status",
    "name_warning",
    "on_create",
    "only_status",
    "selector_mismatch",
    "template_causes",
    "template_for_replicas_causes",
]

_EMPTY: Mapping[str, Any] = {}


def on_create(check: Callable[[Object], list[Cause]]) -> Callable[[Object], list[Cause]]:
    """A validation of creates that leaves updates, whose objects have a resourceVersion, to `validate_update`.

    The server's causes of an update are not those of a create and some more: some are left out, some come twice, and the
    order is another.
    """

    def checked(obj: Object) -> list[Cause]:
        return [] if (obj.get("metadata") or _EMPTY).get("resourceVersion") else check(obj)

    return checked


def keep_status(new: Object, old: Object) -> None:
    """The main resource does not write the status."""
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def only_status(new: Object, old: Object) -> None:
    """The status subresource does not write the spec."""
    if "spec" in old:
        new["spec"] = old["spec"]
    else:
        new.pop("spec", None)


def name_warning(obj: Object) -> list[str]:
    """The name of a controller becomes part of names of hosts."""
    messages = is_dns_label((obj.get("metadata") or _EMPTY).get("name", ""))
    if not messages:
        return []
    text = (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is"
        " recommended"
    )
    return [f"{text}: [{' '.join(messages)}]"]


def drop_template_fields(template: Object | None, old: Mapping[str, Any] | None = None) -> None:
    """DropDisabledTemplateFields."""
    if template and template.get("spec"):
        drop_disabled_fields(template["spec"], (old or _EMPTY).get("spec"))


def template_causes(
    template: Mapping[str, Any], path: str, old: Mapping[str, Any] | None = None
) -> list[Cause]:
    """ValidatePodTemplateSpec."""
    meta, spec = template.get("metadata") or _EMPTY, template.get("spec") or _EMPTY
    found = labels_causes(meta.get("labels"), f"{path}.labels")
    found += annotations_causes(meta.get("annotations"), f"{path}.annotations")
    found += pod_annotations_causes(meta.get("annotations"), spec, f"{path}.annotations")
    found += pod_spec_causes(spec, f"{path}.spec", old=(old or _EMPTY).get("spec"))
    found += profiles_match_causes(template, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        text = "ephemeral containers not allowed in pod template"
        found.append(forbidden_field(f"{path}.spec.ephemeralContainers", text))
    return found


def selector_mismatch(
    selector: Mapping[str, Any] | None, template: Mapping[str, Any], path: str
) -> list[Cause]:
    """The pods of a controller are those that its selector finds."""
    labels = (template.get("metadata") or _EMPTY).get("labels") or {}
    if selector_matches(selector, labels) is not False:
        return []
    text = "`selector` does not match template `labels`"
    shown = go_text(dict(sorted(labels.items()))) if labels else "null"
    return [invalid_text(f"{path}.metadata.labels", shown, text)]


def template_for_replicas_causes(
    template: Mapping[str, Any], path: str, kind: str, old: Mapping[str, Any] | None = None
) -> list[Cause]:
    """Of a kind that keeps pods running: they are always restarted and have no deadline."""
    spec = template.get("spec") or _EMPTY
    found = template_causes(template, path, old)
    if spec.get("restartPolicy") != "Always":
        found.append(unsupported(f"{path}.spec.restartPolicy", spec.get("restartPolicy", ""), ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(forbidden_field(f"{path}.spec.activeDeadlineSeconds", text))
    return found


# --- PodTemplate --------------------------------------------------------------------------------------------------


def _default_pod_template(obj: Object) -> None:
    default_template(obj.setdefault("template", {}))


def _pod_template_causes(obj: Object) -> list[Cause]:
    found = object_meta_causes(obj, True, is_dns_subdomain)
    return found + template_causes(obj.get("template") or _EMPTY, "template")


def _pod_template_update_causes(new: Object, old: Object) -> list[Cause]:
    found = object_meta_update_causes(new, old)
    return found + template_causes(new.get("template") or _EMPTY, "template", old.get("template"))


POD_TEMPLATE = Strategy(
    default=_default_pod_template,
    prepare_create=lambda obj: drop_template_fields(obj.get("template")),
    prepare_update=lambda new, old: drop_template_fields(new.get("template"), old.get("template")),
    validate=on_create(_pod_template_causes),
    validate_update=_pod_template_update_causes,
    warnings=lambda obj: template_warnings(obj.get("template") or {}, "template"),
    has_generation=True,
)


# --- ReplicationController ----------------------------------------------------------------------------------------


def _default_controller(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    template = spec.get("template")
    default_template(template)
    labels = ((template or _EMPTY).get("metadata") or _EMPTY).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        meta = obj.setdefault("metadata", {})
        if not meta.get("labels"):
            meta["labels"] = dict(labels)
    spec.setdefault("replicas", 1)


def _controller_spec_causes(obj: Object, old: Mapping[str, Any] | None = None) -> list[Cause]:
    spec = obj.get("spec") or _EMPTY
    selector, template = spec.get("selector") or {}, spec.get("template")
    found = not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    if not selector:
        found.append(required("spec.selector"))
    if spec.get("replicas") is None:
        found.append(required("spec.replicas"))
    found += not_negative("spec.replicas", spec.get("replicas"))
    if template is None:
        return [*found, required("spec.template")]
    if selector:
        found += selector_mismatch({"matchLabels": selector}, template, "spec.template")
    before = ((old or _EMPTY).get("spec") or _EMPTY).get("template")
    return found + template_for_replicas_causes(template, "spec.template", "ReplicationController", before)


def _controller_causes(obj: Object) -> list[Cause]:
    return object_meta_causes(obj, True, is_dns_subdomain) + _controller_spec_causes(obj)


def _controller_update_causes(new: Object, old: Object) -> list[Cause]:
    return object_meta_update_causes(new, old) + _controller_spec_causes(new, old)


def _prepare_controller(obj: Object) -> None:
    obj["status"] = {"replicas": 0}
    drop_template_fields((obj.get("spec") or {}).get("template"))


def _prepare_controller_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    template = (new.get("spec") or {}).get("template")
    drop_template_fields(template, (old.get("spec") or {}).get("template"))


REPLICATION_CONTROLLER = Strategy(
    default=_default_controller,
    prepare_create=_prepare_controller,
    prepare_update=_prepare_controller_update,
    prepare_status=only_status,
    validate=on_create(_controller_causes),
    validate_update=_controller_update_causes,
    warnings=lambda obj: [
        *name_warning(obj),
        *template_warnings((obj.get("spec") or {}).get("template") or {}, "spec.template"),
    ],
    has_generation=True,
)
