"""Memory of this machine: how much a simulation may take, and what is said where it was not enough."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stoker.errors import StokerError

__all__ = ["enough_memory", "memory_bytes"]

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int:
    """Of the machine, or of the container where that has less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroups, or no limit: `max`
        found = min(found, int(_CGROUP_LIMIT.read_text()))
    return found


@contextmanager
def enough_memory() -> Iterator[None]:
    """Around a simulation.

    Raises:
        StokerError: memory ran out.
    """
    try:
        yield
    except MemoryError as error:
        raise StokerError(
            "the simulation needs more memory than there is",
            fix="a shorter --duration or a smaller --rate-scale",
        ) from error
