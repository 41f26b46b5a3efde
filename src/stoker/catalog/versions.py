"""Version comparison for release facts: ``X.Y.Z`` with an optional ``v`` and an optional suffix."""

import re
from typing import Final

__all__ = ["Version", "in_range", "version_key"]

Version = tuple[int, int, int, int]

_FORM: Final = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?(.*)$")
_PRE: Final = re.compile(r"^[.-]?(?:a|alpha|b|beta|rc|dev)", re.IGNORECASE)


def version_key(version: str) -> Version:
    """Sort key of a version; a pre-release sorts before its release, ``.post1`` and build suffixes equal to it.

    Raises:
        ValueError: the text is no version.
    """
    match = _FORM.match(version.strip())
    if match is None:
        raise ValueError(f"not a version: {version!r}")
    major, minor, patch, rest = match.groups()
    return int(major), int(minor), int(patch or 0), -1 if _PRE.match(rest) else 0


def in_range(version: str, since: str | None, until: str | None) -> bool:
    """Whether ``since <= version < until``; an absent bound is open."""
    key = version_key(version)
    if since is not None and key < version_key(since):
        return False
    return until is None or key < version_key(until)
