"""Stoker's own program that copies weights to a disk, stages them on every node, or waits for them: `weights.py`.

What it does is in `upgrades/storage/scripts/weights.py`; here no byte is copied, only the time passes that copying takes, and
the lab remembers which directories are whole.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.program import Host, Program

__all__ = ["Disks", "Weights", "weights_command"]

_SCRIPT: Final = "weights.py"
_POLL_S: Final = 5.0
_COMMANDS: Final = {"copy": 3, "stage": 3, "wait": 2}


class Disks:
    """Directories that hold whole copies, by place; they outlive pods and, in a file, the lab's own restarts.

    Args:
        path: the file; None remembers only as long as the process lives.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._whole: set[str] = set()
        if path is not None and path.exists():
            self._whole = set(json.loads(path.read_text(encoding="utf-8")))

    def __contains__(self, place: str) -> bool:
        return place in self._whole

    def add(self, place: str) -> None:
        if place in self._whole:
            return
        self._whole.add(place)
        if self._path is not None:
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps(sorted(self._whole)), encoding="utf-8")
            partial.replace(self._path)


def weights_command(words: Sequence[str]) -> tuple[str, ...]:
    """What the program is told to do, as ``("wait", "/weights", "3600")``; empty where a command line is not its."""
    for index, word in enumerate(words):
        if word.rpartition("/")[2] == _SCRIPT:
            rest = tuple(words[index + 1 :])
            return rest if rest and len(rest) > _COMMANDS.get(rest[0], len(rest)) else ()
    return ()


class Weights(Program):
    """``copy`` ends when the copy is whole, ``stage`` is ready then and stays, ``wait`` ends once there is one."""

    def __init__(self, run: RunContainer, host: Host, command: tuple[str, ...]) -> None:
        super().__init__(run, host)
        self._does, *self._rest = command
        self._deadline = 0.0

    def start(self) -> None:
        if self._does == "wait":
            limit = self._rest[1]
            self._deadline = self.host.clock.now() + (
                float(limit) if limit.replace(".", "", 1).isdigit() else 0.0
            )
            self._look()
            return
        root, names = self._rest[0], [self._rest[1]]
        if self._does == "stage":
            names = [pair.partition("=")[0] for pair in self._rest[2:]]
        missing = [name for name in names if self._place(f"{root}/{name}") not in self.host.disks]
        seconds = self.container.load_s * len(missing) / len(names)
        for name in names:
            said = f"copying takes {seconds:.1f} s" if name in missing else "already complete"
            self.host.log(f"[lab] {root}/{name}: {said}")
        self.after(seconds, lambda: self._copied(root, names))

    def _copied(self, root: str, names: Sequence[str]) -> None:
        for name in names:
            self.host.disks.add(self._place(f"{root}/{name}"))
        if self._does == "copy":
            self.host.exit(0)
        else:
            self.host.state("ready")

    def _look(self) -> None:
        directory = self._rest[0]
        if self._place(directory) in self.host.disks:
            self.host.exit(0)
        elif self.host.clock.now() > self._deadline:
            self.host.log(f"{directory}: not complete after {self._rest[1]} s")
            self.host.exit(1)
        else:
            self.after(_POLL_S, self._look)

    def _place(self, path: str) -> str:
        """The directory's place; one that no lasting volume holds is the container's own."""
        mounts = [one for one in self.container.places if f"{path}/".startswith(f"{one}/")]
        if not mounts:
            return f"{self.container.id}{path}"
        mount = max(mounts, key=len)
        return self.container.places[mount] + path.removeprefix(mount)
