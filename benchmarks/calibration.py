"""The calibration beside measurements of real engines: the tables and the plot of docs/calibration.md.

    python -m benchmarks.calibration --calibration DIR [--plot FILE.svg]

Nothing is fitted here; `benchmarks/calibrate.py` does.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.calibration_rows import Row, errors, predict, read_rows, summary
from numpy.typing import NDArray

_SIZE, _EDGE = 420, 46


def main() -> None:
    """Print the tables; write the plot where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calibration", type=Path, required=True, metavar="DIR")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    arguments = parser.parse_args()
    rows = read_rows(arguments.calibration)
    predicted = [predict(row) for row in rows]
    found = errors(rows, predicted)
    left_out = np.array([row.held_out for row in rows])
    print("| rows | count | configurations | TPOT, median / P90 | TTFT | E2E |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, chosen in (("left out of the fit", left_out), ("used for the fit", ~left_out)):
        print(_line(name, rows, found, chosen))
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.held_out:
            groups[f"{row.model}, {row.gpu.split('-')[0]}, {row.quantization}"].append(place)
    for name, places in sorted(groups.items()):
        print(_line(f"left out: {name}", rows, found, np.isin(np.arange(len(rows)), places)))
    if arguments.plot is not None:
        shown = [(row, pair) for row, pair in zip(rows, predicted, strict=True) if row.held_out]
        arguments.plot.write_text(_plot(shown), encoding="utf-8")


def _line(name: str, rows: Sequence[Row], found: NDArray[np.float64], chosen: NDArray[np.bool_]) -> str:
    cells = " | ".join(f"{median:.1%} / {tail:.1%}" for median, tail in summary(found[chosen]))
    configurations = {row.configuration for row, taken in zip(rows, chosen, strict=True) if taken}
    return f"| {name} | {int(chosen.sum())} | {len(configurations)} | {cells} |"


def _plot(shown: Sequence[tuple[Row, tuple[float, float]]]) -> str:
    """Measured against simulated TPOT and TTFT, both axes logarithmic."""
    panels = [
        _panel(0, "TPOT", [(row.tpot_s, tpot) for row, (tpot, _) in shown]),
        _panel(_SIZE, "TTFT", [(row.ttft_s, ttft) for row, (_, ttft) in shown]),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _SIZE} {_SIZE}" font-family="sans-serif" '
        f'font-size="13"><rect width="{2 * _SIZE}" height="{_SIZE}" fill="#fff"/>{"".join(panels)}</svg>\n'
    )


def _panel(left: int, name: str, pairs: Sequence[tuple[float, float]]) -> str:
    logs = np.log10(np.array(pairs))
    low, high = float(logs.min()) - 0.1, float(logs.max()) + 0.1
    places = _EDGE + (logs - low) / (high - low) * (_SIZE - 2 * _EDGE)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{_SIZE - y:.1f}" r="3" fill="#2563eb" fill-opacity=".55"/>'
        for x, y in places
    )
    begin, end = _EDGE, _SIZE - _EDGE
    return (
        f'<g transform="translate({left} 0)"><line x1="{begin}" y1="{end}" x2="{end}" y2="{begin}" stroke="#888"/>'
        f'<rect x="{begin}" y="{begin}" width="{end - begin}" height="{end - begin}" fill="none" stroke="#444"/>{dots}'
        f'<text x="{_SIZE / 2}" y="{begin - 12}" text-anchor="middle">{name}, {10**low * 1000:.0f} to '
        f"{10**high * 1000:.0f} ms, both axes logarithmic</text>"
        f'<text x="{_SIZE / 2}" y="{_SIZE - 14}" text-anchor="middle">measured</text>'
        f'<text x="16" y="{_SIZE / 2}" text-anchor="middle" transform="rotate(-90 16 {_SIZE / 2})">twin</text></g>'
    )


if __name__ == "__main__":
    main()
