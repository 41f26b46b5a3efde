"""Plans: how many requests, when, how long, and from where."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.errors import InputError
from stoker.load import Phase, Planned, listed_plan, poisson_plan, trace_plan
from stoker.load.rates import expected, moments
from stoker.twin.workload import arrivals, read_trace, replay

rates = st.floats(0.0, 200.0).map(lambda rate: rate if rate > 0.01 else 0.0)
phases = st.lists(
    st.builds(Phase, st.floats(0.5, 60.0), rates, st.none() | rates), min_size=1, max_size=5
).filter(lambda given: 1 <= expected(given) < 1000)


@given(phases, st.integers(0, 5))
def test_a_plan_has_the_requests_that_its_rates_add_up_to_in_order_and_in_time(
    given: list[Phase], seed: int
) -> None:
    plan = poisson_plan(given, model="m", seed=seed)
    times = [request.at_s for request in plan.requests]
    assert len(times) == round(expected(given))
    assert times == sorted(times)
    assert 0 <= times[0]
    assert times[-1] <= plan.duration_s == pytest.approx(sum(phase.duration_s for phase in given))
    assert [request.index for request in plan.requests] == list(range(len(times)))


@given(phases, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_by_every_moment_as_many_requests_have_come_as_the_rate_says(
    given: list[Phase], shares: list[float]
) -> None:
    work = np.array(sorted(shares)) * expected(given)
    for amount, moment in zip(work, moments(work, given), strict=True):
        come, begin = 0.0, 0.0
        for phase in given:
            within = min(max(moment - begin, 0.0), phase.duration_s)
            slope = (phase.last_rate - phase.rate) / phase.duration_s
            come += phase.rate * within + slope * within**2 / 2
            begin += phase.duration_s
        assert come == pytest.approx(amount, rel=1e-6, abs=1e-6 * expected(given))


def test_nothing_is_sent_while_the_rate_is_zero() -> None:
    plan = poisson_plan([Phase(10, 5), Phase(10, 0), Phase(10, 5)], model="m")
    assert not [request for request in plan.requests if 10 < request.at_s < 20]


def test_a_ramp_sends_three_quarters_in_its_second_half() -> None:
    plan = poisson_plan([Phase(100, 0, 100)], model="m")
    late = sum(request.at_s > 50 for request in plan.requests)
    assert late / len(plan.requests) == pytest.approx(0.75, abs=0.03)


def test_the_twin_and_the_generator_draw_the_same_arrivals() -> None:
    twin = arrivals(5.0, 60.0, np.random.default_rng([3, 1]))
    ours = [request.at_s for request in poisson_plan(5.0, 60.0, model="m", seed=3).requests]
    assert ours == pytest.approx(twin.tolist())


def test_gaps_of_a_plan_are_as_uneven_as_asked_for() -> None:
    for cv in (0.2, 1.0, 3.0):
        times = [request.at_s for request in poisson_plan(100.0, 100.0, model="m", cv=cv).requests]
        gaps = np.diff(times)
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.1)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    first, again, other = (poisson_plan(10.0, 10.0, model="m", sigma=1.0, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.requests != other.requests


def test_lengths_are_equal_without_sigma_and_around_the_median_with_it() -> None:
    equal = poisson_plan(10.0, 100.0, model="m", prompt_tokens=300, output_tokens=40).requests
    assert {(one.prompt_tokens, one.output_tokens) for one in equal} == {(300, 40)}
    spread = poisson_plan(10.0, 100.0, model="m", prompt_tokens=300, output_tokens=40, sigma=1.0).requests
    assert np.median([one.prompt_tokens for one in spread]) == pytest.approx(300, rel=0.15)
    assert len({one.output_tokens for one in spread}) > 50


def _trace(folder: Path, *, models: bool = False) -> Path:
    rows = [f"{index / 2},{100 + index},{10 + index}{',a' if models else ''}" for index in range(40)]
    path = folder / "trace.csv.gz"
    path.write_bytes(
        gzip.compress(
            "\n".join((f"arrival_s,input_tokens,output_tokens{',model' if models else ''}", *rows)).encode()
        )
    )
    return path


def test_a_trace_is_sent_as_it_was_recorded(tmp_path: Path) -> None:
    plan = trace_plan(read_trace(_trace(tmp_path)), model="m")
    assert plan.requests[3] == Planned(3, 1.5, 103, 13, "m")
    assert plan.duration_s == pytest.approx(20.0)
    assert "as recorded" in plan.source


def test_pace_sends_the_same_requests_in_less_time(tmp_path: Path) -> None:
    trace = read_trace(_trace(tmp_path))
    plain, fast = trace_plan(trace, model="m"), trace_plan(trace, model="m", pace=4.0)
    assert [one.at_s / 4 for one in plain.requests] == [one.at_s for one in fast.requests]
    assert fast.duration_s == plain.duration_s / 4


@pytest.mark.parametrize(("duration", "scale"), [(None, 2.5), (5.0, 1.0), (200.0, 0.5)])
def test_a_trace_becomes_the_requests_that_the_twin_makes_of_it(
    tmp_path: Path, duration: float | None, scale: float
) -> None:
    trace = read_trace(_trace(tmp_path))
    plan = trace_plan(trace, model="m", duration_s=duration, scale=scale, seed=7)
    twin, _ = replay(trace.traffic, np.random.default_rng([7, 1]), duration_s=duration, rate_scale=scale)
    assert [one.at_s for one in plan.requests] == twin.arrival_s.tolist()
    assert [one.prompt_tokens for one in plan.requests] == twin.input_tokens.tolist()


def test_a_trace_keeps_its_own_models_unless_one_is_named(tmp_path: Path) -> None:
    trace = read_trace(_trace(tmp_path, models=True))
    assert {one.model for one in trace_plan(trace).requests} == {"a"}
    assert {one.model for one in trace_plan(trace, model="b").requests} == {"b"}


def test_a_trace_without_models_needs_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no models"):
        trace_plan(read_trace(_trace(tmp_path)))


def test_a_list_is_sorted_and_numbered() -> None:
    plan = listed_plan([Planned(9, 2.0, 1, 1, "m"), Planned(4, 0.5, 2, 2, "m")])
    assert [(one.index, one.at_s) for one in plan.requests] == [(0, 0.5), (1, 2.0)]
    assert plan.duration_s == 2.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: poisson_plan(0.0, 10.0, model="m"), "a rate of 0"),
        (lambda: poisson_plan(-1.0, 10.0, model="m"), "at least 0"),
        (lambda: poisson_plan(float("nan"), 10.0, model="m"), "no phase"),
        (lambda: poisson_plan(5.0, 0.0, model="m"), "no phase"),
        (lambda: poisson_plan(1e5, 1e5, model="m"), "more requests than one run may have"),
        (lambda: poisson_plan(1.0, 1.0, model="m", prompt_tokens=0), "no length"),
        (lambda: listed_plan([]), "nothing to send"),
        (lambda: listed_plan([Planned(0, -1.0, 1, 1)]), "no time of a request"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(make: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()  # type: ignore[operator]


def test_a_slip_of_the_pen_in_a_trace_s_scale_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more requests than one run may have"):
        trace_plan(read_trace(_trace(tmp_path)), model="m", scale=1e6)
