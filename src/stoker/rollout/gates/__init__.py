"""The gates of the four weeks, one package a week, in the order in which they are measured."""

from typing import Final

from stoker.rollout.gate import Gate
from stoker.rollout.gates.week_1 import GATES as WEEK_1
from stoker.rollout.gates.week_2 import GATES as WEEK_2
from stoker.rollout.gates.week_3 import GATES as WEEK_3
from stoker.rollout.gates.week_4 import GATES as WEEK_4

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = (*WEEK_1, *WEEK_2, *WEEK_3, *WEEK_4)
