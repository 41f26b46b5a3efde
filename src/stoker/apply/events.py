"""What a run tells while it goes on; the command line shows it, a rollout keeps it."""

from collections.abc import Callable
from dataclasses import dataclass

from stoker.apply.changes import Action
from stoker.kube.refs import Ref
from stoker.upgrades.objects import Wave

__all__ = ["Done", "Progress", "Said", "Step", "Told", "WaitingFor", "WaveBegins"]


@dataclass(frozen=True, slots=True)
class WaveBegins:
    """A wave begins, with so many objects to change."""

    wave: Wave
    changes: int


@dataclass(frozen=True, slots=True)
class Done:
    """One object was changed."""

    ref: Ref
    action: Action


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """Objects that are not ready yet, each with its controller's word; empty when all are."""

    objects: tuple[tuple[Ref, str], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Something else that is done, such as deleting what is no longer wanted."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """Something to know: a wait for the server, an object that was left alone."""

    text: str


Told = WaveBegins | Done | WaitingFor | Step | Said
Progress = Callable[[Told], None]
