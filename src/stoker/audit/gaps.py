"""What an audit could not look at: told with every report, never taken as fine."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from stoker.audit.rule import Rule
from stoker.audit.run import Lines, own_line
from stoker.audit.view.references import references_of
from stoker.audit.view.view import View
from stoker.kube.paths import show
from stoker.kube.shapes import SHAPES
from stoker.kube.snapshot import Item, Malformed
from stoker.kube.units import units

__all__ = ["Gap", "gaps"]

_MOST_NAMES = 5
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Gap:
    """Something unseen.

    Attributes:
        kind: ``unread``, ``malformed``, ``kind``, ``reference`` or ``state``.
        what: the file, kind, object or state.
        reason: why it was not looked at, and how it could be.
        line: 1-based, 0 where there is none.
        count: how many of it.
    """

    kind: str
    what: str
    reason: str
    line: int = 0
    count: int = 1


def gaps(view: View, rules: tuple[Rule, ...], lines: Lines = own_line) -> tuple[Gap, ...]:
    """Everything unseen, gravest first; ``lines`` as in `audit`."""
    return (
        *_unread(view),
        *_malformed(view, lines),
        *_sets(view),
        *_kinds(view),
        *_references(view),
        *_states(view, rules),
    )


def _sets(view: View) -> Iterator[Gap]:
    number = len(units(view.snapshot))
    if number > 1:
        yield Gap(
            "state",
            "what lies in different folders",
            f"the same objects are defined in several: {number} folders were audited each for itself; --complete takes them as one",
            count=number,
        )


def _unread(view: View) -> Iterator[Gap]:
    for entry in view.snapshot.unread:
        if not entry.harmless:
            yield Gap("unread", entry.what, entry.reason, entry.line)
    passed = [entry.what for entry in view.snapshot.unread if entry.harmless]
    if passed:
        names = ", ".join(sorted(set(passed))[:_MOST_NAMES])
        more = ", …" if len(set(passed)) > _MOST_NAMES else ""
        yield Gap("unread", f"{names}{more}", "holds no Kubernetes object", count=len(passed))


def _malformed(view: View, lines: Lines) -> Iterator[Gap]:
    """Fields that no API server takes: they were left out of the objects, so no rule has seen them."""
    found = [(item, entry) for item in view.snapshot.items for entry in item.malformed]
    for item, entry in found[:_MOST_FIELDS]:
        place = f" in {item.source.file}" if item.source.file else ""
        yield Gap(
            "malformed",
            f"{str(item).rstrip()}{place}",
            f"{show(entry.path)} is {_told(item, entry)} where {entry.wanted} is wanted: the field is left out",
            lines(item, entry.path),
        )
    if len(found) > _MOST_FIELDS:
        yield Gap(
            "malformed",
            "more fields",
            "have another type than the API takes: they are left out",
            count=len(found) - _MOST_FIELDS,
        )


def _told(item: Item, entry: Malformed) -> str:
    """What was found; its type alone where the value may be a credential."""
    variable = entry.path[-1:] == ("value",) and "env" in entry.path
    return entry.found.partition(" (")[0] if variable or item.resource == "Secret" else entry.found


def _kinds(view: View) -> Iterator[Gap]:
    counts = Counter(item.resource for item in view.snapshot.items if item.resource not in SHAPES)
    for resource, count in sorted(counts.items()):
        yield Gap("kind", resource, "no rule reads this kind", count=count)


def _references(view: View) -> Iterator[Gap]:
    """Names that lead out of a source which need not hold everything."""
    outside: dict[str, set[str]] = defaultdict(set)
    for workload in view.workloads:
        if workload.template:
            continue
        for reference in references_of(workload):
            if not reference.found(view.snapshot) and not view.knows(reference.resource, reference.namespace):
                place = f"{reference.namespace}/" if reference.namespace else ""
                outside[reference.resource].add(f"{place}{reference.name}")
    if view.of("Namespace") or not view.observed:
        named = {item.namespace for item in view.snapshot.items if item.namespace}
        made = {item.name for item in view.of("Namespace")} | {"default", "kube-system", "kube-public"}
        if named - made:
            outside["Namespace"] |= named - made
    for resource, names in sorted(outside.items()):
        shown = ", ".join(sorted(names)[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        yield Gap(
            "reference",
            f"{resource} {shown}",
            "is referred to and not in the source; --complete makes this an error",
            count=len(names),
        )


def _states(view: View, rules: tuple[Rule, ...]) -> Iterator[Gap]:
    live = sum(rule.needs == "live" for rule in rules)
    measured = sum(rule.needs == "prometheus" for rule in rules)
    if live and not view.observed:
        yield Gap(
            "state",
            "nodes, pods and their status",
            f"{live} rules need a cluster or a dump of one",
            count=live,
        )
    if measured and not view.of("Measurements.stoker.dev"):
        yield Gap(
            "state",
            "utilisation, queueing and latency",
            f"{measured} rules need --prometheus URL",
            count=measured,
        )
