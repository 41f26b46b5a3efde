"""What a rule is, and the PromQL fragments that all of them share.

Series carry the target labels ``namespace`` and ``pod`` of the scrape and ``model``, ``tenant`` and ``version`` of our
monitors, so that one selector finds a model whatever its engine calls its labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stoker.catalog.engines import Metric, MetricFact
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Object

__all__ = ["Alert", "Recording", "Scope", "alert_rule", "recording_rule"]

WINDOW: Final = "5m"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule: ``record`` is ``stoker:what:how``."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule.

    Attributes:
        name: alert name.
        expr: PromQL.
        wait: how long it must hold (``for``).
        severity: ``critical`` wakes somebody, ``warning`` is read in the morning, ``info`` is for the report.
        summary: one line.
        description: what it means and what to do; may use ``{{ $value }}``.
        labels: further labels.
    """

    name: str
    expr: str
    wait: str
    severity: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


def recording_rule(rule: Recording) -> Object:
    """The rule as Prometheus reads it."""
    return {"record": rule.record, "expr": rule.expr, "labels": dict(rule.labels)}


def alert_rule(platform: ResolvedPlatform, rule: Alert) -> Object:
    """The rule as Prometheus reads it, with a runbook link where the platform names a base URL."""
    annotations = {"summary": rule.summary, "description": rule.description}
    runbooks = platform.spec.observability.runbook_url
    if runbooks:
        annotations["runbook_url"] = f"{runbooks.rstrip('/')}/{rule.name}"
    return {
        "alert": rule.name,
        "expr": rule.expr,
        "for": rule.wait,
        "labels": {"severity": rule.severity, "platform": platform.spec.name, **rule.labels},
        "annotations": annotations,
    }


@dataclass(frozen=True, slots=True)
class Scope:
    """One model's series."""

    model: ResolvedModel

    @property
    def labels(self) -> dict[str, str]:
        """Labels that every rule of the model carries."""
        return {"namespace": self.model.namespace, "model": self.model.name, "tenant": self.model.tenant.name}

    @property
    def selector(self) -> str:
        return f'namespace="{self.model.namespace}",model="{self.model.name}"'

    def fact(self, role: Metric) -> MetricFact | None:
        """The series of a role; None where the release has none."""
        return self.model.release.metrics.get(role)

    def series(self, role: Metric, extra: str = "") -> str | None:
        """Selector of a role's series; ``extra`` adds matchers such as ``,reason="capacity"``."""
        name = self.model.release.metric(role)
        return f"{name}{{{self.selector}{extra}}}" if name else None

    def quantile(self, role: Metric, share: float, window: str = WINDOW, extra: str = "") -> str | None:
        """Quantile of a histogram over all pods: of rates, never of raw counters."""
        bucket = self.series(role, extra)
        if bucket is None:
            return None
        return f"histogram_quantile({share}, sum by (le) (rate({bucket}[{window}])))"

    def rate(self, role: Metric, window: str = WINDOW, extra: str = "") -> str | None:
        """Per-second rate over all pods."""
        counter = self.series(role, extra)
        return f"sum(rate({counter}[{window}]))" if counter else None
