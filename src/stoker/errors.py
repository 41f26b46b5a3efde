"""The one error tree. Every error a user can cause carries its fix and its exit code.

    StokerError                 exit 2
    ├── InputError              exit 2   bad input or usage; holds every problem found, not the first
    ├── UnknownNameError        exit 2   a name the catalogue does not hold, with the nearest ones it does
    ├── UnreachableError        exit 3   a cluster or service did not answer
    └── UnsafeError             exit 4   refused because it would do harm

Exit codes (a contract for scripts): 0 done or clean, 1 findings / differences / gate failed, 2 bad input or
usage, 3 cluster or service unreachable, 4 refused as unsafe, 5 inconclusive.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "ExitCode",
    "InputError",
    "Problem",
    "StokerError",
    "UnknownNameError",
    "UnreachableError",
    "UnsafeError",
    "nearest",
]


class ExitCode(IntEnum):
    DONE = 0
    FINDINGS = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    UNSAFE = 4
    INCONCLUSIVE = 5


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names most like ``name``, best first; case does not count."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), list(by_fold), n=limit, cutoff=0.55)
    return [by_fold[key] for key in found]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input.

    Attributes:
        message: what is wrong, one sentence.
        path: field path as the user wrote it, such as ``models[0].engine.version``; empty for the whole file.
        file: the file's name as given on the command line, or empty.
        line: 1-based line, or 0 where there is none.
        column: 1-based column, or 0.
        found: the value found, printed short; empty where there is none.
        wanted: what is allowed.
        fix: the likely intended value or the next thing to do.
    """

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    found: str = ""
    wanted: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}:{self.column}"
        parts = [part for part in (place, self.path) if part]
        text = ": ".join([*parts, self.message])
        if self.found:
            text += f"\n    found:  {self.found}"
        if self.wanted:
            text += f"\n    wanted: {self.wanted}"
        if self.fix:
            text += f"\n    fix:    {self.fix}"
        return text


class StokerError(Exception):
    """Base of every error that is the user's to fix. ``fix`` says how."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class InputError(StokerError):
    """Bad input. Holds every problem found so that one run shows all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownNameError(StokerError):
    """A name that the catalogue does not hold."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.suggestions = nearest(name, known)
        hint = f"did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"unknown {kind} {name!r}", fix=hint or f"`stoker catalog` lists every known {kind}")


class UnreachableError(StokerError):
    """A cluster or a service did not answer."""

    exit_code = ExitCode.UNREACHABLE


class UnsafeError(StokerError):
    """Refused because carrying it out would do harm."""

    exit_code = ExitCode.UNSAFE
