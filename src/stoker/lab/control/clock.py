"""The lab's time: wall time, or wall time that runs faster."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

__all__ = ["LabClock"]


class LabClock:
    """Time that begins now and runs ``speed`` times as fast as the wall's.

    Seconds that anything in the lab names are the lab's; only this class knows the wall's. The lab's time goes on from where
    it stood when a state is opened again, so that it never runs backwards over what is stored.
    """

    def __init__(self, speed: float = 1.0, *, not_before: datetime | None = None) -> None:
        self.speed = speed
        start = datetime.now(UTC)
        self._start = start if not_before is None or not_before < start else not_before
        self._zero = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._zero) * self.speed)

    def seconds(self) -> float:
        """Seconds since the Unix epoch."""
        return self.now().timestamp()

    def wall(self, seconds: float) -> float:
        """How long the lab's ``seconds`` take on the wall."""
        return max(0.0, seconds) / self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of the lab's seconds."""
        await asyncio.sleep(self.wall(seconds))
