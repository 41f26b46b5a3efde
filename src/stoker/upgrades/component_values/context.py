"""What the values of components depend on."""

from dataclasses import dataclass, field
from typing import Any

from stoker.catalog.components import DcgmCounter
from stoker.platform.cluster import SharingMode

__all__ = ["ComponentContext", "PoolSharing"]


@dataclass(frozen=True, slots=True)
class PoolSharing:
    """How the GPUs of one pool are divided.

    Attributes:
        replicas: shares of one GPU, for time-slicing and MPS.
        mig_profiles: (profile, slices of it on each GPU), for MIG.
    """

    pool: str
    mode: SharingMode
    replicas: int = 1
    mig_profiles: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ComponentContext:
    """Everything a values builder may look at.

    Attributes:
        sharing: pools whose GPUs are divided; others are absent.
        tolerations: of every taint that GPU nodes carry.
        prometheus_operator: monitors can be created.
        monitor_labels: labels by which Prometheus selects monitors.
        deployment_mode: KServe's default, ``Standard`` or ``Knative``.
        gateway: ``namespace/name`` of the gateway that KServe routes through.
        dra: GPUs are claimed, not counted.
        dcgm_counters: lines of the exporter's counters file.
        kserve_controller: the InferenceService controller is installed, so it owns what KServe's charts share.
    """

    sharing: tuple[PoolSharing, ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()
    prometheus_operator: bool = True
    monitor_labels: dict[str, str] = field(default_factory=dict)
    deployment_mode: str = "Standard"
    gateway: str = "kserve/kserve-ingress-gateway"
    gateway_class: str = "envoy"
    domain: str = "example.com"
    dra: bool = False
    dcgm_counters: tuple[DcgmCounter, ...] = ()
    kserve_controller: bool = True
