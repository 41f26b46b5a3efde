"""The gates of the four weeks, one module or package a week, in the order in which they are measured."""

from typing import Final

from stoker.rollout.gate import Gate
from stoker.rollout.gates.week3 import GATES as WEEK_3
from stoker.rollout.gates.week4 import GATES as WEEK_4
from stoker.rollout.gates.week_1 import GATES as WEEK_1
from stoker.rollout.gates.week_2 import GATES as WEEK_2

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = (*WEEK_1, *WEEK_2, *WEEK_3, *WEEK_4)
