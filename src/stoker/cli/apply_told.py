"""What a run tells, as lines on stderr."""

from collections.abc import Callable
from typing import Final

from stoker.apply.events import Done, Told, WaitingFor, WaveBegins
from stoker.cli.progress import Narration

__all__ = ["narrate"]

_MOST: Final = 3


def narrate(narration: Narration) -> Callable[[Told], None]:
    """A listener that keeps count and prints what is worth a line."""
    done, waiting = 0, ""

    def hear(told: Told) -> None:
        nonlocal done, waiting
        if isinstance(told, WaveBegins):
            narration.say(f"wave {int(told.wave)}: {told.wave.name.lower()}, {told.changes} to change")
        elif isinstance(told, Done):
            done += 1
            narration.at(done, f"{told.action.value} {told.ref}")
        elif isinstance(told, WaitingFor):
            words = _waiting(told)
            narration.at(done, words)
            if words and words != waiting:
                narration.say(f"  {words}")
            waiting = words
        else:
            narration.say(told.text)

    return hear


def _waiting(told: WaitingFor) -> str:
    if not told.objects:
        return ""
    shown = "; ".join(f"{ref}: {why}" for ref, why in told.objects[:_MOST])
    more = f"; and {len(told.objects) - _MOST} more" if len(told.objects) > _MOST else ""
    return f"waiting for {shown}{more}"
