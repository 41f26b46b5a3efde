"""Files as the Prometheus Operator would write them."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tests.lab.monitoring.world import KEYS, needs_both, needs_promtool, pager, pod, pod_monitor, rule

from stoker.lab.monitoring.config import Compiled, Objects, Places, compile_monitoring, job_targets
from stoker.lab.monitoring.speed import LabTime
from stoker.lab.monitoring.targets import pod_targets

Object = dict[str, Any]
WALL = LabTime()
PLACES = Places("targets", "rules", "127.0.0.1:9093", "127.0.0.1:1", "127.0.0.1:1")


def no_secret(namespace: str, name: str, key: str) -> str | None:
    del namespace, name, key
    return None


def keys(namespace: str, name: str, key: str) -> str | None:
    return KEYS.get(key) if (namespace, name) == ("team-a", "keys") else None


def compiled(
    time: LabTime = WALL, places: Places = PLACES, secret: Any = no_secret, **objects: Any
) -> Compiled:
    namespaces = {"team-a": {"team": "a"}, "monitoring": {}}
    return compile_monitoring(Objects(secret, namespaces, **objects), places, time)


def prometheus(**spec: Any) -> Object:
    return {"metadata": {"name": "k8s", "namespace": "monitoring"}, "spec": spec}


def service_monitor(**endpoint: Any) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "team-a", "labels": {"release": "p"}},
        "spec": {
            "jobLabel": "app",
            "targetLabels": ["tier"],
            "selector": {"matchLabels": {"app": "web"}},
            "endpoints": [{"port": "metrics", **endpoint}],
        },
    }


def names(found: Compiled) -> list[str]:
    return [one["job_name"] for one in found.prometheus["scrape_configs"]]


OWN_JOBS = ["kube-state-metrics", "apiserver"]


def test_without_a_prometheus_object_everything_is_chosen() -> None:
    found = compiled(pod_monitors=[pod_monitor()], service_monitors=[service_monitor()])
    assert ["serviceMonitor/team-a/web/0", "podMonitor/team-a/engines/0", *OWN_JOBS] == names(found)
    assert "30s" == found.prometheus["global"]["scrape_interval"]
    assert "external_labels" not in found.prometheus["global"]


def test_selectors_of_the_prometheus_object_choose_as_kubernetes_does() -> None:
    monitor = pod_monitor()
    chosen: list[tuple[Object, bool]] = [
        ({}, False),
        ({"podMonitorSelector": {}}, False),
        ({"podMonitorSelector": {}, "podMonitorNamespaceSelector": {}}, True),
        ({"podMonitorSelector": {}, "podMonitorNamespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"podMonitorSelector": {}, "podMonitorNamespaceSelector": {"matchLabels": {"team": "b"}}}, False),
        ({"podMonitorSelector": {"matchLabels": {"release": "p"}}, "podMonitorNamespaceSelector": {}}, True),
        ({"podMonitorSelector": {"matchLabels": {"release": "q"}}, "podMonitorNamespaceSelector": {}}, False),
    ]
    for spec, expected in chosen:
        found = compiled(prometheuses=[prometheus(**spec)], pod_monitors=[monitor])
        assert expected == ("podMonitor/team-a/engines/0" in names(found)), spec


def test_the_prometheus_object_gives_intervals_labels_and_alerting() -> None:
    owner = prometheus(scrapeInterval="10s", evaluationInterval="20s", externalLabels={"cluster": "lab"})
    found = compiled(prometheuses=[owner]).prometheus
    assert {
        "scrape_interval": "10s",
        "scrape_timeout": "10s",
        "evaluation_interval": "20s",
        "external_labels": {
            "prometheus": "monitoring/k8s",
            "prometheus_replica": "prometheus-k8s-0",
            "cluster": "lab",
        },
    } == found["global"]
    assert "alerting" not in found
    owner["spec"]["alerting"] = {"alertmanagers": [{"name": "main", "port": "web"}]}
    assert "alerting" in compiled(prometheuses=[owner]).prometheus


def test_a_fast_lab_scrapes_faster() -> None:
    found = compiled(LabTime(10), pod_monitors=[pod_monitor(scrapeTimeout="10s")])
    job = found.prometheus["scrape_configs"][0]
    assert ("1s500ms", "1s", "3s") == (
        job["scrape_interval"],
        job["scrape_timeout"],
        found.prometheus["global"]["evaluation_interval"],
    )
    assert 150.0 == found.useful_speed


def test_a_service_monitor_has_the_operators_relabelings() -> None:
    endpoint = {
        "honorLabels": True, "path": "/m", "params": {"a": ["b"]}, "scheme": "HTTPS",
        "relabelings": [{"action": "Replace", "targetLabel": "x", "replacement": ""}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "go_.*"}],
    }  # fmt: skip
    job = compiled(service_monitors=[service_monitor(**endpoint)]).prometheus["scrape_configs"][0]
    assert (True, "/m", {"a": ["b"]}, "https") == (
        job["honor_labels"], job["metrics_path"], job["params"], job["scheme"],
    )  # fmt: skip
    assert [{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}] == job[
        "metric_relabel_configs"
    ]
    assert [{"files": ["targets/serviceMonitor_team-a_web_0.json"], "refresh_interval": "30s"}] == job[
        "file_sd_configs"
    ]
    rules = job["relabel_configs"]
    assert {"target_label": "x", "replacement": "", "action": "replace"} == rules[-1]
    assert {"target_label": "endpoint", "replacement": "metrics"} == rules[-2]
    assert ["__tmp_prometheus_job_name", None, "node", "pod", "namespace", "service", "pod", "container", None, "tier", "job",
            "job", "endpoint", "x"] == [one.get("target_label") for one in rules]  # fmt: skip


def test_a_monitor_that_is_not_valid_is_left_out_and_named() -> None:
    bad = pod_monitor(interval="10s", scrapeTimeout="20s")
    refers = service_monitor(bearerTokenSecret={"name": "none", "key": "token"})
    found = compiled(
        pod_monitors=[bad], service_monitors=[refers], rules=[rule([{"record": "a", "expr": "sum("}])]
    )
    assert OWN_JOBS == names(found)
    assert {} == found.rules
    assert 3 == len(found.problems), found.problems
    assert "ServiceMonitor team-a/web" in found.problems[0]
    assert "greater than scrapeInterval" in found.problems[1]
    assert "PrometheusRule team-a/rules: a: no PromQL" in found.problems[2]


def test_targets_are_those_of_the_real_discovery() -> None:
    one = pod("llama-0", app="llama")
    one["metadata"]["annotations"] = {"a.b/c": "d"}
    one["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "rs", "controller": True}]
    one["status"] = {
        "podIP": "127.0.0.5",
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    (target,) = pod_targets(one)
    assert ["127.0.0.5:8000"] == target["targets"]
    meta = "__meta_kubernetes_pod"
    expected = {
        "__meta_kubernetes_namespace": "team-a", f"{meta}_name": "llama-0", f"{meta}_ready": "true", f"{meta}_phase": "Running",
        f"{meta}_label_app": "llama", f"{meta}_labelpresent_app": "true", f"{meta}_annotation_a_b_c": "d",
        f"{meta}_controller_kind": "ReplicaSet", f"{meta}_controller_name": "rs", f"{meta}_container_name": "engine",
        f"{meta}_container_port_name": "http", f"{meta}_container_port_number": "8000", f"{meta}_container_init": "false",
    }  # fmt: skip
    assert expected == {key: target["labels"].get(key) for key in expected}
    one["status"].pop("podIP")
    assert [] == pod_targets(one)


def test_endpoints_bring_ports_of_their_pods_that_the_service_does_not_name() -> None:
    (job,) = compiled(service_monitors=[service_monitor()]).jobs
    one = pod("web-0", app="web")
    one["status"] = {"podIP": "127.0.0.5", "phase": "Running"}
    one["spec"]["containers"][0]["ports"].append({"name": "admin", "containerPort": 9000})
    service = {"metadata": {"name": "web", "namespace": "team-a", "labels": {"app": "web"}}}
    endpoint = {"addresses": ["127.0.0.5"], "targetRef": {"kind": "Pod", "name": "web-0"}}
    part = {
        "metadata": {"name": "web-x"},
        "ports": [{"name": "metrics", "port": 8000}],
        "endpoints": [
            endpoint,
            {"addresses": ["127.0.0.6"], "conditions": {"ready": False, "terminating": True}},
        ],
    }
    place = ("team-a", "web")
    found = job_targets(job, {("team-a", "web-0"): one}, [service], {place: [part]})
    assert [["127.0.0.5:8000"], ["127.0.0.5:9000"]] == [target["targets"] for target in found]
    first, second = (target["labels"] for target in found)
    meta = "__meta_kubernetes"
    assert ("metrics", "engine", "web-0") == (
        first[f"{meta}_endpoint_port_name"], first[f"{meta}_pod_container_name"], first[f"{meta}_endpoint_address_target_name"],
    )  # fmt: skip
    assert f"{meta}_endpoint_port_name" not in second
    other = {"metadata": {"name": "web", "namespace": "team-b", "labels": {"app": "web"}}}
    assert [] == job_targets(job, {}, [other], {("team-b", "web"): [part]})


def test_a_monitor_of_kube_state_metrics_scrapes_the_labs_own() -> None:
    monitor = service_monitor()
    monitor["spec"]["selector"] = {"matchLabels": {"app.kubernetes.io/name": "kube-state-metrics"}}
    found = compiled(service_monitors=[monitor])
    assert ["serviceMonitor/team-a/web/0", "apiserver"] == names(found)
    rules = found.prometheus["scrape_configs"][0]["relabel_configs"]
    assert {"target_label": "__address__", "replacement": "127.0.0.1:1"} in rules


def test_scrape_configs_have_static_targets_or_discover_pods() -> None:
    item: Object = {
        "metadata": {"name": "extra", "namespace": "team-a"},
        "spec": {"jobName": "extra", "staticConfigs": [{"targets": ["127.0.0.1:5"], "labels": {"a": "b"}}]},
    }
    (job,) = compiled(scrape_configs=[item]).jobs
    assert [{"targets": ["127.0.0.1:5"], "labels": {"a": "b"}}] == job.config["static_configs"]
    item["spec"] = {"kubernetesSDConfigs": [{"role": "Pod", "namespaces": {"ownNamespace": True}}]}
    (job,) = compiled(scrape_configs=[item]).jobs
    assert ("pod", frozenset({"team-a"})) == (job.role, job.namespaces)
    item["spec"] = {"consulSDConfigs": [{"server": "x"}]}
    assert "consulSDConfigs is not emulated" in compiled(scrape_configs=[item]).problems[0]


# --- Alertmanager --------------------------------------------------------------------------------------------------------


def test_an_alertmanager_config_is_bound_to_its_namespace() -> None:
    found = compiled(secret=keys, alertmanager_configs=[pager()]).receivers
    route = found.config["route"]["routes"][0]
    assert (True, ['namespace="team-a"'], "team-a/pager/nobody") == (
        route["continue"], route["matchers"], route["receiver"],
    )  # fmt: skip
    assert ('severity="critical"', "team-a/pager/pagerduty") == (
        route["routes"][0]["matchers"][0], route["routes"][0]["receiver"],
    )  # fmt: skip
    (inhibition,) = found.config["inhibit_rules"]
    assert ['severity="critical"', 'namespace="team-a"'] == inhibition["source_matchers"]
    assert ['severity=~"warning|info"', 'namespace="team-a"'] == inhibition["target_matchers"]
    assert "null" == found.config["route"]["receiver"]
    assert set(KEYS.values()) == found.secrets
    receivers = {one["name"]: one for one in found.config["receivers"]}
    assert KEYS["pagerduty"] == receivers["team-a/pager/pagerduty"]["pagerduty_configs"][0]["routing_key"]
    assert KEYS["webhook"] == receivers["team-a/pager/webhook"]["webhook_configs"][0]["url"]


def test_the_strategy_of_the_alertmanager_object_frees_routes() -> None:
    owner: Object = {
        "metadata": {"name": "main", "namespace": "team-a"},
        "spec": {"alertmanagerConfigSelector": {}, "alertmanagerConfigMatcherStrategy": {"type": "None"}},
    }
    found = compiled(secret=keys, alertmanagers=[owner], alertmanager_configs=[pager()]).receivers.config
    assert "matchers" not in found["route"]["routes"][0]
    owner["spec"].pop("alertmanagerConfigSelector")
    found = compiled(secret=keys, alertmanagers=[owner], alertmanager_configs=[pager()]).receivers.config
    assert "routes" not in found["route"]


def test_a_config_whose_secret_is_missing_is_left_out_and_the_rest_stays() -> None:
    other = pager("monitoring")
    found = compiled(secret=keys, alertmanager_configs=[pager(), other])
    assert ["team-a/pager/nobody"] == [one["receiver"] for one in found.receivers.config["route"]["routes"]]
    assert 'unable to get secret "keys"' in found.problems[0]


def test_a_fast_lab_pages_faster_and_a_catcher_takes_the_pages() -> None:
    places = Places("t", "r", overrides={"pagerduty": "http://127.0.0.1:1/v2/enqueue"})
    found = compiled(LabTime(10), places, keys, alertmanager_configs=[pager()]).receivers.config
    assert ("3s", "30s", "24m", "30s") == (
        found["route"]["group_wait"], found["route"]["group_interval"], found["route"]["repeat_interval"],
        found["global"]["resolve_timeout"],
    )  # fmt: skip
    assert "500ms" == found["route"]["routes"][0]["group_wait"]
    url = next(one for one in found["receivers"] if one["name"].endswith("/pagerduty"))["pagerduty_configs"][
        0
    ]["url"]
    assert "http://127.0.0.1:1/v2/enqueue" == url


@needs_both
def test_amtool_accepts_every_configuration(tmp_path: Path) -> None:
    config = pager()
    config["spec"]["muteTimeIntervals"] = [
        {
            "name": "nights",
            "timeIntervals": [
                {"times": [{"startTime": "22:00", "endTime": "23:59"}], "weekdays": ["Monday:Friday"],
                 "daysOfMonth": [{"start": 1, "end": 5}], "months": ["january:march"], "years": ["2026"]}
            ],
        }
    ]  # fmt: skip
    config["spec"]["route"]["routes"][0]["muteTimeIntervals"] = ["nights"]
    for time in (WALL, LabTime(33.3)):
        found = compiled(time, secret=keys, alertmanager_configs=[config])
        path = tmp_path / "a.yml"
        path.write_text(found.alertmanager_text())
        done = subprocess.run(
            ["amtool", "check-config", str(path)], capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_every_file_at_every_speed(
    tmp_path: Path, stoker_objects: Callable[[], list[Object]]
) -> None:
    objects = stoker_objects()
    by_kind: dict[str, list[Object]] = {}
    for one in objects:
        by_kind.setdefault(one["kind"], []).append(one)
    assert by_kind["PrometheusRule"]
    assert by_kind["PodMonitor"]
    for time in (WALL, LabTime(60, 1.7e9, 1.8e9)):
        found = compiled(
            time, places=Places(str(tmp_path / "t"), str(tmp_path / "r"), "127.0.0.1:9093", "127.0.0.1:1", "127.0.0.1:1"),
            pod_monitors=by_kind["PodMonitor"], rules=by_kind["PrometheusRule"], service_monitors=[service_monitor()],
        )  # fmt: skip
        assert [] == found.problems
        (tmp_path / "r").mkdir(exist_ok=True)
        for name, text in found.rule_texts().items():
            (tmp_path / "r" / name).write_text(text)
        path = tmp_path / "p.yml"
        path.write_text(found.prometheus_text())
        done = subprocess.run(
            ["promtool", "check", "config", str(path)], capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr


def test_texts_are_yaml() -> None:
    found = compiled(pod_monitors=[pod_monitor()], rules=[rule([{"record": "a:b", "expr": "sum(c)"}])])
    assert found.prometheus == yaml.safe_load(found.prometheus_text())
    assert {"team-a-rules-.yaml"} == set(found.rule_texts())
