"""Figures: counted from the intended moment, none where nothing was measured, and nobody blamed for what the generator did."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.load.conftest import run_of, sent

from stoker.load import Outcome, judge, load_document, parse_promises, summarise
from stoker.load.summary import Spread, percentile, spread

figures = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=300)


@given(figures)
def test_percentiles_are_figures_that_were_measured_and_grow(given: list[float]) -> None:
    found = spread(given)
    steps = [found.p50, found.p90, found.p95, found.p99, found.most]
    assert all(step in given for step in steps)
    assert steps == sorted(step for step in steps if step is not None)
    assert found.count == len(given)


@given(figures, st.floats(0.01, 1.0))
def test_the_share_of_figures_up_to_a_percentile_is_at_least_its_rank(
    given: list[float], share: float
) -> None:
    value = percentile(sorted(given), share)
    assert sum(figure <= value for figure in given) >= share * len(given) - 1e-6
    assert sum(figure < value for figure in given) < share * len(given) + 1e-6


def test_no_data_is_never_zero() -> None:
    summary = summarise(run_of(sent(outcome=Outcome.REFUSED)))
    nothing = Spread()
    assert (summary.total.ttft, summary.total.tpot, summary.total.e2e) == (nothing, nothing, nothing)
    assert nothing.p50 is None
    assert summary.output_tokens_per_s is None
    assert summary.prompt_tokens is None
    assert summarise(run_of()).total.error_rate is None


def test_latencies_count_from_the_intended_moment_and_as_sent_beside() -> None:
    total = summarise(run_of(sent(2.0, lag=0.5, first=0.1, took=1.0, tokens=10))).total
    assert total.ttft.p50 == pytest.approx(0.6)
    assert total.ttft_from_send.p50 == pytest.approx(0.1)
    assert total.e2e.p50 == pytest.approx(1.5)
    assert total.e2e_from_send.p50 == pytest.approx(1.0)


def test_time_per_token_is_of_the_tokens_after_the_first() -> None:
    total = summarise(run_of(sent(first=0.2, took=1.1, tokens=10), sent(first=0.2, took=0.2, tokens=1))).total
    assert total.tpot.p50 == pytest.approx(0.1)
    assert total.tpot.count == 1


def test_latencies_of_failed_requests_are_in_no_percentile_and_their_ends_are_counted() -> None:
    results = [
        sent(took=1.0),
        sent(took=0.01, outcome=Outcome.HTTP, status=429, detail="slow down"),
        sent(took=0.01, outcome=Outcome.HTTP, status=500),
        sent(took=0.01, outcome=Outcome.HTTP, status=429, detail="slow down"),
        sent(took=9.0, outcome=Outcome.TIMEOUT),
        sent(took=0.0, outcome=Outcome.UNSENT),
        sent(took=0.0, outcome=Outcome.CANCELLED),
    ]
    summary = summarise(run_of(*results))
    assert summary.total.outcomes == {
        "http 429": 2,
        "cancelled": 1,
        "http 500": 1,
        "not sent": 1,
        "ok": 1,
        "timeout": 1,
    }
    assert summary.total.e2e.count == 1
    assert summary.total.error_rate == pytest.approx(4 / 5)
    assert summary.details == {"http 429": ("slow down",)}
    assert summary.answered == 4


def test_rates_tell_what_was_wanted_what_left_and_what_was_answered() -> None:
    results = [sent(float(at), took=5.0, tokens=20, prompt_tokens=30) for at in range(10)]
    summary = summarise(run_of(*results, duration=10.0))
    assert summary.offered_rate == 1.0
    assert summary.sent_rate == 1.0
    assert summary.completed_rate == pytest.approx(10 / 14)
    assert summary.output_tokens_per_s == pytest.approx(200 / 14)
    assert summary.prompt_tokens == 300


def test_a_generator_that_falls_behind_says_so() -> None:
    slow = [sent(at / 10, lag=at / 10) for at in range(100)]
    summary = summarise(run_of(*slow, duration=10.0))
    assert summary.is_late
    assert summary.sent_rate == pytest.approx(100 / 19.8)
    assert not summarise(run_of(*(sent(at / 10, lag=0.001) for at in range(100)))).is_late


def test_in_a_fast_lab_lateness_is_judged_by_this_machine_s_clock() -> None:
    late = [sent(at / 10, lag=1.0) for at in range(100)]
    assert summarise(run_of(*late)).is_late
    assert not summarise(run_of(*late, speed=30.0)).is_late


def test_requests_that_were_held_do_not_make_the_generator_late() -> None:
    summary = summarise(run_of(sent(0.0, lag=0.001), *(sent(1.0, lag=5.0, is_held=True) for _ in range(9))))
    assert not summary.is_late
    assert summary.held == 9
    assert summary.lag.count == 1


def test_models_tenants_and_who_answered_are_told_apart() -> None:
    summary = summarise(run_of(
        sent(took=1.0, model="a", tenant="x", answered_by="v1"), sent(took=3.0, model="b", tenant="x", answered_by="v2"),
        sent(took=5.0, model="b", tenant="y", answered_by="v2"), sent(model="b", outcome=Outcome.CUT, answered_by="v2"),
    ))  # fmt: skip
    assert (summary.models["a"].e2e.p50, summary.models["b"].e2e.p99) == (1.0, 5.0)
    assert {name: part.requests for name, part in summary.tenants.items()} == {"x": 2, "y": 1, "": 1}
    assert summary.answered_by == {"v2": 2, "v1": 1}


def test_a_run_that_was_stopped_offered_what_was_due_by_then() -> None:
    results = [sent(float(at)) for at in range(10)]
    summary = summarise(run_of(*results, duration=10.0, elapsed_s=4.0, is_cancelled=True))
    assert summary.offered_rate == pytest.approx(5 / 4)


def test_the_document_is_json_and_holds_no_infinity() -> None:
    run = run_of(sent(first=0.1, tokens=5), sent(outcome=Outcome.TIMEOUT))
    document = load_document(summarise(run), judge(run, parse_promises(["ttft_p95<2s", "errors<1%"])))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [one["verdict"] for one in document["slo"]] == ["missed", "missed"]
    assert document["slo"][0]["measured"] is None


# --- promises ---


def _verdict(text: str, *results: object) -> bool | None:
    return judge(run_of(*results), parse_promises([text]))[0].is_kept  # type: ignore[arg-type]


def test_promises_are_kept_or_missed_by_the_percentile_they_name() -> None:
    results = [sent(first=rank / 10, took=2.0) for rank in range(1, 21)]
    assert _verdict("ttft_p95<1.9s", *results) is True
    assert _verdict("ttft_p95<1899ms", *results) is False
    assert _verdict("ttft_p50<=1s", *results) is True
    assert _verdict("e2e_p99<1s", *results) is False


def test_a_failed_request_is_slower_than_any_promise() -> None:
    results = [*(sent(first=0.1) for _ in range(90)), *(sent(outcome=Outcome.REFUSED) for _ in range(10))]
    assert _verdict("ttft_p90<1s", *results) is True
    assert _verdict("ttft_p95<1s", *results) is False
    assert _verdict("errors<10%", *results) is True
    assert _verdict("errors<9%", *results) is False


def test_what_only_the_generator_delayed_is_inconclusive() -> None:
    assert _verdict("ttft_p95<1s", *(sent(lag=2.0, first=0.1) for _ in range(9))) is None
    assert _verdict("ttft_p95<1s", *(sent(lag=2.0, first=1.5) for _ in range(9))) is False
    assert _verdict("ttft_p95<3s", *(sent(lag=2.0, first=0.1) for _ in range(9))) is True


def test_what_was_not_measured_is_inconclusive() -> None:
    assert _verdict("ttft_p95<1s", sent()) is None
    assert _verdict("tpot_p95<1s", sent(first=0.1, tokens=1)) is None
    assert _verdict("errors<1%", sent(outcome=Outcome.CANCELLED)) is None
    assert _verdict("ttft_p95<1s") is None


def test_what_this_machine_could_not_send_is_not_held_against_the_server() -> None:
    assert _verdict("errors<1%", *(sent(outcome=Outcome.UNSENT) for _ in range(50)), sent()) is True


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.booleans()), min_size=1, max_size=60), st.floats(0.1, 5.0))
def test_a_promise_is_kept_exactly_if_enough_requests_are_within_it(
    given: list[tuple[float, bool]], most: float
) -> None:
    results = [sent(first=first) if ok else sent(outcome=Outcome.CUT) for first, ok in given]
    within = sum(ok and first <= float(f"{most:.3f}") for first, ok in given)
    kept = within >= math.ceil(0.9 * len(given) - 1e-9)
    assert _verdict(f"ttft_p90<{most:.3f}s", *results) is kept
