"""The series of kube-state-metrics that rules and dashboards read, computed from the objects of the cluster.

Names, types, labels and the order of labels are those of kube-state-metrics v2.20.0 (internal/store/*.go); of its families those
listed in `FAMILIES`, which hold every one that Stoker's compilers use. Times are the lab's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.lab.monitoring.state_families import FAMILIES, OWN_LABELS, PODS, Family

__all__ = ["FAMILIES", "SHELVES", "StateMetrics", "escaped"]

Object = dict[str, Any]
Place = tuple[str, str]


def escaped(value: str) -> str:
    """A label's value as the text format has it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


SHELVES: Final = tuple(OWN_LABELS)


@dataclass(slots=True)
class StateMetrics:
    """Text of all families; what has not changed is not computed again.

    Attributes:
        scan: places, revisions and objects of a shelf; the object is asked for only where the revision is new.
    """

    scan: Callable[[str], Iterable[tuple[Place, int, Callable[[], Object]]]]
    _known: dict[str, dict[Place, tuple[int, list[str]]]] = field(default_factory=dict)

    def text(self) -> str:
        parts: list[str] = []
        for shelf in SHELVES:
            families = [family for family in FAMILIES if family.shelf == shelf]
            rows = self._rows(shelf, families)
            for index, family in enumerate(families):
                parts += (f"# HELP {family.name} {family.help}\n", f"# TYPE {family.name} {family.type}\n")
                parts += [row[index] for row in rows]
        return "".join(parts)

    def _rows(self, shelf: str, families: list[Family]) -> list[list[str]]:
        before = self._known.get(shelf, {})
        now: dict[Place, tuple[int, list[str]]] = {}
        for place, revision, load in self.scan(shelf):
            known = before.get(place)
            if known is None or known[0] != revision:
                obj = load()
                own = _own_labels(shelf, obj)
                known = (revision, [_lines(family, own, obj) for family in families])
            now[place] = known
        self._known[shelf] = now
        return [row for _, row in now.values()]


def _own_labels(shelf: str, obj: Object) -> str:
    namespace_label, name_label = OWN_LABELS[shelf]
    metadata = obj["metadata"]
    parts = [f'{namespace_label}="{escaped(metadata["namespace"])}"'] if namespace_label else []
    parts.append(f'{name_label}="{escaped(metadata["name"])}"')
    if shelf == PODS:
        parts.append(f'uid="{metadata.get("uid", "")}"')
    return ",".join(parts)


def _lines(family: Family, own: str, obj: Object) -> str:
    return "".join(
        f"{family.name}{{{own}{_text(labels)}}} {value:.17g}\n" for labels, value in family.samples(obj)
    )


def _text(labels: dict[str, str]) -> str:
    return "".join(f',{key}="{escaped(str(text))}"' for key, text in labels.items())
