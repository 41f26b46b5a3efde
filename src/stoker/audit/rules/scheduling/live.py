"""Live nodes and pods: GPUs that are missing, idle, or free where nothing fits."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.audit.view.workloads import gpu_resource
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item
from stoker.sizing.report import HOURS_PER_MONTH

_SCHEDULER: Final = "kubernetes 1.36 pkg/scheduler/framework/plugins (FailedScheduling messages)"
_DEVICES: Final = "https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/"
_ENDED: Final = frozenset(("Succeeded", "Failed"))


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """GPUs of one resource: by node what is allocatable and what bound pods hold, and the pods that wait."""

    resource: str
    allocatable: Mapping[str, int]
    held: Mapping[str, int]
    waiting: tuple[tuple[Item, int], ...]

    def free(self, node: str) -> int:
        return max(0, self.allocatable.get(node, 0) - self.held.get(node, 0))

    @property
    def idle(self) -> int:
        return sum(self.free(node) for node in self.allocatable)


_FLEETS: Final[WeakKeyDictionary[View, tuple[Fleet, ...]]] = WeakKeyDictionary()


def fleets(view: View) -> tuple[Fleet, ...]:
    """One fleet for each GPU resource, from one pass over nodes and pods."""
    if view not in _FLEETS:
        _FLEETS[view] = tuple(_fleets(view))
    return _FLEETS[view]


def _fleets(view: View) -> Iterator[Fleet]:
    if not view.observed:
        return
    allocatable: dict[str, dict[str, int]] = defaultdict(dict)
    for node in view.of("Node"):
        for name, amount in node.section("status", "allocatable").items():
            if gpu_resource(name):
                allocatable[name][node.name] = int(parse(amount) or 0)
    held: dict[str, Counter[str]] = defaultdict(Counter)
    waiting: dict[str, list[tuple[Item, int]]] = defaultdict(list)
    for pod, gpus in view.gpu_pods:
        if pod.status.get("phase") in _ENDED:
            continue
        for name, amount in gpus.items():
            node_name = pod.spec.get("nodeName")
            if node_name:
                held[name][str(node_name)] += amount
            else:
                waiting[name].append((pod, amount))
    for name in sorted(allocatable):
        yield Fleet(name, allocatable[name], held[name], tuple(waiting[name]))


def _gpu_nodes(view: View) -> Iterator[Item]:
    if view.observed:
        for node in view.of("Node"):
            labelled = (
                node.labels.get("nvidia.com/gpu.present") == "true" or "nvidia.com/gpu.product" in node.labels
            )
            if (
                labelled
                or node.name in view.node_gpus
                or any(gpu_resource(n) for n in node.section("status", "capacity"))
            ):
                yield node


@rule(
    "node-gpus-unhealthy",
    Area.SCHEDULING,
    Severity.ERROR,
    title="Node has fewer schedulable GPUs than it has GPUs",
    why="The device plugin took the GPU out: an XID, a fallen link, a driver mismatch. It is paid for, and a pod that needs the whole node never fits.",
    fix="Read the plugin's log and `nvidia-smi` on the node; drain, reset or replace.",
    references=(_DEVICES,),
    on=_gpu_nodes,
    needs="live",
)
def _node_gpus_unhealthy(node: Item, view: View) -> Iterator[Hit]:
    capacity, allocatable = node.section("status", "capacity"), node.section("status", "allocatable")
    for name, amount in capacity.items():
        if gpu_resource(name):
            have, usable = int(parse(amount) or 0), int(parse(allocatable.get(name, "0")) or 0)
            if usable < have:
                yield Hit(
                    node,
                    ("status", "allocatable", name),
                    f"{usable} of {have} {name} can be scheduled",
                    usable,
                )


@rule(
    "node-advertises-no-gpu",
    Area.SCHEDULING,
    Severity.ERROR,
    title="GPU node advertises no GPU",
    why="Without a running device plugin the node has no nvidia.com/gpu: its GPUs idle at full price and GPU pods stay Pending beside them.",
    fix="See why the device plugin is not on the node: taints, node selector, driver or container toolkit.",
    references=(_DEVICES,),
    on=_gpu_nodes,
    needs="live",
)
def _node_advertises_no_gpu(node: Item, view: View) -> Iterator[Hit]:
    if not any(gpu_resource(name) for name in node.section("status", "capacity")) and "Ready" in _conditions(
        node, "True"
    ):
        if _drivers(view):
            return  # DRA publishes devices in ResourceSlices instead
        label = (
            node.labels.get("nvidia.com/gpu.product")
            or node.labels.get("node.kubernetes.io/instance-type")
            or "its labels"
        )
        yield Hit(node, ("status", "capacity"), f"{node.name} has GPUs by {label} and advertises none")


def _drivers(view: View) -> bool:
    return bool(view.of("DeviceClass.resource.k8s.io"))


def _conditions(item: Item, status: str) -> set[str]:
    return {str(c.get("type")) for c in item.status.get("conditions") or [] if c.get("status") == status}


@rule(
    "node-out-of-service",
    Area.SCHEDULING,
    Severity.WARNING,
    title="GPU node takes no pods",
    why="Its GPUs are paid for and used by nobody, often for weeks after the incident that it was cordoned for.",
    fix="Uncordon it, repair it, or give it back.",
    references=("https://kubernetes.io/docs/concepts/architecture/nodes/#condition",),
    on=_gpu_nodes,
    needs="live",
)
def _node_out_of_service(node: Item, view: View) -> Iterator[Hit]:
    gpus = sum(int(parse(a) or 0) for n, a in node.section("status", "capacity").items() if gpu_resource(n))
    cost = _cost(view, node.name, gpus)
    if node.spec.get("unschedulable"):
        yield Hit(node, ("spec", "unschedulable"), f"{node.name} is cordoned with {gpus} GPUs{cost}", True)
    elif node.status.get("conditions") and "Ready" not in _conditions(node, "True"):
        yield Hit(node, ("status", "conditions"), f"{node.name} is not Ready with {gpus} GPUs{cost}")


def _cost(view: View, node: str, gpus: int) -> str:
    gpu = view.node_gpus.get(node)
    if gpu is None or not gpu.prices or not gpus:
        return ""
    return f", ${gpus * gpu.prices[0].usd_per_gpu_hour * HOURS_PER_MONTH:,.0f} a month at list price"


@rule(
    "gpus-idle",
    Area.SCHEDULING,
    Severity.WARNING,
    title="GPUs that no pod holds",
    why="An allocated GPU may be badly used; a free one is not used at all, and costs the same.",
    fix="Shrink the node group, or let batch work borrow them.",
    references=("list prices of the catalogue (stoker catalog gpus)",),
    on=lambda view: [f for f in fleets(view) if view.of("Pod")],
    needs="live",
)
def _gpus_idle(fleet: Fleet, view: View) -> Iterator[Hit]:
    total = sum(fleet.allocatable.values())
    if not total or fleet.waiting or fleet.idle / total < 0.3:  # room for a surge and for a lost node
        return
    node = max(fleet.allocatable, key=fleet.free)
    gpus = {n: g for n in fleet.allocatable if (g := view.node_gpus.get(n)) and g.prices}
    dollars = sum(fleet.free(n) * gpus[n].prices[0].usd_per_gpu_hour * HOURS_PER_MONTH for n in gpus)
    cost = f", ${dollars:,.0f} a month at list price" if dollars else ""
    item = view.snapshot.get("Node", "", node)
    if item is not None:
        yield Hit(
            item,
            ("status", "allocatable", fleet.resource),
            f"{fleet.idle} of {total} {fleet.resource} are held by no pod{cost}; {node} has the most, {fleet.free(node)}",
            fleet.idle,
        )


@rule(
    "gpus-fragmented",
    Area.SCHEDULING,
    Severity.ERROR,
    title="Free GPUs that no waiting pod can use",
    why="The GPUs are there, scattered over nodes in ones and twos, while pods that need four together wait. More nodes are bought for room that exists.",
    fix="Pack pods with a MostAllocated scheduler profile, and move small pods together.",
    references=("kubernetes 1.36 pkg/scheduler/apis/config/types_pluginargs.go:194 (scoringStrategy)",),
    on=lambda view: [f for f in fleets(view) if f.waiting],
    needs="live",
)
def _gpus_fragmented(fleet: Fleet, view: View) -> Iterator[Hit]:
    largest = max((fleet.free(node) for node in fleet.allocatable), default=0)
    stuck = [(pod, gpus) for pod, gpus in fleet.waiting if largest < gpus <= fleet.idle]
    if stuck:
        pod, gpus = stuck[0]
        yield Hit(
            pod, ("spec", "containers"),
            f"{len(stuck)} pods wait, this one for {gpus} {fleet.resource}: {fleet.idle} are free, at most {largest} on one node", gpus,
        )  # fmt: skip


_REASONS: Final = (
    (re.compile(r"Insufficient (\S+gpu\S*|nvidia\.com/\S+)"), "the nodes that match have no free GPUs: lower the demand, free some, or add nodes"),
    (re.compile(r"untolerated taint"), "its tolerations do not cover the nodes' taints"),
    (re.compile(r"anti-affinity"), "required anti-affinity keeps it off nodes that have one already"),
    (re.compile(r"didn't match Pod's node affinity|node selector"), "no node has the labels that it asks for"),
    (re.compile(r"volume node affinity|unbound immediate|PersistentVolumeClaim"), "its volume is bound elsewhere or not at all"),
    (re.compile(r"Insufficient (cpu|memory|ephemeral-storage)"), "the nodes' CPU or memory is used up beside free GPUs"),
    (re.compile(r"topology spread"), "a hard spread constraint leaves no place"),
)  # fmt: skip


def _placed(view: View) -> Iterator[tuple[Item, str, int]]:
    """GPU pods by owner and by what the scheduler said of them (nothing where they are placed), one for each, with their number."""
    if not view.observed:
        return
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for pod, _ in view.gpu_pods:
        if pod.status.get("phase") in _ENDED:
            continue
        owners = pod.section("metadata").get("ownerReferences") or [{}]
        groups[str(owners[0].get("uid") or pod.name), _refusal(pod)].append(pod)
    for (_, message), pods in groups.items():
        yield pods[0], message, len(pods)


def _refusal(pod: Item) -> str:
    """Why the scheduler does not place a pending pod; empty where it did or has not tried."""
    if pod.status.get("phase") != "Pending":
        return ""
    for condition in pod.status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason") or "no reason given")
    return ""


@rule(
    "pod-unschedulable",
    Area.SCHEDULING,
    Severity.ERROR,
    title="GPU pod that the scheduler cannot place",
    why="The replica that was asked for does not exist: at the peak, in a rollout or after a node was lost. It counts against the quota all the same.",
    fix="Follow the scheduler's reason: free GPUs, tolerations, labels, volumes or spread.",
    references=(_SCHEDULER,),
    on=_placed,
    needs="live",
)
def _pod_unschedulable(subject: tuple[Item, str, int], view: View) -> Iterator[Hit]:
    pod, message, count = subject
    if not message:
        return
    meanings = [meaning for pattern, meaning in _REASONS if pattern.search(message)]
    more = f", with {count - 1} more of its kind" if count > 1 else ""
    told = f": {'; '.join(meanings)}" if meanings else ""
    yield Hit(
        pod,
        ("status", "conditions"),
        f"{pod.name} is unschedulable{more}{told} (scheduler: {message[:240]})",
        message,
    )


def _lost(view: View) -> Iterator[Item]:
    if view.observed:
        yield from (pod for pod, _ in view.gpu_pods)


@rule(
    "pod-evicted-or-preempted",
    Area.TENANCY,
    Severity.WARNING,
    title="GPU pod was evicted or preempted",
    why="Node pressure takes pods above their requests first, preemption those of lower priority: a model server that is hit loads for minutes elsewhere, if there is an elsewhere.",
    fix="Set requests equal to limits, give servers the higher priority, and a disruption budget.",
    references=(
        "kubernetes 1.36 pkg/kubelet/eviction/helpers.go:816-832",
        "https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions",
    ),
    on=_lost,
    needs="live",
)
def _pod_evicted_or_preempted(pod: Item, view: View) -> Iterator[Hit]:
    if pod.status.get("reason") == "Evicted":
        yield Hit(
            pod, ("status", "reason"), f"evicted: {str(pod.status.get('message') or '')[:200]}", "Evicted"
        )
        return
    for condition in pod.status.get("conditions") or []:
        if (
            condition.get("type") == "DisruptionTarget"
            and condition.get("status") == "True"
            and condition.get("reason") in {"PreemptionByScheduler", "TerminationByKubelet"}
        ):
            yield Hit(
                pod,
                ("status", "conditions"),
                f"{condition['reason']}: {str(condition.get('message') or '')[:200]}",
                condition["reason"],
            )
