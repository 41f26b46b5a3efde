"""The questions that the request pipeline asks of a kind; each kind answers with plain functions.

The pipeline decodes a body, calls `default`, fills metadata, calls `prepare_create` or `prepare_update`, lets admission
change the object, calls `validate` or both validations, and stores it. Functions that change an object do so in place, on
a copy that nobody else holds. They see built-in objects in canonical form (`canonical`): no nulls, no empty optional
fields, quantities as Kubernetes writes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stoker.lab.status import Cause

__all__ = ["Object", "Strategy"]

Object = dict[str, Any]


def _nothing(_: Object) -> None:
    return None


def _keep(_: Object, __: Object) -> None:
    return None


def _no_causes(_: Object) -> list[Cause]:
    return []


def _no_update_causes(_: Object, __: Object) -> list[Cause]:
    return []


def _no_warnings(_: Object) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a kind behaves.

    Attributes:
        default: fills defaults, as the versioned defaulting functions do; called on every decoded object, so it is idempotent.
        prepare_create: what a create sets or drops (status of kinds that have a status subresource, phase, generation is set by
            the pipeline where `has_generation`).
        prepare_update: ``(new, old)``: what a write of the main resource may not change is taken from the old object (status
            where there is a status subresource; the pipeline raises the generation when spec differs).
        prepare_status: ``(new, old)``: a write of the status subresource changes nothing but the status.
        validate: causes for which an object is refused, in the server's order.
        validate_update: ``(new, old)``: further causes of an update: immutable fields.
        warnings: texts for the ``Warning`` header.
        has_generation: whether metadata.generation counts changes of the spec.
        allows_unconditional_update: whether an update without resourceVersion is accepted.
        allows_create_on_update: whether PUT of a missing object creates it (Lease and Endpoints do).
    """

    default: Callable[[Object], None] = _nothing
    prepare_create: Callable[[Object], None] = _nothing
    prepare_update: Callable[[Object, Object], None] = _keep
    prepare_status: Callable[[Object, Object], None] = _keep
    validate: Callable[[Object], list[Cause]] = _no_causes
    validate_update: Callable[[Object, Object], list[Cause]] = _no_update_causes
    warnings: Callable[[Object], list[str]] = _no_warnings
    has_generation: bool = False
    allows_unconditional_update: bool = True
    allows_create_on_update: bool = False
