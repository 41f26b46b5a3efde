"""The event kernel runs compiled where numba is installed (``stoker[fast]``), else interpreted: same code, same bytes.

Every function of the kernel is written in the subset that both take: flat columns, integers and floats. Interpreted, the
columns are Python lists, which index several times faster than numpy arrays; compiled, they are numpy arrays.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPILED", "Column", "column", "compiled"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

COMPILED: Final[bool] = (
    importlib.util.find_spec("numba") is not None and os.environ.get("STOKER_INTERPRETED", "") == ""
)
"""Whether the kernel of this process is compiled; ``STOKER_INTERPRETED=1`` in the environment turns it off."""

Column = Any
"""A flat column of one type: a numpy array in a compiled kernel, a list in an interpreted one."""


def _cache_folder() -> str:
    """Folder of compiled code, by the content of the kernel: numba itself does not see a change in a called module."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(root) / "stoker" / "kernel" / digest.hexdigest()[:16])


if COMPILED:
    import numba
    from numba.core import config as _numba_config

    if not os.environ.get("NUMBA_CACHE_DIR"):
        _numba_config.CACHE_DIR = _cache_folder()  # type: ignore[attr-defined]

    def compiled(function: _Function) -> _Function:
        """The function compiled, without the interpreter lock while it runs."""
        # error_model: a division by zero cannot happen (every divisor is checked), so no branch for it.
        return cast(_Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))

else:

    def compiled(function: _Function) -> _Function:
        """The function as it is: numba is not installed, or switched off."""
        return function


def column(values: NDArray[Any]) -> Column:
    """``values`` in the form that the kernel of this process indexes fastest."""
    return np.ascontiguousarray(values) if COMPILED else values.tolist()
