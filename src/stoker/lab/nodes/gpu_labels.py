"""Labels that node feature discovery and GPU feature discovery put on a node. Pure.

Sources: NVIDIA/k8s-device-plugin v0.20.0 docs/gpu-feature-discovery/README.md (labels and their values; with sharing the
product ends in ``-SHARED`` unless the plugin renames the resource, as Stoker's configuration has it do);
node-feature-discovery docs/usage/features.md; ROCm/k8s-device-plugin docs (node labeller).
"""

from collections.abc import Mapping

from stoker.catalog.gpus import Gpu
from stoker.platform.cluster import SharingMode

__all__ = ["DRIVER", "gfd_labels", "nfd_labels"]

# Driver 580, the production branch whose CUDA is 13.0: an assumption; nothing in the lab depends on it.
DRIVER = ("580", "95", "05")
_CUDA = ("13", "0")


def nfd_labels(gpu: Gpu | None) -> dict[str, str]:
    """What node-feature-discovery says of the machine."""
    feature = "feature.node.kubernetes.io"
    found = {
        f"{feature}/kernel-version.full": "6.8.0-79-generic",
        f"{feature}/kernel-version.major": "6",
        f"{feature}/kernel-version.minor": "8",
        f"{feature}/system-os_release.ID": "ubuntu",
        f"{feature}/system-os_release.VERSION_ID": "24.04",
    }
    if gpu is not None:
        # PCI vendor: 10de NVIDIA, 1002 AMD.
        found[f"{feature}/pci-{'10de' if gpu.vendor == 'nvidia' else '1002'}.present"] = "true"
    return found


def gfd_labels(
    gpu: Gpu,
    count: int,
    *,
    machine: str,
    sharing: SharingMode = SharingMode.NONE,
    replicas: int = 1,
    mig: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """What GPU feature discovery says of the GPUs.

    Args:
        gpu: type.
        count: physical GPUs.
        machine: the server's product name.
        sharing: how each GPU is divided.
        replicas: shares of each GPU under time slicing and MPS.
        mig: instances of each profile on one GPU.
    """
    product = gpu.product_labels[0] if gpu.product_labels else gpu.name
    if gpu.vendor != "nvidia":
        return {
            "amd.com/gpu.family": gpu.family,
            "amd.com/gpu.product-name": product,
            "amd.com/gpu.vram": f"{round(gpu.memory_gib)}G",
        }
    major, _, minor = gpu.compute_capability.partition(".")
    key = "nvidia.com"
    strategies = {SharingMode.TIME_SLICING: "time-slicing", SharingMode.MPS: "mps"}
    found = {
        f"{key}/cuda.driver-version.full": ".".join(DRIVER),
        f"{key}/cuda.driver-version.major": DRIVER[0],
        f"{key}/cuda.driver-version.minor": DRIVER[1],
        f"{key}/cuda.driver-version.revision": DRIVER[2],
        f"{key}/cuda.runtime-version.full": ".".join(_CUDA),
        f"{key}/cuda.runtime-version.major": _CUDA[0],
        f"{key}/cuda.runtime-version.minor": _CUDA[1],
        f"{key}/gpu.compute.major": major,
        f"{key}/gpu.compute.minor": minor or "0",
        f"{key}/gpu.count": str(count),
        f"{key}/gpu.family": gpu.family,
        f"{key}/gpu.machine": machine,
        f"{key}/gpu.mode": "compute",
        f"{key}/gpu.present": "true",
        f"{key}/gpu.product": product,
        f"{key}/gpu.replicas": str(replicas),
        f"{key}/gpu.sharing-strategy": strategies.get(sharing, "none"),
        f"{key}/mig.capable": "true" if gpu.mig else "false",
        f"{key}/mps.capable": "true" if sharing is SharingMode.MPS else "false",
    }
    if gpu.memory_mib_label:
        found[f"{key}/gpu.memory"] = str(gpu.memory_mib_label)
    if gpu.mig:
        found[f"{key}/mig.strategy"] = "mixed" if mig else "single"
    for name, instances in (mig or {}).items():
        found |= _mig_labels(gpu, product, name, instances * count)
    return found


def _mig_labels(gpu: Gpu, product: str, name: str, count: int) -> dict[str, str]:
    """Labels of one profile under the mixed strategy."""
    profile = next((one for one in gpu.mig if one.name == name), None)
    plain = name.replace("+", ".")
    key = f"nvidia.com/mig-{plain}"
    found = {
        f"{key}.count": str(count),
        f"{key}.product": f"{product}-MIG-{plain}",
        f"{key}.replicas": "1",
        f"{key}.sharing-strategy": "none",
    }
    if profile is not None:
        found[f"{key}.memory"] = str(round(profile.memory_gib * 1024))
        found[f"{key}.slices.gi"] = str(profile.compute_slices)
        found[f"{key}.slices.ci"] = str(profile.compute_slices)
    return found
