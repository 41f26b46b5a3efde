"""The recorded scenarios of a real kube-scheduler as Kubernetes objects, and the twin's replay of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stoker.kube.selectors import matches, untolerated
from stoker.twin.scheduler import (
    ClusterState,
    Decision,
    bind_volumes,
    parse_profiles,
    queue_key,
    schedule,
    take_devices,
)

NAMESPACE = "@NS@"
_POLICIES = {"ResourceQuota", "LimitRange", "PriorityClass", "RuntimeClass"}
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
    if not recorded.get("ready", True):
        taints.append({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})
    return _with_cordon(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints, "unschedulable": recorded.get("unschedulable", False)},
            "status": {"allocatable": amounts, "capacity": amounts, "images": recorded.get("images") or []},
        }
    )


def _with_cordon(node: Object) -> Object:
    """The node lifecycle controller puts a taint on a cordoned node, and takes it off again."""
    key = "node.kubernetes.io/unschedulable"
    taints = [taint for taint in node["spec"].get("taints") or () if taint["key"] != key]
    if node["spec"].get("unschedulable"):
        taints.append({"key": key, "effect": "NoSchedule"})
    return {**node, "spec": {**node["spec"], "taints": taints}}


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


def _patched(item: Object, patch: Object) -> Object:
    """A JSON merge patch (RFC 7386)."""
    found = dict(item)
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = _patched(found.get(key) or {}, value)
        else:
            found[key] = value
    return found


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
        self._load()
        for running in scenario["cluster"]["running"]:
            pod = self._admit(pod_object(running))
            assert pod is not None
            self._bind(pod, running["node"])

    def _load(self) -> None:
        """Tell the scheduler and admission of all objects but nodes and pods."""
        kinds = {
            kind: [item for item in self.objects if item["kind"] == kind]
            for kind in {item["kind"] for item in self.objects}
        }
        self.state.set_namespaces(
            [
                {"metadata": {"name": NAMESPACE, "labels": {"kubernetes.io/metadata.name": NAMESPACE}}},
                *(self._namespace(item) for item in self.scenario["cluster"]["namespaces"]),
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
        self.state.set_storage(
            kinds.get("CSINode", []), kinds.get("CSIDriver", []), kinds.get("CSIStorageCapacity", [])
        )
        self.state.set_services(kinds.get("Service", []))
        self.templates = {item["metadata"]["name"]: item for item in kinds.get("ResourceClaimTemplate", [])}
        self.budgets = kinds.get("PodDisruptionBudget", [])
        self.policies = [item for item in self.objects if item["kind"] in _POLICIES]
        self.tenancy = _tenancy(self.policies)
        for pod in self.pods.values():
            self.tenancy.try_admit(pod)

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
        admitted = self.tenancy.try_admit(pod)
        if isinstance(admitted, str):
            self.replay.refused[pod["metadata"]["name"]] = admitted
            return None
        return self._with_claims(dict(admitted))

    def _with_claims(self, pod: Object) -> Object:
        """Claims that controllers make for a pod: of ephemeral volumes, and from templates of ResourceClaims."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes") or ():
            if volume.get("ephemeral"):
                metadata = {"name": f"{name}-{volume['name']}", "namespace": namespace}
                spec = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
                self.state.claims[namespace, metadata["name"]] = {"metadata": metadata, "spec": spec}
        made = []
        for entry in pod["spec"].get("resourceClaims") or ():
            template = self.templates.get(entry.get("resourceClaimTemplateName", ""))
            if template is not None:
                metadata = {"name": f"{name}-{entry['name']}-made", "namespace": namespace}
                claim = {"metadata": metadata, "spec": template["spec"]["spec"]}
                self.state.resource_claims[namespace, metadata["name"]] = claim
                made.append({"name": entry["name"], "resourceClaimName": metadata["name"]})
        return {**pod, "status": {"resourceClaimStatuses": made}} if made else pod

    def _bind(self, pod: Object, node: str) -> None:
        bound = {**pod, "spec": {**pod["spec"], "nodeName": node}}
        made = len(self.state.selected)
        bind_volumes(self.state, bound, node)
        take_devices(self.state, bound, node)
        self.state.add_pod(bound)
        self.pods[self._key(pod)] = bound
        # No driver made volumes when the recordings were: a pod that needs one has its room, and is not bound.
        waits = len(self.state.selected) > made and self._recorded(self._key(pod)) is None
        self.replay.bound[self._key(pod)] = None if waits else node

    def _recorded(self, key: str) -> Any:
        return self.scenario["result"]["pods"].get(key, {}).get("node")

    def _delete(self, key: str) -> None:
        pod = self.pods.pop(key)
        self.state.remove_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.tenancy.release(pod)
        self.replay.bound.pop(key, None)

    def _count_budgets(self) -> None:
        """Disruptions that each budget allows, as the disruption controller counts them.

        Pods of no controller count for a number in minAvailable only (pkg/controller/disruption getExpectedPodCount).
        """
        counted = []
        for budget in self.budgets:
            healthy = sum(
                matches(budget["spec"]["selector"], pod["metadata"]["labels"])
                for pod in self.pods.values()
                if pod["spec"].get("nodeName")
            )
            least = budget["spec"].get("minAvailable")
            allowed = max(0, healthy - least) if isinstance(least, int) else 0
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
        # Nobody looks after a pod that asks for a scheduler that is not there.
        if (pod["spec"].get("schedulerName") or "default-scheduler") in self.state.profiles:
            self.pending.append(key)

    def request(self, request: Object) -> None:
        """A deletion, a creation, or a patch of a node or a pod."""
        parts = request["path"].strip("/").removesuffix("/status").split("/")
        kind, name = parts[-2:]
        if request["method"] == "POST":
            self.objects.append(self._home(request["body"]))
            self._load()
        elif request["method"] == "DELETE" and kind == "pods":
            key = f"{parts[-3]}/{name}"
            self._delete(key)
            self.replay.gone.add(key)
        elif request["method"] == "DELETE" and kind == "nodes":
            self.state.remove_node(name)
        elif request["method"] == "DELETE":
            self.objects = [
                item
                for item in self.objects
                if item["metadata"]["name"] != name or not kind.startswith(item["kind"].lower())
            ]
            self._load()
        elif kind == "nodes":
            self.nodes[name] = _with_cordon(_patched(self.nodes[name], request["body"]))
            self.state.update_node(self.nodes[name])
            self._evict(name)
        elif kind == "pods":
            pod = self.pods[f"{parts[-3]}/{name}"]
            pod.update(_patched(pod, request["body"]))

    def _evict(self, node: str) -> None:
        """Pods that do not tolerate a NoExecute taint have to go (pkg/controller/tainteviction)."""
        for key, pod in list(self.pods.items()):
            taints = [t for t in self.nodes[node]["spec"].get("taints") or () if t["effect"] == "NoExecute"]
            if pod["spec"].get("nodeName") == node and untolerated(
                taints, pod["spec"].get("tolerations") or ()
            ):
                self._delete(key)
                self.replay.gone.add(key)

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
        recorded = self._recorded(key)

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
        pod["status"] = {**(pod.get("status") or {}), "nominatedNodeName": decision.nominated}
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
