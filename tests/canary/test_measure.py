"""From answers and counters to what is decided on."""

from typing import Any

import pytest

from stoker.canary import measure
from stoker.canary.decide import Block
from stoker.canary.plan import CanaryPlan, Criterion, Metric, default_criterion
from stoker.canary.probe import Answer, Pair, draw
from stoker.catalog.engines import release

CRITERIA = [default_criterion(one) for one in (Metric.TTFT, Metric.TPOT, Metric.ERRORS, Metric.QUALITY)]
VLLM = release("vllm", "0.33.0")


def _pair(stable: Answer, canary: Answer) -> Pair:
    return Pair(0, 0, canary_first=True, stable=stable, canary=canary)


def _answer(ttft: float = 0.1, tpot: float | None = 0.02, text: str = "good") -> Answer:
    return Answer(text, ttft=ttft, tpot=tpot, tokens=5)


BROKEN = Answer(error="HTTP 500")


def _outcomes(*pairs: Pair) -> dict[Metric, tuple[int, ...]]:
    found = measure.outcomes(CRITERIA, pairs, lambda _, text: None if text == "?" else text == "good")
    return {one.metric: one.counts for one in found}


def test_slower_means_slower_by_more_than_the_margin() -> None:
    found = _outcomes(_pair(_answer(0.1), _answer(0.109)), _pair(_answer(0.1), _answer(0.111)))

    assert (1, 1) == found[Metric.TTFT]
    assert (2, 0) == found[Metric.TPOT]


def test_latency_and_quality_are_of_pairs_that_both_answered() -> None:
    found = _outcomes(_pair(_answer(), BROKEN), _pair(BROKEN, _answer()), _pair(BROKEN, BROKEN))

    assert {Metric.ERRORS: (1, 0, 1)} == found


def test_what_neither_answered_or_the_api_server_refused_is_no_data_and_not_no_difference() -> None:
    lost = Answer(error="HTTP 429", lost=True)

    assert {} == _outcomes(_pair(BROKEN, BROKEN), _pair(lost, _answer()), _pair(_answer(), lost))
    assert {"error": "HTTP 429", "noData": True} == measure.raw_of(
        _pair(lost, _answer()), lambda _, __: True
    )["stable"]  # fmt: skip


def test_one_token_has_no_time_between_tokens_and_what_nobody_judged_no_quality() -> None:
    found = _outcomes(_pair(_answer(tpot=None, text="?"), _answer()))

    assert {Metric.TTFT, Metric.ERRORS} == found.keys()


def test_quality_counts_who_alone_was_wrong() -> None:
    good, bad = _answer(), _answer(text="bad")

    assert (1, 2, 1) == _outcomes(
        _pair(good, bad), _pair(bad, good), _pair(good, good), _pair(bad, bad)
    )[Metric.QUALITY]  # fmt: skip


def test_what_is_kept_of_a_pair_are_figures_not_texts() -> None:
    kept = measure.raw_of(_pair(_answer(text="secret"), BROKEN), lambda _, __: True)

    assert "secret" not in str(kept)
    assert {"ttft": 0.1, "tpot": 0.02, "tokens": 5, "passes": True} == kept["stable"]
    assert {"error": "HTTP 500"} == kept["canary"]


def test_the_same_draw_comes_again_and_every_prompt_is_drawn() -> None:
    drawn = [draw(7, number, 5) for number in range(400)]

    assert drawn == [draw(7, number, 5) for number in range(400)]
    assert set(range(5)) == {prompt for prompt, _ in drawn}
    assert 150 < sum(first for _, first in drawn) < 250


# --- counters ---------------------------------------------------------------------------------------------------------


def _sample(value: float, **labels: str) -> Any:
    return labels, value


def test_queries_name_the_series_of_the_release_and_every_pod() -> None:
    plan = CanaryPlan(
        criteria=(default_criterion(Metric.LIVE_ERRORS), Criterion(Metric.LIVE_TTFT, 0.05, bound=2.5))
    )

    errors, ttft = measure.queries(VLLM, plan, "prod", ["b", "a"])

    assert 'http_requests_total{namespace="prod",pod=~"a|b",handler=~' in errors.text
    assert (
        'sum by (pod, le) (vllm:time_to_first_token_seconds_bucket{namespace="prod",pod=~"a|b"})' == ttft.text
    )


def test_a_slow_request_is_one_above_the_bound_of_a_bucket() -> None:
    query = measure.Query("", Metric.LIVE_TTFT, bound=2.5)
    buckets = [
        _sample(value, pod="a", le=le) for le, value in (("1", 50), ("2.5", 90), ("5", 97), ("+Inf", 100))
    ]

    assert {"a": (100, 10)} == measure.read_counters(query, [*buckets, _sample(3, pod="b", le="1")])
    assert 2.5 == measure.bound_of(VLLM, Metric.LIVE_TTFT, 2.0)


def test_an_error_is_a_status_of_500_and_above() -> None:
    query = measure.Query("", Metric.LIVE_ERRORS)
    samples = [
        _sample(90, pod="a", status="2xx"),
        _sample(6, pod="a", status="4xx"),
        _sample(4, pod="a", status="5xx"),
    ]

    assert {"a": (100, 4)} == measure.read_counters(query, samples)


@pytest.mark.parametrize(
    ("now", "cursors", "block"),
    [
        pytest.param({"c": (9, 1), "s": (90, 2)}, {}, (0, 0, 0, 0), id="seen for the first time"),
        pytest.param({"c": (19, 2), "s": (99, 2)}, {"c": (9, 1), "s": (90, 2)}, (10, 1, 9, 0), id="grown"),
        pytest.param({"c": (4, 1), "s": (99, 2)}, {"c": (9, 1), "s": (90, 2)}, (4, 1, 9, 0), id="restarted"),
        pytest.param({"s": (99, 2)}, {"s": (90, 2)}, None, id="one version has no series"),
    ],
)
def test_blocks_are_what_happened_since(now: Any, cursors: Any, block: tuple[int, ...] | None) -> None:
    found, after = measure.blocks(Metric.LIVE_ERRORS, now, cursors, canary=["c"], stable=["s"])

    assert found == (None if block is None else Block(Metric.LIVE_ERRORS, *block))
    assert (
        cursors if block is None else {**cursors, **now}
    ) == after  # else the next block has more of one version


def test_a_pod_that_comes_later_does_not_bring_its_past() -> None:
    found, _ = measure.blocks(
        Metric.LIVE_ERRORS, {"c": (10, 0), "s": (20, 0), "new": (500, 400)}, {"c": (4, 0), "s": (10, 0)},
        canary=["c"], stable=["s", "new"],
    )  # fmt: skip

    assert Block(Metric.LIVE_ERRORS, 6, 0, 10, 0) == found


def test_engines_without_the_series_are_not_compared_by_them() -> None:
    assert set(measure.live_metrics(VLLM)) == {Metric.LIVE_TTFT, Metric.LIVE_TPOT, Metric.LIVE_ERRORS}
    assert Metric.LIVE_ERRORS not in measure.live_metrics(release("sglang", "0.5.4"))
