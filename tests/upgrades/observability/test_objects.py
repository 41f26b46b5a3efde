"""Monitors, routes and scrape files: every replica is seen, every name exists, no secret is written down."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.schemas.validate import validate_object

from stoker.catalog.components import dcgm_counters
from stoker.catalog.engines import Metric
from stoker.platform.load import load, loads
from stoker.promql import metric_names
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.observability import compile_observability, rule_groups, scrape_configs
from stoker.upgrades.observability.cluster_alerts import KUBE_STATE_METRICS

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "examples" / "guide.yaml"
BASE = """\
apiVersion: stoker.dev/v1
kind: Platform
name: small
pools: [{name: p, gpu: A100-SXM-80GB, nodes: 4}]
models: [{name: chat, source: "hf://meta-llama/Meta-Llama-3-8B-Instruct"}]
"""
RECEIVERS = """\
observability:
  prometheus: %s
  receivers:
  - {name: pager, type: pagerduty, secret: {name: s, key: routing}}
  - {name: genie, type: opsgenie, secret: {name: s, key: genie}, severities: [critical, warning]}
  - {name: chat, type: slack, secret: {name: s, key: slack}, channel: "#ops"}
  - {name: hook, type: webhook, secret: {name: s, key: hook}}
"""


def kinds(platform: ResolvedPlatform) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in compile_observability(platform):
        found.setdefault(item.object["kind"], []).append(item.object)
    return found


def test_pods_are_scraped_one_by_one_with_the_labels_that_rules_select() -> None:
    monitor = kinds(resolve(loads(BASE)))["PodMonitor"][0]

    endpoint = monitor["spec"]["podMetricsEndpoints"][0]
    added = {item["targetLabel"] for item in endpoint["relabelings"]}
    assert {"serving.kserve.io/inferenceservice": "chat", "component": "predictor"} == monitor["spec"][
        "selector"
    ]["matchLabels"]
    assert (8080, "/metrics") == (endpoint["portNumber"], endpoint["path"])
    assert {"model", "tenant", "version"} == added
    assert {"release": "kube-prometheus-stack"}.items() <= monitor["metadata"]["labels"].items()


def test_every_metric_in_a_rule_is_one_that_exists() -> None:
    platform = resolve(load(GUIDE))
    engine: set[str] = set()
    for model in platform.models.values():
        for fact in model.release.metrics.values():
            engine |= {fact.name, f"{fact.base}_sum", f"{fact.base}_count"}
    groups = rule_groups(platform)
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    known = engine | recorded | set(KUBE_STATE_METRICS) | {counter.name for counter in dcgm_counters()}
    known |= {"up", "keda_scaler_detail_errors_total"}  # keda v2.20.2 pkg/metricscollector/prommetrics.go

    used = {name for group in groups for rule in group["rules"] for name in metric_names(rule["expr"])}

    assert set() == used - known


def test_a_quantile_is_taken_over_rates_and_never_over_raw_counters() -> None:
    for group in rule_groups(resolve(load(GUIDE))):
        for rule in group["rules"]:
            if "histogram_quantile" in rule["expr"]:
                assert "sum by (le) (rate(" in rule["expr"]


def test_an_engine_without_a_series_leaves_its_rules_out() -> None:
    platform = resolve(loads(BASE.replace("models: [{name: chat,", "models: [{name: chat, engine: tgi,")))
    release = platform.models["chat"].release

    records = {rule.get("record") for group in rule_groups(platform) for rule in group["rules"]}

    assert Metric.KV_CACHE_USAGE not in release.metrics
    assert "stoker:kv_cache_usage:max" not in records


def test_receivers_are_references_to_secrets() -> None:
    config = kinds(resolve(loads(BASE + RECEIVERS % "operator")))["AlertmanagerConfig"][0]

    receivers = {item["name"]: item for item in config["spec"]["receivers"]}
    assert {"name": "s", "key": "routing"} == receivers["pager"]["pagerdutyConfigs"][0]["routingKey"]
    assert {"name": "s", "key": "genie"} == receivers["genie"]["opsgenieConfigs"][0]["apiKey"]
    assert {"name": "s", "key": "slack"} == receivers["chat"]["slackConfigs"][0]["apiURL"]
    assert {"name": "s", "key": "hook"} == receivers["hook"]["webhookConfigs"][0]["urlSecret"]
    routed = {item["receiver"]: item["matchers"][0]["value"] for item in config["spec"]["route"]["routes"]}
    assert routed["genie"] == "critical|warning"
    assert [] == validate_object(config, "1.35")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_real_prometheus_takes_the_scrape_configuration(tmp_path: Path) -> None:
    platform = resolve(loads(BASE + RECEIVERS % "scrape-config"))
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": rule_groups(platform)}))
    config = tmp_path / "prometheus.yaml"
    jobs = [
        # Debian builds Prometheus without Kubernetes service discovery; the rest of the job is checked all the same.
        {key: value for key, value in job.items() if key != "kubernetes_sd_configs"}
        | {"static_configs": [{"targets": ["127.0.0.1:9"]}]}
        for job in scrape_configs(platform)
    ]
    config.write_text(yaml.safe_dump({"rule_files": [str(rules)], "scrape_configs": jobs}))

    checked = subprocess.run(
        ["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_plain_prometheus_gets_files_without_secrets_and_no_custom_kinds() -> None:
    found = kinds(resolve(loads(BASE + RECEIVERS % "scrape-config")))

    assert {"ConfigMap"} == set(found)
    files = {name: text for item in found["ConfigMap"] for name, text in item["data"].items()}
    assert {"scrape.yaml", "rules.yaml", "alertmanager.yaml"} <= set(files)
    alertmanager = yaml.safe_load(files["alertmanager.yaml"])
    pager = next(item for item in alertmanager["receivers"] if item["name"] == "pager")
    assert pager["pagerduty_configs"][0]["routing_key_file"].endswith("/s/routing")


def test_nothing_is_emitted_where_observability_is_off() -> None:
    assert [] == compile_observability(resolve(loads(BASE + "observability: {enabled: false}\n")))
