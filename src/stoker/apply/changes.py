"""What a plan says: each object with what happens to it, field by field, and what that risks."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from stoker.apply.compare import FieldChange
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import Upgrade, Wave

__all__ = ["Action", "Change", "Checked", "Conflict", "Money", "Plan", "Risk", "RiskKind"]


class Action(StrEnum):
    NONE = "none"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"  # deleted and created anew: a field that cannot be changed differs
    DELETE = "delete"  # created by us, and no longer wanted
    RELEASE = "release"  # of others, and no longer wanted: their fields are put back


class Checked(StrEnum):
    """How a change was found out."""

    SERVER = "server"  # the server's dry run: defaults and admission count
    OFFLINE = "offline"  # from the object alone: its kind or its namespace comes with this plan
    FIELDS = "fields"  # from managedFields: this user may not patch


class RiskKind(StrEnum):
    DISRUPTIVE = "disruptive"  # pods restart or go
    DESTRUCTIVE = "destructive"  # objects or data go


@dataclass(frozen=True, slots=True)
class Risk:
    kind: RiskKind
    why: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another manager owns with another value.

    Attributes:
        manager: as the server names it.
        theirs, ours: both values.
        taken: the user said so for this field.
        hint: what to do about this owner; empty where nothing special is known.
    """

    field: str
    manager: str
    theirs: Any
    ours: Any
    taken: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One object of the plan.

    Attributes:
        wanted: what is applied; None where it is deleted or released.
        live: as it was seen; None where it was not there.
        after: as the server would have it; None where it was not asked.
        fields: what changes. Empty in an update that only joins in the ownership of fields.
        blocked: why it cannot be done, with what to do; empty where it can.
        notes: what to know besides.
        reason: why the object exists.
    """

    ref: Ref
    action: Action
    wave: Wave
    upgrade: Upgrade
    wanted: Object | None = None
    live: Object | None = None
    after: Object | None = None
    fields: tuple[FieldChange, ...] = ()
    checked: Checked = Checked.SERVER
    conflicts: tuple[Conflict, ...] = ()
    risks: tuple[Risk, ...] = ()
    blocked: str = ""
    fix: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_change(self) -> bool:
        return self.action is not Action.NONE

    @property
    def forced(self) -> bool:
        """Fields of others are taken, each of which the user named."""
        return bool(self.conflicts) and all(conflict.taken for conflict in self.conflicts)


@dataclass(frozen=True, slots=True)
class Money:
    """GPUs and dollars that the changed workloads hold for good, at their smallest number of replicas.

    Attributes:
        gpus: change in GPUs by pool; pools without change are left out.
        usd_per_month: change; None where a pool has no known price.
        source: where prices are from.
    """

    gpus: dict[str, float] = field(default_factory=dict)
    usd_per_month: float | None = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything wanted, changed or not, wave by wave; deletions come last.

    Attributes:
        server, measured_on: where it was looked at: ``live``, or ``lab`` with its speed.
        platform: its name; what the inventory knows it by.
        money: None where no platform was given.
        strays: objects that Stoker's inventory says it created or changed and that are no longer wanted (`--prune`).
    """

    changes: tuple[Change, ...]
    server: str
    measured_on: str
    platform: str
    money: Money | None = None
    strays: tuple[Ref, ...] = ()

    @property
    def changed(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.is_change)

    @property
    def blocked(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.blocked)

    def has(self, kind: RiskKind) -> bool:
        return any(risk.kind is kind for change in self.changed for risk in change.risks)

    def only(
        self, *, upgrades: Collection[Upgrade] | None = None, waves: Collection[Wave] | None = None
    ) -> "Plan":
        """The part of the plan that belongs to some upgrades, or waves, or both."""
        kept = tuple(
            change
            for change in self.changes
            if (upgrades is None or change.upgrade in upgrades) and (waves is None or change.wave in waves)
        )
        return replace(self, changes=kept)
