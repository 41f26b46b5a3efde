"""Who did it: every change needs a request or a controller that does exactly that to what was there before.

An acknowledged request did it at the revision of its answer. One whose answer was lost may have done it, whole and once. What
remains must be what a controller does. Anything else is a write out of nowhere, or one that was built on what was no longer
there.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.lab.soak.history import State, Write
from tests.lab.soak.model import GONE, Gone, Refused, Result, controller_steps, effects
from tests.lab.soak.truth import Entry, Truth, Violation

__all__ = ["explain"]

# Changes in a row that nobody saw, at most: clients wait for their answers, so there are few.
_UNSEEN = 3

_Node = tuple[State | None, int | None, tuple[Write, ...]]


class _Explainer:
    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._orders = truth.orders
        self.violations: list[Violation] = []
        self._claims: dict[int, list[Write]] = defaultdict(list)
        # What may have happened at a revision that no answer tells.
        self._open: dict[object, dict[int, Write]] = defaultdict(dict)
        for write in truth.history.writes:
            outcome = write.outcome
            if write.change.is_dry:
                continue
            if outcome.version is not None:
                self._claims[outcome.version.revision].append(write)
            elif outcome.kind in {"lost", "done", "gone"}:
                self._open[write.key][write.number] = write

    def run(self) -> None:
        for key, chain in self._truth.chains.items():
            if key.namespace not in self._truth.history.namespaces or key.name == "kube-root-ca.crt":
                continue
            for before, after in pairwise(chain):
                self._one(before, after)

    def _one(self, before: Entry, after: Entry) -> None:
        target: State | Gone = GONE if after.version is None else after.version.state
        claims, is_claimed = self._claimed(after, target)
        for nodes in self._frontiers(before, after):
            for state, revision, used in nodes:
                found = [
                    write
                    for write in claims
                    if _has(effects(after.key, write.change, state, revision), target)
                ]
                if found:
                    self._accept(after, found[0], used)
                    if is_claimed:
                        after.begun = found[0].invoked
                    return
                if not is_claimed and self._unclaimed(after, target, state, revision, used):
                    return
        self._refuse(before, after, claims)

    def _claimed(self, after: Entry, target: State | Gone) -> tuple[list[Write], bool]:
        """Requests that were answered with this change, and whether one must have made it.

        None need have, where each may have found it made already, as a second deletion does.
        """
        if not after.is_exact:
            return [], False
        key, revision = after.key, after.low
        claims = [write for write in self._claims.get(revision, ()) if write.key == key]
        needed = [
            write
            for write in claims
            if isinstance(target, Gone) or not _has(effects(key, write.change, target, revision), target)
        ]
        if len(needed) > 1:
            self._tell("double-success", after, f"{' and '.join(map(str, needed))} both made it")
        for write in needed:
            if revision <= self._orders.known(write.invoked):
                self._tell(
                    "backwards", after, f"{write} began when {self._orders.known(write.invoked)} was known"
                )
        able = [write for write in claims if self._orders.known(write.invoked) < revision]
        return needed or able, bool(needed)

    def _frontiers(self, before: Entry, after: Entry) -> Iterator[list[_Node]]:
        """States before the change: the one that was seen, and those that nobody may have seen in between."""
        nodes: list[_Node] = [(before.state, before.low if before.is_exact else None, ())]
        yield nodes
        if after.is_certain:
            return
        for _ in range(_UNSEEN):
            nodes = [further for node in nodes for further in self._further(node, after)]
            if not nodes:
                return
            yield nodes

    def _further(self, node: _Node, after: Entry) -> Iterator[_Node]:
        state, revision, used = node
        for write in self._candidates(after, used):
            for result in effects(after.key, write.change, state, revision):
                if not isinstance(result, Refused):
                    yield None if isinstance(result, Gone) else result, None, (*used, write)
        for result in self._steps(after, state):
            yield None if isinstance(result, Gone) else result, None, used

    def _candidates(self, after: Entry, used: tuple[Write, ...]) -> list[Write]:
        return [
            write
            for write in self._open[after.key].values()
            if write not in used
            and self._orders.known(write.invoked) < after.high
            and after.low <= self._orders.bound(write.completed)
            and (write.outcome.kind == "lost" or not after.uid or write.outcome.uid == after.uid)
        ]

    def _steps(self, after: Entry, state: State | None) -> list[State | Gone]:
        if state is None:
            return []

        def is_leaving(uid: str) -> bool:
            since = self._truth.leaving.get(uid)
            # An owner that nobody ever saw is none.
            return uid not in self._truth.live_uids if since is None else since <= after.high

        return list(controller_steps(after.key, state, is_leaving))

    def _unclaimed(
        self,
        after: Entry,
        target: State | Gone,
        state: State | None,
        revision: int | None,
        used: tuple[Write, ...],
    ) -> bool:
        # Clients first that were told of a deletion, then controllers, then those that nobody answered.
        candidates = self._candidates(after, used)
        candidates.sort(key=lambda write: write.outcome.kind == "lost")
        told = [write for write in candidates if write.outcome.kind == "gone"] if target is GONE else []
        for write in told:
            if _has(effects(after.key, write.change, state, revision), target):
                self._accept(after, write, used)
                return True
        if _has(list(self._steps(after, state)), target):
            self._accept(after, None, used)
            return True
        for write in candidates:
            if _has(effects(after.key, write.change, state, revision), target):
                self._accept(after, write, used)
                return True
        return False

    def _accept(self, after: Entry, write: Write | None, used: tuple[Write, ...]) -> None:
        for one in (*used, *([] if write is None else [write])):
            self._open[after.key].pop(one.number, None)

    def _refuse(self, before: Entry, after: Entry, claims: list[Write]) -> None:
        wanted = claims[0].change.revision if claims else None
        if wanted is not None and before.is_exact and wanted != before.low:
            self._tell(
                "double-success", after, f"{claims[0]} was to change {wanted}, and changed {before.low}"
            )
        elif claims:
            self._tell(
                "wrong-content",
                after,
                f"{claims[0]} does not make it of what was there at {before.low}: {before.state} -> {after.state}, "
                f"by {claims[0].change}",
            )
        else:
            self._tell(
                "phantom",
                after,
                f"nobody makes it of what was there at {before.low}: {before.state} -> {after.state}",
            )

    def _tell(self, kind: str, after: Entry, text: str) -> None:
        what = "deletion" if after.version is None else "change"
        self.violations.append(Violation(kind, f"{what} of {after.key} at {after.high}: {text}"))


def _has(results: list[Result] | list[State | Gone], target: State | Gone) -> bool:
    if isinstance(target, Gone):
        return GONE in results
    return any(isinstance(one, State) and one.is_like(target) for one in results)


def explain(truth: Truth) -> list[Violation]:
    """Changes that nobody can have made. Entries learn from which place in the order on they can have happened."""
    explainer = _Explainer(truth)
    explainer.run()
    return explainer.violations
