"""The components that a platform needs: which, in which version, with which Helm values, and in which order."""

from dataclasses import dataclass
from typing import Any

from stoker.catalog.components import Component, compatible, components, dcgm_counters, pick
from stoker.platform.autoscaling import Wake
from stoker.platform.cluster import GpuAllocation, GpuStack, SharingMode
from stoker.platform.observability import PrometheusKind
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import DeliveryKind, ResolvedPlatform
from stoker.upgrades.component_values import ComponentContext, PoolSharing, values

__all__ = [
    "ComponentContext",
    "ComponentPlan",
    "PoolSharing",
    "compile_components",
    "component_context",
    "values",
]


@dataclass(frozen=True, slots=True)
class ComponentPlan:
    """One chart to install. ``compatibility`` is empty where no stated bound excludes the target minor."""

    name: str
    repository: str
    chart: str
    version: str
    namespace: str
    release: str
    why: str
    values: dict[str, Any]
    compatibility: str
    depends_on: tuple[str, ...]

    def install_command(self, values_file: str) -> tuple[str, ...]:
        """The ``helm`` command line that installs or upgrades it with a values file."""
        oci = self.repository.startswith("oci://")
        chart = f"{self.repository}/{self.chart}" if oci else self.chart
        source = () if oci else ("--repo", self.repository)
        place = ("--namespace", self.namespace, "--create-namespace")
        return (
            *("helm", "upgrade", "--install", self.release, chart, *source),
            *("--version", self.version, *place, "--values", values_file, "--wait"),
        )


def component_context(platform: ResolvedPlatform) -> ComponentContext:
    """What the platform says about its components."""
    spec = platform.spec
    tolerations: list[dict[str, Any]] = []
    for pool in platform.pools.values():
        tolerations += [item for item in pool.tolerations if item not in tolerations]
    modes = {model.mode for model in platform.models.values()}
    knative_only = ServingMode.KNATIVE in modes and ServingMode.STANDARD not in modes
    gateway = spec.serving.gateway
    return ComponentContext(
        sharing=tuple(
            PoolSharing(
                pool=pool.name,
                mode=pool.spec.sharing.mode,
                replicas=pool.spec.sharing.replicas,
                mig_profiles=tuple(pool.spec.sharing.mig_profiles.items()),
            )
            for pool in platform.pools.values()
            if pool.gpu.vendor == "nvidia" and pool.spec.sharing.mode is not SharingMode.NONE
        ),
        tolerations=tuple(tolerations),
        prometheus_operator=_has_prometheus_operator(platform),
        monitor_labels=dict(spec.observability.selector_labels),
        deployment_mode="Knative" if knative_only else "Standard",
        gateway=f"{gateway.namespace}/{gateway.name}",
        gateway_class=gateway.class_name,
        domain=gateway.domain,
        dra=spec.cluster.gpu_allocation is GpuAllocation.DRA,
        dcgm_counters=dcgm_counters() if spec.observability.dcgm else (),
        kserve_controller=bool(modes & {ServingMode.STANDARD, ServingMode.KNATIVE}),
    )


def compile_components(platform: ResolvedPlatform) -> list[ComponentPlan]:
    """Charts the platform needs and the cluster does not have, in the order of installation."""
    context = component_context(platform)
    needed = _needed(platform)
    wanted = [item for item in components() if item.name in needed]
    present = {item.name for item in wanted}
    return [_plan(platform, item, context, present) for item in wanted]


def _plan(
    platform: ResolvedPlatform, item: Component, context: ComponentContext, present: set[str]
) -> ComponentPlan:
    minor = platform.spec.cluster.version
    chosen = platform.spec.components.versions.get(item.name)
    verdict = compatible(item, minor, chosen)
    return ComponentPlan(
        name=item.name,
        repository=item.repository,
        chart=item.chart,
        version=chosen or pick(item, minor).version,
        namespace=platform.spec.observability.namespace
        if item.chart == "kube-prometheus-stack"
        else item.namespace,
        release=item.release,
        why=item.why,
        values=values(item.name, context),
        compatibility=verdict.message,
        depends_on=tuple(name for name in item.depends_on if name in present),
    )


def _has_prometheus_operator(platform: ResolvedPlatform) -> bool:
    seen = platform.spec.observability
    return seen.enabled and seen.prometheus is PrometheusKind.OPERATOR


def _needed(platform: ResolvedPlatform) -> set[str]:
    found = _gpu_components(platform) | _serving_components(platform) | _scaling_components(platform)
    if _has_prometheus_operator(platform):
        found.add("kube-prometheus-stack")
    if platform.spec.tenancy.kueue.enabled:
        found.add("kueue")
    if any(model.nodes_per_replica > 1 for model in platform.models.values()):
        found.add("leader-worker-set")
    return found - set(platform.spec.components.installed)


def _gpu_components(platform: ResolvedPlatform) -> set[str]:
    vendors = {pool.gpu.vendor for pool in platform.pools.values()}
    found = {"amd-gpu"} if "amd" in vendors else set()
    if "nvidia" not in vendors:
        return found
    if platform.spec.cluster.gpu_stack is GpuStack.GPU_OPERATOR:
        return found | {"gpu-operator"}
    found.add("nvidia-device-plugin")
    seen = platform.spec.observability
    return found | {"dcgm-exporter"} if seen.enabled and seen.dcgm else found


def _serving_components(platform: ResolvedPlatform) -> set[str]:
    modes = {model.mode for model in platform.models.values()}
    found: set[str] = set()
    if modes & {ServingMode.STANDARD, ServingMode.KNATIVE}:
        found |= {"cert-manager", "kserve-crd", "kserve"}
    if ServingMode.LLM_INFERENCE_SERVICE in modes:
        found |= {"cert-manager", "kserve-llmisvc-crd", "kserve-llmisvc", "kserve-runtime-configs"}
    if ServingMode.KNATIVE in modes:
        found.add("knative-operator")
    if modes - {ServingMode.KNATIVE}:
        found |= {"gateway-api-crds", "envoy-gateway"}
    if any(model.delivery.kind is DeliveryKind.LOCAL_CACHE for model in platform.models.values()):
        found |= {"kserve-localmodel-crd", "kserve-localmodel"}
    return found


def _scaling_components(platform: ResolvedPlatform) -> set[str]:
    scaled = [
        model.scaling
        for model in platform.models.values()
        if model.scaling.enabled and model.mode is not ServingMode.KNATIVE
    ]
    found = {"keda"} if scaled else set()
    return found | {"keda-http-add-on"} if any(item.wake is Wake.HTTP_ADDON for item in scaled) else found
