"""Carry out a plan, wave by wave: write down what will change, change it, write down what came of it, wait until it stands.

The record comes before the change, so that a run which is killed at any point can be undone and gone on with: the next run
looks at what stands, and applies what is still missing.
"""

from dataclasses import dataclass, replace
from typing import Final

from stoker.apply.back import strays_undone
from stoker.apply.changes import Action, Change, Plan
from stoker.apply.events import Done, Progress, Step, WaveBegins
from stoker.apply.inventory import Entry, Touched, created_by, origins
from stoker.apply.look import each, look
from stoker.apply.readiness import Readiness
from stoker.apply.revert import carry_back
from stoker.apply.session import CONTROLLERS, Session, session
from stoker.apply.store import Store
from stoker.apply.undo import Spared, UndoKind
from stoker.apply.wait import wait_ready
from stoker.apply.write import ChangedMeanwhileError, carry_out
from stoker.errors import UnsafeError
from stoker.kube.cluster import FIELD_MANAGER, Cluster
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import Wave

__all__ = ["Applied", "apply_plan"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a run did.

    Attributes:
        run: its number; 0 where nothing had to be changed.
        done: objects with what was done.
        unready: objects that were not ready when the run ended, with why.
        left: waves that were not begun because of them.
    """

    run: int
    done: tuple[tuple[Ref, Action], ...] = ()
    unready: tuple[tuple[Ref, Readiness], ...] = ()
    left: tuple[Wave, ...] = ()

    @property
    def is_complete(self) -> bool:
        return not self.unready and not self.left


def apply_plan(
    cluster: Cluster,
    plan: Plan,
    *,
    progress: Progress = lambda _: None,
    timeout: float = 1800.0,
    wait: bool = True,
    command: str = "apply",
    spared: Spared | None = None,
) -> Applied:
    """Carry out a plan. Running it again after whatever happened converges.

    Args:
        cluster: where; the one that the plan was made for.
        plan: what was shown; `Plan.only` narrows it.
        progress: hears what is done.
        timeout: of the cluster's seconds that a wave may take to become ready.
        wait: for each wave to be ready before the next begins.
        command: what the record calls it.
        spared: what `Action.DELETE` may delete beyond what is safe; the rest is left and told.

    Raises:
        UnsafeError: something in the plan is blocked, another run goes on, or others changed an object since.
        ApiError: the server refused; what was done before it is recorded.
        UnreachableError: the server is gone.
    """
    if plan.blocked:
        first = plan.blocked[0]
        more = f"; and {len(plan.blocked) - 1} more" if len(plan.blocked) > 1 else ""
        raise UnsafeError(f"{first.ref}: {first.blocked}{more}; nothing was changed", fix=first.fix)
    # What is no longer wanted and left alone is not waited for.
    plan = replace(plan, changes=tuple(c for c in plan.changes if c.is_change or c.wanted is not None))
    if not plan.changed:
        if any(entry.pending for entry in Store(cluster).entries.values()):
            # A run was killed after its last change: a session learns what became of it.
            with session(cluster, command, plan.platform, progress):
                pass
        return _stands(cluster, plan, progress=progress, timeout=timeout, wait=wait)
    with session(cluster, command, plan.platform, progress) as run:
        done: list[tuple[Ref, Action]] = []
        unready: dict[Ref, Readiness] = {}
        waves = sorted({c.wave for c in plan.changes if c.action not in _LAST})
        for place, wave in enumerate(waves):
            changes = [c for c in plan.changes if c.wave == wave and c.action not in _LAST]
            stand = _wave(run, wave, changes, plan.platform)
            done += [(c.ref, c.action) for c in changes if c.is_change]
            if wait:
                unready = wait_ready(cluster, stand, seconds=timeout, progress=progress, check=run.held.check)
            if unready:
                return Applied(
                    run.run.number,
                    tuple(done),
                    tuple(sorted(unready.items(), key=_by_ref)),
                    tuple(waves[place + 1 :]),
                )
        if last := [c for c in plan.changes if c.action in _LAST]:
            done += _end(run, last, spared or Spared())
        return Applied(run.run.number, tuple(done))


_LAST: Final = frozenset((Action.DELETE, Action.RELEASE))


def _by_ref(item: tuple[Ref, Readiness]) -> Ref:
    return item[0]


def _stands(cluster: Cluster, plan: Plan, *, progress: Progress, timeout: float, wait: bool) -> Applied:
    """Nothing to change; an earlier run may have ended before everything was ready."""
    objects = [change.live for change in plan.changes if change.live is not None]
    unready = wait_ready(cluster, objects, seconds=timeout, progress=progress) if wait else {}
    return Applied(0, (), tuple(sorted(unready.items(), key=_by_ref)))


def _wave(run: Session, wave: Wave, changes: list[Change], platform: str) -> list[Object]:
    """Change what a wave changes; all of its objects as they stand then."""
    todo = [change for change in changes if change.is_change]
    stand = [change.live for change in changes if not change.is_change and change.live is not None]
    if not todo:
        return stand
    run.progress(WaveBegins(wave, len(todo)))
    live = look(run.cluster, [change.ref for change in todo])
    for change in todo:
        if change.live is None and change.ref in live and not _is_ours(run, live[change.ref]):
            raise ChangedMeanwhileError(
                f"{change.ref} came into being since the plan was made",
                fix="run the same command again: it shows it first",
            )
    entries = {change.ref: _intent(run, change, live.get(change.ref), platform) for change in todo}
    known = run.store.entries
    run.write_down([_touched(change, live.get(change.ref), known.get(change.ref)) for change in todo])
    run.store.put(entries.values())

    outcome: dict[Ref, Entry] = {}

    def one(change: Change) -> Object:
        run.held.check()
        before = live.get(change.ref)
        after = carry_out(run.cluster, change, before)
        outcome[change.ref] = _outcome(entries[change.ref], change, before, after)
        run.count(change.action.value)
        run.progress(Done(change.ref, change.action))
        return after

    try:
        return stand + each(one, todo)
    finally:
        run.store.put(outcome.values())


def _is_ours(run: Session, obj: Object) -> bool:
    entry = run.store.entries.get(_ref(obj))
    return entry is not None and entry.created and not entry.unsure


def _ref(obj: Object) -> Ref:
    metadata = obj["metadata"]
    return Ref(obj["apiVersion"], obj["kind"], metadata.get("namespace") or "", metadata["name"])


def _intent(run: Session, change: Change, live: Object | None, platform: str) -> Entry:
    """The inventory's entry before the change."""
    old = run.store.entries.get(change.ref)
    base = Entry(change.ref, platform, change.upgrade, change.wave, created=live is None, pending=True)
    if live is None:
        return replace(base, original=old.original if old else None)
    uid = str(live["metadata"]["uid"])
    if old is not None and old.uid == uid:
        kept = replace(
            base, created=old.created, uid=uid, unsure=old.unsure, origins=old.origins, original=old.original
        )
    else:
        kept = replace(base, uid=uid)
    if change.action is Action.REPLACE:
        original = kept.original if kept.created else live
        return replace(kept, created=True, uid="", origins=(), original=original)
    if kept.created:
        return replace(kept, pending=False)
    return replace(kept, origins=origins(live, change.after, FIELD_MANAGER, kept.origins))


def _outcome(entry: Entry, change: Change, before: Object | None, after: Object) -> Entry:
    uid = str(after["metadata"]["uid"])
    if before is None or change.action is Action.REPLACE:
        ours = created_by(after, FIELD_MANAGER, controllers=CONTROLLERS)
        return replace(entry, pending=False, uid=uid, created=ours, unsure=False)
    if entry.created:
        return replace(entry, pending=False, uid=uid)
    return replace(
        entry, pending=False, uid=uid, origins=origins(before, after, FIELD_MANAGER, entry.origins)
    )


def _touched(change: Change, live: Object | None, entry: Entry | None) -> Touched:
    wrote = () if live is None else origins(live, change.after, FIELD_MANAGER)
    return Touched(change.ref, change.action.value, change.wave, live, wrote, entry)


def _end(run: Session, changes: list[Change], spared: Spared) -> list[tuple[Ref, Action]]:
    """Delete and give back what is no longer wanted, the last wave first."""
    run.progress(Step(f"{len(changes)} objects are no longer wanted"))
    steps = strays_undone(run.cluster, run.store.entries, [change.ref for change in changes], spared)
    carry_back(run, steps, look(run.cluster, [step.ref for step in steps]))
    return [
        (step.ref, Action.DELETE if step.kind is UndoKind.DELETE else Action.RELEASE)
        for step in steps
        if step.kind not in {UndoKind.LEAVE, UndoKind.NOTHING}
    ]
