"""The kubelets' end of the socket to the process that runs containers (`stoker.lab.serving`).

Plain programs stay in this process; everything else goes over the wire. What the process says is kept until a kubelet asks.
While the process is away its programs do not answer; when it is back they are started again.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from stoker.lab.nodes.programs import Programs
from stoker.lab.nodes.scripts import is_plain
from stoker.lab.serving.contract import (
    ContainerLog,
    ContainerState,
    Fault,
    FromServing,
    Held,
    RunContainer,
    SetClock,
    StopContainer,
    ToServing,
    decode_from,
    encode,
)

__all__ = ["ServingClient"]

_MOST_LINES = 2000
_AGAIN_S = 0.2
_LONGEST_LINE = 2**24

log = logging.getLogger("stoker.lab")


class ServingClient:
    """A runner that has engines run beside.

    Args:
        now: the lab's time.
        speed: of the lab's clock.
        woken: called with a container's id when there is something to ask about it.
        held: called with counts of held requests by rule.
    """

    def __init__(
        self,
        now: Callable[[], float],
        speed: float = 1.0,
        *,
        woken: Callable[[str], None] = lambda _: None,
        held: Callable[[dict[str, int]], None] = lambda _: None,
    ) -> None:
        self._now = now
        self._speed = speed
        self._woken = woken
        self.held = held
        self._plain = Programs(now)
        self._plain.woken = woken
        self._local: set[str] = set()
        self._running: dict[str, RunContainer] = {}
        self._said: dict[str, list[ContainerState]] = {}
        self._lines: dict[str, deque[tuple[float, str]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._extra: dict[str, ToServing] = {}

    @property
    def woken(self) -> Callable[[str], None]:
        return self._woken

    @woken.setter
    def woken(self, call: Callable[[str], None]) -> None:
        self._woken = self._plain.woken = call

    # --- the runner -----------------------------------------------------------------------------------------------

    def start(self, run: RunContainer) -> None:
        if is_plain(run):
            self._local.add(run.id)
            self._plain.start(run)
            return
        self._running[run.id] = run
        self._said[run.id] = []
        self._lines[run.id] = deque(maxlen=_MOST_LINES)
        self._send(run)

    def stop(self, run_id: str, grace_s: float) -> None:
        if run_id in self._local:
            self._plain.stop(run_id, grace_s)
        elif run_id in self._running:
            self._send(StopContainer(id=run_id, grace_s=grace_s))
            if self._writer is None:
                self._take(ContainerState(id=run_id, state="exited", exit_code=137, reason="Error"))

    def fault(self, fault: Fault) -> None:
        if fault.id in self._local:
            self._plain.fault(fault)
        else:
            self._send(fault)

    def states(self, run_id: str) -> Sequence[ContainerState]:
        if run_id in self._local:
            return self._plain.states(run_id)
        said = self._said.get(run_id)
        if not said:
            return ()
        self._said[run_id] = []
        return said

    def due_s(self, run_id: str) -> float | None:
        return self._plain.due_s(run_id) if run_id in self._local else None

    def forget(self, run_id: str) -> None:
        self._local.discard(run_id)
        self._plain.forget(run_id)
        self._running.pop(run_id, None)
        self._said.pop(run_id, None)
        self._lines.pop(run_id, None)

    def log(self, run_id: str) -> Sequence[tuple[float, str]]:
        if run_id in self._local:
            return self._plain.log(run_id)
        return tuple(self._lines.get(run_id, ()))

    def send(self, message: ToServing) -> None:
        """Send what is no container's, such as listeners; the newest of each type is sent again after a break."""
        self._extra[type(message).__name__] = message
        self._send(message)

    # --- the wire -------------------------------------------------------------------------------------------------

    async def run(self, path: Path) -> None:
        """Stay connected to the process's socket until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
            except OSError:
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                self._connected(writer)
                async for line in reader:
                    self._take(decode_from(line))
            except (OSError, ValueError):
                log.exception("the process that runs containers spoke nonsense or broke off")
            finally:
                self._broken(writer)
            await asyncio.sleep(_AGAIN_S)

    def _connected(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._send(SetClock(now=self._now(), speed=self._speed))
        for message in (*self._extra.values(), *self._running.values()):
            self._send(message)

    def _broken(self, writer: asyncio.StreamWriter) -> None:
        self._writer = None
        with contextlib.suppress(OSError):
            writer.close()
        for run_id in self._running:
            self._take(ContainerState(id=run_id, state="unready"))

    def _send(self, message: ToServing) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    def _take(self, message: FromServing) -> None:
        if isinstance(message, Held):
            self.held(message.counts)
        elif isinstance(message, ContainerLog):
            lines = self._lines.get(message.id)
            if lines is not None:
                lines.extend(message.lines)
        elif message.id in self._said:
            if message.state == "exited":
                self._running.pop(message.id, None)
            self._said[message.id].append(message)
            self._woken(message.id)
