"""What a request does to an object, and what the cluster's own controllers may do: Kubernetes' rules in the small.

Written from the API's documentation, on the few fields that the soak uses. A request may have several possible results where
they depend on what the model does not follow, such as whether a pod has a node.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tests.lab.soak.history import Change, Fields, Key, Manager, Path, State

__all__ = ["GONE", "Gone", "Refused", "Result", "controller_steps", "effects"]

_OWN = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
_OF_COLLECTOR = frozenset(_OWN.values())


@dataclass(frozen=True, slots=True)
class Gone:
    """The object is deleted."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changes; ``reason`` is the Status's."""

    reason: str


GONE = Gone()
Result = State | Gone | Refused
_Managers = Mapping[Path, frozenset[Manager]]


def effects(key: Key, change: Change, state: State | None, revision: int | None) -> list[Result]:
    """What a request may come to on an object in this state, which is None for none.

    A state whose revision nobody has seen (None) is one that no request can have named.
    """
    if change.verb == "create":
        return [_created(change, "Update") if state is None else Refused("AlreadyExists")]
    if state is None:
        return [_created(change, "Apply") if change.verb == "apply" else Refused("NotFound")]
    if change.revision is not None and change.revision != revision:
        return [Refused("Conflict")]
    if change.uid is not None and state.uid and change.uid != state.uid:
        return [Refused("Conflict")]
    if change.verb == "delete":
        return _deleted(key, change, state)
    return _ended(_changed(change, state), state)


def _created(change: Change, operation: str) -> State:
    owner = frozenset([(change.manager, operation)])
    return State(
        dict(change.fields),
        dict.fromkeys(change.fields, owner),
        change.finalizers or frozenset(),
        change.owners,
    )


def _ended(result: Result, before: State) -> list[Result]:
    """A change that takes the last finalizer of an object that is going ends it."""
    if not isinstance(result, State) or not result.is_going:
        return [result]
    if result.finalizers - before.finalizers:
        return [Refused("Invalid")]  # no new finalizers can be added if the object is being deleted
    if result.finalizers:
        return [result]
    if before.grace is None:
        return [result, GONE]
    return [result if before.grace else GONE]


def _changed(change: Change, state: State) -> Result:
    if change.verb == "apply":
        return _applied(change, state)
    if change.expects is not None and state.fields.get(change.expects[0]) != change.expects[1]:
        return Refused("Invalid")
    if change.verb == "json" and not change.drop <= state.fields.keys():
        return Refused("Invalid")  # remove of what is not there
    if change.verb == "put":
        fields = dict(change.fields)
    else:
        fields = {**state.fields, **change.fields}
        for path in change.drop:
            fields.pop(path, None)
    finalizers = state.finalizers if change.finalizers is None else change.finalizers
    return replace(
        state,
        fields=fields,
        managers=_updated_managers(change.manager, state, fields),
        finalizers=(finalizers - change.drop_finalizers) | change.add_finalizers,
        owners=change.owners if change.verb == "put" else state.owners,
    )


def _updated_managers(manager: str, state: State, fields: Fields) -> _Managers | None:
    if state.managers is None:
        return None
    mine = frozenset([(manager, "Update")])
    return {
        path: state.managers.get(path, frozenset()) if state.fields.get(path) == value else mine
        for path, value in fields.items()
    }


def _applied(change: Change, state: State) -> Result:
    """Server-side apply: others' fields stay, mine that I no longer name go, others' that I change are in conflict."""
    mine = (change.manager, "Apply")
    if state.managers is None:
        raise ValueError("apply needs to know the owners")
    owners = dict(state.managers)
    fields = dict(state.fields)
    for path, value in change.fields.items():
        others = owners.get(path, frozenset()) - {mine}
        if path in fields and fields[path] != value:
            if others and not change.is_forced:
                return Refused("Conflict")
            others = frozenset()
        fields[path] = value
        owners[path] = others | {mine}
    for path in state.fields.keys() - change.fields.keys():
        if mine in owners.get(path, frozenset()):
            owners[path] -= {mine}
            if not owners[path]:
                del owners[path], fields[path]
    return replace(state, fields=fields, managers=owners)


def _deleted(key: Key, change: Change, state: State) -> list[Result]:
    finalizers = state.finalizers
    if change.policy is not None:
        finalizers -= _OF_COLLECTOR
        if change.policy in _OWN:
            finalizers |= {_OWN[change.policy]}
    marked = replace(state, finalizers=finalizers, is_going=True, grace=None)
    if finalizers:
        return [marked]
    # Pods have a grace period, unless they have no node yet or have ended.
    return [marked, GONE] if key.resource == "pods" else [GONE]


def controller_steps(key: Key, state: State, is_leaving: Callable[[str], bool]) -> Iterator[State | Gone]:
    """What the cluster itself may do to an object next.

    Args:
        key: of it.
        state: as it is.
        is_leaving: whether the owner of a uid is gone or going.
    """
    if key.resource == "pods" or state.owners:
        yield state  # status of a pod; blockOwnerDeletion of a reference
    if state.is_going:
        yield from _ends(state)
    leaving = [uid for uid in sorted(state.owners) if is_leaving(uid)]
    for count in range(1, len(leaving) + 1):
        for gone in itertools.combinations(leaving, count):
            yield replace(state, owners=state.owners - set(gone))
    if state.owners and len(leaving) == len(state.owners):
        for policy in ("Background", "Foreground", "Orphan"):
            for result in _deleted(key, Change("delete", policy=policy), state):
                if not isinstance(result, Refused):
                    yield result


def _ends(state: State) -> Iterator[State | Gone]:
    """The collector is done with an object that is going, or the grace period of a pod is over."""
    held = state.finalizers & _OF_COLLECTOR
    if not state.finalizers - held:
        yield GONE
    if held:
        yield replace(state, finalizers=state.finalizers - held)
