"""Sends a plan, open loop: a request leaves when its time has come, whatever became of those before it.

A generator that waits for answers asks less of a server the slower it gets, and never measures the requests that it did not send
(coordinated omission). Here every latency counts from the moment at which the plan wanted the request sent. The one thing that
can hold a request back is the bound on requests in flight; who had to wait for it says so.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stoker.errors import StokerError
from stoker.load.clock import Clock
from stoker.load.plan import LoadPlan, Planned
from stoker.load.prompts import Prompts
from stoker.load.result import Answer, LoadResult, Outcome, Result
from stoker.load.target import Target, body_of, check_target, shown_url

if TYPE_CHECKING:
    from stoker.load.sending import Sender

_GRAIN_S: Final = 1.2e-3  # epoll's millisecond and what waking up takes
_AWAKE_SHARE: Final = 8

__all__ = ["Driver", "Progress", "run", "run_sync"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        elapsed_s: of the plan's time.
        planned, sent, in_flight, failed: requests.
    """

    elapsed_s: float
    planned: int
    sent: int
    in_flight: int
    failed: int


class Driver:
    """One run. `run` makes and drives it; whoever watches it from outside asks for `so_far`.

    Args:
        plan: what to send.
        target: where to.
        clock: the plan's; one that runs N times faster sends N times faster.
        max_in_flight: requests that may be under way at once.
        timeout_s: of a request from its sending, in the plan's time.
        on_result: called with every result as it comes, in the thread that sends; what it raises ends the run.

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
        check_target(target, os.environ)
        self.plan, self.target = plan, target
        self.clock = clock or Clock()
        self.max_in_flight, self.timeout_s = max_in_flight, timeout_s
        self.is_over = False
        self._on_result = on_result
        self._results: list[Result] = []
        self._open: set[asyncio.Task[None]] = set()
        self._sent = self._peak = self._failed = 0
        self._started = 0.0
        self._ended_s: float | None = None
        self._is_stopped = False
        self._alarm: asyncio.Future[None] | None = None

    def so_far(self) -> LoadResult:
        """The run up to now; from any thread, at any time."""
        results = tuple(sorted(self._results.copy(), key=lambda result: result.planned.index))
        elapsed = self._ended_s
        if elapsed is None:
            elapsed = self.clock.now() if self._started else 0.0
        return LoadResult(
            plan=self.plan,
            results=results,
            target=shown_url(self.target.url),
            elapsed_s=elapsed,
            max_in_flight=self.max_in_flight,
            peak_in_flight=self._peak,
            speed=self.clock.speed,
            in_flight=self._sent - len(results),
            is_cancelled=self._is_stopped,
            started=self._started,
        )

    def progress(self) -> Progress:
        """How far it is; from any thread."""
        ended, sent = len(self._results), self._sent
        elapsed = self.clock.now() if self._started else 0.0
        return Progress(elapsed, len(self.plan.requests), sent, sent - ended, self._failed)

    def stop(self, grace_s: float = 0.0) -> None:
        """Send no more; what is under way has ``grace_s`` of the plan's time to end. From the thread of the run."""
        if self._is_stopped or self.is_over:
            return
        self._is_stopped = True
        self._ring()
        asyncio.get_running_loop().call_later(self.clock.wall(grace_s), self._cut_off)

    async def drive(self) -> LoadResult:
        """Send everything and wait for the last answer."""
        prompts = Prompts.of(self.plan)
        async with self._sender() as sender:
            self._started = time.time()
            self.clock.start()
            try:
                async with asyncio.TaskGroup() as group:
                    await self._send_all(sender, prompts, group)
            finally:
                self._ended_s = self.clock.now()
                self.is_over = True
        return self.so_far()

    def _sender(self) -> "Sender":
        try:
            from stoker.load.sending import Sender
        except ImportError as error:
            raise StokerError("sending requests needs aiohttp", fix="pip install 'stoker[load]'") from error
        return Sender(self.target, self.clock.now, self.clock.wall(self.timeout_s))

    async def _send_all(self, sender: "Sender", prompts: Prompts, group: asyncio.TaskGroup) -> None:
        for request in self.plan.requests:
            body = body_of(self.target, request, prompts.text(request))
            await self._until(request.at_s)
            is_held = await self._wait_for_room()
            if self._is_stopped:
                return
            task = group.create_task(self._one(sender, request, body, is_held))
            self._sent += 1
            self._open.add(task)
            task.add_done_callback(self._closed)
            self._peak = max(self._peak, len(self._open))

    async def _until(self, at_s: float) -> None:
        """Sleep until the plan's time; return early where the run is stopped. Lets others run in any case."""
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        left = self.clock.wall(at_s - self.clock.now())
        # The event loop wakes up to a millisecond late, which a lab at speed 30 shows as 30: the last one is spent awake. Between
        # requests that follow closely it is not: there it would cost a core that the server may need.
        early = _GRAIN_S if left > _AWAKE_SHARE * _GRAIN_S else 0.0
        while not self._is_stopped and left > early:
            alarm = self._alarm = loop.create_future()
            handle = loop.call_later(left - early, self._ring)
            await alarm
            handle.cancel()
            left = self.clock.wall(at_s - self.clock.now())
        while not self._is_stopped and self.clock.wall(at_s - self.clock.now()) > 0:  # noqa: ASYNC110 - awake on purpose
            await asyncio.sleep(0)

    async def _wait_for_room(self) -> bool:
        """Wait until one more may be in flight; whether there was need to wait."""
        is_held = False
        while not self._is_stopped and len(self._open) >= self.max_in_flight:
            is_held = True
            self._alarm = asyncio.get_running_loop().create_future()
            await self._alarm
        return is_held

    def _ring(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if len(self._open) == self.max_in_flight - 1:
            self._ring()

    def _cut_off(self) -> None:
        for task in self._open:
            task.cancel()

    async def _one(self, sender: "Sender", request: Planned, body: bytes, is_held: bool) -> None:  # noqa: FBT001 - private
        answer = Answer()
        try:
            await sender.send(request.model, body, answer)
        except asyncio.CancelledError:
            answer.outcome, answer.end_s = Outcome.CANCELLED, self.clock.now()
            raise
        finally:
            result = Result(
                planned=request,
                outcome=answer.outcome,
                end_s=answer.end_s,
                sent_s=answer.sent_s,
                first_s=answer.first_s,
                status=answer.status,
                prompt_tokens=answer.prompt_tokens,
                output_tokens=answer.output_tokens,
                answered_by=answer.answered_by,
                is_held=is_held,
                detail=answer.detail,
            )
            self._results.append(result)
            self._failed += result.outcome is not Outcome.OK
            if self._on_result is not None:
                self._on_result(result)


async def run(
    plan: LoadPlan,
    target: Target,
    *,
    clock: Clock | None = None,
    max_in_flight: int = 1000,
    timeout_s: float = 300.0,
    cancel: asyncio.Event | None = None,
    grace_s: float = 0.0,
    on_result: Callable[[Result], None] | None = None,
) -> LoadResult:
    """Send a plan and wait for all answers.

    Args:
        plan: what to send.
        target: where to.
        clock: ``Clock(speed)`` for a lab that runs faster; times of the results are the plan's.
        max_in_flight: requests that may be under way at once; the result says how often it was reached.
        timeout_s: of a request from its sending, in the plan's time.
        cancel: set from outside, nothing more is sent.
        grace_s: what is under way then has so long to end, in the plan's time.
        on_result: called with every result as it comes.

    Raises:
        InputError: the target cannot be used.
        StokerError: aiohttp is not installed.
    """
    driver = Driver(
        plan, target, clock=clock, max_in_flight=max_in_flight, timeout_s=timeout_s, on_result=on_result
    )
    if cancel is None:
        return await driver.drive()

    async def watch(event: asyncio.Event) -> None:
        await event.wait()
        driver.stop(grace_s)

    watcher = asyncio.ensure_future(watch(cancel))
    try:
        return await driver.drive()
    finally:
        watcher.cancel()


def run_sync(
    plan: LoadPlan,
    target: Target,
    *,
    clock: Clock | None = None,
    max_in_flight: int = 1000,
    timeout_s: float = 300.0,
    on_result: Callable[[Result], None] | None = None,
) -> LoadResult:
    """`run` for code that has no event loop; it returns when the last answer has come."""
    return asyncio.run(
        run(plan, target, clock=clock, max_in_flight=max_in_flight, timeout_s=timeout_s, on_result=on_result)
    )
