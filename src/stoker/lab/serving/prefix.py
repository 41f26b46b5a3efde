"""Blocks of prompts that an engine has computed before: who holds them, and which are given up first.

The order of vllm/v1/core/block_pool.py: a block that nobody holds stays findable until its room is needed; the one unused for
longest goes first, and of one request the end before the beginning.
"""

from collections.abc import Sequence

__all__ = ["PrefixCache"]


class PrefixCache:
    """Blocks by the hash of everything up to their end."""

    __slots__ = ("_holders", "_unheld")

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}
        self._unheld: dict[int, None] = {}

    @property
    def unheld(self) -> int:
        """Blocks that nobody holds, which may be evicted."""
        return len(self._unheld)

    def hits(self, hashes: Sequence[int], most: int) -> int:
        """How many of the first ``most`` blocks are known, from the beginning without a gap."""
        known = self._holders
        found = 0
        while found < most and hashes[found] in known:
            found += 1
        return found

    def newly_held(self, hashes: Sequence[int], hits: int) -> int:
        """Of the first ``hits`` blocks, those that nobody holds yet."""
        return sum(1 for key in hashes[:hits] if key in self._unheld)

    def hold(self, hashes: Sequence[int], hits: int, whole: int) -> int:
        """Hold the known blocks and those that are about to be computed: how many are shared now.

        A block that somebody else is computing already stays theirs, and what follows it is the request's own.
        """
        for key in hashes[:hits]:
            self._holders[key] += 1
            self._unheld.pop(key, None)
        shared = hits
        for key in hashes[hits:whole]:
            if key in self._holders:
                break
            self._holders[key] = 1
            shared += 1
        return shared

    def release(self, hashes: Sequence[int], shared: int) -> int:
        """Hold no more of the first ``shared`` blocks: how many nobody holds now."""
        freed = 0
        for key in reversed(hashes[:shared]):
            left = self._holders[key] - 1
            self._holders[key] = left
            if left == 0:
                self._unheld[key] = None
                freed += 1
        return freed

    def evict_to_fit(self, room: int) -> None:
        """Forget the blocks unused for longest until no more than ``room`` unheld ones are left."""
        while len(self._unheld) > max(0, room):
            key = next(iter(self._unheld))
            del self._unheld[key]
            del self._holders[key]
