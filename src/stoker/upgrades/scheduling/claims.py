"""Dynamic resource allocation: the ResourceClaimTemplate of a model.

The DeviceClasses ``gpu.nvidia.com`` and ``mig.nvidia.com`` come with NVIDIA's driver chart
(NVIDIA/k8s-dra-driver-gpu deployments/helm); a second owner of them would break its upgrades, so none is emitted here.
"""

from typing import Final

from stoker.platform.cluster import GpuAllocation, SharingMode
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["CLAIM", "claim_template_name", "compile_claims", "device_class", "pod_claims", "uses_dra"]

CLAIM: Final = "gpus"  # name of the claim within a pod
_DRIVER: Final = "gpu.nvidia.com"
_MIG: Final = "nvidia.com/mig-"


def uses_dra(platform: ResolvedPlatform, model: ResolvedModel) -> bool:
    """Whether the model's pods claim devices instead of asking for an extended resource.

    Never in Knative mode, whose API has no field for claims, nor on GPUs that the NVIDIA driver does not publish (AMD) or
    that are shared by time-slicing or MPS, where the device plugin counts the shares.
    """
    return (
        platform.spec.cluster.gpu_allocation is GpuAllocation.DRA
        and model.mode is not ServingMode.KNATIVE
        and device_class(model.slice.resource) is not None
    )


def device_class(resource: str) -> str | None:
    """The driver's DeviceClass that stands for an extended resource, None where it has none."""
    if resource.startswith(_MIG):
        return "mig.nvidia.com"
    return _DRIVER if resource == "nvidia.com/gpu" else None


def claim_template_name(model: ResolvedModel) -> str:
    return f"{model.name}-gpus"


def pod_claims(platform: ResolvedPlatform, model: ResolvedModel) -> list[Object]:
    """The pod's ``resourceClaims``; empty where the extended resource is asked for instead."""
    if not uses_dra(platform, model):
        return []
    return [{"name": CLAIM, "resourceClaimTemplateName": claim_template_name(model)}]


def compile_claims(platform: ResolvedPlatform) -> list[Emitted]:
    """One ResourceClaimTemplate a model, where GPUs are allocated by DRA.

    ``resource.k8s.io/v1`` is served by default from Kubernetes 1.34 on (pkg/features/kube_features.go,
    DynamicResourceAllocation); the check of the platform file refuses DRA on 1.33.
    """
    return [
        _claim_template(platform, model) for model in platform.models.values() if uses_dra(platform, model)
    ]


def _selectors(model: ResolvedModel) -> list[str]:
    # Attributes as the driver publishes them (NVIDIA/k8s-dra-driver-gpu cmd/gpu-kubelet-plugin/deviceinfo.go).
    expressions = []
    if model.pool.gpu.product_labels:
        # GFD's label is the product name with dashes for blanks (k8s-device-plugin internal/lm/resource.go).
        names = ", ".join(f"'{label}'" for label in model.pool.gpu.product_labels)
        expressions.append(f"device.attributes['{_DRIVER}'].productName.replace(' ', '-') in [{names}]")
    if model.pool.spec.sharing.mode is SharingMode.MIG:
        # The device plugin writes the profile 1g.10gb+me as 1g.10gb.me.
        profile = model.slice.resource.removeprefix(_MIG).replace(".me", "+me")
        expressions.append(f"device.attributes['{_DRIVER}'].profile == '{profile}'")
    return expressions


def _claim_template(platform: ResolvedPlatform, model: ResolvedModel) -> Emitted:
    request: Object = {
        "deviceClassName": device_class(model.slice.resource),
        "allocationMode": "ExactCount",
        "count": model.gpus_per_pod,
        "selectors": [{"cel": {"expression": expression}} for expression in _selectors(model)] or None,
    }
    return emit(
        platform,
        Upgrade.SCHEDULING,
        Wave.RUNTIMES,
        f"Claims {model.gpus_per_pod} device(s) of pool {model.pool.name} for each pod of {model.name}, all on one node",
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": claim_template_name(model), "namespace": model.namespace},
            "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "exactly": request}]}}},
        },
        model=model,
    )
