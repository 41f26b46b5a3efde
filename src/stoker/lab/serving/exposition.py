"""Prometheus' text format as the Python client library writes it (prometheus_client/exposition.py of 0.26)."""

import math
from collections.abc import Iterable, Mapping

from stoker.lab.serving.stats import Histogram

__all__ = ["CONTENT_TYPE", "Page", "number"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


def number(value: float) -> str:
    """A value as Go prints it."""
    value = float(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    text = repr(value)
    dot = text.find(".")
    if value > 0 and dot > 6:
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    return text


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def labelled(labels: Labels) -> str:
    """``{a="x",b="y"}`` in the order of the names; empty without labels."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())) + "}"


class Page:
    """A page of metrics, family by family."""

    def __init__(self, created: float) -> None:
        self._lines: list[str] = []
        self._created = number(created)

    def _head(self, name: str, kind: str, about: str) -> None:
        about = about.replace("\\", r"\\").replace("\n", r"\n")
        self._lines.append(f"# HELP {name} {about}\n# TYPE {name} {kind}\n")

    def gauge(self, name: str, about: str, values: Iterable[tuple[Labels, float]]) -> None:
        self._head(name, "gauge", about)
        self._lines += [f"{name}{labelled(labels)} {number(value)}\n" for labels, value in values]

    def counter(
        self, name: str, about: str, values: Iterable[tuple[Labels, float]], *, created: bool = True
    ) -> None:
        """``name`` without ``_total``."""
        rows = [(labelled(labels), number(value)) for labels, value in values]
        self._head(f"{name}_total", "counter", about)
        self._lines += [f"{name}_total{labels} {value}\n" for labels, value in rows]
        if created and rows:
            self._born(name, about, [labels for labels, _ in rows])

    def summary(self, name: str, about: str, values: Iterable[tuple[Labels, int, float]]) -> None:
        rows = [(labelled(labels), number(count), number(total)) for labels, count, total in values]
        self._head(name, "summary", about)
        for labels, count, total in rows:
            self._lines.append(f"{name}_count{labels} {count}\n{name}_sum{labels} {total}\n")
        if rows:
            self._born(name, about, [labels for labels, _, _ in rows])

    def histogram(self, name: str, about: str, values: Iterable[tuple[Labels, Histogram]]) -> None:
        self._head(name, "histogram", about)
        born = []
        for labels, histogram in values:
            own = labelled(labels)
            total = 0
            for bound, count in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
                total += count
                self._lines.append(f"{name}_bucket{labelled({**labels, 'le': number(bound)})} {number(total)}\n")  # fmt: skip
            self._lines.append(
                f"{name}_count{own} {number(total)}\n{name}_sum{own} {number(histogram.sum)}\n"
            )
            born.append(own)
        if born:
            self._born(name, about, born)

    def _born(self, name: str, about: str, labels: Iterable[str]) -> None:
        self._head(f"{name}_created", "gauge", about)
        self._lines += [f"{name}_created{each} {self._created}\n" for each in labels]

    def encode(self) -> bytes:
        return "".join(self._lines).encode()
