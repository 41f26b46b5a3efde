"""What the demo plays on: a folder, a lab, the commands, and a voice."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from stoker.errors import StokerError
from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object

__all__ = ["Done", "Stage", "packaged", "packaged_text"]

TEAM: Final = "ml-team"  # the field manager of what was there before us
_COMMAND: Final = 900.0  # wall seconds after which a command hangs

Say = Callable[[str, str], None]


def packaged_text(name: str) -> str:
    """A file of the demo, such as ``platform.yaml``."""
    return files("stoker.demo").joinpath(name).read_text(encoding="utf-8")


def packaged(folder: str) -> list[Object]:
    """Every object of a file, or of a folder's files in their order."""
    place = files("stoker.demo").joinpath(folder)
    found = [place] if place.is_file() else sorted(place.iterdir(), key=lambda one: one.name)
    return [
        obj
        for one in found
        if one.name.endswith(".yaml")
        for obj in yaml.safe_load_all(one.read_text(encoding="utf-8"))
        if obj
    ]


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Stage:
    """Where the demo plays.

    Attributes:
        folder: evidence, logs and the lab's state are left in it.
        speed: of the lab.
        say: hears a kind (``act``, ``line``, ``command``, ``output``) and the words.
    """

    folder: Path
    speed: float
    seed: int
    say: Say
    _cluster: Cluster | None = None
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "lab"

    @property
    def platform(self) -> Path:
        return self.folder / "platform.yaml"

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            self._cluster = open_cluster(kubeconfig=str(self.state / "kubeconfig"))
        return self._cluster

    def close(self) -> None:
        """Stop the lab, whatever happened before."""
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None
        subprocess.run(  # noqa: S603  # our own command
            [*_stoker(), "lab", "down", "--state", str(self.state)],
            check=False,
            capture_output=True,
            timeout=60,
        )

    def run(
        self,
        *arguments: object,
        shown: Callable[[str], bool] = lambda _: True,
        keep: str = "",
        ok: tuple[int, ...] = (0,),
    ) -> Done:
        """Run a `stoker` command as a user would; its progress is told as it comes.

        Args:
            arguments: after ``stoker``.
            shown: which lines of its standard output are told.
            keep: file in the folder for the standard output.
            ok: exit codes that let the demo go on.

        Raises:
            StokerError: it ended otherwise.
        """
        words = [str(argument) for argument in arguments]
        self.say("command", "stoker " + " ".join(self._short(word) for word in words))
        environment = {**os.environ, "KUBECONFIG": str(self.state / "kubeconfig"), "NO_COLOR": "1"}
        out = self.folder / (keep or ".stdout")
        with out.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(  # noqa: S603  # our own command
                [*_stoker(), *words],
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                encoding="utf-8",
            )
            try:
                said = list(self._told(process))
                process.wait(timeout=_COMMAND)
            except BaseException:
                process.terminate()
                process.wait(timeout=30)
                raise
        text = out.read_text(encoding="utf-8")
        if not keep:
            out.unlink()
        for line in text.splitlines():
            if line.strip() and shown(line):
                self.say("output", line)
        if process.returncode not in ok:
            raise StokerError(
                f"`stoker {' '.join(words)}` ended with {process.returncode}: {' '.join(said[-3:])}",
                fix=f"look into {self.folder}",
            )
        return Done(process.returncode, text)

    def _told(self, process: "subprocess.Popen[str]") -> Iterator[str]:
        stream = process.stderr
        for line in stream or ():
            words = line.rstrip()
            if words:
                self.say("output", words)
                yield words

    def _short(self, word: str) -> str:
        return word.replace(f"{self.folder}/", "")

    def create(self, objects: list[Object]) -> None:
        """Make objects as the teams of the cluster would, under their name."""
        for obj in objects:
            self.cluster.create(obj, manager=TEAM)

    def until(self, what: str, look: Callable[[], object], *, within: float) -> None:
        """Wait for something that must come, ``within`` so many of the cluster's seconds.

        Raises:
            StokerError: it did not.
        """
        clock = self.cluster.clock
        end = clock.now().timestamp() + within
        while not look():
            if clock.now().timestamp() > end:
                raise StokerError(
                    f"{what}: not after {within:g} s of the lab's time", fix=f"look into {self.state}/lab.log"
                )
            time.sleep(0.1)


def _stoker() -> list[str]:
    return [sys.executable, "-m", "stoker"]
