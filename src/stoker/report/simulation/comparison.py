"""A comparison of fleets as a table and as JSON."""

from typing import Any

from stoker.report.simulation.document import rounded
from stoker.report.simulation.text import ROWS, shown
from stoker.twin.comparison import Comparison, Estimate

__all__ = ["comparison_document", "comparison_rows"]


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """A row per figure, a cell per fleet: mean, interval, and the paired difference to the first."""
    rows = []
    for name, words in ROWS:
        cells = []
        for own, difference in zip(comparison.figures[name], comparison.differences[name], strict=True):
            if own is None:
                cells.append("-")
                continue
            cell = shown(name, own.mean)
            if own.half:
                cell += f" ± {shown(name, own.half)}"
            if difference is not None and difference.mean != 0:
                sign = "+" if difference.mean > 0 else "-"
                sure = difference.half is not None and abs(difference.mean) > difference.half
                cell += f"  ({sign}{shown(name, abs(difference.mean))}{'' if sure else ', not significant'})"
            cells.append(cell)
        rows.append([words, *cells])
    return rows


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The same as a JSON value: by fleet and figure, mean, interval and difference."""
    return {
        "fleets": [
            {
                "platform": label,
                "figures": {
                    name: {
                        "mean": _mean(estimates[index]),
                        "half_interval_95": _half(estimates[index]),
                        "difference_to_first": _mean(comparison.differences[name][index]),
                        "difference_half_interval_95": _half(comparison.differences[name][index]),
                    }
                    for name, estimates in comparison.figures.items()
                },
            }
            for index, label in enumerate(comparison.labels)
        ]
    }


def _mean(estimate: Estimate | None) -> float | None:
    return None if estimate is None else rounded(estimate.mean)


def _half(estimate: Estimate | None) -> float | None:
    return None if estimate is None else rounded(estimate.half)
