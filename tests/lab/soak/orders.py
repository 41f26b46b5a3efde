"""What can be said about revisions at a point in the order of requests."""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from tests.lab.soak.history import History

__all__ = ["NEVER", "Orders"]

NEVER = 1 << 62


class Orders:
    """Bounds of the server's revision.

    Whatever an answer has shown is in the server's past from then on; and what an answer states that was asked for later bounds
    the revision from above.
    """

    def __init__(self, history: History) -> None:
        shown: list[tuple[int, int]] = []
        stated: list[tuple[int, int]] = []
        answered = [(write.completed, write.outcome.version) for write in history.writes]
        answered += [(read.completed, read.version) for read in history.reads]
        shown += [(order, version.revision) for order, version in answered if version is not None]
        for page in history.pages:
            shown.append((page.completed, page.revision))
            if page.is_newest:
                stated.append((page.invoked, page.revision))
        for stream in history.streams:
            shown += [(event.order, event.revision) for event in stream.events]
        shown.sort()
        self._shown = [order for order, _ in shown]
        self._most = list(accumulate((revision for _, revision in shown), max))
        stated.sort()
        self._stated = [order for order, _ in stated]
        self._least = list(accumulate((revision for _, revision in reversed(stated)), min))[::-1]

    def known(self, order: int) -> int:
        """The newest revision that somebody had seen before: the server's is this one or a later one."""
        count = bisect_left(self._shown, order)
        return self._most[count - 1] if count else 0

    def bound(self, order: int) -> int:
        """The server's revision was no later than this."""
        first = bisect_right(self._stated, order)
        return self._least[first] if first < len(self._least) else NEVER
