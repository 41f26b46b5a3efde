"""Metrics and dashboards: what is wanted follows from the platform, and every lie is seen."""

import dataclasses
import re
from typing import Any

import pytest
from tests.rollout.observed import platform

from stoker.catalog.engines import MetricType
from stoker.errors import StokerError
from stoker.promql import parse
from stoker.rollout.evidence import Verdict
from stoker.rollout.gates.week_4.dashboards import Answer, filled, judge_dashboards, variable_query
from stoker.rollout.gates.week_4.metrics import (
    PodSeries,
    Seen,
    Wanted,
    judge_metrics,
    named_metrics,
    wanted_of,
)
from stoker.upgrades.observability.dashboards import boards

PLATFORM = platform()
KV = Wanted("vllm:kv_cache_usage_perc", MetricType.GAUGE, "ratio", ("rules",))
TOKENS = Wanted("vllm:prompt_tokens_total", MetricType.COUNTER, "tokens", ("rules",))
TTFT = Wanted("vllm:time_to_first_token_seconds_bucket", MetricType.HISTOGRAM, "seconds", ("rules",))
WANTED = {"chat": (KV, TOKENS, TTFT)}


def series(wanted: Wanted, *values: float, **labels: str) -> PodSeries:
    return PodSeries(
        "chat-0", wanted.name, labels, tuple((100.0 + 15 * place, v) for place, v in enumerate(values))
    )


BUCKETS = [series(TTFT, 1, 1, le="0.1"), series(TTFT, 3, 4, le="+Inf")]
GOOD = Seen(
    at=120.0,
    up={"chat-0": 1.0},
    series=(series(KV, 0.2, 0.4), series(TOKENS, 5, 9), *BUCKETS),
    types={KV.name: "gauge", TOKENS.name: "counter", TTFT.family: "histogram"},
    others={"kube_resourcequota": 3},
)
OTHERS = ("kube_resourcequota", "kube_pod_status_unschedulable")


def judged(**changes: Any) -> tuple[Verdict, str]:
    seen = dataclasses.replace(GOOD, **changes)
    found = judge_metrics({"chat": ["chat-0"]}, WANTED, OTHERS, seen, stale_seconds=60)
    return found.verdict, found.reason


def test_metrics_that_are_there_and_sane_pass_and_what_may_be_absent_is_told() -> None:
    found = judge_metrics({"chat": ["chat-0"]}, WANTED, OTHERS, GOOD, stale_seconds=60)

    assert found.verdict is Verdict.PASSED
    assert ["kube_pod_status_unschedulable"] == list(found.measured["absent_by_nature"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"up": {}}, "no target", id="no monitor"),
        pytest.param({"up": {"chat-0": 0.0}}, "scrape failed", id="down"),
        pytest.param({"series": (series(KV, 0.2), *BUCKETS)}, "vllm:prompt_tokens_total has no series", id="missing"),
        pytest.param({"at": 190.0}, "is 75 s old", id="stale"),
        pytest.param({"series": (series(KV, 97), series(TOKENS, 5), *BUCKETS)}, "is 97, wanted 0 to 1", id="percent"),
        pytest.param({"series": (series(KV, -1), series(TOKENS, 5), *BUCKETS)}, "is -1", id="negative"),
        pytest.param({"series": (series(KV, 0.1), series(TOKENS, 9, 5), *BUCKETS)}, "went back", id="through a Service"),
        pytest.param(
            {"series": (series(KV, 0.1), series(TOKENS, 9), series(TTFT, 3, le="0.1"), series(TTFT, 2, le="+Inf"))},
            "no histogram", id="no histogram",
        ),
        pytest.param(
            {"series": (series(KV, 0.1), series(TOKENS, 9), series(TTFT, 3, le="0.1"))}, "no histogram", id="no +Inf"
        ),
        pytest.param({"types": {TOKENS.name: "gauge"}}, "is a gauge, wanted a counter", id="wrong type"),
        pytest.param({"others": {}}, "kube_resourcequota: no series", id="no kube-state-metrics"),
    ],
)  # fmt: skip
def test_what_is_missing_or_cannot_be_true_fails(changes: dict[str, Any], words: str) -> None:
    verdict, reason = judged(**changes)

    assert (Verdict.FAILED, True) == (verdict, words in reason), reason


def test_a_restart_sets_counters_back_and_an_unknown_type_is_not_held_against_anybody() -> None:
    back = (series(KV, 0.1), series(TOKENS, 9, 5), *BUCKETS)

    assert Verdict.PASSED is judged(series=back, restarted=frozenset({"chat-0"}))[0]
    assert Verdict.PASSED is judged(types={TOKENS.name: "unknown"})[0]


def test_whatever_rules_dashboards_and_scalers_read_is_wanted() -> None:
    named = named_metrics(PLATFORM)
    wanted = {one.name: one for one in wanted_of(PLATFORM.models["mistral"], named)}

    assert ("scalers",) == named["vllm:num_requests_waiting_by_reason"]
    assert {"rules", "dashboards"} == set(named["keda_scaler_detail_errors_total"])
    assert "ratio" == wanted["vllm:kv_cache_usage_perc"].unit
    assert "vllm:time_to_first_token_seconds" == wanted["vllm:time_to_first_token_seconds_count"].family
    assert not [name for name in named if name.startswith("stoker:")]


@pytest.mark.parametrize(
    ("answers", "absent", "verdict", "words"),
    [
        ([Answer("b", "p", "q", 2)], [], "passed", "1 of 1 queries have data"),
        ([Answer("b", "p", "q", 2), Answer("b", "o", "q", 0, "by nature")], [], "passed", "1 may have none"),
        ([Answer("b", "p", "q", 0)], [], "failed", "b: p: no data"),
        ([Answer("b", "p", "q", 0, "by nature", "refused")], [], "failed", "refused"),
        ([Answer("b", "p", "q", 2)], ["ConfigMap x"], "failed", "not in the cluster: ConfigMap x"),
        ([], [], "inconclusive", "no dashboard"),
    ],
)
def test_every_query_must_answer(answers: list[Answer], absent: list[str], verdict: str, words: str) -> None:
    found = judge_dashboards(answers, absent)

    assert (found.verdict, words in found.reason) == (Verdict(verdict), True), found.reason


def test_variables_are_filled_as_grafana_fills_them() -> None:
    query = filled('up{model=~"$model",pod=~"${pod}"} + $modelled', {"model": ["a.b", "c"], "pod": ["p-0"]})

    assert 'up{model=~"(a\\\\.b|c)",pod=~"(p\\\\-0)"} + $modelled' == query
    (text,) = re.findall(r'model=~"([^"]*)"', query)
    assert re.fullmatch(text.replace("\\\\", "\\"), "a.b")


def test_every_query_of_every_dashboard_is_promql_once_it_is_filled() -> None:
    for board in boards(PLATFORM).values():
        values: dict[str, list[str]] = {}
        for name, text in board.variables.items():
            query, _ = variable_query(filled(text, values))
            parse(query)
            values[name] = ["x.y"]
        for panel in board.panels:
            for query in panel.queries.values():
                assert "$" not in filled(query, values)
                parse(filled(query, values))


def test_a_variable_that_is_no_list_of_values_is_refused() -> None:
    with pytest.raises(StokerError, match="no query of a variable"):
        variable_query("query_result(up)")
