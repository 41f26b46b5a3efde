"""The mirror follows the store: what configures, and what is scraped."""

from typing import Any

from tests.lab.monitoring.world import make_lab, pod, pod_monitor, run_pod

from stoker.lab.assemble import Lab
from stoker.lab.monitoring.config import Compiled, Places, compile_monitoring
from stoker.lab.monitoring.reading import Mirror, secret_value
from stoker.lab.monitoring.speed import LabTime
from stoker.lab.store import Change, Key

Object = dict[str, Any]


def compiled(mirror: Mirror) -> Compiled:
    return compile_monitoring(mirror.objects(), Places("t", "r"), LabTime())


def look_at_everything(lab: Lab) -> None:
    """Have every controller do its work, without a loop."""
    for work in lab.manager._work:
        for shelf in work.controller.shelves:
            for place, record in lab.store.scan(shelf):
                lab.manager._enqueue(work, Change(Key(shelf, *place), record, None, is_delete=False))
    lab.manager.settle()


def addresses(mirror: Mirror, found: Compiled, namespaces: set[str] | None = None) -> dict[str, list[str]]:
    return {
        job.name: [one for target in targets for one in target["targets"]]
        for job, targets in mirror.targets(found, namespaces)
    }


def test_pods_come_and_go_and_only_their_namespace_is_looked_at_again() -> None:
    _, user = make_lab()
    user.create(pod_monitor())
    user.create(pod_monitor("others", "monitoring"))
    woken: list[int] = []
    mirror = Mirror(user, lambda: woken.append(1))
    found = compiled(mirror)
    names = ["podMonitor/monitoring/others/0", "podMonitor/team-a/engines/0"]
    assert {name: [] for name in names} == addresses(mirror, found)
    made = run_pod(user, pod("llama-0", app="llama"), "127.0.0.5")
    assert woken
    mirror.follow()
    assert {"team-a"} == mirror.dirty
    assert {names[1]: ["127.0.0.5:8000"]} == addresses(mirror, found, mirror.dirty)
    mirror.dirty.clear()
    made["metadata"].setdefault("finalizers", [])
    made["status"]["message"] = "nothing that a target shows"
    user.update_status(made)
    mirror.follow()
    assert set() == mirror.dirty
    user.delete(made, gracePeriodSeconds=0)
    mirror.follow()
    assert {names[1]: []} == addresses(mirror, found, mirror.dirty)


def test_what_configures_makes_the_configuration_stale() -> None:
    _, user = make_lab()
    mirror = Mirror(user, lambda: None)
    mirror.is_stale = False
    user.create(pod_monitor())
    mirror.follow()
    assert mirror.is_stale
    mirror.close()


def test_a_service_monitor_finds_the_pods_behind_its_services() -> None:
    lab, user = make_lab()
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "team-a", "labels": {"app": "web"}},
        "spec": {"selector": {"app": "llama"}, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
    }
    user.create(service)
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "web", "namespace": "team-a"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "http"}]},
    }
    user.create(monitor)
    user.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    one = pod("llama-0", app="llama")
    one["spec"]["nodeName"] = "n"
    run_pod(user, one, "10.244.0.5")
    look_at_everything(lab)
    mirror = Mirror(user, lambda: None)
    ((job, targets),) = mirror.targets(compiled(mirror), None)
    assert "serviceMonitor/team-a/web/0" == job.name
    assert ["10.244.0.5:8000"] == targets[0]["targets"]
    labels = targets[0]["labels"]
    meta = "__meta_kubernetes"
    assert ("web", "http", "llama-0", "engine") == (
        labels[f"{meta}_service_name"],
        labels[f"{meta}_endpoint_port_name"],
        labels[f"{meta}_pod_name"],
        labels[f"{meta}_pod_container_name"],
    )


def test_values_of_secrets_are_decoded_and_absent_ones_are_none() -> None:
    _, user = make_lab()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "team-a"},
        "stringData": {"key": "größe"},
    }
    user.create(secret)
    assert "größe" == secret_value(user, "team-a", "s", "key")
    assert secret_value(user, "team-a", "s", "other") is None
    assert secret_value(user, "team-a", "none", "key") is None
