"""The HorizontalPodAutoscaler v2 object as the controller reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.quantities import parse

__all__ = ["DEFAULT_TOLERANCE", "HpaSpec", "Metric", "Policy", "Rules", "parse_hpa"]

Object = Mapping[str, Any]

DEFAULT_TOLERANCE: Final = 0.1
"""kube-controller-manager --horizontal-pod-autoscaler-tolerance."""

_DOWNSCALE_STABILIZATION_S: Final = 300  # --horizontal-pod-autoscaler-downscale-stabilization


@dataclass(frozen=True, slots=True)
class Policy:
    """At most ``value`` pods, or percent, in ``period_s`` seconds."""

    kind: str  # Pods or Percent
    value: int
    period_s: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of one direction."""

    stabilization_s: int
    select: str  # Max, Min or Disabled
    policies: tuple[Policy, ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the specification.

    Attributes:
        name: what observations are found by: the metric's name, or the resource's.
        kind: Resource, ContainerResource, Pods, Object or External.
        target: Utilization (percent), AverageValue or Value.
        value: of the target.
    """

    name: str
    kind: str
    target: str
    value: float


@dataclass(frozen=True, slots=True)
class HpaSpec:
    """What an HPA wants.

    Attributes:
        up, down: rules of each direction, defaults filled in.
        has_behavior: without ``behavior`` the controller limits scale-up by its own rule and knows no policies.
    """

    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...]
    up: Rules
    down: Rules
    has_behavior: bool


# pkg/apis/autoscaling/v2/defaults.go
_UP: Final = (Policy("Pods", 4, 15), Policy("Percent", 100, 15))
_DOWN: Final = (Policy("Percent", 100, 15),)


def parse_hpa(hpa: Object) -> HpaSpec:
    """Read an autoscaling/v2 HorizontalPodAutoscaler, with the API's defaults."""
    spec = hpa["spec"]
    behavior = spec.get("behavior") or {}
    return HpaSpec(
        min_replicas=int(spec.get("minReplicas") or 1),
        max_replicas=int(spec["maxReplicas"]),
        metrics=tuple(_metric(entry) for entry in spec.get("metrics") or ()),
        up=_rules(behavior.get("scaleUp") or {}, 0, _UP),
        down=_rules(behavior.get("scaleDown") or {}, _DOWNSCALE_STABILIZATION_S, _DOWN),
        has_behavior=bool(behavior),
    )


def _rules(rules: Object, stabilization: int, policies: tuple[Policy, ...]) -> Rules:
    given = rules.get("stabilizationWindowSeconds")
    tolerance = rules.get("tolerance")
    own = tuple(
        Policy(entry["type"], int(entry["value"]), int(entry["periodSeconds"]))
        for entry in rules.get("policies") or ()
    )
    return Rules(
        stabilization_s=stabilization if given is None else int(given),
        select=rules.get("selectPolicy") or "Max",
        policies=own or policies,
        tolerance=DEFAULT_TOLERANCE if tolerance is None else float(parse(tolerance) or 0),
    )


def _metric(entry: Object) -> Metric:
    kind = entry["type"]
    source = entry[kind[0].lower() + kind[1:]]
    target = source["target"]
    name = source.get("name") or source["metric"]["name"]
    if target["type"] == "Utilization":
        return Metric(name, kind, "Utilization", float(target["averageUtilization"]))
    field = "averageValue" if target["type"] == "AverageValue" else "value"
    return Metric(name, kind, target["type"], float(parse(target[field]) or 0))
