"""Copies model weights into a directory once, proves them by checksum, and tells waiting pods when they are whole.

Runs in KServe's storage-initializer image, whose `kserve_storage` package knows every source. It is mounted from a
ConfigMap, so nothing is built and no value passes through a shell:

    weights.py copy ROOT NAME SOURCE              copy once, then exit
    weights.py stage ROOT READY NAME=SOURCE...    copy each, write READY, then keep checking
    weights.py wait DIRECTORY SECONDS             exit 0 once DIRECTORY is whole
"""

import hashlib
import importlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

MARKER: Final = ".stoker-complete.json"
_BLOCK: Final = 16 * 2**20
_CHECK_SECONDS: Final = 300
_POLL_SECONDS: Final = 5


def manifest(directory: Path) -> dict[str, dict[str, object]]:
    """Size and SHA-256 of every file below the directory, the marker and the hub's own cache left out."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory).as_posix()
        if path.is_file() and relative != MARKER and not relative.startswith(".cache/"):
            found[relative] = {"size": path.stat().st_size, "sha256": _digest(path)}
    return found


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def complete(directory: Path, source: str | None = None) -> bool:
    """Whether the directory holds what its marker lists (by size) and, where asked, comes from that source."""
    try:
        marker = json.loads((directory / MARKER).read_text())
        files = marker["files"]
        if source is not None and marker["source"] != source:
            return False
        return bool(files) and all(
            (directory / name).stat().st_size == facts["size"] for name, facts in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def copy(root: Path, name: str, source: str) -> None:
    """Bring ``source`` to ``root/name``; nothing happens where it is already whole.

    The download goes to a sibling directory that only becomes ``name`` by a rename once its checksums are written: a
    reader sees the old version, none, or the whole new one.
    """
    target = root / name
    if complete(target, source):
        print(f"{target}: already complete", flush=True)  # noqa: T201  # the pod's log
        return
    partial = root / f".{name}.partial"
    partial.mkdir(parents=True, exist_ok=True)  # kept between attempts: the hub client resumes its files
    storage = importlib.import_module("kserve_storage").Storage
    storage.download_files([source], [str(partial)])
    first = manifest(partial)
    if not first:
        raise SystemExit(f"{source}: no files were downloaded")
    (partial / MARKER).write_text(json.dumps({"source": source, "files": first}, sort_keys=True))
    _readable(partial)
    if target.exists():
        stale = root / f".{name}.stale"
        shutil.rmtree(stale, ignore_errors=True)
        target.rename(stale)
        partial.rename(target)
        shutil.rmtree(stale, ignore_errors=True)
    else:
        partial.rename(target)
    print(f"{target}: {len(first)} files from {source}", flush=True)  # noqa: T201  # the pod's log


def _readable(directory: Path) -> None:
    """Engines run under other user ids than the downloader."""
    directory.chmod(0o755)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def intact(directory: Path) -> bool:
    """Whether every file still has the checksum of its marker."""
    return complete(directory) and json.loads((directory / MARKER).read_text())["files"] == manifest(
        directory
    )


def stage(root: Path, ready: Path, models: dict[str, str]) -> None:
    """Copy every model, verify its checksums once, report readiness, then repair what disappears."""
    root.mkdir(parents=True, exist_ok=True)
    for name in models:
        if complete(root / name) and not intact(root / name):
            (root / name / MARKER).unlink()
    while True:
        for name, source in models.items():
            copy(root, name, source)
        ready.touch()
        time.sleep(_CHECK_SECONDS)
        if not all(complete(root / name, source) for name, source in models.items()):
            ready.unlink(missing_ok=True)


def wait(directory: Path, seconds: float) -> None:
    """Return once the directory is whole; exit with an error after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not complete(directory):
        if time.monotonic() > deadline:
            raise SystemExit(f"{directory}: not complete after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def main(arguments: list[str]) -> None:
    os.umask(0o022)
    command, *rest = arguments
    if command == "copy":
        copy(Path(rest[0]), rest[1], rest[2])
    elif command == "stage":
        stage(Path(rest[0]), Path(rest[1]), dict(pair.split("=", 1) for pair in rest[2:]))
    elif command == "wait":
        wait(Path(rest[0]), float(rest[1]))
    else:
        raise SystemExit(f"unknown command {command!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
