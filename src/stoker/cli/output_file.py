"""A result as a file that the user named: whole or not at all, and refused before the work that would be lost."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stoker.errors import InputError, Problem

__all__ = ["check_writable", "whole_file", "write_whole"]


def check_writable(path: Path, option: str) -> None:
    """Refuse a file that could not be written in the end.

    Raises:
        InputError: a folder, or one in a folder that is not there or may not be written.
    """
    if path.is_dir():
        found = "a folder"
    elif not path.parent.is_dir():
        found = f"no folder {path.parent}"
    elif not os.access(path.parent, os.W_OK):
        found = f"{path.parent} may not be written"
    else:
        return
    raise InputError(
        [
            Problem(
                "cannot be written",
                path=option,
                file=str(path),
                found=found,
                wanted="a file in a folder that can be written",
            )
        ]
    )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes its place where nothing went wrong, else it is gone.

    Raises:
        InputError: the file cannot be written.
    """
    beside: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        beside = Path(name)
        yield beside
        beside.chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        beside.replace(path)
    except OSError as error:
        raise InputError(
            [Problem(f"cannot be written: {error.strerror or error}", file=str(path))]
        ) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    with whole_file(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
