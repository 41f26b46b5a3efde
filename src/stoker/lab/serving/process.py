"""The process of its own that runs every container of the lab, and the socket over which the nodes command it."""

import asyncio
import importlib
import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Literal, cast

from stoker.lab.serving.clock import Clock, Timer, WallClock
from stoker.lab.serving.contract import (
    ContainerLog,
    ContainerState,
    Fault,
    FromServing,
    Held,
    RunContainer,
    SetClock,
    SetListeners,
    StopContainer,
    ToServing,
    decode_to,
    encode,
)
from stoker.lab.serving.devices import Devices
from stoker.lab.serving.program import Program
from stoker.lab.serving.proxy import Listeners
from stoker.lab.serving.staging import Disks

__all__ = ["Serving", "serve"]

log = logging.getLogger(__name__)

_LAST_LINES: Final = 20
_DISKS: Final = "weights-on-disk.json"
# Requests come and go by the hundred: those who count them look less often.
_COUNT_S: Final = 0.02
_MOST_LINE: Final = 16 * 2**20  # a pod with everything in it is far smaller


class _Container:
    """A container that runs: its program, its log, its state. The `Host` of its program."""

    def __init__(self, run: RunContainer, serving: "Serving") -> None:
        self.run, self.devices, self.disks = run, serving.devices, serving.disks
        self.clock: Clock = serving.clock
        self.last: ContainerState = ContainerState(id=run.id, state="running")
        self.lines: list[tuple[float, str]] = []
        self._recent: deque[str] = deque(maxlen=_LAST_LINES)
        self._serving = serving
        self._program: Program | None = None
        self._kill: Timer | None = None
        self.is_over = False

    def start(self) -> None:
        self._say(self.last)
        try:
            from stoker.lab.serving.programs import program_of

            self._program = program_of(self.run, self)
            self._program.start()
        except Exception:
            # A defect here must not take the other pods along; it is told where a user looks.
            log.exception("%s", self.run.id)
            self.log("[lab] the lab failed to run this container; its own log has the trace")
            self.exit(1, "Error", "the lab failed to run this container")

    # --- Host ---

    def log(self, *lines: str) -> None:
        now = self.clock.now()
        for line in lines:
            self.lines.append((now, line))
            self._recent.append(line)
        self._serving.logged(self)

    def state(self, state: Literal["ready", "unready"]) -> None:
        if not self.is_over and state != self.last.state:
            self._say(ContainerState(id=self.run.id, state=state))

    def exit(self, code: int, reason: str = "", message: str = "") -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._kill is not None:
            self._kill.cancel()
        if self._program is not None:
            self._program.close()
        said = message or ("\n".join(self._recent) if code else "")
        self._serving.flush()
        self._say(ContainerState(
            id=self.run.id, state="exited", exit_code=code, reason=reason or ("Error" if code else "Completed"), message=said[-4096:],
        ))  # fmt: skip
        self._serving.forget(self)

    # --- commands ---

    def stop(self, grace_s: float) -> None:
        """SIGTERM now, SIGKILL after the grace."""
        if self.is_over:
            return
        if self._kill is not None:
            self._kill.cancel()
        self._kill = self.clock.at(self.clock.now() + max(0.0, grace_s), self.kill)
        if self._program is not None and grace_s > 0:
            self._program.terminate()

    def kill(self) -> None:
        self.exit(137, "Error")

    def fault(self, fault: Fault) -> None:
        if self._program is None or not self._program.fault(fault.kind, on=fault.on, value=fault.value):
            self.log(f"[lab] a fault of kind {fault.kind} has no meaning for this program")

    def _say(self, state: ContainerState) -> None:
        self.last = state
        self._serving.send(state)


class Serving:
    """Containers and listeners, driven by messages.

    Args:
        clock: the lab's.
        send: takes a message for the nodes.
        disks: the file that remembers which weights lie where; None forgets with the process.
        rng: of the shares of routes; None for what cannot be foreseen.
    """

    def __init__(
        self,
        clock: WallClock,
        send: Callable[[FromServing], None],
        disks: Path | None = None,
        rng: Random | None = None,
    ) -> None:
        self.clock, self.send = clock, send
        self.disks = Disks(disks)
        self.devices = Devices()
        self.listeners = Listeners(clock, self._held, rng or Random())  # noqa: S311 - shares of traffic are no secrets
        self.containers: dict[str, _Container] = {}
        self._unsent: dict[_Container, None] = {}
        self._is_flushing = self._is_counting = False
        self._counts: dict[str, int] = {}
        self._setting: asyncio.Task[None] | None = None
        self._wanted: SetListeners | None = None

    def handle(self, message: ToServing) -> None:
        """Do what the nodes say. What a message asks of a container that is gone is done already."""
        match message:
            case SetClock():
                self.clock.set(message.now, message.speed)
            case RunContainer():
                if message.id not in self.containers:
                    container = self.containers[message.id] = _Container(message, self)
                    container.start()
            case StopContainer():
                if message.id in self.containers:
                    self.containers[message.id].stop(message.grace_s)
            case SetListeners():
                self._listen(message)
            case Fault():
                self._fault(message)

    def _listen(self, message: SetListeners) -> None:
        self._wanted = message
        if self._setting is None:
            self._setting = asyncio.ensure_future(self._set())

    def _fault(self, message: Fault) -> None:
        if message.id in self.containers:
            self.containers[message.id].fault(message)
        elif not message.on:
            self.devices.mend(message.id)  # what broke under a container outlives it

    async def _set(self) -> None:
        """Bring the listeners to the newest wish; wishes in between are skipped."""
        try:
            while self._wanted is not None:
                wanted, self._wanted = self._wanted, None
                await self.listeners.set(wanted.listeners)
        finally:
            self._setting = None

    def resume(self) -> None:
        """A new controller is told how everything stands."""
        for container in list(self.containers.values()):
            self.send(container.last)
        self._counts = {}
        self._held()

    def forget(self, container: _Container) -> None:
        self._unsent.pop(container, None)
        self.containers.pop(container.run.id, None)

    # --- what is told together ---

    def logged(self, container: _Container) -> None:
        self._unsent[container] = None
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_later(0.02, self.flush)

    def flush(self) -> None:
        """Send the lines that programs wrote since last time."""
        self._is_flushing = False
        for container in self._unsent:
            lines, container.lines = tuple(container.lines), []
            if lines:
                self.send(ContainerLog(id=container.run.id, lines=lines))
        self._unsent.clear()

    def _held(self) -> None:
        if not self._is_counting:
            self._is_counting = True
            asyncio.get_running_loop().call_later(_COUNT_S, self._count)

    def _count(self) -> None:
        self._is_counting = False
        counts = self.listeners.counts()
        if counts != self._counts:
            self._counts = counts
            self.send(Held(counts=counts))

    def close(self) -> None:
        """End everything at once."""
        for container in list(self.containers.values()):
            container.kill()
        self.listeners.close()


class _Control(asyncio.Protocol):
    """The one controller's connection."""

    owner: "_Control | None" = None

    def __init__(self, socket: "_Socket") -> None:
        self._socket = socket
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._socket.controller is not None:
            transport.close()  # one controller at a time
            return
        self.transport = cast(asyncio.Transport, transport)
        self._socket.controller = self
        self._socket.serving.resume()

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        self._buffer += data
        if len(self._buffer) > _MOST_LINE and b"\n" not in self._buffer:
            log.error("a message without end: the controller is dropped")
            self.transport.abort()
            return
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            if not line:
                continue
            try:
                message = decode_to(line)
            except ValueError:
                log.exception("a message that is none: %.200r", line)
                continue
            try:
                self._socket.serving.handle(message)
            except Exception:
                log.exception("%.200r", line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of asyncio
        if self._socket.controller is self:
            self._socket.controller = None
        self.transport = None


class _Socket:
    def __init__(self, clock: WallClock, disks: Path) -> None:
        self.controller: _Control | None = None
        self.serving = Serving(clock, self.send, disks)

    def send(self, message: FromServing) -> None:
        if self.controller is not None and self.controller.transport is not None:
            self.controller.transport.write(encode(message))


async def serve(path: Path, stop: asyncio.Event, parent: int) -> None:
    """Run until ``stop`` is set or the parent is gone.

    Args:
        path: of the Unix socket; it is there when the process listens, and gone when it has ended.
        stop: ends it.
        parent: process id of the one that started this.
    """
    loop = asyncio.get_running_loop()
    socket = _Socket(WallClock(loop), path.with_name(_DISKS))
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, before anybody waits
    before = os.umask(0o177)
    try:
        server = await loop.create_unix_server(lambda: _Control(socket), str(path))
    finally:
        os.umask(before)
    watching = asyncio.ensure_future(_watch(parent, stop))
    await asyncio.to_thread(_prepare)
    try:
        await stop.wait()
    finally:
        watching.cancel()
        server.close()
        socket.serving.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - nobody waits any more


def _prepare() -> None:
    """Import what engines need, now that whoever waits for the socket need not wait for it any more."""
    importlib.import_module("stoker.lab.serving.programs")
    importlib.import_module("stoker.lab.serving.engine_program")


async def _watch(parent: int, stop: asyncio.Event) -> None:
    """Set ``stop`` once the parent is gone."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        stop.set()
        return
    except (AttributeError, OSError):  # no Linux, or one before 5.3
        while _lives(parent):  # noqa: ASYNC110 - no event tells of it here
            await asyncio.sleep(0.5)
        stop.set()
        return
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
        stop.set()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
