"""What the pods of all nodes share: time, programs, the registry, addresses, a voice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from stoker.lab.nodes.images import Registry
from stoker.lab.nodes.programs import Runner

__all__ = ["Addresses", "Host"]

Object = dict[str, Any]


class Tell(Protocol):
    """Emits an event about a pod: type, reason, message, and which part of it (`Container.path`) where it is not the whole."""

    def __call__(self, pod: Object, kind: str, reason: str, message: str, part: str = "") -> None: ...


# 127.64.0.0/10, without the first and the last.
_FIRST, _LAST = (127 << 24) | (64 << 16) | 1, (127 << 24) | (127 << 16) | 0xFFFE


class Addresses:
    """Addresses of pods: each is used again only when all others have been."""

    def __init__(self, start: int = 0) -> None:
        """``start``: how many addresses to begin behind, so that two labs on one machine keep out of each other's way."""
        self._next = _FIRST + start % (_LAST - _FIRST)
        self._taken: set[str] = set()

    def take(self) -> str:
        """A free address.

        Raises:
            LookupError: there is none.
        """
        for _ in range(_LAST - _FIRST + 1):
            number = self._next
            self._next = _FIRST if number == _LAST else number + 1
            text = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
            # Zeros and 255s at the end are addresses like any other here, but tools trip over them.
            if number & 255 not in {0, 255} and text not in self._taken:
                self._taken.add(text)
                return text
        raise LookupError("no pod address is free")

    def keep(self, address: str) -> None:
        """An address is in use from before; the next one comes behind it."""
        parts = [int(one) for one in address.split(".")] if address.count(".") == 3 else []
        number = sum(part << shift for part, shift in zip(parts, (24, 16, 8, 0), strict=False))
        if _FIRST <= number <= _LAST:
            self._next = max(self._next, number + 1) if number < _LAST else self._next
            self._taken.add(address)

    def give_back(self, address: str) -> None:
        self._taken.discard(address)


@dataclass(slots=True)
class Host:
    """Services for the pods of every node.

    Attributes:
        now: seconds since the epoch, in the lab's time.
        lookup: ConfigMaps, Secrets, claims and volumes by kind, namespace and name.
        node: a Node by name.
        tell: emits an event about a pod, or a part of it.
        pulling: says that the registry has work.
        missing: whether an image is nowhere to be had.
        storage_factor: how many times longer weights take to read: for storage that was made slow.
        sandbox_s: from mounted volumes to a sandbox with an address.
    """

    now: Callable[[], float]
    runner: Runner
    registry: Registry
    lookup: Callable[[str, str, str], Object | None]
    node: Callable[[str], Object | None]
    tell: Tell
    pulling: Callable[[], None]
    missing: Callable[[str], bool] = lambda _: False
    addresses: Addresses = field(default_factory=Addresses)
    storage_factor: float = 1.0
    sandbox_s: float = 1.0
