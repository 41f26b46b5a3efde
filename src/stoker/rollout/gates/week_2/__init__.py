"""Week 2: models that answer, and a canary of one of them."""

from typing import Final

from stoker.rollout.gate import Gate
from stoker.rollout.gates.week_2 import canary, ready

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = (ready.GATE, canary.SPLIT, canary.PROMOTE, canary.ROLL_BACK, canary.BOTH)
