"""Figures and lines from a Prometheus: the thin edge between `measures` and a server.

A rollout calls `take` while its Prometheus still runs and keeps what comes back in ``evidence.json``; `stoker report
--prometheus` calls it on a live one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from stoker.catalog.gpus import gpu
from stoker.errors import StokerError, UnknownNameError, UnreachableError
from stoker.kube.prometheus import Line as RangeLine
from stoker.report.rollout.evidence import Figure, Price, Series, Window
from stoker.report.rollout.measures import GPU_KINDS, LINES, MEASURES, Ask, Line, Measure, filled, step_of

__all__ = ["Server", "Taken", "list_price", "take"]

_COVERED: Final = 0.95  # of a window's steps with data; below it the figure says how many had


class Server(Protocol):
    """What is asked: `stoker.kube.prometheus.Prometheus` is one."""

    @property
    def name(self) -> str: ...

    def instant(self, query: str, at: datetime) -> list[tuple[dict[str, str], float]]: ...

    def ranged(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[RangeLine]: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What was measured; `as_json` are the keys of ``evidence.json``."""

    figures: tuple[Figure, ...]
    series: tuple[Series, ...]
    windows: Mapping[str, Window]
    price: Price | None

    def as_json(self) -> dict[str, Any]:
        """Keys ``figures``, ``series``, ``windows`` and ``price``."""

        def plain(value: Figure | Series) -> dict[str, Any]:
            window = value.window
            return {**asdict(value), "window": None if window is None else _ends(window)}

        return {
            "figures": [plain(figure) for figure in self.figures],
            "series": [plain(line) for line in self.series],
            "windows": {
                phase: dict(zip(("from", "to"), _ends(window), strict=True))
                for phase, window in self.windows.items()
            },
            "price": None if self.price is None else asdict(self.price),
        }


def _ends(window: Window) -> list[str]:
    return [window.start.isoformat(), window.end.isoformat()]


def take(
    server: Server, windows: Mapping[str, Window], *, measured_on: str = "", price: Price | None = None
) -> Taken:
    """Every measure in every window, every line from the first window's begin to the last one's end, and the GPUs' price.

    Args:
        server: who is asked.
        windows: by phase; ``before`` and ``after`` are what the table shows.
        measured_on: ``live``, or the lab and its speed; it stands beside every figure.
        price: what a GPU costs; the catalogue's list price of the GPUs that the DCGM exporter names where None.

    Raises:
        UnreachableError: the server does not answer.
    """
    source = f"{server.name}, {measured_on}" if measured_on else server.name
    figures = tuple(
        _figure(server, measure, phase, window, source)
        for phase, window in windows.items()
        for measure in MEASURES.values()
        if measure.asks
    )
    series = tuple(_lines(server, windows, source)) if windows else ()
    if price is None:
        for window in windows.values():
            price = price or _price(server, window)
    return Taken(figures, series, dict(windows), price)


def _figure(server: Server, measure: Measure, phase: str, window: Window, source: str) -> Figure:
    """The first alternative with data; where none has, the reason."""
    step = step_of(window.seconds)
    start = window.start.timestamp()
    refused = ""
    for ask in measure.asks:
        query = filled(ask.query, window.seconds, step, start)
        try:
            samples = server.instant(query, window.end)
        except UnreachableError:
            raise
        except StokerError as error:
            refused = error.message
            continue
        if samples:
            note = "; ".join(filter(None, (ask.note, _coverage(server, ask, window, step))))
            return Figure(
                measure.id,
                phase,
                samples[0][1],
                measure.unit,
                f"{ask.series}; {source}",
                query,
                window,
                note=note,
            )
    asked = ", ".join(ask.series for ask in measure.asks)
    query = filled(measure.asks[0].query, window.seconds, step, start)
    why = refused or measure.absent
    return Figure(measure.id, phase, None, measure.unit, f"{asked}; {source}", query, window, why=why)


def _coverage(server: Server, ask: Ask, window: Window, step: timedelta) -> str:
    """How much of the window has data, where that is not all of it."""
    if not ask.inside:
        return ""
    query = filled(f"count_over_time(({ask.inside})[$window:$step])", window.seconds, step)
    samples = server.instant(query, window.end)
    share = samples[0][1] / max(1.0, window.seconds / step.total_seconds()) if samples else 0.0
    return f"{100 * share:.0f} % of the window has data" if share < _COVERED else ""


def _lines(server: Server, windows: Mapping[str, Window], source: str) -> Iterator[Series]:
    whole = Window(
        min(window.start for window in windows.values()), max(window.end for window in windows.values())
    )
    step = step_of(whole.seconds)
    for line in LINES:
        yield _line(server, line, whole, step, source)


def _line(server: Server, line: Line, whole: Window, step: timedelta, source: str) -> Series:
    refused = ""
    for ask in line.asks:
        query = filled(ask.query, whole.seconds, step)
        try:
            found = server.ranged(query, whole.start, whole.end, step)
        except UnreachableError:
            raise
        except StokerError as error:
            refused = error.message
            continue
        if found and any(value is not None for _, value in found[0].points):
            return Series(line.name, line.unit, f"{ask.series}; {source}", query, whole, found[0].points)
    asked = ", ".join(ask.series for ask in line.asks)
    query = filled(line.asks[0].query, whole.seconds, step)
    return Series(
        line.name,
        line.unit,
        f"{asked}; {source}",
        query,
        whole,
        why=refused or f"no series {asked} in this time",
    )


def _price(server: Server, window: Window) -> Price | None:
    """By the GPUs' names; None where nobody names them."""
    step = step_of(window.seconds)
    samples = server.instant(
        filled(f"max_over_time(({GPU_KINDS})[$window:$step])", window.seconds, step), window.end
    )
    return list_price({labels.get("modelName", ""): count for labels, count in samples})


def list_price(kinds: Mapping[str, float]) -> Price | None:
    """The lowest list price of GPUs by NVML's names, weighted by how many there are; None where one has no price."""
    total, words = 0.0, []
    for name, count in kinds.items():
        try:
            kind = gpu(name)
        except UnknownNameError:
            return None
        if not kind.prices:
            return None
        lowest = min(kind.prices, key=lambda price: price.usd_per_gpu_hour)
        total += lowest.usd_per_gpu_hour * count
        words.append(
            f"{kind.name} ${lowest.usd_per_gpu_hour:g}, {lowest.provider} {lowest.terms} ({lowest.source.date})"
        )
    count = sum(kinds.values())
    return Price(round(total / count, 4), "list price: " + "; ".join(words)) if count else None
