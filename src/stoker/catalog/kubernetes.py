"""Kubernetes minors that we compile for: which APIs are served and which features are on without any flag."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stoker.errors import UnknownNameError

__all__ = [
    "FEATURES",
    "SCHEDULER_CONFIG_API",
    "Feature",
    "FeatureState",
    "KubernetesMinor",
    "Stage",
    "feature_state",
    "kubernetes_minor",
    "kubernetes_minors",
    "minor_number",
]

SCHEDULER_CONFIG_API: Final = "kubescheduler.config.k8s.io/v1"
"""KubeSchedulerConfiguration's only served version in every supported minor (pkg/scheduler/apis/config/v1)."""


class Stage(StrEnum):
    ABSENT = "absent"
    ALPHA = "alpha"
    BETA = "beta"
    GA = "ga"


class Feature(StrEnum):
    """Feature gates that decide what we may emit."""

    IMAGE_VOLUME = "ImageVolume"
    SIDECAR_CONTAINERS = "SidecarContainers"
    DYNAMIC_RESOURCE_ALLOCATION = "DynamicResourceAllocation"
    DRA_EXTENDED_RESOURCE = "DRAExtendedResource"
    DRA_DEVICE_TAINTS = "DRADeviceTaints"
    POD_LEVEL_RESOURCES = "PodLevelResources"
    POD_LIFECYCLE_SLEEP_ACTION = "PodLifecycleSleepAction"


@dataclass(frozen=True, slots=True)
class FeatureState:
    """A feature in one minor; ``on`` says whether it works without a feature gate being set."""

    stage: Stage
    on: bool


# Feature -> (minor, stage, on by default) from that minor on. Read in kube_features.go tables up to 1.37 but for:
# ImageVolume and SidecarContainers GA (project facts), PodLifecycleSleepAction (table of 1.33, later stages not read).
FEATURES: Final[dict[Feature, tuple[tuple[str, Stage, bool], ...]]] = {
    Feature.IMAGE_VOLUME: (
        ("1.31", Stage.ALPHA, False),
        ("1.33", Stage.BETA, False),
        ("1.35", Stage.BETA, True),
        ("1.36", Stage.GA, True),
    ),
    Feature.SIDECAR_CONTAINERS: (("1.29", Stage.BETA, True), ("1.33", Stage.GA, True)),
    Feature.DYNAMIC_RESOURCE_ALLOCATION: (
        ("1.26", Stage.ALPHA, False),
        ("1.32", Stage.BETA, False),
        ("1.34", Stage.GA, True),
    ),
    Feature.DRA_EXTENDED_RESOURCE: (
        ("1.34", Stage.ALPHA, False),
        ("1.36", Stage.BETA, True),
        ("1.37", Stage.GA, True),
    ),
    Feature.DRA_DEVICE_TAINTS: (
        ("1.33", Stage.ALPHA, False),
        ("1.36", Stage.BETA, True),
        ("1.37", Stage.GA, True),
    ),
    Feature.POD_LEVEL_RESOURCES: (("1.32", Stage.ALPHA, False), ("1.34", Stage.BETA, True)),
    Feature.POD_LIFECYCLE_SLEEP_ACTION: (("1.29", Stage.ALPHA, False), ("1.30", Stage.BETA, True)),
}


@dataclass(frozen=True, slots=True)
class KubernetesMinor:
    """One supported minor.

    Attributes:
        minor: ``1.35``.
        patch: a released patch version, for the image of a second scheduler.
        dra_versions: versions of ``resource.k8s.io`` served without ``--runtime-config``, preferred first.
        source: where the patch was seen.
    """

    minor: str
    patch: str
    dra_versions: tuple[str, ...]
    source: str

    @property
    def scheduler_image(self) -> str:
        return f"registry.k8s.io/kube-scheduler:v{self.patch}"

    def feature(self, feature: Feature) -> FeatureState:
        return feature_state(feature, self.minor)


# The registry itself was not asked.
_NAMED: Final = "image named in public repositories (code index, 2026-11-24)"

# Beta versions of an API are never served by default (KEP-3136), so 1.33 serves no resource.k8s.io at all.
_MINORS: Final = (
    KubernetesMinor(
        "1.33",
        "1.33.8",
        (),
        "https://thestackobserver.com/kubernetes-patch-train-what-the-v1-35-1-v1-34-4-v1-33-8-v1-32-12-drop-says-about-upgrade-hygiene",
    ),
    KubernetesMinor("1.34", "1.34.8", ("v1",), "kubernetes-sigs/kueue v0.19.2 hack/make/test.mk"),
    KubernetesMinor("1.35", "1.35.5", ("v1",), "kubernetes-sigs/kueue v0.19.2 hack/make/test.mk"),
    KubernetesMinor("1.36", "1.36.5", ("v1",), _NAMED),
    KubernetesMinor("1.37", "1.37.1", ("v1",), _NAMED),
)


def kubernetes_minors() -> tuple[KubernetesMinor, ...]:
    """Supported minors, oldest first."""
    return _MINORS


def kubernetes_minor(minor: str) -> KubernetesMinor:
    """Facts of a minor; ``v1.35.2`` is read as ``1.35``.

    Raises:
        UnknownNameError: not a supported minor.
    """
    name = ".".join(minor.removeprefix("v").split(".")[:2])
    for entry in _MINORS:
        if entry.minor == name:
            return entry
    raise UnknownNameError("Kubernetes minor version", minor, [entry.minor for entry in _MINORS])


def minor_number(minor: str) -> int:
    """35 for ``1.35`` or ``v1.35.2``.

    Raises:
        ValueError: the text is no Kubernetes version.
    """
    parts = minor.removeprefix("v").split(".")
    if len(parts) < 2 or parts[0] != "1":
        raise ValueError(f"not a Kubernetes version: {minor!r}")
    return int(parts[1])


def feature_state(feature: Feature, minor: str) -> FeatureState:
    """Stage of a feature gate in a minor (kubernetes pkg/features/kube_features.go, versioned feature table)."""
    state = FeatureState(Stage.ABSENT, on=False)
    for since, stage, on in FEATURES[feature]:
        if minor_number(since) <= minor_number(minor):
            state = FeatureState(stage, on=on)
    return state
