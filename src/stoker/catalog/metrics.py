"""Series of vLLM and dcgm-exporter by their names on the wire: type, unit, labels, and since when or until when."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from stoker.catalog._load import read_data
from stoker.catalog.engines import MetricType, engines, release
from stoker.catalog.versions import in_range

__all__ = ["Series", "judged", "known_series", "series"]

_SUFFIXES: Final = ("_bucket", "_sum", "_count")
_KINDS: Final = {
    "gauges": MetricType.GAUGE,
    "counters": MetricType.COUNTER,
    "histograms": MetricType.HISTOGRAM,
}


@dataclass(frozen=True, slots=True)
class Series:
    """One metric.

    Attributes:
        name: family for a histogram, the series itself for the others.
        unit: ``ratio`` (0-1), ``percent`` (0-100), ``seconds``, ``requests``, ``tokens`` … or empty where unknown.
        labels: labels that the exporter sets; None where any may stand.
        since, until: releases that have it: from, and first without.
        replaced_by: what reads the same today; empty where nothing does.
    """

    name: str
    type: MetricType
    unit: str
    labels: frozenset[str] | None
    since: str | None
    until: str | None
    replaced_by: str
    source: str

    def there(self, version: str) -> bool:
        """Whether a release emits it."""
        return in_range(version, self.since, self.until)


@cache
def known_series() -> Mapping[str, Series]:
    """Every series by its name on the wire; histograms by each of their three series."""
    found: dict[str, Series] = {}
    for owner in ("vllm", "dcgm"):
        data = read_data("metrics.yaml")[owner]
        for group, kind in _KINDS.items():
            for name, entry in data.get(group, {}).items():
                item = _series(name, kind, entry, data)
                names = [name + suffix for suffix in _SUFFIXES] if kind is MetricType.HISTOGRAM else [name]
                found.update(dict.fromkeys(names, item))
    for engine in engines():
        for version in engine.releases:
            for fact in release(engine.name, version).metrics.values():
                base = fact.base
                item = Series(base, fact.type, fact.unit, None, None, None, "", fact.source)
                names = (
                    [base + suffix for suffix in _SUFFIXES]
                    if fact.type is MetricType.HISTOGRAM
                    else [fact.name]
                )
                for name in names:
                    found.setdefault(name, item)
    return found


def _series(name: str, kind: MetricType, entry: Mapping[str, Any], data: Mapping[str, Any]) -> Series:
    labels = (
        None
        if entry.get("any_label") or "labels" not in data
        else frozenset((*data["labels"], *entry.get("labels", ())))
    )
    return Series(
        name,
        kind,
        entry["unit"],
        labels,
        entry.get("since"),
        entry.get("until"),
        entry.get("replaced_by", ""),
        data["source"],
    )


def series(name: str) -> Series | None:
    """The metric that a series belongs to; None where it is not known, which says nothing unless `judged`."""
    return known_series().get(name)


def judged(name: str) -> bool:
    """Whether the catalogue holds every series of that family, so that an unknown name is a wrong one."""
    if not name.startswith("vllm:") or name.startswith(tuple(read_data("metrics.yaml")["vllm"]["router"])):
        return False
    return not name.startswith(
        tuple(read_data("metrics.yaml")["vllm"]["open_prefixes"])
    ) and not name.endswith("_created")
