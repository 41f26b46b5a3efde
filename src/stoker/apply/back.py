"""`rollback` and `uninstall`: first shown as steps, then carried out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from stoker.apply.events import Progress, Said
from stoker.apply.inventory import Entry, Run, Touched
from stoker.apply.look import each, look, metadata_pages
from stoker.apply.readiness import Readiness
from stoker.apply.revert import carry_back
from stoker.apply.session import session
from stoker.apply.store import NAMESPACE, Store
from stoker.apply.undo import Spared, Undo, UndoKind, undo_entry, undo_touched
from stoker.apply.wait import wait_ready
from stoker.errors import InputError, Problem
from stoker.kube.api_errors import ApiError
from stoker.kube.cluster import Cluster
from stoker.kube.discovery import Resource
from stoker.kube.refs import Object, Ref, ref_of

__all__ = [
    "Undone",
    "plan_rollback",
    "plan_uninstall",
    "rollback",
    "run_to_undo",
    "strays_undone",
    "uninstall",
]


@dataclass(frozen=True, slots=True)
class Undone:
    """What was undone.

    Attributes:
        run: its number; 0 for an uninstall, which leaves no record where nothing was left.
        steps: each object with what was done, or why it was left.
        unready: objects that were not ready again when the time was up.
    """

    run: int
    steps: tuple[Undo, ...]
    unready: Mapping[Ref, Readiness]


# Kinds that the cluster makes by itself in every namespace, or that say what happened: they keep no namespace alive.
_BY_ITSELF: Final = frozenset(
    (
        "Event",
        "Event.events.k8s.io",
        "Endpoints",
        "EndpointSlice.discovery.k8s.io",
        "PodMetrics.metrics.k8s.io",
    )
)
_NAMED: Final = frozenset((("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")))


def run_to_undo(runs: Collection[Run], number: int | None) -> Run:
    """The run that ``rollback`` undoes: the one that was named, or the newest that is not undone yet.

    Raises:
        InputError: there is none, or its backups are gone.
    """
    if number is not None:
        found = next((run for run in runs if run.number == number), None)
        if found is None:
            known = ", ".join(str(run.number) for run in runs) or "none"
            raise InputError(
                [Problem("no such run is recorded", path="RUN", found=str(number), wanted=f"one of {known}")]
            )
        return found
    covered: set[int] = set()
    for run in sorted(runs, key=lambda one: -one.number):
        if run.undoes:
            covered |= {*(run.only or range(run.undoes, run.number)), run.number}
        elif run.number not in covered:
            return run
    raise InputError([Problem("no run is left to undo", fix="`stoker apply` makes runs")])


def plan_rollback(
    cluster: Cluster, number: int | None = None, *, spared: Spared | None = None
) -> tuple[Run, tuple[Undo, ...]]:
    """What bringing the cluster back to the state before a run would do. Later runs are undone with it.

    Raises:
        InputError: no such run.
    """
    store = Store(cluster)
    run = run_to_undo(store.runs(), number)
    return run, _rollback_steps(cluster, store, run, spared or Spared())


def _rollback_steps(
    cluster: Cluster, store: Store, run: Run, spared: Spared, only: Collection[int] = ()
) -> tuple[Undo, ...]:
    first: dict[Ref, Touched] = {}
    for later in store.runs():
        if later.number in only if only else later.number >= run.number:
            for touched in store.touched(later.number):
                first.setdefault(touched.ref, touched)
    live = look(cluster, list(first))
    entries = store.entries
    spared = replace(
        spared, foreign=_foreign(cluster, [r for r, t in first.items() if t.before is None], entries)
    )
    return tuple(undo_touched(t, live.get(ref), entries.get(ref), spared) for ref, t in first.items())


def rollback(
    cluster: Cluster,
    number: int | None = None,
    *,
    only: Collection[int] = (),
    spared: Spared | None = None,
    progress: Progress = lambda _: None,
    timeout: float = 1800.0,
    wait: bool = True,
) -> Undone:
    """Bring the cluster back to the state before a run; what others changed since is left and told.

    Args:
        cluster: where.
        number: of the first run that is undone; the newest where None.
        only: undo these runs alone; every run from the first on where empty.
        spared: what may be deleted beyond what is safe.
        progress: hears what is done.
        timeout: of the cluster's seconds that objects may take to become ready again.
        wait: for them to be.

    Raises:
        InputError: no such run.
        UnsafeError: another run is going on.
    """
    target = run_to_undo(Store(cluster).runs(), number)
    with session(
        cluster, "rollback", target.platform, progress, undoes=target.number, only=sorted(only)
    ) as run:
        steps = _rollback_steps(cluster, run.store, target, spared or Spared(), only)
        live = look(cluster, [step.ref for step in steps])
        carry_back(run, steps, live)
        unready: Mapping[Ref, Readiness] = {}
        if wait:
            refs = [s.ref for s in steps if s.kind in {UndoKind.RESTORE, UndoKind.RECREATE}]
            unready = wait_ready(
                cluster,
                list(look(cluster, refs).values()),
                seconds=timeout,
                progress=progress,
                check=run.held.check,
            )
        return Undone(run.run.number, steps, unready)


def plan_uninstall(cluster: Cluster, *, spared: Spared | None = None) -> tuple[Undo, ...]:
    """What taking everything back would do."""
    return _all_steps(cluster, Store(cluster).entries, spared or Spared())


def strays_undone(
    cluster: Cluster, known: Mapping[Ref, Entry], refs: Collection[Ref], spared: Spared
) -> tuple[Undo, ...]:
    """How objects that are no longer wanted are taken back, each that the inventory knows."""
    return _all_steps(cluster, {ref: known[ref] for ref in refs if ref in known}, spared)


def _all_steps(cluster: Cluster, entries: Mapping[Ref, Entry], spared: Spared) -> tuple[Undo, ...]:
    live = look(cluster, list(entries))
    spaces = [ref for ref, entry in entries.items() if entry.created and ref in live]
    spared = replace(spared, foreign=_foreign(cluster, spaces, entries))
    steps = [undo_entry(entry, live.get(ref), spared) for ref, entry in sorted(entries.items())]
    return tuple(_keep_spaces(steps, spared))


def _keep_spaces(steps: list[Undo], spared: Spared) -> list[Undo]:
    """A namespace stays where something in it is left."""
    left: dict[str, str] = {}
    for step in steps:
        if step.kind is UndoKind.LEAVE and step.ref.namespace:
            left.setdefault(step.ref.namespace, str(step.ref))
    return [
        replace(step, kind=UndoKind.LEAVE, why=f"{left[step.ref.name]} is left in it", uid="")
        if step.kind is UndoKind.DELETE and step.ref.resource == "Namespace" and step.ref.name in left
        and not spared.namespaces
        else step
        for step in steps
    ]  # fmt: skip


def uninstall(
    cluster: Cluster, *, spared: Spared | None = None, progress: Progress = lambda _: None
) -> Undone:
    """Leave the cluster as it was found, and forget it: the record goes as well, where nothing is left.

    Raises:
        UnsafeError: another run is going on.
    """
    home = Ref("v1", "Namespace", "", NAMESPACE)
    if cluster.get(home) is None:
        return Undone(0, (), {})
    with session(cluster, "uninstall", "", progress) as run:
        steps = _all_steps(cluster, run.store.entries, spared or Spared())
        mine = next((step for step in steps if step.ref == home), None)
        rest = [step for step in steps if step.ref != home]
        carry_back(run, rest, look(cluster, [step.ref for step in rest]))
        complete = all(step.kind is not UndoKind.LEAVE for step in rest)
        if complete:
            run.store.erase()
            run.erased = True
    if complete and mine is not None and mine.kind is UndoKind.DELETE:
        cluster.delete(home, uid=mine.uid)
    elif not complete:
        progress(Said(f"the record stays in {NAMESPACE} for what was left"))
    return Undone(0, steps, {})


def _foreign(cluster: Cluster, refs: Collection[Ref], entries: Mapping[Ref, Entry]) -> dict[str, list[str]]:
    """Objects of others in namespaces of ours: neither in the inventory, nor made by a controller for another object."""
    spaces = {ref.name for ref in refs if ref.resource == "Namespace"}
    if not spaces:
        return {}
    ours = {(ref.resource, ref.namespace, ref.name) for ref, entry in entries.items() if entry.created}
    kinds: dict[str, Resource] = {}
    for resource in cluster.resources.all:
        if resource.namespaced and {"list", "delete"} <= resource.verbs:
            kinds.setdefault(resource.key, resource)
    found: dict[str, list[str]] = {}
    for listed in each(lambda resource: _listed(cluster, resource), kinds.values()):
        for obj in listed:
            ref, metadata = ref_of(obj), obj["metadata"]
            if ref.namespace not in spaces or metadata.get("ownerReferences") or ref.resource in _BY_ITSELF:
                continue
            if (ref.kind, ref.name) in _NAMED or (ref.resource, ref.namespace, ref.name) in ours:
                continue
            if ref.namespace == NAMESPACE and _is_record(obj):
                continue
            found.setdefault(ref.namespace, []).append(f"{ref.kind} {ref.name}")
    return found


def _listed(cluster: Cluster, resource: Resource) -> list[Object]:
    """Names and owners only: no value of a Secret leaves the server."""
    try:
        pages = list(metadata_pages(cluster, resource))
    except ApiError as error:
        if error.code in {404, 405}:  # a kind that only says that it can be listed
            return []
        raise
    named = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [{**item, **named} for items, _ in pages for item in items]


def _is_record(obj: Object) -> bool:
    return "stoker.dev/record" in (obj["metadata"].get("labels") or {}) or obj["kind"] == "Lease"
