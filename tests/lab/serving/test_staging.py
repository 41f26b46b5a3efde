"""The program that stages weights: what it waits for, what it remembers."""

from pathlib import Path
from typing import Any

import pytest
from tests.lab.serving.conftest import VirtualClock

from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.devices import Devices
from stoker.lab.serving.staging import Disks, Weights, weights_command

_NODE, _CLAIM = {"/mnt/models": "node:a/nvme/models"}, {"/weights": "node:a/nvme/models/mistral"}


class Recorder:
    """A host that keeps what a program says."""

    def __init__(self, clock: VirtualClock, disks: Disks) -> None:
        self.clock: Any = clock
        self.disks, self.devices = disks, Devices()
        self.said: list[tuple[float, Any]] = []

    def log(self, *lines: str) -> None:
        self.said += [(self.clock.now(), line) for line in lines if not line.startswith("[lab]")]

    def state(self, state: str) -> None:
        self.said.append((self.clock.now(), state))

    def exit(self, code: int, reason: str = "", message: str = "") -> None:  # noqa: ARG002 - of Host
        self.said.append((self.clock.now(), code))


def _started(clock: VirtualClock, disks: Disks, places: dict[str, str], *words: str) -> Recorder:
    host = Recorder(clock, disks)
    run = RunContainer(id="u/c/0", address="127.0.0.2", container={}, pod={}, load_s=100, places=places)
    Weights(run, host, words).start()
    return host


def test_a_pod_waits_until_its_nodes_copy_is_whole(clock: VirtualClock) -> None:
    disks, begin = Disks(), clock.now()
    waits = _started(clock, disks, _CLAIM, "wait", "/weights", "3600")
    elsewhere = _started(clock, disks, {"/weights": "node:b/nvme/models/mistral"}, "wait", "/weights", "200")
    stages = _started(
        clock, disks, _NODE, "stage", "/mnt/models", "/run/ready", "mistral=hf://x", "llama=hf://y"
    )

    clock.run()

    assert [(begin + 100, "ready")] == stages.said
    assert [(begin + 100, 0)] == waits.said
    assert (begin + 205, 1) == elsewhere.said[-1]


def test_what_is_copied_is_not_copied_again(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "disks.json"
    _started(clock, Disks(path), _NODE, "copy", "/mnt/models", "mistral", "hf://x")
    clock.run()
    begin = clock.now()

    after = Disks(path)
    again = _started(clock, after, _NODE, "copy", "/mnt/models", "mistral", "hf://x")
    more = _started(
        clock, after, _NODE, "stage", "/mnt/models", "/run/ready", "mistral=hf://x", "llama=hf://y"
    )
    clock.run()

    assert [(begin, 0)] == again.said
    assert [(begin + 50, "ready")] == more.said  # one of two models is missing


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("python3", "/opt/stoker/weights.py", "wait", "/w", "5"), ("wait", "/w", "5")),
        (("python3", "weights.py", "copy", "/w", "n", "s3://b"), ("copy", "/w", "n", "s3://b")),
        (("python3", "weights.py", "wait", "/w"), ()),
        (("python3", "weights.py"), ()),
        (("python3", "other.py", "wait", "/w", "5"), ()),
        (("python3", "weights.py", "remove", "/w"), ()),
    ],
)
def test_its_command_lines_are_known(words: tuple[str, ...], command: tuple[str, ...]) -> None:
    assert command == weights_command(words)
