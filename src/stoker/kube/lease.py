"""One run at a time: a coordination.k8s.io Lease, renewed by a thread while it is held.

As in client-go's leader election, nobody's clock is compared with another's: a lease is free when its record has not changed
for its whole duration *as watched from here*. A holder that was killed on this very machine is known to be gone at once.
Source: k8s.io/client-go/tools/leaderelection/leaderelection.go.
"""

import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stoker.errors import StokerError, UnsafeError
from stoker.kube.api_errors import AlreadyExistsError, ConflictError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref

__all__ = ["Held", "Holder", "hold"]

_DURATION: Final = 15.0  # wall seconds, client-go's default
_LOOK: Final = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease: as ``user@host/pid/nonce`` in the Lease."""

    user: str
    host: str
    pid: int
    nonce: str

    @staticmethod
    def this_process() -> "Holder":
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container may run under a number without a name
            user = str(os.getuid())
        return Holder(user, socket.gethostname(), os.getpid(), secrets.token_hex(4))

    @staticmethod
    def read(text: str) -> "Holder | None":
        """None where another tool wrote it."""
        user, at, rest = text.partition("@")
        parts = rest.split("/")
        if not at or len(parts) != 3 or not parts[1].isdigit():
            return None
        return Holder(user, parts[0], int(parts[1]), parts[2])

    def __str__(self) -> str:
        return f"{self.user}@{self.host}/{self.pid}/{self.nonce}"

    def is_dead_here(self) -> bool:
        """Whether it was a process of this machine that is no more."""
        return self.host == socket.gethostname() and not _is_running(self.pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] != "Z"  # it ended and nobody has waited for it


@dataclass
class Held:
    """A lease that is held now."""

    holder: Holder
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Call before every step that another run must not do as well.

        Raises:
            UnsafeError: the lease could not be renewed in time; another run may have begun.
        """
        if self.lost.is_set():
            raise UnsafeError(
                "this run lost its lease: the cluster could not be reached for too long",
                fix="run the same command again: it goes on where this one stopped",
            )


@contextmanager
def hold(
    cluster: Cluster,
    namespace: str,
    name: str,
    *,
    what: str,
    holder: Holder | None = None,
    duration: float = _DURATION,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[Held]:
    """Hold the Lease ``name`` while the block runs.

    Args:
        cluster: where the Lease lives.
        namespace: it exists.
        name: of the Lease.
        what: for messages, such as "a rollout".
        holder: this process where None.
        duration: wall seconds without renewal after which others may take it.
        told: hears that an old holder is being waited for.

    Raises:
        UnsafeError: another run holds it and is alive.
    """
    held = Held(holder or Holder.this_process())
    lease = _Lease(cluster, Ref("coordination.k8s.io/v1", "Lease", namespace, name), held, duration)
    lease.acquire(what, told)
    stop = threading.Event()
    renewing = threading.Thread(target=lease.keep, args=(stop,), name=f"lease {name}", daemon=True)
    renewing.start()
    try:
        yield held
    finally:
        stop.set()
        renewing.join()
        lease.release()


class _Lease:
    def __init__(self, cluster: Cluster, ref: Ref, held: Held, duration: float) -> None:
        self.cluster, self.ref, self.held, self.duration = cluster, ref, held, duration
        self.current: Object = {}

    def acquire(self, what: str, told: Callable[[str], None]) -> None:
        seen, since = "", time.monotonic()
        while True:
            found = self.cluster.get(self.ref)
            if found is None:
                if self._create():
                    return
                continue
            owner = str((found.get("spec") or {}).get("holderIdentity") or "")
            version = str(found["metadata"]["resourceVersion"])
            before = Holder.read(owner)
            if version != seen:
                if seen and owner:
                    self._refuse(what, owner)  # it renews: its holder lives
                seen, since = version, time.monotonic()
            free = (
                not owner or owner == str(self.held.holder) or (before is not None and before.is_dead_here())
            )
            if free or time.monotonic() - since > self._patience(found):
                if self._take(found, changed=owner != str(self.held.holder)):
                    return
                continue
            if time.monotonic() - since < _LOOK:
                told(f"{owner} held {what}; waiting whether it still does")
            time.sleep(_LOOK)

    def _patience(self, lease: Object) -> float:
        """What its holder promised to renew within, not what we would."""
        seconds = (lease.get("spec") or {}).get("leaseDurationSeconds")
        return float(seconds) if isinstance(seconds, int) and seconds > 0 else self.duration

    def _refuse(self, what: str, owner: str) -> None:
        raise UnsafeError(
            f"{what} is running: {owner} holds {self.ref}",
            fix="wait until it has ended, or stop it where it runs",
        )

    def _create(self) -> bool:
        body = {
            "apiVersion": self.ref.api_version,
            "kind": self.ref.kind,
            "metadata": {"name": self.ref.name, "namespace": self.ref.namespace},
            "spec": self._spec({}, changed=True),
        }
        try:
            self.current = self.cluster.create(body)
        except AlreadyExistsError:
            return False
        return True

    def _take(self, found: Object, *, changed: bool) -> bool:
        try:
            self.current = self.cluster.replace(
                {**found, "spec": self._spec(found.get("spec") or {}, changed=changed)}
            )
        except ConflictError:
            return False
        return True

    def _spec(self, old: Object, *, changed: bool) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": str(self.held.holder),
            "leaseDurationSeconds": max(1, round(self.duration)),
            "acquireTime": now if changed else old.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + bool(changed and old),
        }

    def keep(self, stop: threading.Event) -> None:
        """Renew until told to stop; sets `Held.lost` where that failed for too long, or another took it."""
        renewed = time.monotonic()
        while not stop.wait(self.duration / 3):
            try:
                if not self._take(self.current, changed=False):
                    found = self.cluster.get(self.ref)
                    if found is None or (found.get("spec") or {}).get("holderIdentity") != str(
                        self.held.holder
                    ):
                        self.held.lost.set()
                        return
                    self.current = found  # our own renewal, whose answer was lost
                    continue
                renewed = time.monotonic()
            except StokerError:
                if time.monotonic() - renewed > self.duration:
                    self.held.lost.set()
                    return

    def release(self) -> None:
        """Give it back, so that the next run need not wait."""
        if self.held.lost.is_set():
            return
        spec = {**self.current["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            self.cluster.replace({**self.current, "spec": spec})
        except StokerError:
            return  # the lease runs out by itself; an error here would hide the one that ended the run
