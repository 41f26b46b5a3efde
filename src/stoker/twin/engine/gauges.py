"""What a scrape of the replicas sees."""

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine import layout as at
from stoker.twin.engine.compiled import Column

__all__ = ["Rows"]


class Rows:
    """The replica rows of a service as one matrix (replica, figure); a view where the kernel is compiled."""

    __slots__ = ("_s", "_view")

    def __init__(self, s: Column) -> None:
        self._s = s
        self._view = self._matrix(s) if isinstance(s, np.ndarray) else None

    @staticmethod
    def _matrix(s: NDArray[np.int64]) -> NDArray[np.int64]:
        begin, count = int(s[at.AT_REPLICAS]), int(s[at.CANDIDATES])
        return s[begin : begin + count * at.R_ROW].reshape(count, at.R_ROW)

    def read(self) -> NDArray[np.int64]:
        """The rows as they are now."""
        if self._view is not None:
            return self._view
        begin, count = self._s[at.AT_REPLICAS], self._s[at.CANDIDATES]
        return np.array(self._s[begin : begin + count * at.R_ROW], np.int64).reshape(count, at.R_ROW)
