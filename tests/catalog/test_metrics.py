"""The two files that name vLLM's series agree: metrics.yaml, which audits read, and engine_vllm.yaml, which rendering reads."""

from collections.abc import Iterator

import pytest

from stoker.catalog._load import read_data
from stoker.catalog.engines import MetricFact, MetricType, engine, release
from stoker.catalog.metrics import series

GROUPS = {MetricType.GAUGE: "gauges", MetricType.COUNTER: "counters", MetricType.HISTOGRAM: "histograms"}
PLAIN_NUMBERS = {"count", "requests"}  # a preemption is counted as one or the other: no query divides by it


def facts() -> Iterator[tuple[str, MetricFact]]:
    """Every series of every release with a role, with the release."""
    for version in engine("vllm").releases:
        for fact in release("vllm", version).metrics.values():
            yield version, fact


FACTS = [pytest.param(version, fact, id=f"{version} {fact.name}") for version, fact in facts()]


@pytest.mark.parametrize(("version", "fact"), FACTS)
def test_a_series_with_a_role_is_listed_among_the_engines_series(version: str, fact: MetricFact) -> None:
    """By its own name and type, so that no audit calls what Stoker renders unknown, and of the releases that have it."""
    listed = read_data("metrics.yaml")["vllm"][GROUPS[fact.type]]
    found = series(fact.name)

    assert (fact.base if fact.type is MetricType.HISTOGRAM else fact.name) in listed
    assert found is not None
    assert found.there(version)


@pytest.mark.parametrize(("version", "fact"), FACTS)
def test_unit_and_labels_of_a_series_are_the_same_in_both(version: str, fact: MetricFact) -> None:
    """metrics.yaml holds the labels of all releases together, so it may know more."""
    found = series(fact.name)

    assert found is not None
    assert fact.unit == found.unit or {fact.unit, found.unit} == PLAIN_NUMBERS
    assert found.labels is None or set(fact.labels) <= found.labels, version


def test_a_removed_series_names_what_is_there_today() -> None:
    """`replaced_by` is a series of the newest release."""
    newest = engine("vllm").releases[-1]
    listed = read_data("metrics.yaml")["vllm"]
    names = [
        entry["replaced_by"]
        for group in GROUPS.values()
        for entry in listed[group].values()
        if entry.get("replaced_by")
    ]
    found = {name: series(name) or series(f"{name}_bucket") for name in names}

    assert names
    assert [] == [name for name, item in found.items() if item is None or not item.there(newest)]
