"""Which trace a header belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from stoker.errors import InputError, Problem, nearest

__all__ = ["FORMATS", "MOONCAKE", "Clock", "Format", "printable", "recognise"]


class Clock(Enum):
    """How a trace writes its times."""

    DATE = "date"
    SECONDS = "seconds"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Format:
    """A trace's columns.

    Attributes:
        time, input, output: names of the columns, lower case; alternatives in order.
        model, tenant, prefix: the same, empty where the format has none.
        source: where it is described.
    """

    name: str
    time: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]
    clock: Clock
    source: str
    model: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()


MOONCAKE: Final = "mooncake"
"""Name of the one format that is JSON lines."""

_NEEDED: Final = ("time", "input", "output")
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}

FORMATS: Final = (
    Format(
        "azure",
        ("timestamp",),
        ("contexttokens",),
        ("generatedtokens",),
        Clock.DATE,
        "Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md and AzureLLMInferenceDataset2024.md",
    ),
    Format(
        "burstgpt",
        ("timestamp",),
        ("request tokens",),
        ("response tokens",),
        Clock.SECONDS,
        "HPMLL/BurstGPT, README.md, Schema",
        model=("model",),
    ),
    Format(
        "vidur",
        ("arrived_at",),
        ("num_prefill_tokens",),
        ("num_decode_tokens",),
        Clock.SECONDS,
        "microsoft/vidur, data/processed_traces",
    ),
    Format(
        "own",
        ("arrival_s", "timestamp"),
        ("input_tokens",),
        ("output_tokens",),
        Clock.EITHER,
        "docs/traffic.md",
        model=("model",),
        tenant=("tenant",),
        prefix=("prefix",),
    ),
)


def recognise(header: Sequence[str], file: str) -> tuple[Format, dict[str, int]]:
    """The format that a header's names belong to, and where its columns are; case does not count.

    Raises:
        InputError: none of them, or a table of rates.
    """
    names = [name.strip().lower() for name in header]
    shown = printable(",".join(header))
    if {"t_s", "rps"} <= set(names):
        raise InputError(
            [
                Problem(
                    "a table of rates is no trace of requests",
                    file=file,
                    line=1,
                    column=1,
                    found=shown,
                    fix=f"--profile {file}:SERVICE beside a trace",
                )
            ]
        )
    placed = [(found, _places(found, names)) for found in FORMATS]
    for found, where in placed:
        if all(name in where for name in _NEEDED):
            _refuse_twice({names[index] for index in where.values()}, names, shown, file)
            return found, where
    raise InputError([_unknown(placed, names, shown, file)])


def printable(text: str) -> str:
    """A piece of a file as an error shows it: short, and without what would move a terminal's cursor."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text.strip()[:80])


def _refuse_twice(used: set[str], names: list[str], shown: str, file: str) -> None:
    twice = sorted(name for name in used if names.count(name) > 1)
    if twice:
        raise InputError(
            [
                Problem(
                    f"column {twice[0]} comes twice",
                    file=file,
                    line=1,
                    column=1,
                    found=shown,
                    wanted="each column once",
                    fix="rename the one that is not meant: further columns are passed over",
                )
            ]
        )


def _places(found: Format, names: list[str]) -> dict[str, int]:
    where: dict[str, int] = {}
    for field in (*_NEEDED, "model", "tenant", "prefix"):
        for name in getattr(found, field):
            if name in names:
                where.setdefault(field, names.index(name))
    return where


def _unknown(placed: list[tuple[Format, dict[str, int]]], names: list[str], shown: str, file: str) -> Problem:
    """What is said of a header: of the format it is nearest to, which column is missing."""
    best, where = max(placed, key=lambda pair: len(pair[1]))
    missing = [getattr(best, field)[0] for field in _NEEDED if field not in where]
    fix = "name the columns arrival_s,input_tokens,output_tokens and, if you like, model,tenant"
    other = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        wanted, fix = "fields with commas between", f"write it with commas instead of {_SEPARATORS[other]}"
    elif where:
        free = [name for index, name in enumerate(names) if index not in where.values()]
        similar = [(name, nearest(name, free, 1)) for name in missing]
        hints = [f"rename {found[0]} to {name}" for name, found in similar if found]
        wanted = f"also {', '.join(missing)}, as in {best.name}"
        fix = "; ".join(hints) or fix
    else:
        wanted = "; ".join(
            f"{each.name}: {each.time[0]}, {each.input[0]}, {each.output[0]}" for each in FORMATS
        )
    return Problem(
        "not a trace that is known", file=file, line=1, column=1, found=shown, wanted=wanted, fix=fix
    )
