"""What a write of one kind does beside being stored: addresses are taken, kinds appear, namespaces get what they need."""

from collections.abc import Callable
from dataclasses import dataclass

from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause

__all__ = ["Effects"]


@dataclass(frozen=True, slots=True)
class Effects:
    """Callbacks around the writes of one shelf.

    Attributes:
        before_create: completes a new object before it is prepared and validated; causes refuse it.
        before_update: the same with the new and the old object.
        undo: gives back what they took, where the write was refused or only tried.
        after_create: with the stored object.
        after_update: with the new and the old object.
        after_delete: with the last state.
    """

    before_create: Callable[[Object], list[Cause]] | None = None
    before_update: Callable[[Object, Object], list[Cause]] | None = None
    undo: Callable[[], None] | None = None
    after_create: Callable[[Object], None] | None = None
    after_update: Callable[[Object, Object], None] | None = None
    after_delete: Callable[[Object], None] | None = None
