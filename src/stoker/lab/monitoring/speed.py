"""Prometheus in a lab whose clock runs ``N`` times as fast as the wall's.

Prometheus and Alertmanager know the wall's time only. What stands in rules, monitors and queries is the lab's: an interval of
15 s, a window of 5 minutes, tokens per second. Everything is translated on the way in, so that every *value* that comes out is
the lab's, at any speed:

* durations shrink: scrape and evaluation intervals, timeouts, ``for``, ``keep_firing_for``, ranges, offsets, steps and ranges
  of subqueries, group waits: 5 minutes are 5/N minutes on the wall;
* ``rate``, ``irate`` and ``deriv`` count per second of the wall, N times too much; they are divided by N where they stand.
  Ratios of rates and quantiles over rates are indifferent to that, thresholds and recorded series are not. ``increase``,
  ``delta``, ``changes``, ``resets`` and all ``*_over_time`` count per window, and the window holds the same samples: they stay;
* ``predict_linear(v, t)``: its ``t`` shrinks;
* ``time()`` and ``timestamp(v)`` become the lab's: ``lab0 + (wall - wall0) * N``, so that ``time() - kube_pod_start_time``
  subtracts like from like; ``hour()`` and its relatives without an argument are given the lab's time; ``@ t`` becomes the
  wall's. This also holds at N = 1 where the lab's clock stands ahead of the wall's, after a fast lab was opened again.

What a target measures in seconds (histograms of latency, start times) is the lab's already and is left alone. What Prometheus
measures of itself (``scrape_duration_seconds``, ``prometheus_*``) is the wall's. Templates in annotations that run queries of
their own (``{{ query "..." }}``) are not translated. Times of day in mute intervals cannot be.

How large N may be: a scrape takes a few milliseconds, so no interval goes below 100 ms. With the usual 15 s that is N = 150,
with 30 s N = 300 (`useful_speed`). Beyond it samples are as far apart as on a slower lab while windows go on shrinking, until
a window holds fewer than two samples: then the result is empty - no data, never a wrong number. Prometheus hands changed
targets to its scrapers once in five seconds of the wall (discovery.Manager, prometheus 2.42): a new pod is first scraped up
to 5 N seconds of the lab after it is ready. Durations are rounded to a millisecond, which Prometheus' timestamps are too.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import promql_parser

from stoker.errors import StokerError
from stoker.promql import parse

__all__ = [
    "FLOOR_S",
    "LabTime",
    "duration_text",
    "scaled_duration",
    "scaled_interval",
    "scaled_query",
    "seconds_of_duration",
    "useful_speed",
]

FLOOR_S: Final = 0.1
_PER_SECOND: Final = frozenset(("rate", "irate", "deriv"))
# Functions of a time that mean "now" where they are given none (prometheus promql/functions.go dateWrapper).
_CALENDAR: Final = frozenset(
    (
        "hour",
        "minute",
        "month",
        "year",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
    )
)
_MATCH: Final = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class LabTime:
    """How the lab's time follows from the wall's.

    Attributes:
        speed: seconds of the lab in one of the wall.
        wall, lab: the same moment on both clocks, in seconds since the Unix epoch.
    """

    speed: float = 1.0
    wall: float = 0.0
    lab: float = 0.0

    @property
    def is_wall(self) -> bool:
        """Whether both clocks show the same, so that nothing needs to be translated."""
        return self.speed == 1 and abs(self.lab - self.wall) < 0.5

    def to_lab(self, wall: float) -> float:
        return self.lab + (wall - self.wall) * self.speed

    def to_wall(self, lab: float) -> float:
        return self.wall + (lab - self.lab) / self.speed


def seconds_of_duration(text: str) -> float:
    """Seconds of a duration as Prometheus writes it: ``1h30m``, ``500ms``, ``0``.

    Raises:
        StokerError: it is none.
    """
    text = str(text).strip()
    if text.lstrip("0") in {"", "s", "m", "h", "d", "w", "y", "ms"} and text[:1] == "0":
        return 0.0
    try:
        return float(promql_parser.parse_duration(text).total_seconds())
    except ValueError as error:
        raise StokerError(
            f"{text!r} is no duration", fix="write it as Prometheus does: 30s, 5m, 1h30m"
        ) from error


def duration_text(seconds: float) -> str:
    """A duration as Prometheus reads it, to the millisecond; what is more than nothing stays at least a millisecond."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0 and seconds > 0:
        milliseconds = 1
    return str(promql_parser.display_duration(timedelta(milliseconds=milliseconds)))


def scaled_duration(text: str, time: LabTime) -> str:
    """A duration of the lab as one of the wall."""
    return text if time.speed == 1 else duration_text(seconds_of_duration(text) / time.speed)


def scaled_interval(text: str, time: LabTime, floor_s: float = FLOOR_S) -> str:
    """As `scaled_duration`, not below the floor: for what recurs."""
    if time.speed == 1:
        return text
    return duration_text(max(floor_s, seconds_of_duration(text) / time.speed))


def useful_speed(intervals: Iterable[str]) -> float:
    """The speed up to which every interval is kept; infinite where there is none."""
    return min((seconds_of_duration(text) / FLOOR_S for text in intervals), default=float("inf"))


def scaled_query(expression: str, time: LabTime) -> str:
    """An expression of the lab as Prometheus has to be asked; see the module.

    Raises:
        StokerError: it is no PromQL.
    """
    return expression if time.is_wall else _Printer(time).text(parse(expression))


@dataclass(frozen=True, slots=True)
class _Printer:
    """Writes a syntax tree as text, translated. Parentheses are nodes of the tree, so precedence needs no thought."""

    time: LabTime

    def text(self, node: Any) -> str:
        kind = type(node).__name__
        match kind:
            case "NumberLiteral" | "StringLiteral":
                return str(node) if kind == "NumberLiteral" else _quoted(node.val)
            case "ParenExpr":
                return f"({self.text(node.expr)})"
            case "UnaryExpr":
                return f"-{self.text(node.expr)}"
            case "VectorSelector":
                return _series(node) + self._when(node)
            case "MatrixSelector":
                inner = node.vector_selector
                return f"{_series(inner)}[{self._short(node.range)}]{self._when(inner)}"
            case "SubqueryExpr":
                step = "" if node.step is None else self._short(node.step)
                return f"{self.text(node.expr)}[{self._short(node.range)}:{step}]{self._when(node)}"
            case "Call":
                return self._call(node)
            case "AggregateExpr":
                return self._aggregate(node)
            case "BinaryExpr":
                return f"{self.text(node.lhs)} {_operator(node)} {self.text(node.rhs)}"
        raise StokerError(f"PromQL that a lab cannot translate: {kind}")

    def _short(self, length: timedelta) -> str:
        return duration_text(length.total_seconds() / self.time.speed)

    def _when(self, node: Any) -> str:
        text = ""
        if node.at is not None:
            text = f" @ {self._at(node.at)}"
        if node.offset:
            seconds = node.offset.total_seconds()
            sign = "-" if seconds < 0 else ""
            text += f" offset {sign}{duration_text(abs(seconds) / self.time.speed)}"
        return text

    def _at(self, at: Any) -> str:
        if at.at is not None:
            return f"{self.time.to_wall(at.at.timestamp()):.3f}"
        return "start()" if str(at.type).endswith("Start") else "end()"

    def _call(self, node: Any) -> str:
        name = node.func.name
        arguments = [self.text(one) for one in node.args]
        speed = _number(self.time.speed)
        if name == "time":
            return self._lab("time()")
        if name == "timestamp":
            return self._lab(f"timestamp({arguments[0]})")
        if name in _CALENDAR and not arguments:
            arguments = [f"vector({self._lab('time()')})"]
        if name == "predict_linear" and self.time.speed != 1:
            arguments[1] = f"({arguments[1]}) / {speed}"
        text = f"{name}({', '.join(arguments)})"
        return f"({text} / {speed})" if name in _PER_SECOND and self.time.speed != 1 else text

    def _lab(self, wall: str) -> str:
        time = self.time
        return f"(({wall} - {_number(time.wall)}) * {_number(time.speed)} + {_number(time.lab)})"

    def _aggregate(self, node: Any) -> str:
        grouping = ""
        if node.modifier is not None:
            word = "by" if str(node.modifier.type).endswith("By") else "without"
            grouping = f" {word} ({', '.join(node.modifier.labels)}) "
        arguments = [self.text(one) for one in (node.param, node.expr) if one is not None]
        return f"{node.op}{grouping}({', '.join(arguments)})"


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _quoted(value: str) -> str:
    """A string as Go reads it: escapes of JSON are escapes of Go."""
    return json.dumps(value, ensure_ascii=False)


def _series(selector: Any) -> str:
    # The parser's own text of a matcher leaves its value as it is, unescaped.
    matchers = [
        f"{one.name}{_MATCH[str(one.op).rpartition('.')[2]]}{_quoted(one.value)}"
        for one in selector.matchers.matchers
    ]
    name = selector.name or ""
    return f"{name}{{{','.join(matchers)}}}" if matchers or not name else name


def _operator(node: Any) -> str:
    text, modifier = str(node.op), node.modifier
    if modifier is None:
        return text
    if modifier.return_bool:
        text += " bool"
    if modifier.matching is not None:
        word = "on" if str(modifier.matching.type).endswith("Include") else "ignoring"
        text += f" {word} ({', '.join(modifier.matching.labels)})"
    card = str(modifier.card)
    if card.endswith(("ManyToOne", "OneToMany")):
        side = "group_left" if card.endswith("ManyToOne") else "group_right"
        text += f" {side} ({', '.join(modifier.group_labels or ())})"
    return text
