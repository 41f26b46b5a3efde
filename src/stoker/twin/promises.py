"""Promises on figures, as the user writes them: ``ttft_p95<2s``, ``errors<1%``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stoker.errors import InputError, Problem, nearest

__all__ = ["Promise", "read_promises"]


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound on a figure.

    Attributes:
        figure: its name, with ``_s`` at the end where it is a time.
        most: seconds, or a share of 0 to 1.
        text: as it was written.
    """

    figure: str
    most: float
    text: str


_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "": 1.0}
_PROMISE: Final = re.compile(r"\s*([a-z0-9_]+)\s*<=?\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|%)?\s*")


def read_promises(
    texts: Sequence[str], times: Sequence[str], shares: Sequence[str] = ()
) -> tuple[Promise, ...]:
    """Read promises; a bound without a unit is seconds.

    Args:
        texts: as written.
        times: names of the figures that are times, each with ``_s`` at its end.
        shares: names of the figures that are shares, bounded in per cent.

    Raises:
        InputError: of all texts that are not of that form, or whose figure is none that is measured.
    """
    found, problems = [], []
    for text in texts:
        promise = _read(text, times, shares)
        if promise is not None:
            found.append(promise)
            continue
        known = [*(time.removesuffix("_s") for time in times), *shares]
        like = nearest(re.split(r"[<>=≤\s]", text.strip(), maxsplit=1)[0], known, 1)
        example = f"{like[0]}<{'1%' if like[0] in shares else '2s'}" if like else "ttft_p95<2s"
        problems.append(
            Problem(
                "no promise",
                path="--slo",
                found=text,
                wanted=f"FIGURE<TIME{' or FIGURE<SHARE%' if shares else ''}, the figure one of {', '.join(known)}",
                fix=f'--slo "{example}"',
            )
        )
    if problems:
        raise InputError(problems)
    return tuple(found)


def _read(text: str, times: Sequence[str], shares: Sequence[str]) -> Promise | None:
    match = _PROMISE.fullmatch(text)
    if match is None:
        return None
    name, amount, unit = match.group(1), float(match.group(2)), match.group(3) or ""
    if unit == "%":
        return Promise(name, amount / 100, text.strip()) if name in shares and 0 <= amount <= 100 else None
    figure = f"{name.removesuffix('_s')}_s"
    most = amount * _UNITS[unit]
    return Promise(figure, most, text.strip()) if figure in times and most > 0 else None
