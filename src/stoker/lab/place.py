"""A lab's own part of 127.0.0.0/8, which no other lab on the machine has at the same time.

Addresses of Services are in stored objects, so a state folder keeps its part for good.
"""

import socket
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from stoker.errors import StokerError

__all__ = ["PODS", "Place", "claim"]

PODS: Final = 1 << 15  # addresses of pods in a place
_PLACES: Final = 120
_FILE: Final = "place"
_PORT: Final = (
    45871  # bound on the last address of the place, never listened on: a claim that ends with its process
)


@dataclass(frozen=True, slots=True)
class Place:
    """A part that is claimed as long as ``claim`` is open.

    Attributes:
        number: 0 to 119.
    """

    number: int
    socket: socket.socket

    @property
    def services(self) -> IPv4Network:
        """Addresses of Services: 127.128.0.0/16 and up."""
        return _services(self.number)

    @property
    def first_pod(self) -> int:
        """How far into 127.64.0.0/10 the addresses of pods begin."""
        return self.number * PODS

    def close(self) -> None:
        self.socket.close()


def claim(folder: Path) -> Place:
    """The part that the folder has had before; else the first that is free, from one that its name chooses.

    Raises:
        StokerError: another lab has the folder's part, or there are no more.
    """
    file = folder / _FILE
    try:
        known = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        known = -1
    if 0 <= known < _PLACES:
        found = _try(known)
        if found is None:
            raise StokerError(
                f"another lab uses the addresses of {folder} ({_services(known)})",
                fix="stop that lab (`stoker lab down --state …`), or begin in another --state",
            )
        return found
    first = zlib.crc32(str(folder).encode())
    for offset in range(_PLACES):
        found = _try((first + offset) % _PLACES)
        if found is not None:
            file.write_text(f"{found.number}\n", encoding="ascii")
            return found
    raise StokerError(
        f"{_PLACES} labs run on this machine already", fix="stop one: stoker lab down --state …"
    )


def _services(number: int) -> IPv4Network:
    return IPv4Network((0x7F800000 + (number << 16), 16))


def _try(number: int) -> Place | None:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.bind((str(_services(number)[-2]), _PORT))
    except OSError:
        found.close()
        return None
    return Place(number, found)
