"""A cluster with the Prometheus Operator's kinds, and targets of flesh and blood for Prometheus to scrape."""

import shutil
from dataclasses import dataclass
from typing import Any

import pytest

from stoker.lab.assemble import Assembly, Lab, assemble
from stoker.lab.control import Local
from stoker.lab.crds.install import install
from stoker.lab.monitoring.exposition import TextServer

Object = dict[str, Any]

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed"
)
needs_both = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
    reason="prometheus and prometheus-alertmanager are not both installed",
)
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def make_lab(speed: float = 1.0) -> tuple[Lab, Local]:
    """A cluster in memory with the kinds of monitoring, and its user."""
    lab = assemble(None, admin_token="admin", parts=Assembly(speed=speed, seed=1))  # noqa: S106
    user = Local(lab.cluster, "test")
    install(user, "monitoring")
    for name in ("team-a", "monitoring"):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        user.create(namespace)
    return lab, user


@dataclass
class Engine:
    """A server that a pod's address leads to: its series are what a test says."""

    server: TextServer
    text: str = ""

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])


async def start_engine(host: str = "127.0.0.1") -> Engine:
    engine = Engine(TextServer({}))
    engine.server.pages["/metrics"] = lambda: engine.text
    await engine.server.start(host)
    return engine


def pod(name: str, namespace: str = "team-a", port: int = 8000, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {"app": name}},
        "spec": {
            "containers": [
                {"name": "engine", "image": "e", "ports": [{"name": "http", "containerPort": port}]}
            ]
        },
    }


def run_pod(user: Local, obj: Object, address: str = "127.0.0.1") -> Object:
    """Create a pod and say what its kubelet would."""
    created = user.create(obj)
    created["status"] = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return user.update_status(created)


def pod_monitor(name: str = "engines", namespace: str = "team-a", **endpoint: Any) -> Object:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": namespace, "labels": {"release": "p"}},
        "spec": {
            "selector": {"matchLabels": {"app": "llama"}},
            "podMetricsEndpoints": [{"port": "http", "interval": "15s", **endpoint}],
        },
    }


def rule(
    rules: list[Object], name: str = "rules", namespace: str = "team-a", interval: str = "15s"
) -> Object:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "namespace": namespace, "labels": {"release": "p"}},
        "spec": {"groups": [{"name": name, "interval": interval, "rules": rules}]},
    }


def secret(name: str, namespace: str = "team-a", **values: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": values,
    }


def pager(namespace: str = "team-a") -> Object:
    """An AlertmanagerConfig with a receiver of each kind."""
    key = {"name": "keys", "key": "pagerduty"}
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "pager", "namespace": namespace, "labels": {"release": "p"}},
        "spec": {
            "route": {
                "receiver": "nobody",
                "groupBy": ["alertname"],
                "groupWait": "5s",
                "groupInterval": "10s",
                "repeatInterval": "4h",
                "routes": [
                    {
                        "receiver": name,
                        "continue": True,
                        "matchers": [{"name": "severity", "value": "critical", "matchType": "="}],
                    }
                    for name in ("pagerduty", "opsgenie", "slack", "webhook", "email")
                ],
            },
            "receivers": [
                {"name": "nobody"},
                {
                    "name": "pagerduty",
                    "pagerdutyConfigs": [
                        {
                            "routingKey": key,
                            "sendResolved": True,
                            "severity": "{{ .CommonLabels.severity }}",
                            "description": "{{ .CommonAnnotations.summary }}",
                        }
                    ],
                },
                {
                    "name": "opsgenie",
                    "opsgenieConfigs": [
                        {
                            "apiKey": {"name": "keys", "key": "opsgenie"},
                            "sendResolved": True,
                            "message": "{{ .CommonAnnotations.summary }}",
                        }
                    ],
                },
                {
                    "name": "slack",
                    "slackConfigs": [
                        {"apiURL": {"name": "keys", "key": "slack"}, "sendResolved": True, "channel": "#ops"}
                    ],
                },
                {
                    "name": "webhook",
                    "webhookConfigs": [
                        {"urlSecret": {"name": "keys", "key": "webhook"}, "sendResolved": True}
                    ],
                },
                {
                    "name": "email",
                    "emailConfigs": [
                        {
                            "to": "ops@example.com",
                            "from": "lab@example.com",
                            "smarthost": "mail.example.com:25",
                            "sendResolved": True,
                            "requireTLS": False,
                        }
                    ],
                },
            ],
            "inhibitRules": [
                {
                    "sourceMatch": [{"name": "severity", "value": "critical", "matchType": "="}],
                    "targetMatch": [{"name": "severity", "value": "warning|info", "matchType": "=~"}],
                    "equal": ["namespace"],
                }
            ],
        },
    }


KEYS = {
    "pagerduty": "pd-0123456789abcdef",
    "opsgenie": "og-0123456789abcdef",
    "slack": "https://hooks.slack.example/T000/B000/xyzzy",
    "webhook": "https://hooks.example/secret-path",
}
