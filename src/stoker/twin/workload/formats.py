"""Which trace a header belongs to."""

from dataclasses import dataclass
from typing import Final

from stoker.errors import InputError, Problem

__all__ = ["FORMATS", "Format", "recognise"]


@dataclass(frozen=True, slots=True)
class Format:
    """A trace's columns.

    Attributes:
        time, input, output: names of the columns, lower case; alternatives in order.
        model, tenant: the same, empty where the format has none.
        clock: ``date``, ``seconds``, ``milliseconds`` (already divided when read), or ``either`` date or seconds.
        source: where it is described.
    """

    name: str
    time: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]
    model: tuple[str, ...]
    tenant: tuple[str, ...]
    clock: str
    source: str


FORMATS: Final = {
    found.name: found
    for found in (
        Format(
            "azure",
            ("timestamp",),
            ("contexttokens",),
            ("generatedtokens",),
            (),
            (),
            "date",
            "Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md and 2024",
        ),
        Format(
            "burstgpt",
            ("timestamp",),
            ("request tokens",),
            ("response tokens",),
            ("model",),
            (),
            "seconds",
            "HPMLL/BurstGPT README",
        ),
        Format(
            "vidur",
            ("arrived_at",),
            ("num_prefill_tokens",),
            ("num_decode_tokens",),
            (),
            (),
            "seconds",
            "microsoft/vidur data/processed_traces",
        ),
        Format(
            "own",
            ("arrival_s", "timestamp"),
            ("input_tokens",),
            ("output_tokens",),
            ("model",),
            ("tenant",),
            "either",
            "docs/traffic.md",
        ),
        Format(
            "mooncake",
            ("timestamp",),
            ("input_length",),
            ("output_length",),
            (),
            (),
            "seconds",
            "Mooncake FAST25",
        ),
    )
}


def recognise(header: str, file: str) -> tuple[Format, dict[str, int]]:
    """The format that a CSV header belongs to, and where its columns are.

    Raises:
        InputError: none of them.
    """
    names = [name.strip().strip('"').lower() for name in header.rstrip("\r\n").split(",")]
    if {"t_s", "rps"} <= set(names):
        raise InputError(
            [
                Problem(
                    "a table of rates is no trace of requests",
                    file=file,
                    line=1,
                    found=header.strip()[:80],
                    fix=f"--profile {file}:SERVICE beside a trace",
                )
            ]
        )
    for found in FORMATS.values():
        where = _places(found, names)
        if {"time", "input", "output"} <= set(where):
            return found, where
    wanted = "; ".join(f"{f.name}: {f.time[0]}, {f.input[0]}, {f.output[0]}" for f in FORMATS.values())
    raise InputError(
        [
            Problem(
                "not a trace that is known",
                file=file,
                line=1,
                found=header.strip()[:80],
                wanted=wanted,
                fix="name the columns arrival_s,input_tokens,output_tokens and, if you like, model,tenant",
            )
        ]
    )


def _places(found: Format, names: list[str]) -> dict[str, int]:
    where: dict[str, int] = {}
    for field in ("time", "input", "output", "model", "tenant"):
        for name in getattr(found, field):
            if name in names:
                where.setdefault(field, names.index(name))
    return where
