"""What a rule says: values only, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stoker.kube.patch import Op
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

__all__ = ["Area", "Finding", "Fix", "Hit", "Op", "Severity", "add", "remove", "replace"]


class Area(StrEnum):
    """The upgrade that a rule belongs to; storage and security stand beside the five."""

    SCHEDULING = "scheduling"
    SERVING = "serving"
    AUTOSCALING = "autoscaling"
    TENANCY = "tenancy"
    OBSERVABILITY = "observability"
    STORAGE = "storage"
    SECURITY = "security"


class Severity(StrEnum):
    """ERROR: it does not work, or it breaks under load. WARNING: it fails on a bad day or costs money. INFO: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for info, 2 for error."""
        return ("info", "warning", "error").index(self.value)


def add(path: Path, value: Any) -> Op:
    return Op("add", path, value)


def replace(path: Path, value: Any) -> Op:
    return Op("replace", path, value)


def remove(path: Path) -> Op:
    return Op("remove", path)


@dataclass(frozen=True, slots=True)
class Fix:
    """How a finding goes away.

    Attributes:
        text: what to do, one sentence.
        ops: a patch of the finding's object that does it; empty where a person must decide.
        objects: whole objects to be added beside it.
    """

    text: str
    ops: tuple[Op, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = ()

    @property
    def automatic(self) -> bool:
        return bool(self.ops or self.objects)


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a rule fires.

    Attributes:
        item: the object that is wrong.
        path: the field; empty for the object as a whole.
        message: what is wrong here, one sentence with the figures of this case.
        value: the value found.
        fix: what mends it here, None where the rule's general advice is all there is.
    """

    item: Item
    path: Path
    message: str
    value: Any = None
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit with its rule's facts: what reports print.

    Attributes:
        rule: id of the rule.
        line: 1-based line of the field in ``item.source.file``, 0 where there is none.
    """

    rule: str
    area: Area
    severity: Severity
    item: Item
    path: Path
    message: str
    why: str
    fix: Fix
    references: tuple[str, ...]
    value: Any = None
    line: int = 0
