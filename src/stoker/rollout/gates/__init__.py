"""The gates of the four weeks, one module a week."""

from typing import Final

from stoker.rollout.gate import Gate

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = ()
