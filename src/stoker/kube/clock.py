"""The cluster's time: wall time, or the lab's, which runs faster and ahead.

Thresholds and windows are the cluster's seconds; only a clock knows how long they take on the wall.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from stoker.kube.refs import Ref

__all__ = ["LAB", "Clock", "LabTime", "WallTime", "lab_time"]

LAB: Final = Ref(
    "v1", "ConfigMap", "kube-public", "stoker-lab"
)  # what a lab says of its time (`lab.bootstrap`)


class Clock(Protocol):
    """Now and waiting, in the cluster's time.

    Attributes:
        speed: seconds of the cluster in one of the wall.
    """

    @property
    def speed(self) -> float: ...

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for so many of the cluster's seconds."""
        ...


@dataclass(frozen=True, slots=True)
class WallTime:
    """A real cluster's time."""

    speed: float = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class LabTime:
    """The lab's time: at ``wall`` it was ``lab``, and runs ``speed`` times as fast."""

    wall: datetime
    lab: datetime
    speed: float

    def now(self) -> datetime:
        return self.lab + (datetime.now(UTC) - self.wall) * self.speed

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self.speed)


def lab_time(config_map: Mapping[str, Any] | None) -> LabTime | None:
    """The time of a lab by what it says of itself in ``kube-public/stoker-lab``; None where that is no lab's."""
    data = (config_map or {}).get("data") or {}
    try:
        speed = float(data["speed"])
        wall, lab = datetime.fromisoformat(data["wall"]), datetime.fromisoformat(data["lab"])
    except (KeyError, TypeError, ValueError):
        return None
    if speed <= 0 or wall.tzinfo is None or lab.tzinfo is None or abs(lab - wall) > timedelta(days=36_500):
        return None
    return LabTime(wall, lab, speed)
