"""Week 3, autoscaling: up with the queue, down without loss, to zero and back, and production always warm."""

from typing import Final

from stoker.rollout.gate import Gate
from stoker.rollout.gates.week_3.scale import SCALE_DOWN, SCALE_UP
from stoker.rollout.gates.week_3.tiers import BATCH_TO_ZERO, PRODUCTION_WARM

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = (SCALE_UP, SCALE_DOWN, BATCH_TO_ZERO, PRODUCTION_WARM)
