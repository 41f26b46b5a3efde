"""Week 4's gates on a lab with a real Prometheus and a real Alertmanager: they pass, and fail where a fault is seeded."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.lab.monitoring.world import needs_both
from tests.lab.running.conftest import stoker
from tests.rollout.observed import apply_platform, lab_up, measured, platform, seeded, told, wait_ready

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.lab import lab_services
from stoker.kube.prometheus import instant
from stoker.kube.refs import Object, Ref
from stoker.rollout.evidence import Verdict
from stoker.rollout.gates.week_4.dashboards import DASHBOARDS_ANSWER
from stoker.rollout.gates.week_4.metrics import METRICS_PRESENT
from stoker.rollout.gates.week_4.pages import PAGE_ARRIVES, PAGE_RESOLVES

pytestmark = needs_both

SPEED = 15
PLATFORM = platform()
MONITORING = "monitoring.coreos.com"
RULES = Ref(f"{MONITORING}/v1", "PrometheusRule", "ai-production", "mistral")
MONITOR = Ref(f"{MONITORING}/v1", "PodMonitor", "ai-production", "mistral")
ROUTES = Ref(f"{MONITORING}/v1alpha1", "AlertmanagerConfig", "monitoring", "watched")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("week4")
    with lab_up(folder, SPEED) as cluster:
        stoker("lab", "fault", "backlog", "kafka/documents", "--value", 0, "--state", folder)
        apply_platform(cluster, PLATFORM)
        wait_ready(cluster, PLATFORM, "mistral")
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture
def cluster(lab: Path) -> Iterator[Cluster]:
    with open_cluster(kubeconfig=str(lab / "kubeconfig")) as found:
        yield found


def until_gone(cluster: Cluster, query: str) -> None:
    """Until Prometheus has no data for a query."""
    with httpx2.Client(base_url=lab_services(cluster)["prometheus"], timeout=30.0) as client:
        for _ in range(600):
            if not instant(client, query, cluster.clock.now()):
                return
            time.sleep(0.2)
    raise AssertionError(f"{query} has data still")


def until_routed(cluster: Cluster, *, is_routed: bool) -> None:
    """Until Alertmanager has read a configuration with the platform's receivers, or one without."""
    with httpx2.Client(base_url=lab_services(cluster)["alertmanager"], timeout=30.0) as client:
        for _ in range(300):
            if (
                "watched/pagerduty" in client.get("/api/v2/status").json()["config"]["original"]
            ) is is_routed:
                return
            time.sleep(0.2)
    raise AssertionError("Alertmanager's configuration is not what it was to be")


def alert(rules: Object) -> dict[str, Any]:
    every = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    return next(rule for rule in every if rule.get("alert") == "LLMKVCacheSaturation")


def only(expr: str, wait: str = "1m") -> Callable[[Object], None]:
    """The rules with one alert about the KV cache, of this expression."""

    def change(rules: Object) -> None:
        alert(rules).update({"expr": expr, "for": wait})
        for group in rules["spec"]["groups"]:
            group["rules"] = [one for one in group["rules"] if one.get("alert") != "LLMKVCachePreemptions"]

    return change


@pytest.mark.slow
def test_metrics_are_there_for_every_pod_until_nothing_scrapes_them(cluster: Cluster) -> None:
    good = measured(cluster, PLATFORM, METRICS_PRESENT)
    with seeded(cluster, MONITOR, None):
        until_gone(cluster, 'up{model="mistral"}')
        bad = measured(cluster, PLATFORM, METRICS_PRESENT, within_seconds=30)

    assert Verdict.PASSED is good.verdict, told(good)
    assert good.judgement.measured["pods"] >= 1
    assert good.source == f"lab at {SPEED} times the wall's speed"
    assert Verdict.FAILED is bad.verdict, told(bad)
    assert "no target" in bad.judgement.reason


def test_without_prometheus_nothing_is_said(cluster: Cluster, lab: Path) -> None:
    nowhere = {
        "prometheus": "http://127.0.0.1:9",
        "alertmanager": "http://127.0.0.1:9",
        "catcher": "http://127.0.0.1:9",
    }
    for gate in (METRICS_PRESENT, DASHBOARDS_ANSWER, PAGE_ARRIVES, PAGE_RESOLVES):
        result = measured(cluster, PLATFORM, gate, nowhere)
        assert Verdict.INCONCLUSIVE is result.verdict, told(result)
    stoker("lab", "fault", "backlog", "kafka/documents", "--value", 0, "--state", lab)


def test_a_saturated_cache_pages_within_three_minutes(cluster: Cluster) -> None:
    page = measured(cluster, PLATFORM, PAGE_ARRIVES)

    assert Verdict.PASSED is page.verdict, told(page)
    assert 60 <= page.judgement.measured["seconds_to_page"] <= 180
    assert page.judgement.measured["receiver"] in {"pagerduty", "opsgenie"}  # whoever is faster
    assert "the catcher" == page.judgement.measured["confirmed_by"]
    seen = [one.what for one in page.evidence]
    order = ["the KV cache is being filled", "above 90 %", "the alert fires", "a page was received"]
    assert order == [what for what in dict.fromkeys(seen) if what in order]


@pytest.mark.slow
def test_the_page_is_called_off_whether_it_was_left_open_or_is_caused_anew(cluster: Cluster) -> None:
    first = measured(cluster, PLATFORM, PAGE_RESOLVES)
    again = measured(cluster, PLATFORM, PAGE_RESOLVES)

    for over in (first, again):
        assert Verdict.PASSED is over.verdict, told(over)
        assert 0 < over.judgement.measured["seconds_to_resolved"] <= 600
    assert "the KV cache is being filled" in [one.what for one in again.evidence]


def test_an_alert_that_waits_longer_than_the_gate_allows_fails_with_the_sum_and_nobody_is_woken(
    cluster: Cluster,
) -> None:
    with seeded(cluster, RULES, only('vllm:kv_cache_usage_perc{model="mistral"} > 0.9', "5m")):
        result = measured(cluster, PLATFORM, PAGE_ARRIVES)

    assert Verdict.FAILED is result.verdict, told(result)
    assert "scrape 15 s + evaluation 30 s + for 300 s + group wait 30 s = 375 s" in result.judgement.reason
    assert "the KV cache is being filled" not in [one.what for one in result.evidence]


def test_rules_without_an_alert_about_the_cache_fail(cluster: Cluster) -> None:
    with seeded(cluster, RULES, only("vector(0) > 1")):
        result = measured(cluster, PLATFORM, PAGE_ARRIVES)

    assert (Verdict.FAILED, "no alert reads the KV cache of mistral") == (
        result.verdict,
        result.judgement.reason,
    )


@pytest.mark.slow
def test_the_guides_own_alert_cannot_fire(cluster: Cluster) -> None:
    with seeded(cluster, RULES, only('vllm:kv_cache_usage_perc{model="mistral"} > 90')):
        result = measured(cluster, PLATFORM, PAGE_ARRIVES)

    assert Verdict.FAILED is result.verdict, told(result)
    assert "the alert never became active" in result.judgement.reason
    assert result.judgement.measured["seconds_to_pending"] is None


@pytest.mark.slow
def test_an_alertmanager_without_a_route_wakes_nobody(cluster: Cluster) -> None:
    with seeded(cluster, ROUTES, None):
        until_routed(cluster, is_routed=False)
        result = measured(cluster, PLATFORM, PAGE_ARRIVES)
    until_routed(cluster, is_routed=True)

    assert Verdict.FAILED is result.verdict, told(result)
    assert "is there a route" in result.judgement.reason
    assert result.judgement.measured["seconds_to_firing"] is not None


@pytest.mark.slow
def test_a_receiver_that_is_down_gets_no_page(cluster: Cluster, lab: Path) -> None:
    stoker("lab", "fault", "receiver", "--state", lab)
    try:
        result = measured(cluster, PLATFORM, PAGE_ARRIVES)
    finally:
        stoker("lab", "fault", "receiver", "--off", "--state", lab)

    assert Verdict.FAILED is result.verdict, told(result)
    assert "does the receiver answer" in result.judgement.reason


@pytest.mark.slow
def test_without_a_catcher_alertmanagers_own_counters_confirm_the_page(cluster: Cluster) -> None:
    """As on a live cluster: no catcher, and Alertmanager's own word that it delivered."""
    named = {**lab_services(cluster), "catcher": ""}
    result = measured(cluster, PLATFORM, PAGE_ARRIVES, named)

    assert Verdict.PASSED is result.verdict, told(result)
    assert "Alertmanager's counters" == result.judgement.measured["confirmed_by"]


@pytest.mark.slow
def test_dashboards_answer_until_their_rules_are_gone(cluster: Cluster) -> None:
    good = measured(cluster, PLATFORM, DASHBOARDS_ANSWER)
    with seeded(cluster, RULES, None):
        until_gone(cluster, "stoker:requests_running:sum")
        bad = measured(cluster, PLATFORM, DASHBOARDS_ANSWER, within_seconds=60)

    assert Verdict.PASSED is good.verdict, told(good)
    assert ["tenancy: Pods that find no node"] == list(good.judgement.measured["empty_by_nature"])
    assert Verdict.FAILED is bad.verdict, told(bad)
    empty = {one["panel"] for one in bad.judgement.measured["without_data"]}
    assert {"TTFT P95", "KV cache in use, fullest replica"} <= empty or "variable namespace" in empty


@pytest.mark.slow
def test_real_load_fills_the_cache_as_on_a_live_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "load"
    resolved = platform(**{"    maxNumSeqs: 16\n": "", "contextLength: 4096": "contextLength: 8192"})
    with lab_up(folder, 10) as live:
        try:
            apply_platform(live, resolved)
            wait_ready(live, resolved, "mistral")
            small = measured(live, PLATFORM, PAGE_ARRIVES, by_load=True)
            result = measured(live, resolved, PAGE_ARRIVES, by_load=True, model="mistral")
        finally:
            stoker("lab", "down", "--state", folder)

    assert (Verdict.INCONCLUSIVE, True) == (small.verdict, "no load fills" in small.judgement.reason), told(
        small
    )
    assert Verdict.PASSED is result.verdict, told(result)
    filled = next(one.data for one in result.evidence if one.what == "the KV cache is being filled")
    assert str(filled["how"]).startswith("load: ")
