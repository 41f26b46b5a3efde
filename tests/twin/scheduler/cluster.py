"""A cluster to schedule on, in a few words: what the tests beside this file build theirs from."""

from collections.abc import Mapping
from typing import Any

from stoker.twin.scheduler import ClusterState, Decision, bind_volumes, schedule, take_devices

Object = dict[str, Any]

ROOMY = {"cpu": "96", "memory": "1000Gi", "pods": "110", "nvidia.com/gpu": "8"}
HELP = "no new claims to deallocate, preemption: "


def node(name: str, *, labels: Mapping[str, str] | None = None, **amounts: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {},
        "status": {"allocatable": {**ROOMY, **{key.replace("_", "-"): v for key, v in amounts.items()}}},
    }


def pod(
    name: str, spec: Mapping[str, Any] | None = None, *, labels: Mapping[str, str] | None = None, **asked: str
) -> Object:
    names = {"gpu": "nvidia.com/gpu"}
    resources = {"requests": {names.get(key, key.replace("_", "-")): amount for key, amount in asked.items()}}
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": dict(labels or {})},
        "spec": {
            "priority": 0,
            "containers": [{"name": "c", "image": "x", "resources": resources}],
            **(spec or {}),
        },
    }


class Cluster:
    """Nodes, and pods that are bound where the scheduler says or where the test does."""

    def __init__(self, *nodes: Object) -> None:
        self.state = ClusterState()
        for each in nodes:
            self.state.add_node(each)

    def decide(self, item: Object) -> Decision:
        return schedule(self.state, item)

    def run(self, item: Object, where: str | None = None) -> str:
        """Bind a pod; its node."""
        name = where or self.decide(item).node
        assert name is not None
        bound = {**item, "spec": {**item["spec"], "nodeName": name}}
        bind_volumes(self.state, bound, name)
        take_devices(self.state, bound, name)
        self.state.add_pod(bound)
        return name


def no_help(nodes: int) -> str:
    """What preemption says where removing pods could not help."""
    return f"{HELP}0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."


def no_victims(nodes: int) -> str:
    """What preemption says where no pod has a lower priority."""
    return f"{HELP}0/{nodes} nodes are available: {nodes} No preemption victims found for incoming pod."
