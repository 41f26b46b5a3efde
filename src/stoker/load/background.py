"""A run beside whatever else a program does: gates and the demo watch the cluster while they load it."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from stoker.errors import StokerError
from stoker.load.clock import Clock
from stoker.load.driver import Driver, Progress
from stoker.load.plan import LoadPlan
from stoker.load.result import LoadResult, Result
from stoker.load.summary import Summary, summarise
from stoker.load.target import Target

__all__ = ["LoadRun"]


class LoadRun:
    """A run in a thread of its own. As a context manager it starts, and at the end is stopped.

    The generator shares Python's lock with the rest of the program: what that costs shows as its lag.

    Args:
        plan, target, clock, max_in_flight, timeout_s, on_result: as of `driver.run`; ``on_result`` is called in the thread.

    Raises:
        InputError: the target cannot be used.
    """

    def __init__(
        self,
        plan: LoadPlan,
        target: Target,
        *,
        clock: Clock | None = None,
        max_in_flight: int = 1000,
        timeout_s: float = 300.0,
        on_result: Callable[[Result], None] | None = None,
    ) -> None:
        self._driver = Driver(
            plan, target, clock=clock, max_in_flight=max_in_flight, timeout_s=timeout_s, on_result=on_result
        )
        self._thread = threading.Thread(target=self._work, name="stoker-load", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_loop = threading.Event()
        # Not the thread's own state: Python 3.11 takes a thread for ended whose join Ctrl-C interrupts.
        self._is_over = threading.Event()
        self._error: BaseException | None = None

    def start(self) -> Self:
        """Begin to send; returns at once."""
        self._thread.start()
        self._has_loop.wait()
        return self

    @property
    def is_running(self) -> bool:
        return self._has_loop.is_set() and not self._is_over.is_set()

    def stop(self, grace_s: float = 0.0) -> None:
        """Send no more. What is under way has ``grace_s`` of the plan's time to end, and is then cut off; `wait` waits for it."""
        if self._loop is not None and self.is_running:
            try:
                self._loop.call_soon_threadsafe(self._driver.stop, grace_s)
            except RuntimeError:  # its loop has just been closed: the run is over
                return

    def wait(self, timeout_s: float | None = None) -> LoadResult:
        """The result, when the run is over.

        Args:
            timeout_s: this machine's seconds to wait at most; None waits as long as it takes.

        Raises:
            TimeoutError: it is not over yet; it goes on.
            StokerError: aiohttp is missing, or the run was never started.
        """
        if self._thread.ident is None:
            raise StokerError("the load was never started", fix="call start() first")
        if not self._is_over.wait(timeout_s):
            raise TimeoutError(f"the load is still running after {timeout_s:g} s")
        if self._error is not None:
            raise self._error
        return self._driver.so_far()

    def so_far(self) -> LoadResult:
        """The run up to now."""
        return self._driver.so_far()

    def progress(self) -> Progress:
        """How far it is; costs nothing however long the run."""
        return self._driver.progress()

    def summary_so_far(self) -> Summary:
        """The figures up to now: of what has ended, which is the faster part of what was sent."""
        return summarise(self._driver.so_far())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._is_over.wait()

    def _work(self) -> None:
        try:
            asyncio.run(self._drive())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
        finally:
            self._has_loop.set()
            self._is_over.set()

    async def _drive(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._has_loop.set()
        await self._driver.drive()
