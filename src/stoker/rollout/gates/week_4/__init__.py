"""Week 4, observability: metrics, dashboards, and a page that arrives and ends."""

from typing import Final

from stoker.rollout.gate import Gate
from stoker.rollout.gates.week_4.dashboards import DASHBOARDS_ANSWER
from stoker.rollout.gates.week_4.metrics import METRICS_PRESENT
from stoker.rollout.gates.week_4.pages import PAGE_ARRIVES, PAGE_RESOLVES

__all__ = ["GATES"]

GATES: Final[tuple[Gate, ...]] = (METRICS_PRESENT, DASHBOARDS_ANSWER, PAGE_ARRIVES, PAGE_RESOLVES)
