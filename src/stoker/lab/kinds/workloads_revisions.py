"""ControllerRevisions: pkg/registry/apps/controllerrevision/strategy.go, pkg/apis/apps/validation/validation.go, 1.36."""

from stoker.lab.kinds.canonical_internal import go_text
from stoker.lab.kinds.metadata import (
    immutable,
    is_dns_subdomain,
    not_negative,
    object_meta_causes,
    object_meta_update_causes,
)
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import on_create
from stoker.lab.status import Cause, required

__all__ = ["CONTROLLER_REVISION"]


def _revision_causes(obj: Object) -> list[Cause]:
    found = object_meta_causes(obj, True, is_dns_subdomain)
    return found + not_negative("revision", obj.get("revision"))


def _new_revision_causes(obj: Object) -> list[Cause]:
    data = obj.get("data")
    found = _revision_causes(obj)
    if data is None:
        found.append(required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        found.append(required("data", "data must be a valid JSON object"))
    return found


def _revision_update_causes(new: Object, old: Object) -> list[Cause]:
    found = object_meta_update_causes(new, old) + _revision_causes(new)
    return found + immutable("data", new.get("data"), old.get("data"), go_text(new.get("data")))


CONTROLLER_REVISION = Strategy(
    validate=on_create(_new_revision_causes), validate_update=_revision_update_causes
)
