"""The recorded scenarios of a real kube-scheduler as Kubernetes objects, and the twin's replay of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stoker.kube.selectors import matches
from stoker.twin.scheduler import ClusterState, Decision, parse_profiles, queue_key, schedule, take_devices

NAMESPACE = "@NS@"
Object = dict[str, Any]


def node_object(recorded: Object) -> Object:
    name = recorded["name"]
    labels = {"kubernetes.io/hostname": name, **(recorded.get("labels") or {})}
    if recorded.get("product"):
        labels.setdefault("nvidia.com/gpu.product", recorded["product"])
    amounts = {"cpu": recorded["cpu"], "memory": recorded["memory"], "pods": recorded["pods"]}
    if int(recorded.get("gpu") or 0):
        amounts["nvidia.com/gpu"] = recorded["gpu"]
    amounts |= recorded.get("extra") or {}
    taints = list(recorded.get("taints") or [])
    if recorded.get("unschedulable"):
        # The node lifecycle controller puts this taint on a cordoned node.
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints, "unschedulable": recorded.get("unschedulable", False)},
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def pod_object(recorded: Object) -> Object:
    requests, limits = dict(recorded.get("req") or {}), dict(recorded.get("lim") or {})
    if recorded.get("gpu"):
        limits["nvidia.com/gpu"] = requests["nvidia.com/gpu"] = str(recorded["gpu"])
    spec = dict(recorded.get("spec") or {})
    containers = spec.get("containers") or [{"name": "c", "image": "x"}]
    first = {**containers[0]}
    own = first.get("resources") or {}
    first["resources"] = {
        **own,
        "requests": {**requests, **(own.get("requests") or {})},
        "limits": {**limits, **(own.get("limits") or {})},
    }
    spec["containers"] = [first, *containers[1:]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": recorded["name"],
            "namespace": recorded.get("ns") or NAMESPACE,
            "labels": recorded.get("labels") or {},
            "annotations": recorded.get("annotations") or {},
        },
        "spec": spec,
    }


@dataclass
class Replay:
    """What the twin did with a scenario: nodes by pod, messages by pod, victims, and pods that admission refused."""

    bound: dict[str, str | None] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


class Cluster:
    """A scenario's cluster: admission, queue and scheduler, driven step by step."""

    def __init__(self, scenario: Object, folder: Path) -> None:
        self.scenario = scenario
        configuration = (folder / "scheduler-config.yaml").read_text()
        self.state = ClusterState(parse_profiles(yaml.safe_load(configuration)))
        self.replay = Replay()
        self.nodes = {node["name"]: node_object(node) for node in scenario["cluster"]["nodes"]}
        for node in self.nodes.values():
            self.state.add_node(node)
        self.objects = [self._home(item) for item in scenario["cluster"]["objects"]]
        self.pods: dict[str, Object] = {}
        self.pending: list[str] = []
        self.overheads = {
            item["metadata"]["name"]: item.get("overhead", {}).get("podFixed")
            for item in self.objects
            if item["kind"] == "RuntimeClass"
        }
        kinds = {
            kind: [item for item in self.objects if item["kind"] == kind]
            for kind in {item["kind"] for item in self.objects}
        }
        self.state.set_namespaces(
            [
                {"metadata": {"name": NAMESPACE, "labels": {"kubernetes.io/metadata.name": NAMESPACE}}},
                *(self._namespace(item) for item in scenario["cluster"]["namespaces"]),
            ]
        )
        self.state.set_volumes(
            kinds.get("PersistentVolumeClaim", []),
            kinds.get("PersistentVolume", []),
            kinds.get("StorageClass", []),
        )
        self.state.set_devices(
            kinds.get("ResourceClaim", []), kinds.get("ResourceSlice", []), kinds.get("DeviceClass", [])
        )
        self.budgets = kinds.get("PodDisruptionBudget", [])
        self.policies = [
            item for item in self.objects if item["kind"] in {"ResourceQuota", "LimitRange", "PriorityClass"}
        ]
        self.tenancy = _tenancy(self.policies)
        for running in scenario["cluster"]["running"]:
            pod = self._admit(pod_object(running))
            assert pod is not None
            self._bind(pod, running["node"])

    @staticmethod
    def _namespace(item: Any) -> Object:
        if isinstance(item, str):
            return {"metadata": {"name": item, "labels": {}}}
        if "metadata" in item:
            return dict(item)
        return {"metadata": {"name": item["name"], "labels": item.get("labels") or {}}}

    @staticmethod
    def _home(item: Object) -> Object:
        metadata = {"namespace": NAMESPACE, **item["metadata"]}
        return {**item, "metadata": metadata}

    @staticmethod
    def _key(pod: Object) -> str:
        return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"

    def _admit(self, pod: Object) -> Object | None:
        runtime = pod["spec"].get("runtimeClassName")
        if runtime:
            pod["spec"]["overhead"] = self.overheads[runtime]
        admitted = self.tenancy.try_admit(pod)
        if isinstance(admitted, str):
            self.replay.refused[pod["metadata"]["name"]] = admitted
            return None
        return dict(admitted)

    def _bind(self, pod: Object, node: str) -> None:
        bound = {**pod, "spec": {**pod["spec"], "nodeName": node}}
        self.state.add_pod(bound)
        take_devices(self.state, bound, node)
        self.pods[self._key(pod)] = bound
        self.replay.bound[self._key(pod)] = node

    def _delete(self, key: str) -> None:
        pod = self.pods.pop(key)
        self.state.remove_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.tenancy.release(pod)
        self.replay.bound.pop(key, None)

    def _count_budgets(self) -> None:
        """Disruptions that each budget allows, as the disruption controller counts them (minAvailable only)."""
        counted = []
        for budget in self.budgets:
            healthy = sum(
                matches(budget["spec"]["selector"], pod["metadata"]["labels"])
                for pod in self.pods.values()
                if pod["spec"].get("nodeName")
            )
            allowed = max(0, healthy - int(budget["spec"].get("minAvailable", 0)))
            counted.append({**budget, "status": {"disruptionsAllowed": allowed}})
        self.state.set_budgets(counted)

    def create(self, recorded: Object) -> None:
        pod = self._admit(pod_object(recorded))
        if pod is None:
            return
        key = self._key(pod)
        self.pods[key] = pod
        self.replay.bound[key] = None
        if pod["spec"].get("nodeName"):
            self._bind(pod, pod["spec"]["nodeName"])
            return
        self.pending.append(key)

    def request(self, request: Object) -> None:
        """A deletion, or a merge patch of a node or a pod."""
        parts = request["path"].strip("/").split("/")
        name = parts[-1]
        if request["method"] == "DELETE":
            key = f"{NAMESPACE}/{name}"
            self._delete(key)
            self.replay.gone.add(key)
        elif "nodes" in parts:
            self.nodes[name]["spec"] |= {k: v or [] for k, v in request["body"]["spec"].items()}
            self.state.update_node(self.nodes[name])
        else:
            pod = self.pods[f"{NAMESPACE}/{name}"]
            pod["spec"] = {**pod["spec"], **request["body"]["spec"]}

    def complete(self) -> None:
        """Pods that the recording's kubelet was told to end have ended: their room is free."""
        for pod in self.pods.values():
            if "fake-kubelet/exit" in pod["metadata"]["annotations"] and pod["spec"].get("nodeName"):
                self.state.remove_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def settle(self) -> None:
        """Run the queue until nothing changes.

        Pods that failed before come back as their back-off ends, the one that failed first first; pods that were never
        tried are in the active queue at once, by priority.
        """
        changed = True
        while changed:
            changed = False
            failed = [key for key in self.pending if key in self.replay.messages]
            new = [key for key in self.pending if key not in self.replay.messages]
            new.sort(key=lambda key: queue_key(self.pods[key], self.pending.index(key)))
            for key in (*new, *failed):
                changed |= self._try(key)
                if changed:
                    break

    def _try(self, key: str) -> bool:
        pod = self.pods[key]
        self._count_budgets()
        recorded = self.scenario["result"]["pods"].get(key, {}).get("node")

        def choose(tied: tuple[str, ...]) -> str:
            return recorded if recorded in tied else tied[0]

        decision = schedule(self.state, pod, choose)
        self.replay.decisions[key] = decision
        if decision.gated:
            return False
        if decision.node is not None:
            self.pending.remove(key)
            self._bind(pod, decision.node)
            return True
        self.replay.messages.setdefault(key, []).append(decision.message)
        if not decision.victims:
            return False
        assert decision.nominated is not None
        self.state.nominate(pod, decision.nominated)
        pod["status"] = {"nominatedNodeName": decision.nominated}
        for namespace, name in decision.victims:
            victim = f"{namespace}/{name}"
            self._delete(victim)
            self.replay.gone.add(victim)
        return True


class _Open:
    """Admission where the twin's is not asked: everything is admitted, with the priority of its class."""

    def __init__(self, policies: list[Object]) -> None:
        self.values = {
            item["metadata"]["name"]: item["value"] for item in policies if item["kind"] == "PriorityClass"
        }

    def try_admit(self, pod: Object) -> Object:
        priority = self.values.get(pod["spec"].get("priorityClassName", ""), 0)
        return {**pod, "spec": {**pod["spec"], "priority": priority}}

    def release(self, pod: Object) -> None:
        """Nothing was counted."""


def _tenancy(policies: list[Object]) -> Any:
    try:
        from stoker.twin.admission import Tenancy
    except ImportError:
        return _Open(policies)
    return Tenancy(policies)


def replay(path: Path) -> tuple[Object, Replay]:
    """Run a recorded scenario through the twin's scheduler."""
    scenario = json.loads(path.read_text())
    cluster = Cluster(scenario, path.parent)
    for step in scenario["steps"]:
        if "pod" in step:
            cluster.create(step["pod"])
        elif "req" in step:
            cluster.request(step["req"])
        else:
            cluster.complete()
        if not step.get("nowait"):
            cluster.settle()
    return scenario, cluster.replay
