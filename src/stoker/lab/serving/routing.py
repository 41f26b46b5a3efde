"""Whose a request is, and which backend gets it."""

from collections import deque

from stoker.lab.serving.contract import Backend, Rule

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
    """Chooses backends: groups by their weights, evenly interleaved; within a group one after the other."""

    def __init__(self, backends: tuple[Backend, ...]) -> None:
        groups: dict[tuple[str, int], list[Backend]] = {}
        for backend in backends:
            if backend.weight > 0:
                groups.setdefault((backend.group, backend.weight), []).append(backend)
        self._groups = [(weight, deque(members)) for (_, weight), members in groups.items()]
        self._credit = [0] * len(self._groups)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __call__(self) -> Backend:
        total = 0
        for place, (weight, _) in enumerate(self._groups):
            self._credit[place] += weight
            total += weight
        best = max(range(len(self._credit)), key=self._credit.__getitem__)
        self._credit[best] -= total
        members = self._groups[best][1]
        members.rotate(-1)
        return members[-1]

    def __len__(self) -> int:
        return sum(len(members) for _, members in self._groups)
