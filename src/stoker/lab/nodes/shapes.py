"""Node objects of the lab: from ``48x8xA100-80GB`` as typed, or from the pools of a platform. Pure.

What the machine has stays with the node in an annotation, apart from what the kubelet says of it: without a device plugin a
node with eight GPUs offers none.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stoker.catalog.gpus import Gpu, gpu, gpus, shapes_with
from stoker.errors import InputError, Problem, UnknownNameError
from stoker.lab.nodes.gpu_labels import gfd_labels, nfd_labels
from stoker.platform.cluster import SharingMode
from stoker.sizing.pools import POOL_LABEL
from stoker.sizing.resolved import ResolvedPlatform, ResolvedPool

__all__ = [
    "MACHINE",
    "Machine",
    "NodeGroup",
    "machine_of",
    "node_objects",
    "nodes_of_platform",
    "parse_nodes",
]

Object = dict[str, Any]

# What the machine is, as JSON: only nodes that have it are run by the lab's kubelets.
MACHINE = "lab.stoker.dev/machine"
VERSION = "v1.36.2"
_GIB = 2**30
_ZONES = ("lab-a", "lab-b", "lab-c")
_REGION = "lab"
# A general-purpose machine (AWS m7i.4xlarge: 16 vCPU, 64 GiB), for nodes without GPUs.
_CPU_CORES, _CPU_GIB = 16, 64
# Where no cloud shape has the GPU in this number: as `sizing.pools` reckons.
_CPUS_PER_GPU, _HOST_PER_GPU_BYTE = 12, 1.5
_ROOT_DISK = 200 * _GIB
_PODS = 110
# kubelet's defaults: --eviction-hard memory.available<100Mi, nodefs.available<10%; nothing reserved.
_EVICTION_BYTES = 100 * 2**20
_TEXT = re.compile(r"(\d+)x(?:(\d+)x)?(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node has, whatever it says of it.

    Attributes:
        gpu: catalogue name, empty without.
        gpus: physical GPUs.
        devices: what the device plugin advertises: extended resource -> count.
        labels: what feature discovery says of the GPUs.
        built_in: whether plugin and discovery are there without anybody installing them.
    """

    gpu: str = ""
    gpus: int = 0
    devices: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    built_in: bool = True

    def text(self) -> str:
        return json.dumps(
            {
                "gpu": self.gpu,
                "gpus": self.gpus,
                "devices": dict(self.devices),
                "labels": dict(self.labels),
                "builtIn": self.built_in,
            },
            sort_keys=True,
        )


def machine_of(node: Mapping[str, Any]) -> Machine | None:
    """The machine behind a node; None for nodes that somebody else has made."""
    text = (node["metadata"].get("annotations") or {}).get(MACHINE)
    if not text:
        return None
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return Machine(read["gpu"], read["gpus"], read["devices"], read["labels"], read["builtIn"])


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one kind: how many, and what each is.

    Attributes:
        prefix: of their names.
        instance_type: of the cloud shape, or a made-up one.
    """

    prefix: str
    count: int
    machine: Machine
    millicores: int
    memory_bytes: int
    disk_bytes: int
    instance_type: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()


def parse_nodes(texts: Iterable[str], *, device_plugin: bool = True, tainted: bool = False) -> list[Object]:
    """Node objects for ``NxGxTYPE``, ``NxCPU`` or ``Nx0``, in the order given.

    Args:
        texts: each such as ``48x8xA100-80GB`` or ``3xcpu``.
        device_plugin: whether GPUs are advertised without a device plugin that somebody installs.
        tainted: whether GPU nodes get the taint that device plugins tolerate.

    Raises:
        InputError: every text that is no shape of nodes.
    """
    problems: list[Problem] = []
    groups: list[NodeGroup] = []
    for text in texts:
        try:
            groups.append(_parse(text, device_plugin=device_plugin, tainted=tainted))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return node_objects(groups)


def _parse(text: str, *, device_plugin: bool, tainted: bool) -> NodeGroup:
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise _refused(text, "no shape of nodes", "write NxGxTYPE such as 48x8xA100-80GB, or Nxcpu")
    count, number, kind = int(match[1]), match[2], match[3].strip()
    if not 0 < count <= 5000:
        raise _refused(text, "between 1 and 5000 nodes are possible", "write a smaller number first")
    if number is None:
        if kind.casefold() in {"cpu", "0"}:
            return _cpu_group(count)
        raise _refused(
            text, "the number of GPUs is missing", f"write {count}x8x{kind} for nodes with 8 GPUs each"
        )
    gpus_each = int(number)
    if gpus_each == 0:
        return _cpu_group(count)
    if gpus_each > 72:
        raise _refused(text, "no machine has that many GPUs", f"write {count}x8x{kind}")
    try:
        found = gpu(kind)
    except UnknownNameError as error:
        known = ", ".join(list(gpus())[:6])
        raise _refused(
            text, f"unknown GPU {kind!r}", error.fix or f"GPUs are {known} …; see `stoker catalog gpus`"
        ) from error
    return _gpu_group(count, gpus_each, found, device_plugin=device_plugin, tainted=tainted)


def _refused(text: str, message: str, fix: str) -> InputError:
    return InputError([Problem(message=message, path="--nodes", found=text, wanted="NxGxTYPE", fix=fix)])


def _cpu_group(count: int) -> NodeGroup:
    return NodeGroup(
        prefix="cpu",
        count=count,
        machine=Machine(),
        millicores=_CPU_CORES * 1000,
        memory_bytes=_CPU_GIB * _GIB,
        disk_bytes=_ROOT_DISK,
        instance_type="m7i.4xlarge",
    )


def _gpu_group(count: int, each: int, kind: Gpu, *, device_plugin: bool, tainted: bool) -> NodeGroup:
    shape = next((one for one in shapes_with(kind.name) if one.gpus == each), None)
    machine_name = shape.name if shape else f"lab.{each}x{kind.name.casefold()}"
    memory = shape.memory_gib if shape else each * kind.memory_gib * _HOST_PER_GPU_BYTE
    taint = {"key": kind.resource, "value": "present", "effect": "NoSchedule"}
    return NodeGroup(
        prefix=kind.name.casefold(),
        count=count,
        machine=Machine(
            kind.name,
            each,
            {kind.resource: each},
            gfd_labels(kind, each, machine=machine_name),
            device_plugin,
        ),
        millicores=(shape.vcpus if shape else each * _CPUS_PER_GPU) * 1000,
        memory_bytes=int(memory * _GIB),
        disk_bytes=max(int(shape.local_nvme_gb * 10**9) if shape else 0, _ROOT_DISK),
        instance_type=machine_name,
        labels=nfd_labels(kind),
        taints=(taint,) if tainted else (),
    )


def nodes_of_platform(platform: ResolvedPlatform, *, device_plugin: bool = True) -> list[Object]:
    """Node objects of a platform's pools, as the plan of nodes (NODES.md of `stoker render`) has them."""
    return node_objects([_pool_group(pool, device_plugin=device_plugin) for pool in platform.pools.values()])


def _pool_group(pool: ResolvedPool, *, device_plugin: bool) -> NodeGroup:
    sharing = pool.spec.sharing
    name = pool.shape.name if pool.shape else f"lab.{pool.gpus_per_node}x{pool.gpu.name.casefold()}"
    labels = {POOL_LABEL: pool.name, **pool.spec.labels}
    if sharing.mode is not SharingMode.NONE:
        labels["nvidia.com/device-plugin.config"] = pool.name
    discovered = gfd_labels(
        pool.gpu,
        pool.gpus_per_node,
        machine=name,
        sharing=sharing.mode,
        replicas=sharing.replicas if sharing.mode in {SharingMode.TIME_SLICING, SharingMode.MPS} else 1,
        mig=sharing.mig_profiles if sharing.mode is SharingMode.MIG else None,
    )
    return NodeGroup(
        prefix=pool.name,
        count=pool.spec.nodes,
        machine=Machine(
            pool.gpu.name,
            pool.gpus_per_node,
            {piece.resource: piece.per_node for piece in pool.slices},
            discovered,
            device_plugin,
        ),
        millicores=pool.millicores,
        memory_bytes=pool.memory_bytes,
        disk_bytes=max(pool.nvme_bytes, _ROOT_DISK),
        instance_type=name,
        labels={**nfd_labels(pool.gpu), **labels},
        taints=pool.taints,
    )


def node_objects(groups: Sequence[NodeGroup]) -> list[Object]:
    """The nodes of all groups; names count on where two groups share a prefix."""
    numbers: dict[str, int] = {}
    found: list[Object] = []
    for group in groups:
        for _ in range(group.count):
            number = numbers[group.prefix] = numbers.get(group.prefix, -1) + 1
            found.append(_node(group, f"{group.prefix}-{number}", len(found)))
    return found


def _node(group: NodeGroup, name: str, index: int) -> Object:
    machine = group.machine
    zone = _ZONES[index % len(_ZONES)]
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": group.instance_type,
        "topology.kubernetes.io/region": _REGION,
        "topology.kubernetes.io/zone": zone,
        **(group.labels or nfd_labels(None)),
        **(machine.labels if machine.built_in else {}),
    }
    capacity, allocatable = _amounts(group)
    if machine.built_in:
        devices = {resource: str(count) for resource, count in machine.devices.items()}
        capacity |= devices
        allocatable |= devices
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {MACHINE: machine.text()}},
        "spec": {
            "providerID": f"stoker-lab:///{zone}/{name}",
            **({"taints": [dict(taint) for taint in group.taints]} if group.taints else {}),
        },
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "addresses": [
                {"type": "InternalIP", "address": _address(index)},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": _node_info(name),
        },
    }


def _address(index: int) -> str:
    """127.32.0.0/16: one node each, from .0.1 on."""
    number = index + 1
    return f"127.32.{number >> 8}.{number & 255}"


def _amounts(group: NodeGroup) -> tuple[dict[str, str], dict[str, str]]:
    """Capacity, and allocatable as a kubelet without reservations works it out."""
    # The kernel and the firmware keep a little of what the machine is sold with; the kubelet reports what is left, in Ki.
    memory_kib = group.memory_bytes // 1024
    disk_kib = group.disk_bytes // 1024
    cpu = str(group.millicores // 1000) if group.millicores % 1000 == 0 else f"{group.millicores}m"
    capacity = {
        "cpu": cpu,
        "ephemeral-storage": f"{disk_kib}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{memory_kib}Ki",
        "pods": str(_PODS),
    }
    allocatable = {
        **capacity,
        "ephemeral-storage": str(disk_kib * 1024 * 9 // 10),
        "memory": f"{memory_kib - _EVICTION_BYTES // 1024}Ki",
    }
    return capacity, allocatable


def _node_info(name: str) -> dict[str, str]:
    machine = "".join(f"{ord(letter):02x}" for letter in name)[-32:].rjust(32, "0")
    uuid = f"{machine[:8]}-{machine[8:12]}-{machine[12:16]}-{machine[16:20]}-{machine[20:]}"
    return {
        "architecture": "amd64",
        "bootID": uuid,
        "containerRuntimeVersion": "containerd://2.1.4",
        "kernelVersion": "6.8.0-79-generic",
        "kubeProxyVersion": "",
        "kubeletVersion": VERSION,
        "machineID": machine,
        "operatingSystem": "linux",
        "osImage": "Ubuntu 24.04.3 LTS",
        "systemUUID": uuid,
    }
