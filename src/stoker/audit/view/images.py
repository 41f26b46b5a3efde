"""Image references taken apart."""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Image", "parse_image"]

_VERSION: Final = re.compile(r"^v?(\d+\.\d+(?:\.\d+)?)(?:[.-]?(?:post|rc)\d+)?(?:[-+_.].*)?$")


@dataclass(frozen=True, slots=True)
class Image:
    """``repository`` with its registry, ``tag`` and ``digest`` empty where absent."""

    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Last part of the repository."""
        return self.repository.rpartition("/")[2]

    @property
    def pinned(self) -> bool:
        """A digest, or a tag that does not move by its name."""
        return bool(self.digest) or (
            bool(self.tag) and self.tag not in MOVING and not self.tag.startswith("latest")
        )

    @property
    def version(self) -> str | None:
        """``0.9.1`` of ``v0.9.1-cu121``; None where the tag is no version."""
        match = _VERSION.match(self.tag)
        return match[1] if match else None


MOVING: Final = frozenset(("latest", "main", "master", "nightly", "dev", "edge", "stable", "head", "HEAD"))


def parse_image(text: str) -> Image:
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.rpartition("/")
    name, _, tag = tail.partition(":")
    return Image(f"{head}{slash}{name}", tag, digest)
