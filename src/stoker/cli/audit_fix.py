"""`stoker audit --fix`: patches as diffs, or written into the files."""

import difflib
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.cli.output import err, out
from stoker.errors import StokerError

if TYPE_CHECKING:
    from stoker.audit.finding import Finding
    from stoker.kube.edit import Change
    from stoker.report.audit.outcome import Outcome

__all__ = ["Fixed", "fixed_files", "show_diffs", "write_files"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """One file before and after, and how many findings that mends."""

    name: str
    before: str
    after: str
    findings: int


def fixed_files(outcome: "Outcome", texts: dict[str, bytes]) -> list[Fixed]:
    """Every file that a patch changes. JSON and dumps are left alone: they are no place where people write."""
    from stoker.audit.patch import usable

    by_file: dict[str, list[Finding]] = defaultdict(list)
    for finding in usable(outcome.findings):
        file = finding.item.source.file
        if finding.item.live or not file or not (file in texts or file.endswith((".yaml", ".yml"))):
            continue
        by_file[file].append(finding)
    fixed: list[Fixed] = []
    for file, findings in sorted(by_file.items()):
        before = _text(file, texts)
        after, mended = _edited(file, before, findings)
        if mended:
            fixed.append(Fixed(file, before, after, mended))
    return fixed


def _edited(file: str, before: str, findings: "list[Finding]") -> tuple[str, int]:
    """The text with every patch that fits; one that does not fit costs the others nothing."""
    with suppress(StokerError):  # where one does not fit, only one after the other tells which
        return _with(before, findings), len(findings)
    kept: list[Finding] = []
    after = before
    for finding in findings:
        try:
            after = _with(before, [*kept, finding])
        except StokerError as error:
            text = f"{file}: {finding.rule}: {error.message}; mend it by hand"
            err().print(text, markup=False, style="yellow")
            continue
        kept.append(finding)
    return after, len(kept)


def _with(before: str, findings: "list[Finding]") -> str:
    from stoker.kube.edit import edit_text

    return edit_text(before, [change for finding in findings for change in _changes(finding)])


def _changes(finding: "Finding") -> "list[Change]":
    from stoker.kube.edit import Change

    source = finding.item.source
    return [Change(source, finding.fix.ops), *(Change(source, document=obj) for obj in finding.fix.objects)]


def _text(file: str, texts: dict[str, bytes]) -> str:
    try:
        data = texts[file] if file in texts else Path(file).read_bytes()
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StokerError(f"{file} cannot be read any more: {error}", fix="run the audit again") from error


def show_diffs(files: Sequence[Fixed]) -> None:
    """Unified diffs on standard output: `git apply` and `patch -p0` take them."""
    from rich.text import Text

    console = out()
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for file in files:
        lines = difflib.unified_diff(
            file.before.splitlines(keepends=True), file.after.splitlines(keepends=True), file.name, file.name
        )
        for line in lines:
            if sys.stdout.isatty():
                console.print(Text(line.rstrip("\n"), colours.get(line[0], "")))
            else:
                sys.stdout.write(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    total = sum(file.findings for file in files)
    err().print(f"{total} findings have a patch, in {len(files)} files; --write applies them", markup=False)


def write_files(files: Sequence[Fixed]) -> None:
    """Write each file whole or not at all."""
    for file in files:
        path = Path(file.name).resolve()  # through a link: the file it leads to is what people edit
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as temporary:
                temporary.write(file.after)
            Path(name).chmod(path.stat().st_mode)
            Path(name).replace(path)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise StokerError(
                f"{file.name} cannot be written: {error.strerror}", fix="check its permissions"
            ) from error
        err().print(f"wrote {file.name}: {file.findings} findings mended", markup=False)
    if not files:
        err().print("nothing to write: no finding has a patch for a file", markup=False)
