"""Prometheus and Alertmanager as child processes: started, watched, started again, and gone when the lab is gone.

A child asks the kernel to be killed when the thread that started it ends (PR_SET_PDEATHSIG), so that a lab that is killed
leaves nothing behind; threads that start children must live as long as the lab does: its event loop's does. What a child
writes goes to a file of limited size, with every value of a Secret blotted out.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from stoker.errors import StokerError
from stoker.lab.monitoring.speed import LabTime, scaled_interval
from stoker.lab.sockets import listen

__all__ = [
    "ALERTMANAGER",
    "PROMETHEUS",
    "Child",
    "LogFile",
    "alertmanager_arguments",
    "find_binary",
    "free_port",
    "prometheus_arguments",
]

PROMETHEUS: Final = ("prometheus",)
ALERTMANAGER: Final = ("prometheus-alertmanager", "alertmanager")
_PACKAGES: Final = {PROMETHEUS: "prometheus", ALERTMANAGER: "prometheus-alertmanager"}
_STOPS_WITHIN_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
# A child that lived this long had started well: its next failure is a new one.
_HEALTHY_S: Final = 60.0
_LARGEST_LOG: Final = 4_000_000
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)

State = Literal["stopped", "starting", "running", "waiting"]


def find_binary(names: Sequence[str]) -> str:
    """The path of a program by one of its names; Debian calls Alertmanager otherwise than everybody else.

    Raises:
        StokerError: it is not installed; the message names the package.
    """
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    package = _PACKAGES.get(tuple(names), names[0])
    raise StokerError(
        f"{names[0]} is not installed; the lab runs without it",
        fix=f"apt-get install {package} (Debian, Ubuntu)",
    )


def free_port(host: str) -> int:
    """A port of an address that nobody has now."""
    with listen(host, 0, "another port") as sock:
        found: int = sock.getsockname()[1]
        return found


def prometheus_arguments(binary: str, folder: Path, listen: str, time: LabTime) -> list[str]:
    """The command line; every duration in it is the lab's, shortened."""
    return [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.listen-address={listen}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=2d",
        "--storage.tsdb.retention.size=512MB",
        "--web.enable-lifecycle",
        "--log.level=info",
        # Changed targets: at once after discovery has told them (the flag is hidden; cmd/prometheus/main.go).
        "--scrape.discovery-reload-interval=200ms",
        f"--query.lookback-delta={scaled_interval('5m', time, 0.5)}",
        f"--rules.alert.resend-delay={scaled_interval('1m', time)}",
        f"--rules.alert.for-grace-period={scaled_interval('10m', time)}",
        f"--rules.alert.for-outage-tolerance={scaled_interval('1h', time)}",
    ]


def alertmanager_arguments(binary: str, folder: Path, listen: str) -> list[str]:
    return [
        binary,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--web.listen-address={listen}",
        f"--storage.path={folder / 'data'}",
        "--data.retention=48h",
        "--cluster.listen-address=",  # one member: no gossip, no port
        "--log.level=info",
    ]


class LogFile:
    """Lines of a child. Values in ``secrets`` never reach the file."""

    def __init__(self, path: Path, largest: int = _LARGEST_LOG) -> None:
        self.path = path
        self.secrets: set[str] = set()
        self._largest = largest

    def write(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        for secret in self.secrets:
            if len(secret) > 3:
                text = text.replace(secret, "<secret>")
        if self.path.exists() and self.path.stat().st_size > self._largest:
            self.path.replace(self.path.with_suffix(self.path.suffix + ".1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(text)

    def tail(self, lines: int = 5) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8").splitlines()[-lines:]
        except OSError:
            return []


@dataclass(slots=True)
class Child:
    """One process that should run.

    Attributes:
        name: for messages.
        arguments: the command line, asked for at each start.
        log: where its output goes.
        restarts: how often it was started again.
    """

    name: str
    arguments: Callable[[], list[str]]
    log: LogFile
    state: State = "stopped"
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = field(default=None)
    _paused: bool = field(default=False)

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def start(self) -> None:
        """Have it run until `stop`."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._supervise())

    async def stop(self, grace_s: float = 5.0) -> None:
        """End it, at the latest by force; afterwards nothing of it is left."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        process, self.process = self.process, None
        self.state = "stopped"
        if process is None or process.returncode is not None:
            return
        self._signal(process, signal.SIGCONT)
        self._signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            self._signal(process, signal.SIGKILL)
            await process.wait()

    def pause(self, *, on: bool) -> None:
        """Stop it from doing anything, connections included, or let it go on: what a partition looks like."""
        self._paused = on
        if self.process is not None and self.process.returncode is None:
            self._signal(self.process, signal.SIGSTOP if on else signal.SIGCONT)
            if on:
                _wait_stopped(self.process.pid)

    def reload(self) -> None:
        """Have it read its configuration again (both servers do on SIGHUP)."""
        if self.process is not None and self.process.returncode is None:
            self._signal(self.process, signal.SIGHUP)

    @staticmethod
    def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    async def _supervise(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            self.state = "starting"
            try:
                await self._run()
            except OSError as error:
                self.log.write(f"cannot start: {error}\n".encode())
            if time.monotonic() - began > _HEALTHY_S:
                pause = _FIRST_PAUSE_S
            self.state = "waiting"
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)
            self.restarts += 1

    async def _run(self) -> None:
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel knew
                os._exit(1)

        self.process = process = await asyncio.create_subprocess_exec(
            *self.arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C on the terminal is the lab's to answer
            preexec_fn=die_with_parent,
        )
        self.state = "running"
        if self._paused:
            self._signal(process, signal.SIGSTOP)
        assert process.stdout is not None  # noqa: S101 - asked for above
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue  # longer than the reader's buffer: nobody needs such a line
            if not line:
                break
            self.log.write(line)
        code = await process.wait()
        self.log.write(f"{self.name} ended with {code}\n".encode())


def _wait_stopped(child: int) -> None:
    """Until the last of its threads stands still: a busy machine lets them answer for a moment longer."""
    deadline = time.monotonic() + _STOPS_WITHIN_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline and not os.waitid(
            os.P_PID, child, os.WSTOPPED | os.WNOWAIT | os.WNOHANG
        ):
            time.sleep(0.001)
