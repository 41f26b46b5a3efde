"""What the nodes and the process that runs the containers say to each other.

Containers run in a process beside the API server (`python -m stoker.lab.serving`), so that thousands of tokens a second do
not slow the API down. Messages are lines of JSON over a Unix socket in the state folder; each is one of the types here,
named by ``type``. Times are seconds of the lab's clock.
"""

from typing import Any, Literal

import msgspec

__all__ = [
    "Absent",
    "Backend",
    "ContainerLog",
    "ContainerState",
    "Fault",
    "FromServing",
    "Held",
    "Listener",
    "Rule",
    "RunContainer",
    "SetClock",
    "SetListeners",
    "StopContainer",
    "ToServing",
    "decode_from",
    "decode_to",
    "encode",
]


class _Message(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    pass


# --- from the nodes to the process ----------------------------------------------------------------------------------


class SetClock(_Message, frozen=True, tag="clock"):
    """The lab's time now, as seconds since the epoch, and how much faster than the wall it runs."""

    now: float
    speed: float


class RunContainer(_Message, frozen=True, tag="run"):
    """Start a container's program; its image is on the node.

    Attributes:
        id: ``<pod uid>/<container>/<restart>``.
        address: of the pod, in 127.0.0.0/8; the program listens there.
        container: the container of the pod's specification, environment resolved (names to values).
        pod: the pod's metadata and specification, for labels, namespace, volumes.
        gpu: catalogue name of the node's GPU; empty for a node without.
        gpus: GPUs that the container has.
        load_s: seconds that reading the weights takes, as the node has worked out; 0 for programs without weights.
        places: mount path to the name of what is mounted there and outlives the pod; the same name means the same files.
    """

    id: str
    address: str
    container: dict[str, Any]
    pod: dict[str, Any]
    gpu: str = ""
    gpus: int = 0
    load_s: float = 0.0
    places: dict[str, str] = {}


class StopContainer(_Message, frozen=True, tag="stop"):
    """SIGTERM now, SIGKILL after ``grace_s``."""

    id: str
    grace_s: float


class Backend(msgspec.Struct, frozen=True):
    """Where requests of a rule may go. ``weight`` is that of its group, which has one; within a group round robin."""

    address: str
    port: int
    weight: int = 1
    group: str = ""


class Absent(msgspec.Struct, frozen=True):
    """A share of a rule's requests that nobody can answer: they get ``status``, or are held where the rule holds."""

    weight: int
    group: str
    status: int = 503


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that a listener sends on together.

    Attributes:
        hosts: Host headers that match, ``*`` prefixes allowed; none match all.
        path: prefix of the path.
        headers: exact matches.
        backends: who may answer, in groups by weight.
        absent: groups of which nobody can.
        empty_status: what is answered where no group has a share.
        holds: requests are held while no backend is ready, and counted (`Held`); KEDA's interceptor and Knative's activator do.
        rewrite_path: replaces the matched prefix; None leaves it.
    """

    backends: tuple[Backend, ...] = ()
    absent: tuple[Absent, ...] = ()
    hosts: tuple[str, ...] = ()
    path: str = "/"
    headers: dict[str, str] = {}
    holds: bool = False
    empty_status: int = 503
    rewrite_path: str | None = None
    name: str = ""


class Listener(msgspec.Struct, frozen=True):
    """An address that forwards: a Service (``tcp``, one rule), or a gateway (``http``, rules in order)."""

    address: str
    port: int
    kind: Literal["tcp", "http"]
    rules: tuple[Rule, ...]


class SetListeners(_Message, frozen=True, tag="listeners"):
    """Every listener that there should be; the others end. Connections that are open go on."""

    listeners: tuple[Listener, ...]


class Fault(_Message, frozen=True, tag="fault"):
    """Something breaks in a container, or is mended (``on`` false).

    ``kind``: ``fill-kv-cache`` (value: share), ``hang``, ``crash`` (value: exit code), ``xid`` (value: number), ``slow`` (value:
    factor of step times), ``errors`` and ``garble`` (value: share of requests that fail, or are answered with something else).
    """

    id: str
    kind: str
    on: bool = True
    value: float = 0.0


ToServing = SetClock | RunContainer | StopContainer | SetListeners | Fault

# --- from the process to the nodes ------------------------------------------------------------------------------------


class ContainerState(_Message, frozen=True, tag="state"):
    """A program's state changed.

    Attributes:
        state: ``running`` (the process lives), ``ready`` (it answers its health path with 200), ``unready`` (it no longer does),
            ``exited``.
        exit_code: of ``exited``.
        reason: ``Completed``, ``Error`` or ``OOMKilled``.
        message: last lines, for the termination message.
    """

    id: str
    state: Literal["running", "ready", "unready", "exited"]
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class ContainerLog(_Message, frozen=True, tag="log"):
    """Lines that a program wrote, with their times."""

    id: str
    lines: tuple[tuple[float, str], ...]


class Held(_Message, frozen=True, tag="held"):
    """Requests under holding rules now, held or being answered: by the rule's name, and by ``<name>/<group>``; sent when it changes."""

    counts: dict[str, int]


FromServing = ContainerState | ContainerLog | Held

_to = msgspec.json.Decoder(ToServing)
_from = msgspec.json.Decoder(FromServing)
_encoder = msgspec.json.Encoder()


def encode(message: ToServing | FromServing) -> bytes:
    """One line, its end included."""
    return _encoder.encode(message) + b"\n"


def decode_to(line: bytes) -> ToServing:
    found: ToServing = _to.decode(line)
    return found


def decode_from(line: bytes) -> FromServing:
    found: FromServing = _from.decode(line)
    return found
