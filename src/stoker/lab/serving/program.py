"""What runs in a container: the part that every program shares with the one that started it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from stoker.lab.serving.clock import Clock, Timer
from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.devices import Devices

if TYPE_CHECKING:
    from stoker.lab.serving.staging import Disks

__all__ = ["Host", "Program"]


class Host(Protocol):
    """What a program may ask of the process it lives in."""

    clock: Clock
    devices: Devices
    disks: "Disks"

    def log(self, *lines: str) -> None:
        """Write lines to the container's log."""
        ...

    def state(self, state: Literal["ready", "unready"]) -> None:
        """It answers, or no longer does."""
        ...

    def exit(self, code: int, reason: str = "", message: str = "") -> None:
        """The program is over."""
        ...


class Program:
    """A program that runs until it is stopped, and exits at SIGTERM.

    Subclasses override what they do differently. Everything is called on the event loop.
    """

    def __init__(self, run: RunContainer, host: Host) -> None:
        self.container, self.host = run, host
        self._timers: list[Timer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """The process lives."""
        self.host.state("ready")

    def terminate(self) -> None:
        """SIGTERM."""
        self.host.exit(0)

    def close(self) -> None:
        """It is over, or killed: leave nothing behind."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def fault(self, kind: str, *, on: bool, value: float) -> bool:
        """Something breaks, or is mended. Whether the program knows that kind."""
        if kind == "crash" and on:
            self.host.exit(int(value) or 1, "Error")
            return True
        return False

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something in so many seconds of the lab, unless the program is over by then."""
        self._timers.append(self.host.clock.at(self.host.clock.now() + seconds, do))

    def spawn(self, work: "asyncio.Task[None]") -> None:
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
