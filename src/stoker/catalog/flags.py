"""Every option of an engine by release, where its source was read in whole: what tells a slip of the finger from a new flag."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from stoker.catalog._load import read_data
from stoker.catalog.engines import canonical_flag
from stoker.catalog.versions import version_key

__all__ = ["Span", "is_option", "known_flags", "span"]


@dataclass(frozen=True, slots=True)
class Span:
    """Releases read that have a flag: ``since`` the first, ``until`` the first without; None where open."""

    since: str | None
    until: str | None


@cache
def _data(engine: str) -> Mapping[str, Any] | None:
    return read_data("flags_vllm.yaml") if engine == "vllm" else None


@cache
def _read(engine: str, release: str) -> frozenset[str]:
    """Flags of one release that was read."""
    data = _data(engine) or {"flags": {}}
    key = version_key(release)
    return frozenset(
        flag
        for flag, (since, until) in data["flags"].items()
        if (since is None or version_key(since) <= key) and (until is None or key < version_key(until))
    )


@cache
def known_flags(engine: str, version: str) -> frozenset[str] | None:
    """Every flag that a release may have; None where nothing can be said of it.

    Between two releases read it is what either has: a flag that came or went in between may be there.
    """
    data = _data(engine)
    if data is None:
        return None
    key = version_key(version)
    older = [r for r in data["releases"] if version_key(r) <= key]
    newer = [r for r in data["releases"] if version_key(r) >= key]
    if not older or not newer:
        return None  # beyond what was read
    return _read(engine, older[-1]) | _read(engine, newer[0])


def is_option(flag: str, known: frozenset[str]) -> bool:
    """Whether argparse takes a flag: whole, as an unambiguous beginning, negated, or with a nested key behind a dot."""
    name = canonical_flag(flag).partition(".")[0]
    if not name.startswith("--"):
        return True  # short options are not listed
    plain = f"--{name.removeprefix('--no-')}" if name.startswith("--no-") else name
    return name in known or plain in known or any(option.startswith(name) for option in known)


def span(engine: str, flag: str) -> Span | None:
    """Releases that have a flag; None where none of those read has it."""
    data = _data(engine)
    found = data["flags"].get(canonical_flag(flag).partition(".")[0]) if data else None
    return Span(*found) if found else None
