"""Observability: who scrapes, who evaluates, who is woken."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stoker.platform.base import Duration, Label, Name, SecretKey, Section, about
from stoker.platform.cluster import LabelKey, LabelValue

__all__ = ["Grafana", "Observability", "PrometheusKind", "Receiver", "ReceiverType", "Severity"]


class PrometheusKind(StrEnum):
    OPERATOR = "operator"
    SCRAPE_CONFIG = "scrape-config"


class ReceiverType(StrEnum):
    PAGERDUTY = "pagerduty"
    OPSGENIE = "opsgenie"
    SLACK = "slack"
    WEBHOOK = "webhook"


Severity = Literal["critical", "warning", "info"]


class Receiver(Section):
    """Where alerts go. The key or URL stays in a Secret of the monitoring namespace."""

    name: Annotated[Name, about("Name of the receiver.")]
    type: Annotated[ReceiverType, about("pagerduty, opsgenie, slack or webhook.")]
    secret: Annotated[SecretKey, about("Routing key, API key or URL.")]
    severities: Annotated[
        tuple[Severity, ...],
        Field(min_length=1, max_length=3),
        about("Severities it receives.", why="Critical: people are woken only for what users feel."),
    ] = ("critical",)
    channel: Annotated[
        str | None,
        StringConstraints(pattern=r"^[#@]?[A-Za-z0-9._-]+$", max_length=80),
        about("Slack channel.", why="The one that the webhook was made for."),
    ] = None


class Grafana(Section):
    """Dashboards as ConfigMaps that Grafana's sidecar loads."""

    enabled: Annotated[bool, about("Emit dashboards.", why="On.")] = True
    namespace: Annotated[
        Label | None, about("Namespace of the ConfigMaps.", why="The monitoring namespace.")
    ] = None
    folder: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9 _-]+$", max_length=64),
        about("Grafana folder.", why="One place."),
    ] = "LLM inference"


class Observability(Section):
    """Metrics, rules, alerts, dashboards."""

    enabled: Annotated[bool, about("Emit monitors, rules and dashboards.", why="On.")] = True
    prometheus: Annotated[
        PrometheusKind,
        about(
            "`operator` emits PodMonitor and PrometheusRule; `scrape-config` emits files for a plain Prometheus.",
            why="kube-prometheus-stack is what most clusters run.",
        ),
    ] = PrometheusKind.OPERATOR
    namespace: Annotated[Label, about("Namespace of Prometheus and Alertmanager.", why="The common one.")] = (
        "monitoring"
    )
    selector_labels: Annotated[
        dict[LabelKey, LabelValue],
        Field(max_length=8),
        about(
            "Labels by which Prometheus selects monitors and rules.",
            why="release: kube-prometheus-stack, which that chart selects by default.",
        ),
    ] = Field(default_factory=lambda: {"release": "kube-prometheus-stack"})
    scrape_interval: Annotated[
        Duration,
        about(
            "Scrape interval of engines.", why="15s: the HPA looks as often; a shorter one only costs memory."
        ),
    ] = "15s"
    dcgm: Annotated[
        bool,
        about(
            "Emit rules and dashboards over DCGM exporter metrics.",
            why="On: idle and failing GPUs are seen there.",
        ),
    ] = True
    grafana: Annotated[Grafana, about("Dashboards.")] = Grafana()
    receivers: Annotated[
        tuple[Receiver, ...],
        Field(max_length=32),
        about("Where alerts go.", why="None: alerts stay in Alertmanager."),
    ] = ()
    runbook_url: Annotated[
        str | None,
        StringConstraints(pattern=r"^https?://[^\s]+$", max_length=255),
        about("Base URL of runbooks; each alert links to BASE/ALERTNAME.", why="None: no link."),
    ] = None
