"""An installed simulator, what it is asked, and what it answers."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivals.process import Cost

SEQUENCES, STEP_TOKENS, CONTEXT = 256, 2048, 16_384
"""Limits that every engine is given: sequences in a batch, tokens of a step, longest prompt and answer."""

Request = tuple[float, int, int]
"""Arrival in seconds from the first one, prompt and answer tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a simulator says of its requests: milliseconds to the first token, and per later token (NaN: none)."""

    ttft_ms: NDArray[np.float64]
    tpot_ms: NDArray[np.float64]

    def __str__(self) -> str:
        ttft = np.percentile(self.ttft_ms, [50, 99])
        return f"{ttft[0]:>9.1f} {ttft[1]:>9.1f} {np.nanmean(self.tpot_ms):>9.2f}"


@dataclass(frozen=True, slots=True)
class Rival:
    """An installed simulator.

    Attributes:
        name: of the simulator.
        gpu: that it is run on, as Stoker's catalogue names it.
        program: its binary, or the Python that has its packages.
        folder: its checkout, in which it runs.
        run: replay requests, with a scratch folder.
    """

    name: str
    gpu: str
    program: Path
    folder: Path
    run: "Run"


Run = Callable[[Rival, Sequence[Request], Path], tuple[Cost, Outcome]]
"""Replay requests, with a scratch folder."""


def per_token(seconds: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """``seconds`` after the first token over the tokens after it; NaN for answers of one token."""
    return np.asarray(np.divide(seconds, answers - 1, out=np.full(len(answers), np.nan), where=answers > 1))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
