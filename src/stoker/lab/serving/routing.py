"""Whose a request is, and which backend gets it."""

from bisect import bisect_right
from collections import deque
from itertools import accumulate
from random import Random

from stoker.lab.serving.contract import Absent, Backend, Rule

__all__ = ["matches", "pick"]


def matches(rule: Rule, host: str, path: str, headers: dict[str, str]) -> bool:
    """Whether a request is the rule's: host, path by whole segments, headers word for word."""
    if rule.hosts:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and ":" in host else host
        name = name.lower()
        if not any(_host(pattern.lower(), name) for pattern in rule.hosts):
            return False
    prefix = rule.path.rstrip("/")
    if prefix and path != prefix and not path.startswith(prefix + "/"):
        return False
    return all(headers.get(name.lower()) == value for name, value in rule.headers.items())


def _host(pattern: str, name: str) -> bool:
    if pattern.startswith("*"):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return pattern == name


class pick:  # noqa: N801 - used as a function that remembers
    """Chooses backends: a group at random by the weights, as Envoy does; within a group one after the other.

    Args:
        backends: those of a group have one weight.
        absent: groups without backends.
        rng: decides between groups; needed where there are several.
    """

    def __init__(
        self, backends: tuple[Backend, ...], absent: tuple[Absent, ...] = (), rng: Random | None = None
    ) -> None:
        self._rng = rng
        self._groups: dict[str, deque[Backend | Absent]] = {}
        every: tuple[Backend | Absent, ...] = (*backends, *absent)
        for each in every:
            if each.weight > 0:
                self._groups.setdefault(each.group, deque()).append(each)
        self._names = list(self._groups)
        if rng is None and len(self._names) > 1:
            raise ValueError("several groups and nobody who draws")
        self._bounds = list(accumulate(self._groups[name][0].weight for name in self._names))

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __call__(self, group: str | None = None) -> Backend | Absent:
        """The next of a group; of one by its weight where the group is None or has no share any more."""
        if group is None or group not in self._groups:
            group = self._names[0]
            if self._rng is not None:
                group = self._names[bisect_right(self._bounds, self._rng.random() * self._bounds[-1])]
        members = self._groups[group]
        members.rotate(-1)
        return members[-1]

    def size(self, group: str) -> int:
        """How many members a group has."""
        return len(self._groups.get(group, ()))
