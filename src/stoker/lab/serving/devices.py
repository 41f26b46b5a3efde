"""GPUs of the nodes, and who is on them: for the exporter, and for engines that find less memory free than they need."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stoker.catalog.gpus import Gpu, gpu
from stoker.errors import StokerError
from stoker.lab.serving.contract import RunContainer

__all__ = ["Device", "Devices", "Holder", "environment_of", "node_of"]


@dataclass(slots=True)
class Holder:
    """A container that has a GPU. ``busy``: seconds it has computed since it started; ``memory_gib``: what it takes now."""

    id: str
    namespace: str
    pod: str
    container: str
    busy: Callable[[], float]
    memory_gib: float = 0.0


@dataclass(slots=True)
class Device:
    """One GPU of a node. ``xid``: the last error it reported, 0 for none; ``is_broken``: that one has not been mended."""

    index: int
    uuid: str
    model: Gpu
    holders: dict[str, Holder] = field(default_factory=dict)
    xid: int = 0
    is_broken: bool = False
    gone_busy: float = 0.0

    @property
    def used_gib(self) -> float:
        return sum(holder.memory_gib for holder in self.holders.values())

    def busy(self) -> float:
        """Seconds that anything computed on it; shares of time add up to the whole at most."""
        return self.gone_busy + sum(holder.busy() for holder in self.holders.values())


class Devices:
    """All GPUs that this process has heard of."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[int, Device]] = {}
        self._broken: dict[str, Device] = {}

    def break_(self, identifier: str, device: Device, xid: int) -> None:
        """A GPU reports an error under a container, whose next start finds it so as well."""
        device.xid, device.is_broken = xid, True
        self._broken[_pod_container(identifier)] = device

    def mend(self, identifier: str) -> bool:
        """The GPU that broke under a container works again; the error stays the last one reported. Whether there was one."""
        device = self._broken.pop(_pod_container(identifier), None)
        if device is not None:
            device.is_broken = False
        return device is not None

    def of_node(self, node: str, gpu_name: str = "") -> list[Device]:
        """The GPUs of a node: as many as its kind of server usually has, and any beyond that were used."""
        found = self._nodes.setdefault(node, {})
        model = _model(gpu_name)
        if model is not None:
            for index in range(model.gpus_per_node):
                self._device(node, index, model)
        return [found[index] for index in sorted(found)]

    def claim(self, run: RunContainer, busy: Callable[[], float]) -> list[Device]:
        """The GPUs that a container has: those its device plugin names, else the first that are free."""
        model = _model(run.gpu)
        if model is None or run.gpus < 1:
            return []
        node = node_of(run)
        metadata = run.pod.get("metadata") or {}
        named = environment_of(run.container).get("NVIDIA_VISIBLE_DEVICES", "")
        devices = self._named(node, named, model) or self._free(node, run.gpus, model)
        for device in devices:
            device.holders[run.id] = Holder(
                run.id,
                str(metadata.get("namespace") or "default"),
                str(metadata.get("name") or ""),
                str(run.container.get("name") or ""),
                busy,
            )
        return devices

    def release(self, identifier: str, devices: list[Device]) -> None:
        for device in devices:
            holder = device.holders.pop(identifier, None)
            if holder is not None:
                device.gone_busy += holder.busy()

    def _device(self, node: str, index: int, model: Gpu) -> Device:
        known = self._nodes.setdefault(node, {})
        if index not in known:
            name = uuid.uuid5(uuid.NAMESPACE_DNS, f"{index}.{node}.gpu.stoker.lab")
            known[index] = Device(index, f"GPU-{name}", model)
        return known[index]

    def _named(self, node: str, named: str, model: Gpu) -> list[Device]:
        found: list[Device] = []
        for word in filter(None, named.split(",")):
            if re.fullmatch(r"\d{1,3}", word):
                found.append(self._device(node, int(word), model))
            else:
                found += [each for each in self.of_node(node, model.name) if each.uuid == word]
        return found

    def _free(self, node: str, count: int, model: Gpu) -> list[Device]:
        index = 0
        found: list[Device] = []
        while len(found) < count:
            device = self._device(node, index, model)
            if not device.holders:
                found.append(device)
            index += 1
        return found


def _pod_container(identifier: str) -> str:
    """``<pod uid>/<container>`` of a container's identifier, whatever its restart."""
    head, slash, tail = identifier.rpartition("/")
    return head if slash and tail.isdecimal() else identifier


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """A container's environment: names to values, whichever way they are written."""
    given = container.get("env") or {}
    if isinstance(given, dict):
        return {str(name): str(value) for name, value in given.items()}
    return {str(entry["name"]): str(entry.get("value") or "") for entry in given if "name" in entry}


def node_of(run: RunContainer) -> str:
    return str((run.pod.get("spec") or {}).get("nodeName") or "node")


def _model(name: str) -> Gpu | None:
    try:
        return gpu(name) if name else None
    except StokerError:
        return None
