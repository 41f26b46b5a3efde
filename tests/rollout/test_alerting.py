"""Which alert reads the cache, how long its page takes, which page is its own, and what that means for the gate."""

from typing import Any

import pytest
from tests.rollout.observed import platform

from stoker.pages import Page
from stoker.rollout.alerting import (
    AlertRule,
    Waits,
    alerts_reading,
    group_wait,
    is_page_of,
    kv_usage_names,
    seconds,
    waits_of,
)
from stoker.rollout.evidence import Verdict
from stoker.rollout.monitoring import delivered
from stoker.rollout.paging import Timeline, judge_arrival, judge_resolution
from stoker.upgrades.observability import rule_groups
from stoker.upgrades.observability.receivers import compile_receivers

PLATFORM = platform()
MODEL = PLATFORM.models["mistral"]
GUIDE = {
    "name": "llm-inference-alerts",
    "rules": [
        {
            "alert": "LLMKVCacheSaturation",
            "expr": "vllm:gpu_cache_usage_perc > 90",
            "for": "5m",
            "labels": {"severity": "critical"},
        },
        {"alert": "LLMHighQueueDepth", "expr": "vllm:num_requests_waiting > 10", "for": "2m"},
    ],
}


def found(groups: list[dict[str, Any]]) -> list[AlertRule]:
    return alerts_reading((("here", group) for group in groups), kv_usage_names(), MODEL)


def test_what_is_compiled_for_a_model_pages_within_the_guides_three_minutes() -> None:
    configs = [item.object for item in compile_receivers(PLATFORM)]
    rules = [rule for rule in found(rule_groups(PLATFORM)) if rule.labels["severity"] == "critical"]

    assert ["LLMKVCacheSaturation"] == [rule.name for rule in rules]
    waits = waits_of(rules[0], scrape="15s", evaluation=None, configs=configs)
    assert Waits(15, 30, 60, 30) == waits
    assert 135 == waits.most <= 180


def test_the_guides_own_alert_is_found_under_the_name_that_old_releases_had() -> None:
    (rule,) = found([GUIDE])

    assert ("LLMKVCacheSaturation", 300.0) == (rule.name, rule.hold)


@pytest.mark.parametrize(
    ("expr", "reads"),
    [
        ('max(vllm:kv_cache_usage_perc{model="mistral"}) > 0.9', True),
        ('max(vllm:kv_cache_usage_perc{model="other"}) > 0.9', False),
        ('vllm:kv_cache_usage_perc{namespace="elsewhere"} > 0.9', False),
        ('max_over_time(vllm:kv_cache_usage_perc{model=~"m.*"}[5m]) > 0.9', True),
        ("vllm:num_requests_waiting > 1", False),
        ("this is no PromQL", False),
    ],
)
def test_an_alert_reads_the_cache_of_the_models_it_selects(expr: str, reads: bool) -> None:  # noqa: FBT001
    assert reads is bool(found([{"name": "g", "rules": [{"alert": "A", "expr": expr}]}]))


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("1h30m", 5400), ("500ms", 0.5), ("0", 0), ("", 0), (None, 0), ("2d", 172800)],
)
def test_durations_are_prometheus_own(text: str | None, value: float) -> None:
    assert value == seconds(text)


def test_the_group_waits_as_its_own_route_says() -> None:
    critical = {"severity": "critical", "platform": "p"}
    nested = {
        "spec": {
            "route": {
                "groupWait": "1m",
                "matchers": [{"name": "platform", "value": "p", "matchType": "="}],
                "routes": [
                    {
                        "groupWait": "5s",
                        "matchers": [{"name": "severity", "value": "critical", "matchType": "="}],
                    },
                    {
                        "groupWait": "9m",
                        "matchers": [{"name": "severity", "value": "warn.*", "matchType": "=~"}],
                    },
                ],
            }
        }
    }

    assert 5.0 == group_wait([nested], critical)
    assert 540.0 == group_wait([nested], {**critical, "severity": "warning"})
    assert 60.0 == group_wait([nested], {**critical, "severity": "info"})
    assert 30.0 == group_wait([nested], {**critical, "platform": "other"})
    assert 30.0 == group_wait([], critical)


def page(**parts: Any) -> Page:
    return Page(**{"kind": "pagerduty", "action": "firing", "key": "k", "summary": "", "body": {}, **parts})


def test_a_page_is_known_by_its_alert_or_by_its_words_and_by_its_model() -> None:
    rule = AlertRule("LLMKVCacheSaturation", "", 60, None, {}, "The KV cache of mistral is saturated", "here")
    labels = {"payload": {"custom_details": {"firing": "alertname = LLMKVCacheSaturation\nmodel = mistral"}}}

    assert is_page_of(page(body=labels), [rule], MODEL)
    assert is_page_of(page(body={"message": "The KV cache of mistral is saturated"}), [rule], MODEL)
    assert not is_page_of(page(body={"x": "alertname = LLMKVCacheSaturation\nmodel = other"}), [rule], MODEL)
    assert not is_page_of(page(body={"x": "alertname = LLMKVCacheSaturationOld mistral"}), [rule], MODEL)


def test_alertmanagers_counters_tell_what_was_delivered() -> None:
    text = """
# TYPE alertmanager_notifications_total counter
alertmanager_notifications_total{integration="pagerduty"} 5
alertmanager_notifications_total{integration="opsgenie",receiver_name="a"} 2
alertmanager_notifications_total{integration="opsgenie",receiver_name="b"} 1
alertmanager_notifications_failed_total{integration="pagerduty",reason="other"} 3
alertmanager_notifications_failed_total{integration="pagerduty",reason="clientError"} 1
"""
    assert {"pagerduty": 1, "opsgenie": 3} == delivered(text)


OURS = Waits(15, 30, 60, 30)
ARRIVED = {"crossed": 100.0, "pending": 130.0, "firing": 190.0, "received": 220.0, "receiver": "pagerduty"}


@pytest.mark.parametrize(
    ("seen", "waits", "verdict", "words"),
    [
        pytest.param(ARRIVED, OURS, "passed", "pagerduty got the page 120 s after 90 %", id="in time"),
        pytest.param(ARRIVED, Waits(15, 30, 140, 30), "passed", "at worst it takes", id="in time by luck"),
        pytest.param({**ARRIVED, "received": 300.0}, OURS, "failed", "200 s after 90 %, later", id="too late"),
        pytest.param({}, Waits(10, 30, 300, 30), "failed", "for 300 s + group wait 30 s", id="the guide's five minutes"),
        pytest.param({}, OURS, "inconclusive", "no sample", id="never full"),
        pytest.param({"crossed": 100.0, "watched_until": 400.0}, OURS, "failed", "never became active", id="> 90"),
        pytest.param(
            {"crossed": 100.0, "pending": 130.0, "watched_until": 400.0}, OURS, "failed", "waits for its time", id="pending"
        ),
        pytest.param(
            {**ARRIVED, "received": None, "watched_until": 400.0, "known": True}, OURS, "failed", "is there a route",
            id="no route",
        ),
        pytest.param(
            {**ARRIVED, "received": None, "watched_until": 400.0, "known": False}, OURS, "failed", "does not have it",
            id="no Alertmanager",
        ),
        pytest.param({"crossed": 100.0, "watched_until": 200.0}, OURS, "inconclusive", "nobody looked", id="gave up"),
    ],
)  # fmt: skip
def test_a_page_counts_from_the_crossing_to_the_receiver(
    seen: dict[str, Any], waits: Waits, verdict: str, words: str
) -> None:
    judged = judge_arrival(Timeline(**seen), waits, 180)

    assert (judged.verdict, words in judged.reason) == (Verdict(verdict), True), judged.reason
    assert waits.most == judged.measured["waits_sum_seconds"]


@pytest.mark.parametrize(
    ("seen", "verdict", "words"),
    [
        pytest.param(
            {"received": 220.0, "below": 300.0, "resolved": 600.0}, "passed", "300 s after the end", id="over"
        ),
        pytest.param(
            {"received": 220.0, "below": 300.0, "resolved": 950.0}, "failed", "after 650 s", id="late"
        ),
        pytest.param(
            {"received": 220.0, "below": 300.0, "watched_until": 950.0}, "failed", "not within", id="never"
        ),
        pytest.param(
            {"received": 220.0, "below": 300.0, "watched_until": 500.0},
            "inconclusive",
            "nobody",
            id="gave up",
        ),
        pytest.param({"below": 300.0}, "inconclusive", "no page came", id="no page"),
        pytest.param({"received": 220.0}, "inconclusive", "did not come below", id="full for ever"),
    ],
)
def test_a_page_is_called_off_after_the_end(seen: dict[str, Any], verdict: str, words: str) -> None:
    judged = judge_resolution(Timeline(**seen), 600)

    assert (judged.verdict, words in judged.reason) == (Verdict(verdict), True), judged.reason
