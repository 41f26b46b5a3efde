"""Writing a rendered tree: all of it or nothing, never over a file that Stoker did not write."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stoker.errors import InputError, Problem, UnsafeError

__all__ = ["INVENTORY", "write_tree"]

# Lists what the last render wrote, with hashes, so that the next one can tell its own files from the user's. JSON, without the
# ending by which `kubectl apply -R -f` would take it for an object.
INVENTORY: Final = ".stoker-inventory"


def write_tree(folder: Path, files: Mapping[str, str], *, force: bool = False) -> list[str]:
    """Write ``files`` (relative path -> text) below ``folder``; return the stale files that were removed.

    A new or empty folder appears in one rename. In a folder that exists, files of an earlier render that are no longer
    rendered are removed; files of anyone else stay.

    Raises:
        UnsafeError: a file in the way was not written by Stoker, or was edited since; ``force`` overrides.
        InputError: the folder cannot be written.
    """
    previous = _previous(folder)
    if not force:
        _refuse_foreign(folder, files, previous)
    inventory = {path: _digest(text.encode()) for path, text in sorted(files.items())}
    complete = {**files, INVENTORY: json.dumps({"files": inventory}, indent=2) + "\n"}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        _fill(staging, complete)
        if not folder.exists() or not any(folder.iterdir()):
            staging.chmod(0o755)
            staging.replace(folder)
            return []
        return _move_into(staging, folder, complete, stale=sorted(set(previous) - set(files)))
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _previous(folder: Path) -> dict[str, str]:
    if folder.exists() and not folder.is_dir():
        raise InputError([Problem("is a file, not a folder", file=str(folder), fix="name another --out")])
    inventory = folder / INVENTORY
    if not inventory.is_file():
        return {}
    try:
        files = json.loads(inventory.read_text(encoding="utf-8"))["files"]
        return {str(path): str(digest) for path, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            [
                Problem(
                    f"cannot be read as an inventory: {error}",
                    file=str(inventory),
                    fix="delete it and pass --force",
                )
            ]
        ) from error


def _refuse_foreign(folder: Path, files: Mapping[str, str], previous: Mapping[str, str]) -> None:
    for path in sorted(set(files) | set(previous)):
        target = folder / path
        if not target.is_file():
            continue
        content = target.read_bytes()
        if path in files and content == files[path].encode():
            continue
        if previous.get(path) != _digest(content):
            what = "was edited after it was rendered" if path in previous else "was not written by stoker"
            raise UnsafeError(
                f"{target} {what}; nothing was changed",
                fix="render into another folder, or pass --force to overwrite it",
            )


def _fill(staging: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


def _move_into(staging: Path, folder: Path, files: Mapping[str, str], *, stale: list[str]) -> list[str]:
    for path in sorted(
        files, key=lambda item: item == INVENTORY
    ):  # the inventory last: a kill leaves the old one
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (staging / path).replace(target)
    for path in stale:
        target = folder / path
        target.unlink(missing_ok=True)
        parent = target.parent
        while parent != folder and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent
    return stale


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unwritable(folder: Path, error: OSError) -> InputError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(
        [Problem(f"cannot be written: {reason}", file=str(folder), fix="name a writable --out")]
    )
