"""Objects in a cluster, a real Prometheus, a real Alertmanager, and a page that arrives."""

import asyncio
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.monitoring.world import (
    KEYS,
    make_lab,
    needs_both,
    needs_prometheus,
    pager,
    pod,
    pod_monitor,
    rule,
    run_pod,
    secret,
    start_engine,
)

from stoker.lab.monitoring import Monitoring
from stoker.lab.monitoring.query import NO_DATA, QueryError, Sample
from stoker.lab.monitoring.signals import PrometheusSignals
from stoker.lab.platform.signals import Answer
from stoker.pages import Notification


async def until(found: Any, seconds: float = 30.0) -> Any:
    """What an awaitable function answers as soon as it is true; its last answer otherwise."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await found()
        if answer or asyncio.get_running_loop().time() > deadline:
            return answer
        await asyncio.sleep(0.1)


def matching(kind: str, action: str) -> Callable[[Notification], bool]:
    return lambda one: (one.kind, one.action) == (kind, action)


async def value(monitoring: Monitoring, query: str) -> list[Sample] | None:
    assert monitoring.client is not None
    answer = await monitoring.client.instant(query)
    return answer if isinstance(answer, list) else None


async def the_page_that_arrives(folder: Path) -> None:
    lab, user = make_lab(speed=20)
    engine = await start_engine()
    engine.text = "waiting_requests 9\n"
    user.create(secret("keys", **KEYS))
    user.create(pager())
    user.create(pod_monitor())
    alert = {
        "alert": "Queue",
        "expr": 'sum by (namespace, pod) (waiting_requests{container="engine"}) > 5',
        "for": "30s",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "requests wait", "description": "{{ $value }} wait"},
    }
    user.create(rule([alert]))
    run_pod(user, pod("llama-0", port=engine.port, app="llama"))
    monitoring = await Monitoring.start(user, folder, lab.clock)
    try:
        assert await monitoring.ready()
        assert monitoring.status().problems == ()
        kinds = ("pagerduty", "opsgenie", "slack", "webhook", "email")
        for kind in kinds:
            found = await monitoring.catcher.wait_for(matching(kind, "firing"), 45)
            assert found is not None, (kind, monitoring.catcher.notifications, monitoring.status())
        page = next(one for one in monitoring.catcher.notifications if one.kind == "pagerduty")
        assert "requests wait" == page.summary
        assert "critical" == page.body["payload"]["severity"]
        engine.text = "waiting_requests 0\n"
        for kind in kinds:
            over = await monitoring.catcher.wait_for(matching(kind, "resolved"), 45)
            assert over is not None, (
                kind,
                [(one.kind, one.action) for one in monitoring.catcher.notifications],
            )
        ends = [one for one in monitoring.catcher.notifications if one.kind == "pagerduty"]
        assert [ends[0].key] * len(ends) == [one.key for one in ends]
        assert_no_secret_is_readable_or_logged(folder)
    finally:
        await monitoring.stop()
        await engine.server.stop()


def assert_no_secret_is_readable_or_logged(folder: Path) -> None:
    for path in (folder / "monitoring").rglob("*"):
        if not path.is_file() or "data" in path.parts:
            continue
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        if path.name != "alertmanager.yml":
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [key for key in KEYS.values() if key in text], path


@needs_both
def test_an_alert_reaches_every_kind_of_receiver_and_is_resolved(tmp_path: Path) -> None:
    asyncio.run(the_page_that_arrives(tmp_path))


async def scrape_and_change(folder: Path) -> None:
    lab, user = make_lab()
    engine, other = await start_engine(), await start_engine("127.0.0.9")
    engine.text = other.text = "running_requests 3\n"
    user.create(prometheus_object())
    user.create(pod_monitor(interval="1s", relabelings=[
        {"targetLabel": "model", "replacement": "llama", "action": "replace"},
        {"sourceLabels": ["__meta_kubernetes_pod_label_stoker_dev_version"], "targetLabel": "version"},
    ]))  # fmt: skip
    labels = {"app": "llama", "stoker.dev/version": "v1"}
    run_pod(user, pod("llama-0", port=engine.port, **labels))
    monitoring = await Monitoring.start(user, folder, lab.clock)
    try:
        assert await monitoring.ready()
        first = await until(lambda: value(monitoring, "running_requests"))
        assert first
        assert first[0].labels == {
            "__name__": "running_requests",
            "namespace": "team-a",
            "pod": "llama-0",
            "container": "engine",
            "endpoint": "http",
            "job": "team-a/engines",
            "instance": f"127.0.0.1:{engine.port}",
            "model": "llama",
            "version": "v1",
        }
        states = await until(
            lambda: value(monitoring, 'kube_pod_status_phase{phase="Running",pod="llama-0"} == 1')
        )
        assert ["llama-0"] == [one.labels["pod"] for one in states or ()]
        run_pod(user, pod("llama-1", port=other.port, **labels), "127.0.0.9")
        second = await until(lambda: value(monitoring, 'running_requests{pod="llama-1"}'))
        assert second, "a pod that came later is not scraped"
        await the_words_of_keda(monitoring, user)
        await what_a_partition_does(monitoring)
    finally:
        await monitoring.stop()
        await engine.server.stop()
        await other.server.stop()


def prometheus_object(namespace: str = "team-a") -> dict[str, Any]:
    everything: dict[str, Any] = {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {}}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "k8s", "namespace": namespace},
        "spec": {"scrapeInterval": "1s", **everything},
    }


async def the_words_of_keda(monitoring: Monitoring, user: Any) -> None:
    address = "http://prometheus-operated.monitoring.svc:9090"
    lost = await monitoring.readings.read(address, "running_requests")
    assert isinstance(lost, QueryError)
    assert "no such host" in lost.message
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "prometheus-operated", "namespace": "monitoring"},
        "spec": {"selector": {"app.kubernetes.io/name": "prometheus"}, "ports": [{"port": 9090}]},
    }
    user.create(service)
    assert 6.0 == await monitoring.readings.read(address, "sum(running_requests)")
    several = await monitoring.readings.read(address, "running_requests")
    assert several == QueryError("prometheus query running_requests returned multiple elements")
    assert NO_DATA is await monitoring.readings.read(address, "nothing_of_the_kind")
    refused = await monitoring.readings.read(address, "sum(sum")
    assert isinstance(refused, QueryError)
    assert monitoring.readings.prometheus_value(address, "sum(running_requests)", 1.0) is None

    async def known() -> bool:
        return 6.0 == monitoring.readings.prometheus_value(address, "sum(running_requests)", 1.0)

    assert await until(known)
    signals = PrometheusSignals(monitoring.readings)
    assert Answer(value=6.0) == signals.prometheus(address, "sum(running_requests)")
    assert signals.prometheus(address, "nothing_of_the_kind") is None

    async def answered() -> bool:
        return signals.prometheus(address, "nothing_of_the_kind") == Answer()

    assert await until(answered)


async def what_a_partition_does(monitoring: Monitoring) -> None:
    assert monitoring.client is not None
    monitoring.partition(on=True)
    lost = await monitoring.readings.read("http://prometheus-operated.monitoring.svc:9090", "vector(1)")
    assert isinstance(lost, QueryError)
    assert "context deadline exceeded" in lost.message
    monitoring.partition(on=False)
    assert await until(lambda: value(monitoring, "vector(1)"))


@needs_prometheus
def test_targets_follow_the_pods_and_queries_speak_as_keda_does(tmp_path: Path) -> None:
    asyncio.run(scrape_and_change(tmp_path))


async def die_and_come_back(folder: Path) -> tuple[int, int]:
    lab, user = make_lab()
    monitoring = await Monitoring.start(user, folder, lab.clock)
    try:
        assert await monitoring.ready()
        child = monitoring._prometheus.child
        assert child is not None
        assert child.pid is not None
        first = child.pid
        os.kill(first, signal.SIGKILL)

        async def is_back() -> bool:
            return child.pid != first and await monitoring.ready(1.0)

        assert await until(is_back)
        assert child.restarts == 1
        return first, child.pid
    finally:
        await monitoring.stop()


@needs_prometheus
def test_a_server_that_dies_is_started_again_and_none_is_left_after_the_end(tmp_path: Path) -> None:
    for pid in asyncio.run(die_and_come_back(tmp_path)):
        assert not Path(f"/proc/{pid}").exists()


async def without_binaries(folder: Path) -> None:
    lab, user = make_lab()
    monitoring = await Monitoring.start(user, folder, lab.clock, binaries=False)
    try:
        status = monitoring.status()
        assert ("unavailable", "unavailable") == (status.prometheus, status.alertmanager)
        user.create(prometheus_object("monitoring"))
        answer = await monitoring.readings.read("http://prometheus-operated.monitoring.svc:9090", "up")
        assert isinstance(answer, QueryError)
        assert "connection refused" in answer.message
    finally:
        await monitoring.stop()


def test_without_the_binaries_there_is_no_zero_but_an_error(tmp_path: Path) -> None:
    asyncio.run(without_binaries(tmp_path))
