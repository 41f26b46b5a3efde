"""Week 1: GPU nodes and tenants. In the order in which one presumes the other."""

from typing import Final

from stoker.rollout.gate import Gate
from stoker.rollout.gates.week_1 import admission, gpus, preemption, spread, taints

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = (
    gpus.GATE,
    taints.UNTOLERATED,
    taints.TOLERATED,
    spread.GATE,
    admission.QUOTA,
    admission.LIMIT,
    preemption.GATE,
)
