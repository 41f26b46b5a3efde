"""The HorizontalPodAutoscaler v2 object as the controller reads it (kubernetes 1.36 pkg/apis/autoscaling/v2/defaults.go).

Left out: what the API server refuses is taken as it is written (bounds of values, `minReplicas: 0` without the feature gate).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.quantities import parse

__all__ = ["DEFAULT_FLAGS", "Flags", "HpaSpec", "Metric", "Policy", "Rules", "parse_hpa"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flags:
    """What kube-controller-manager was started with; the defaults are its own (`--horizontal-pod-autoscaler-…`).

    Attributes:
        tolerance, downscale_stabilization_s, cpu_initialization_s, initial_readiness_delay_s: of the flags so called.
        scale_to_zero: feature gate HPAScaleToZero, alpha and off in 1.36.
        configurable_tolerance: feature gate HPAConfigurableTolerance, on since 1.35.
    """

    tolerance: float = 0.1
    downscale_stabilization_s: int = 300
    cpu_initialization_s: float = 300.0
    initial_readiness_delay_s: float = 30.0
    scale_to_zero: bool = False
    configurable_tolerance: bool = True


DEFAULT_FLAGS: Final = Flags()


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
        kind: Resource, ContainerResource, Pods, Object or External; any other the controller cannot read.
        target: Utilization (percent), AverageValue or Value; empty for a kind that cannot be read.
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
        flags: of the controller that reads it.
    """

    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...]
    up: Rules
    down: Rules
    has_behavior: bool
    flags: Flags = DEFAULT_FLAGS


# SetDefaults_HorizontalPodAutoscaler and its rules.
_UP: Final = (Policy("Pods", 4, 15), Policy("Percent", 100, 15))
_DOWN: Final = (Policy("Percent", 100, 15),)
_METRICS: Final = (Metric("cpu", "Resource", "Utilization", 80.0),)
_KINDS: Final = frozenset(("Resource", "ContainerResource", "Pods", "Object", "External"))


def parse_hpa(hpa: Object, flags: Flags = DEFAULT_FLAGS) -> HpaSpec:
    """Read an autoscaling/v2 HorizontalPodAutoscaler, with the API's defaults."""
    spec = hpa["spec"]
    behavior = spec.get("behavior")
    rules: Object = behavior or {}
    least = spec.get("minReplicas")
    return HpaSpec(
        min_replicas=1 if least is None else int(least),
        max_replicas=int(spec["maxReplicas"]),
        metrics=tuple(_metric(entry) for entry in spec.get("metrics") or ()) or _METRICS,
        up=_rules(rules.get("scaleUp") or {}, 0, _UP, flags),
        down=_rules(rules.get("scaleDown") or {}, flags.downscale_stabilization_s, _DOWN, flags),
        # An empty behavior is one: its rules are filled in.
        has_behavior=behavior is not None,
        flags=flags,
    )


def _rules(rules: Object, stabilization: int, policies: tuple[Policy, ...], flags: Flags) -> Rules:
    given = rules.get("stabilizationWindowSeconds")
    tolerance = rules.get("tolerance") if flags.configurable_tolerance else None
    own = tuple(
        Policy(entry["type"], int(entry["value"]), int(entry["periodSeconds"]))
        for entry in rules.get("policies") or ()
    )
    return Rules(
        stabilization_s=stabilization if given is None else int(given),
        select=rules.get("selectPolicy") or "Max",
        policies=own or policies,
        tolerance=flags.tolerance if tolerance is None else float(parse(tolerance) or 0),
    )


def _metric(entry: Object) -> Metric:
    kind = entry["type"]
    if kind not in _KINDS:
        return Metric("", kind, "", 0.0)
    source = entry[kind[0].lower() + kind[1:]]
    target = source["target"]
    name = source.get("name") or source["metric"]["name"]
    if target["type"] == "Utilization":
        return Metric(name, kind, "Utilization", float(target["averageUtilization"]))
    field = "averageValue" if target["type"] == "AverageValue" else "value"
    return Metric(name, kind, target["type"], float(parse(target[field]) or 0))
