"""What a node says of itself as pods come and go: GPUs of a device plugin, labels of feature discovery, memory pressure.

Sources: kubernetes pkg/kubelet/cm/devicemanager (GetCapacity), pkg/kubelet/eviction/eviction_manager.go,
NVIDIA/k8s-device-plugin v0.20.0 (image and daemons).
"""

import re
from collections.abc import Callable, Iterable

from stoker.lab.control.local import Local
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object, condition_of, is_terminal
from stoker.lab.nodes.memory import Usage, available, evicted, eviction_message
from stoker.lab.nodes.shapes import Machine, machine_of
from stoker.twin.scheduler.requests import resources_of

__all__ = ["FAULT", "Machines", "is_down", "is_plugin"]

# ``down``: the machine has lost its power.
FAULT = "lab.stoker.dev/fault"
_PLUGIN = re.compile(
    r"k8s-device-plugin|nvidia-device-plugin|gpu-operator-validator|rocm/k8s-device-plugin|amdgpu-dp"
)
_DISCOVERY = re.compile(r"gpu-feature-discovery|amdgpu-dp:labeller|k8s-node-labeller")
# --eviction-pressure-transition-period
_PRESSURE_S = 300.0
_MEMORY_THRESHOLD = 100 * 2**20


def is_down(node: Object) -> bool:
    return (node["metadata"].get("annotations") or {}).get(FAULT) == "down"


def _texts(pod: Object) -> Iterable[str]:
    for one in pod["spec"].get("containers") or ():
        yield " ".join(
            (str(one.get("image", "")), *map(str, one.get("command") or ()), *map(str, one.get("args") or ()))
        )


def is_plugin(pod: Object) -> bool:
    """Whether a pod is a device plugin or discovers features."""
    return any(_PLUGIN.search(text) or _DISCOVERY.search(text) for text in _texts(pod))


class Machines:
    """The machines behind the nodes.

    Args:
        local: writes as ``kubelet``.
        caches: of nodes and pods.
        usages: memory of the pods that run on a node.
        evict: has a pod evicted, with the message.
    """

    def __init__(
        self,
        local: Local,
        caches: Caches,
        usages: Callable[[str], list[Usage]],
        evict: Callable[[Object, str], None],
    ) -> None:
        self._local = local
        self._pods = caches.pods
        self._nodes = caches("v1", "Node")
        self._usages = usages
        self._evict = evict
        self._pressed_s: dict[str, float] = {}

    def has_pressure(self, name: str) -> bool:
        return name in self._pressed_s

    def look(self, name: str, now: float) -> float | None:
        """Bring one node up to date; seconds until it may change by itself."""
        node = self._nodes.get("", name)
        machine = machine_of(node) if node is not None else None
        if node is None or machine is None:
            return None
        if not machine.built_in and machine.devices:
            self._devices(node, machine)
        return self._memory(node, now)

    # --- devices --------------------------------------------------------------------------------------------------

    def _devices(self, node: Object, machine: Machine) -> None:
        name = node["metadata"]["name"]
        texts = [
            text
            for pod in self._pods.all()
            if pod["spec"].get("nodeName") == name and is_plugin(pod) and _runs(pod)
            for text in _texts(pod)
        ]
        # The one image holds both programs: what a container runs is told by its command.
        has_plugin = any(_PLUGIN.search(text) and not _DISCOVERY.search(text) for text in texts)
        has_labels = any(_DISCOVERY.search(text) for text in texts)
        status = node.get("status") or {}
        wanted = dict.fromkeys(machine.devices, "0")
        if has_plugin:
            wanted = {resource: str(count) for resource, count in machine.devices.items()}
        known = {one: status["allocatable"].get(one) for one in machine.devices}
        # A plugin that was never there leaves nothing behind; one that has gone leaves the resource at zero.
        if known != wanted and (has_plugin or any(value not in {None, "0"} for value in known.values())):
            fresh = self._local.get("v1", "Node", "", name)
            if fresh is not None:
                fresh["status"]["allocatable"] |= wanted
                if has_plugin:
                    fresh["status"]["capacity"] |= wanted
                self._local.update_status(fresh)
        labels = node["metadata"].get("labels") or {}
        if has_labels and any(labels.get(key) != value for key, value in machine.labels.items()):
            fresh = self._local.get("v1", "Node", "", name)
            if fresh is not None:
                fresh["metadata"].setdefault("labels", {}).update(machine.labels)
                self._local.update(fresh)

    # --- memory ---------------------------------------------------------------------------------------------------

    def _memory(self, node: Object, now: float) -> float | None:
        name = node["metadata"]["name"]
        capacity = float(resources_of({"memory": node["status"]["capacity"].get("memory", "0")})["memory"])
        usages = self._usages(name)
        found = evicted(usages, capacity)
        if found is not None:
            is_new = name not in self._pressed_s
            self._pressed_s[name] = now
            if is_new:
                self._say_pressure(name, is_pressed=True)
                record(
                    self._local,
                    node,
                    "Warning",
                    "EvictionThresholdMet",
                    "Attempting to reclaim memory",
                    "kubelet",
                    host=name,
                )
            self._evict(found[0].pod, eviction_message(*found))
        if name not in self._pressed_s:
            condition = condition_of(node, "MemoryPressure")
            if condition is not None and condition["status"] == "True":
                self._say_pressure(name, is_pressed=False)
            return None
        left = self._pressed_s[name] + _PRESSURE_S - now
        if left > 0 or available(usages, capacity) < _MEMORY_THRESHOLD:
            return max(1.0, left)
        del self._pressed_s[name]
        self._say_pressure(name, is_pressed=False)
        return None

    def _say_pressure(self, name: str, *, is_pressed: bool) -> None:
        node = self._local.get("v1", "Node", "", name)
        if node is None:
            return
        word = "insufficient" if is_pressed else "sufficient"
        now = self._local.cluster.now()
        new = {
            "type": "MemoryPressure",
            "status": "True" if is_pressed else "False",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
            "reason": f"KubeletHas{word.capitalize()}Memory",
            "message": f"kubelet has {word} memory available",
        }
        others = node["status"].get("conditions") or []
        node["status"]["conditions"] = [new if one["type"] == "MemoryPressure" else one for one in others]
        node = self._local.update_status(node)
        reason = f"NodeHas{word.capitalize()}Memory"
        record(
            self._local, node, "Normal", reason, f"Node {name} status is now: {reason}", "kubelet", host=name
        )


def _runs(pod: Object) -> bool:
    if is_terminal(pod) or pod["metadata"].get("deletionTimestamp"):
        return False
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any((one.get("state") or {}).get("running") for one in statuses)
