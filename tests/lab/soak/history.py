"""What a soak did and saw: every request with the order in which it began and ended, and every answer. Plain data.

The order is a count that goes on with everything that begins or ends in the one process of all clients: what ended under a
smaller count than another began is before it. The checker needs nothing else, no clock and no cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = [
    "Change",
    "Event",
    "Expired",
    "Fields",
    "History",
    "Key",
    "Manager",
    "Outcome",
    "Page",
    "Path",
    "Read",
    "Restart",
    "Selector",
    "State",
    "Stream",
    "Version",
    "Write",
]

# ("cell", "k1") or ("label", "tier"): the fields of an object that clients change.
Path = tuple[str, str]
Fields = Mapping[Path, str]
# Name and operation, as in managedFields.
Manager = tuple[str, str]


class Key(NamedTuple):
    """Where an object lives."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, slots=True)
class State:
    """What the model knows of an object.

    Attributes:
        fields: cells and labels.
        managers: who owns each of them; None for kinds whose ownership is not modelled.
        finalizers: what its deletion waits for.
        owners: uids of its ownerReferences.
        is_going: it has a deletionTimestamp.
        grace: its deletionGracePeriodSeconds; None where that is not known.
        uid: empty where it is not known.
    """

    fields: Fields
    managers: Mapping[Path, frozenset[Manager]] | None = None
    finalizers: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    is_going: bool = False
    grace: int | None = 0
    uid: str = ""

    def is_like(self, other: "State") -> bool:
        """The same to the model: what it cannot know on one side is left out."""
        return (
            self.fields == other.fields
            and self.finalizers == other.finalizers
            and self.owners == other.owners
            and self.is_going == other.is_going
            and (not self.uid or not other.uid or self.uid == other.uid)
            and (self.managers is None or other.managers is None or self.managers == other.managers)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """An object at a revision; ``digest`` is of its whole content, ``created`` its creationTimestamp."""

    key: Key
    revision: int
    state: State
    digest: bytes
    created: str = ""

    @property
    def is_final(self) -> bool:
        """Nothing keeps it: the last state of an object that was deleted."""
        return self.state.is_going and not self.state.finalizers and self.state.grace == 0


@dataclass(frozen=True, slots=True)
class Change:
    """What a request wants of an object.

    Attributes:
        verb: json, merge and strategic are patches.
        fields: all of them (create, put, apply), or those that a patch sets.
        drop: fields that a patch takes away.
        finalizers: all of them; None leaves them.
        add_finalizers, drop_finalizers: what a strategic patch does to them.
        owners: all ownerReferences (create, put).
        revision, uid: what the object must be at; None where the request does not say.
        expects: a field's value that a JSON patch tests.
        grace, policy: of a deletion.
    """

    verb: Literal["create", "put", "json", "merge", "strategic", "apply", "delete"]
    manager: str = ""
    fields: Fields = field(default_factory=dict)
    drop: frozenset[Path] = frozenset()
    finalizers: frozenset[str] | None = None
    add_finalizers: frozenset[str] = frozenset()
    drop_finalizers: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    revision: int | None = None
    uid: str | None = None
    expects: tuple[Path, str] | None = None
    is_forced: bool = False
    is_dry: bool = False
    grace: int | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended.

    Attributes:
        kind: stored: the answer has the object; gone: the answer says that it is deleted; done: success that names no revision;
            refused; lost: the connection broke while nobody knew; unsent: there was no connection.
        version: the answer's object.
        uid: of what is gone or done.
        code, reason: of a refusal, as in its Status.
    """

    kind: Literal["stored", "gone", "done", "refused", "lost", "unsent"]
    version: Version | None = None
    uid: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """A request to change one object. A lost one has ended when the client heard of it."""

    number: int
    key: Key
    change: Change
    invoked: int
    completed: int
    outcome: Outcome

    def __str__(self) -> str:
        return f"write {self.number} ({self.change.verb} {self.key}, {self.outcome.kind})"


@dataclass(frozen=True, slots=True)
class Read:
    """GET of one object; no version where there was none."""

    key: Key
    invoked: int
    completed: int
    version: Version | None


@dataclass(frozen=True, slots=True)
class Selector:
    """Of labels or of the name; an empty operator selects everything."""

    label: str = ""
    operator: Literal["", "=", "!=", "exists", "absent"] = ""
    value: str = ""
    name: str = ""

    @property
    def has_labels(self) -> bool:
        return bool(self.operator)

    def matches(self, key: Key, state: State) -> bool:
        if self.name and key.name != self.name:
            return False
        here = state.fields.get(("label", self.label))
        match self.operator:
            case "=":
                return here == self.value
            case "!=":
                return here != self.value
            case "exists":
                return here is not None
            case "absent":
                return here is None
        return True


@dataclass(frozen=True, slots=True)
class Page:
    """A list, or a page of one.

    Attributes:
        revision: which it states.
        is_newest: it was asked for without a revision: nothing that was known before may be missing.
        after: namespace and name of the last object of the page before.
        more: there is a page behind it.
        remaining: how many it says come behind it; None where it does not say.
    """

    resource: str
    namespace: str
    selector: Selector
    invoked: int
    completed: int
    revision: int
    items: tuple[Version, ...]
    is_newest: bool = True
    limit: int = 0
    after: tuple[str, str] | None = None
    more: bool = False
    remaining: int | None = None
    is_last: bool = False  # taken when nobody had written for long: controllers have done what they had to do


class Event(NamedTuple):
    """Of a watch. A bookmark has no version."""

    order: int
    kind: str
    revision: int
    version: Version | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A watch from begin to end.

    Attributes:
        start: the revision behind which it begins.
        initial: what it sent first where it was asked for the state to begin with; ``start`` is that state's revision then.
    """

    resource: str
    namespace: str
    selector: Selector
    invoked: int
    start: int
    events: tuple[Event, ...]
    initial: tuple[Version, ...] | None = None

    @property
    def end(self) -> int:
        """Up to here the stream has told everything."""
        return max((event.revision for event in self.events), default=self.start)


@dataclass(frozen=True, slots=True)
class Expired:
    """A watch or a page that was refused with 410: the revision was too old."""

    what: str
    revision: int
    invoked: int
    completed: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The server went, and was ready again; ``kills`` of it on the way, none where it was stopped in order."""

    killed: int
    ready: int
    kills: int = 1


@dataclass(frozen=True, slots=True)
class History:
    """All of it.

    Attributes:
        namespaces: where only the soak writes; objects elsewhere change as they like.
        window: how many revisions back the server must still know.
    """

    namespaces: frozenset[str]
    writes: tuple[Write, ...] = ()
    reads: tuple[Read, ...] = ()
    pages: tuple[Page, ...] = ()
    streams: tuple[Stream, ...] = ()
    expired: tuple[Expired, ...] = ()
    restarts: tuple[Restart, ...] = ()
    window: int = 20_000
