"""Traffic that was never recorded: what it keeps of its trace, and that the same seed gives the same bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stoker.errors import InputError
from stoker.twin.workload import (
    FLAT,
    LognormalLengths,
    Traffic,
    arrivals,
    cut,
    fit,
    prefix_reuse,
    read_profile,
    read_trace,
    stretch,
    synthesise,
)

DAY_S = 86_400.0


def columns(traffic: Traffic) -> list[bytes]:
    found: list[NDArray[Any] | None] = [
        traffic.arrival_s,
        traffic.input_tokens,
        traffic.output_tokens,
        traffic.model,
        traffic.tenant,
        traffic.prefix_ids,
        traffic.prefix_offsets,
    ]
    return [column.tobytes() for column in found if column is not None]


def cv(times: NDArray[np.float64]) -> float:
    gaps = np.diff(times)
    return float(gaps.std() / gaps.mean())


def by_minute(traffic: Traffic) -> NDArray[np.int64]:
    return np.bincount((traffic.arrival_s / 60).astype(np.int64))


def small(count: int, seed: int = 0, *, prefixes: bool = False) -> Traffic:
    rng = np.random.default_rng(seed)
    made = synthesise(2.0, count / 2, LognormalLengths(500, 1.0, 100, 1.0), rng)
    made = replace(
        made,
        models=("a", "b"),
        model=rng.integers(0, 2, count).astype(np.int16),
        tenants=("x", "y", "z"),
        tenant=rng.integers(0, 3, count).astype(np.int16),
    )
    if not prefixes:
        return made
    ids = rng.integers(0, count, 3 * count)
    return replace(
        made, prefix_ids=ids, prefix_offsets=np.arange(0, 3 * count + 1, 3), prefix_block_tokens=512
    )


@pytest.mark.parametrize("wanted", [0.5, 1.0, 3.0, 8.0])
def test_arrivals_have_the_rate_and_the_burstiness_asked_for(wanted: float) -> None:
    times = arrivals(50.0, 20_000.0, np.random.default_rng(1), cv=wanted)
    assert len(times) == 1_000_000
    assert cv(times) == pytest.approx(wanted, rel=0.03)
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    assert times[-1] == pytest.approx(20_000.0 * 1_000_000 / 1_000_001, abs=1e-6)


def test_poisson_arrivals_are_as_many_in_every_minute_as_poisson_says() -> None:
    counts = np.bincount((arrivals(5.0, 200_000.0, np.random.default_rng(2)) / 10).astype(int))
    assert counts.mean() == pytest.approx(50.0, rel=0.001)
    assert counts.var() == pytest.approx(50.0, rel=0.04)


def test_arrivals_follow_their_profile() -> None:
    profile = read_profile("diurnal")
    times = arrivals(20.0, 10 * DAY_S, np.random.default_rng(3), profile=profile)
    hours = np.bincount((times % DAY_S / 3600).astype(int), minlength=24)
    assert hours / hours.mean() == pytest.approx(np.array(profile.rates), rel=0.02)


def test_more_rows_than_one_chunk_are_one_process() -> None:
    times = arrivals(100.0, 30_000.0, np.random.default_rng(4), cv=2.0)
    assert len(times) == 3_000_000
    assert np.bincount((times / 100).astype(int)).std() < 0.05 * 10_000


@pytest.mark.parametrize("name", ["azure2023_conv.csv", "azure2023_code.csv"])
def test_bursts_of_a_stretched_trace_last_as_long(shared: Path, name: str) -> None:
    model = fit(read_trace(shared / "traces" / name).traffic)
    long = stretch(model, 10 * DAY_S, np.random.default_rng(5))
    real, made = by_minute(model.trace), by_minute(long)
    assert made.std() / made.mean() == pytest.approx(real.std() / real.mean(), rel=0.15)
    assert np.quantile(made, 0.99) == pytest.approx(np.quantile(real, 0.99), rel=0.1)


@pytest.mark.parametrize("name", ["azure2023_conv.csv", "azure2023_code.csv"])
def test_a_stretched_trace_keeps_its_percentiles_and_which_lengths_belong_together(
    shared: Path, name: str
) -> None:
    trace = read_trace(shared / "traces" / name).traffic
    long = stretch(fit(trace), 20 * DAY_S, np.random.default_rng(6))
    shares = [0.1, 0.5, 0.9, 0.99]
    assert np.quantile(long.input_tokens, shares) == pytest.approx(
        np.quantile(trace.input_tokens, shares), rel=0.02
    )
    assert np.quantile(long.output_tokens, shares) == pytest.approx(
        np.quantile(trace.output_tokens, shares), rel=0.02, abs=1
    )
    pairs = {(a, b) for a, b in zip(trace.input_tokens.tolist(), trace.output_tokens.tolist(), strict=True)}
    sample = slice(0, 50_000)
    made = set(zip(long.input_tokens[sample].tolist(), long.output_tokens[sample].tolist(), strict=True))
    assert made <= pairs


def test_a_higher_rate_keeps_the_burstiness(shared: Path) -> None:
    model = fit(read_trace(shared / "traces" / "azure2023_code.csv").traffic)
    long = stretch(model, 5 * DAY_S, np.random.default_rng(7), rate_scale=4.0)
    assert len(long) / long.duration_s == pytest.approx(4 * model.rate, rel=1e-4)
    assert cv(long.arrival_s) == pytest.approx(model.cv, rel=0.05)


@pytest.mark.parametrize(
    ("name", "reuse"), [("mooncake_conversation.jsonl", 0.366), ("mooncake_synthetic.jsonl", 0.640)]
)
@pytest.mark.parametrize("rate_scale", [1.0, 2.5])
def test_stretched_prefixes_are_found_as_often(
    shared: Path, name: str, reuse: float, rate_scale: float
) -> None:
    model = fit(read_trace(shared / "traces" / name).traffic)
    long = stretch(model, 6 * model.trace.duration_s, np.random.default_rng(8), rate_scale=rate_scale)
    assert model.reuse == pytest.approx(reuse, abs=0.001)
    assert prefix_reuse(long) == pytest.approx(reuse, abs=0.005)
    assert cv(long.arrival_s) == pytest.approx(model.cv, rel=0.01)


def test_a_trace_of_days_is_fitted_with_its_own_days() -> None:
    weekly = read_profile("weekly")
    week = synthesise(
        1.0, 7 * DAY_S, LognormalLengths(100, 1, 10, 1), np.random.default_rng(9), profile=weekly
    )
    model = fit(week)
    assert cv(week.arrival_s) > 1.5
    assert model.cv == pytest.approx(1.0, rel=0.02)
    assert np.array(model.profile.rates) == pytest.approx(np.array(weekly.rates), rel=0.35)
    again = stretch(model, 14 * DAY_S, np.random.default_rng(10), profile=model.profile)
    assert np.corrcoef(by_hour(again)[:168], by_hour(week))[0, 1] > 0.99
    flat = stretch(model, 14 * DAY_S, np.random.default_rng(11))
    assert cv(flat.arrival_s) == pytest.approx(1.0, rel=0.02)


def by_hour(traffic: Traffic) -> NDArray[np.int64]:
    return np.bincount((traffic.arrival_s / 3600).astype(np.int64), minlength=168)


@settings(max_examples=25)
@given(
    rows=st.integers(1, 60),
    seed=st.integers(0, 100),
    days=st.floats(0.001, 0.05),
    scale=st.floats(0.1, 5.0),
    prefixes=st.booleans(),
    profile=st.sampled_from(["flat", "diurnal", "weekly", "weekly-chat"]),
)
def test_stretched_traffic_is_sorted_and_the_same_bytes_for_the_same_seed(
    rows: int, seed: int, days: float, scale: float, prefixes: bool, profile: str
) -> None:
    model = fit(small(rows, seed, prefixes=prefixes))
    one, two = (
        stretch(
            model, days * DAY_S, np.random.default_rng(seed), rate_scale=scale, profile=read_profile(profile)
        )
        for _ in range(2)
    )
    assert columns(one) == columns(two)
    assert len(one) == max(1, round(model.rate * scale * days * DAY_S))
    assert np.all(np.diff(one.arrival_s) >= 0)
    assert one.arrival_s[0] >= 0
    assert one.arrival_s[-1] <= one.duration_s == days * DAY_S
    assert one.input_tokens.min() >= 1
    kinds = [column.dtype.name for column in (one.arrival_s, one.input_tokens, one.output_tokens, one.model)]
    assert kinds == ["float64", "int32", "int32", "int16"]


def test_other_seeds_give_other_traffic() -> None:
    model = fit(small(100))
    one, two = (stretch(model, 1000.0, np.random.default_rng(seed)) for seed in (1, 2))
    assert columns(one) != columns(two)


def test_models_and_tenants_keep_their_shares() -> None:
    trace = small(2000)
    long = stretch(fit(trace), 100_000.0, np.random.default_rng(0))
    for name in ("model", "tenant"):
        real, made = (np.bincount(getattr(each, name)) / len(each) for each in (trace, long))
        assert made == pytest.approx(real, abs=0.02)
    assert long.models == ("a", "b")


def test_traffic_of_no_requests_cannot_be_fitted() -> None:
    with pytest.raises(InputError, match="no requests"):
        fit(cut(small(10), -1.0))


def test_lognormal_lengths_have_their_medians_spread_and_correlation() -> None:
    wanted = LognormalLengths(1000, 0.8, 200, 0.5, correlation=-0.6)
    found = LognormalLengths.of(synthesise(100.0, 3000.0, wanted, np.random.default_rng(1)))
    assert found.input_median == pytest.approx(1000, rel=0.01)
    assert found.output_median == pytest.approx(200, rel=0.01)
    assert (found.input_sigma, found.output_sigma) == pytest.approx((0.8, 0.5), rel=0.01)
    assert found.correlation == pytest.approx(-0.6, abs=0.01)


def test_lengths_stay_within_their_bounds() -> None:
    lengths = LognormalLengths(10, 3.0, 10, 3.0, most_input=100, most_output=50)
    inputs, outputs = lengths.draw(10_000, np.random.default_rng(0))
    assert (inputs.min(), inputs.max(), outputs.min(), outputs.max()) == (1, 100, 1, 50)
    same, _ = LognormalLengths(7, 0.0, 1, 0.0).draw(3, np.random.default_rng(0))
    assert same.tolist() == [7, 7, 7]


def test_a_flat_profile_changes_nothing() -> None:
    one = arrivals(3.0, 100.0, np.random.default_rng(0), profile=FLAT)
    two = arrivals(
        3.0, 100.0, np.random.default_rng(0), profile=replace(FLAT, name="x", span_s=10.0, rates=(2.0,))
    )
    assert one.tolist() == pytest.approx(two.tolist())
