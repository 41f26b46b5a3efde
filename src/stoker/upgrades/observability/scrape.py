"""For a Prometheus without the operator: scrape configuration, rule file and Alertmanager configuration in ConfigMaps."""

import re
from typing import Final

import yaml

from stoker.platform.observability import Receiver, ReceiverType
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit
from stoker.upgrades.observability.monitors import target_labels
from stoker.upgrades.observability.receivers import text, title

__all__ = ["alertmanager_config", "compile_scrape_files", "scrape_configs"]

# Where the user mounts the Secrets of the receivers into Alertmanager.
_SECRETS: Final = "/etc/alertmanager/secrets"


def scrape_configs(platform: ResolvedPlatform) -> list[Object]:
    """One job a model: pods found through the API server, each scraped by itself."""
    return [_job(platform, model) for model in platform.models.values() if model.release.metrics]


def _job(platform: ResolvedPlatform, model: ResolvedModel) -> Object:
    port = model.release.metrics_port if model.release.metrics_port != model.release.port else model.port
    keep = [
        {
            "source_labels": [f"__meta_kubernetes_pod_label_{_label(key)}"],
            "regex": re.escape(value),
            "action": "keep",
        }
        for key, value in model.pod_labels.items()
    ]
    fixed = [
        {"target_label": label, "replacement": value, "action": "replace"}
        for label, value in target_labels(model).items()
    ]
    meta = "__meta_kubernetes"
    return {
        "job_name": f"{model.namespace}/{model.name}",
        "metrics_path": model.release.metrics_path,
        "scrape_interval": platform.spec.observability.scrape_interval,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [model.namespace]}}],
        "relabel_configs": [
            *keep,
            # One target a pod: of its containers and ports, the engine's port only.
            {"source_labels": [f"{meta}_pod_container_port_number"], "regex": str(port), "action": "keep"},
            {"source_labels": [f"{meta}_namespace"], "target_label": "namespace", "action": "replace"},
            {"source_labels": [f"{meta}_pod_name"], "target_label": "pod", "action": "replace"},
            {
                "source_labels": [f"{meta}_pod_label_stoker_dev_version"],
                "target_label": "version",
                "action": "replace",
            },
            *fixed,
        ],
    }


def _label(key: str) -> str:
    """A label key as service discovery spells it (prometheus util/strutil.SanitizeLabelName)."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def alertmanager_config(platform: ResolvedPlatform) -> Object:
    """Routes and receivers; keys and URLs are read from files, so that no secret stands in a ConfigMap."""
    receivers = platform.spec.observability.receivers
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "namespace", "model"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [
                {
                    "receiver": receiver.name,
                    "continue": True,
                    "matchers": [f'severity=~"{"|".join(receiver.severities)}"'],
                }
                for receiver in receivers
            ],
        },
        "receivers": [{"name": "nobody"}, *(_receiver(receiver) for receiver in receivers)],
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity=~"warning|info"'],
                "equal": ["namespace", "model"],
            }
        ],
    }


def _receiver(receiver: Receiver) -> Object:
    file = f"{_SECRETS}/{receiver.secret.name}/{receiver.secret.key}"
    if receiver.type is ReceiverType.PAGERDUTY:
        config: Object = {"routing_key_file": file, "send_resolved": True, "description": title}
        return {"name": receiver.name, "pagerduty_configs": [config]}
    if receiver.type is ReceiverType.OPSGENIE:
        config = {"api_key_file": file, "send_resolved": True, "message": title, "description": text}
        return {"name": receiver.name, "opsgenie_configs": [config]}
    if receiver.type is ReceiverType.SLACK:
        config = compact(
            {
                "api_url_file": file,
                "send_resolved": True,
                "channel": receiver.channel,
                "title": title,
                "text": text,
            }
        )
        return {"name": receiver.name, "slack_configs": [config]}
    return {"name": receiver.name, "webhook_configs": [{"url_file": file, "send_resolved": True}]}


def compile_scrape_files(platform: ResolvedPlatform, groups: list[Object]) -> list[Emitted]:
    """The files as ConfigMaps of the monitoring namespace; a plain Prometheus must be pointed at them."""
    files = {
        "stoker-scrape": (
            "scrape.yaml",
            {"scrape_configs": scrape_configs(platform)},
            "Include it as a scrape_config_file",
        ),
        "stoker-rules": ("rules.yaml", {"groups": groups}, "Include it in rule_files"),
    }
    if platform.spec.observability.receivers:
        files["stoker-alertmanager"] = (
            "alertmanager.yaml",
            alertmanager_config(platform),
            f"Alertmanager's configuration; mount the Secrets below {_SECRETS}",
        )
    return [
        emit(
            platform,
            Upgrade.OBSERVABILITY,
            Wave.OBSERVABILITY,
            f"{reason}: Prometheus reads no ConfigMap by itself",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": platform.spec.observability.namespace},
                "data": {file: yaml.safe_dump(content, sort_keys=False, width=4096)},
            },
        )
        for name, (file, content, reason) in files.items()
    ]
