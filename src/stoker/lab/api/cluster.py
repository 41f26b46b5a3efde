"""What every part of the API server shares: the store, the served kinds, clock, randomness, admission."""

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stoker.lab.api.call import Call, User
from stoker.lab.api.effects import Effects
from stoker.lab.api.served import Kind, Served
from stoker.lab.kinds.strategy import Object
from stoker.lab.store import Key, Record, Store

__all__ = ["Cluster", "Plugin", "Review", "timestamp"]

# k8s.io/apimachinery pkg/util/rand: no vowels, no digits that look like letters.
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds, as metav1.Time is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class Review:
    """One write on its way through admission. Plugins may change ``obj`` while they mutate, and add warnings."""

    cluster: "Cluster"
    kind: Kind
    operation: str
    namespace: str
    name: str
    subresource: str
    obj: Object
    old: Object | None
    user: User
    is_dry_run: bool
    warnings: list[str] = field(default_factory=list)
    # Called when the write has reached the store, or when it has not.
    on_success: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plugin:
    """An admission plugin: either half may be absent. Refusals are raised as ApiError."""

    name: str
    mutate: Callable[[Review], None] | None = None
    validate: Callable[[Review], None] | None = None


class Cluster:
    """The API server's state.

    Args:
        store: where objects live.
        clock: the time, as aware datetimes.
        rng: of uids and generated names.
        plugins: admission, in order.

    Attributes:
        effects: what writes of a shelf do beside being stored, by the shelf's name.
        answers: who answers reads of kinds that are not stored, by the shelf's name.
        logs: lines of containers (see `stoker.lab.api.logs.LogSource`); None where nobody runs any.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        rng: random.Random,
        plugins: Sequence[Plugin] = (),
    ) -> None:
        self.store = store
        self.served = Served()
        self.clock = clock
        self.rng = rng
        self.plugins = tuple(plugins)
        self.effects: dict[str, Effects] = {}
        self.answers: dict[str, Callable[[Call], Object]] = {}
        self.logs: Callable[[str, str, str, bool], Sequence[tuple[float, str]]] | None = None
        for _, record in store.scan("customresourcedefinitions.apiextensions.k8s.io"):
            self.served.define(record.object())

    def now(self) -> str:
        return timestamp(self.clock())

    def new_uid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def new_suffix(self, length: int = 5) -> str:
        return "".join(self.rng.choices(_NAME_LETTERS, k=length))

    def mutate(self, review: Review) -> None:
        """Let admission complete and change an object."""
        for plugin in self.plugins:
            if plugin.mutate is not None:
                plugin.mutate(review)

    def validate(self, review: Review) -> None:
        """Let admission refuse it."""
        for plugin in self.plugins:
            if plugin.validate is not None:
                plugin.validate(review)

    # --- reading, for admission and controllers -------------------------------------------------------------------

    def get(self, shelf: str, namespace: str, name: str) -> Object | None:
        """A copy of an object in its storage version."""
        record: Record | None = self.store.get(Key(shelf, namespace, name))
        return None if record is None else record.object()

    def objects(self, shelf: str, namespace: str = "") -> Iterator[Object]:
        """Copies of the objects of a shelf, or of one namespace in it."""
        for _, record in self.store.scan(shelf, namespace):
            yield record.object()

    def fact(self, name: str) -> Any:
        return self.store.fact(name)
