"""What containers run: the protocol between kubelets and programs, and plain programs in this process.

A plain program is one whose course can be read off its command: pause, ``sleep N``, a short shell script, ``nvidia-smi``, or
one whose pod says how long it runs (annotation ``lab.stoker.dev/run-seconds``, and ``lab.stoker.dev/exit-code``). Everything
else goes to the process beside (`serving_client`) where one is attached; without it, servers become ready once their weights
would be there, and do nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stoker.lab.nodes.scripts import Plan, plan_of
from stoker.lab.serving.contract import ContainerState, Fault, RunContainer

__all__ = ["Programs", "Runner"]

_MOST_LINES = 10_000


class Runner(Protocol):
    """Runs containers' programs. Kubelets ask it; it calls them only to say that there is something to ask for.

    Attributes:
        woken: called with a container's id then; the kubelets set it.
    """

    woken: Callable[[str], None]

    def start(self, run: RunContainer) -> None:
        """Start a program."""

    def stop(self, run_id: str, grace_s: float) -> None:
        """SIGTERM now, SIGKILL after ``grace_s``."""

    def fault(self, fault: Fault) -> None:
        """Break something in a program, or mend it."""

    def states(self, run_id: str) -> Sequence[ContainerState]:
        """What has become of a program since this was last asked."""

    def due_s(self, run_id: str) -> float | None:
        """Seconds until a program will have something to say; None where it speaks up by itself, or never will."""

    def forget(self, run_id: str) -> None:
        """A program's container is gone, and its log with it."""

    def log(self, run_id: str) -> Sequence[tuple[float, str]]:
        """Lines that it wrote, with their times."""


@dataclass(slots=True)
class _Program:
    plan: Plan
    started_s: float
    said: list[ContainerState] = field(default_factory=list)
    stopped_s: float | None = None
    kill_s: float | None = None
    has_said_running: bool = False
    has_said_ready: bool = False
    is_over: bool = False
    hangs: bool = False
    lines: list[tuple[float, str]] = field(default_factory=list)


class Programs:
    """Plain programs in the lab's own process: nothing runs but the clock.

    Args:
        now: the lab's time in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.woken: Callable[[str], None] = lambda _: None
        self._programs: dict[str, _Program] = {}

    def start(self, run: RunContainer) -> None:
        now = self._now()
        plan = plan_of(run)
        program = _Program(plan, now)
        program.lines = [(now, line) for line in plan.lines][:_MOST_LINES]
        self._programs[run.id] = program

    def stop(self, run_id: str, grace_s: float) -> None:
        program = self._programs.get(run_id)
        if program is None or program.is_over:
            return
        now = self._now()
        program.stopped_s = now if program.stopped_s is None else program.stopped_s
        kill = now + grace_s
        program.kill_s = kill if program.kill_s is None else min(kill, program.kill_s)

    def fault(self, fault: Fault) -> None:
        program = self._programs.get(fault.id)
        if program is None or program.is_over:
            return
        if fault.kind == "crash":
            self._end(fault.id, program, int(fault.value) or 1, "Error")
        elif fault.kind == "hang":
            program.hangs = fault.on
            if program.has_said_ready:
                program.said.append(ContainerState(id=fault.id, state="unready" if fault.on else "ready"))
        self.woken(fault.id)

    def states(self, run_id: str) -> Sequence[ContainerState]:
        program = self._programs.get(run_id)
        if program is None:
            return ()
        self._move(run_id, program)
        said, program.said = program.said, []
        return said

    def due_s(self, run_id: str) -> float | None:
        program = self._programs.get(run_id)
        if program is None or program.is_over:
            return None
        times = [self._ends_s(program)]
        if not program.has_said_ready:
            times.append((program.started_s + program.plan.ready_s, 0, ""))
        known = [time[0] for time in times if time is not None]
        return max(0.0, min(known) - self._now()) if known else None

    def forget(self, run_id: str) -> None:
        self._programs.pop(run_id, None)

    def log(self, run_id: str) -> Sequence[tuple[float, str]]:
        program = self._programs.get(run_id)
        return program.lines if program is not None else ()

    def _move(self, run_id: str, program: _Program) -> None:
        if program.is_over:
            return
        now = self._now()
        if not program.has_said_running:
            program.has_said_running = True
            program.said.append(ContainerState(id=run_id, state="running"))
        end = self._ends_s(program)
        is_ended = end is not None and end[0] <= now
        if (
            not program.has_said_ready
            and program.started_s + program.plan.ready_s <= now
            and not program.hangs
        ):
            program.has_said_ready = True
            program.said.append(ContainerState(id=run_id, state="ready"))
        if is_ended and end is not None:
            self._end(run_id, program, end[1], end[2])

    @staticmethod
    def _ends_s(program: _Program) -> tuple[float, int, str] | None:
        """When it ends, with which code, and why; None for never."""
        plan = program.plan
        ends: list[tuple[float, int, str]] = []
        if plan.run_s is not None:
            reason = "Completed" if plan.exit_code == 0 else "Error"
            ends.append((program.started_s + plan.run_s, plan.exit_code, reason))
        if program.kill_s is not None:
            # 128 + SIGKILL.
            ends.append((program.kill_s, 137, "Error"))
        if program.stopped_s is not None and not plan.ignores_term:
            ends.append((program.stopped_s, 0, "Completed"))
        return min(ends, key=lambda one: one[0]) if ends else None

    @staticmethod
    def _end(run_id: str, program: _Program, code: int, reason: str) -> None:
        program.is_over = True
        program.said.append(ContainerState(id=run_id, state="exited", exit_code=code, reason=reason))
