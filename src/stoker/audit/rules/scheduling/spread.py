"""Anti-affinity, spread and rollouts: replicas that keep each other out."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Op, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.view.nodes import NodeClass
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.kube.quantities import parse
from stoker.kube.selectors import matches, node_fits
from stoker.kube.snapshot import Item

_HOST: Final = "kubernetes.io/hostname"
_ROLLOUT: Final = "observed on a real 1.36 API server and scheduler: rollout stuck at UP-TO-DATE 1"
_DEPLOYMENT: Final = (
    "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment"
)
_SPREAD: Final = "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/"


def repels_itself(workload: Workload) -> tuple[int, Mapping[str, Any]] | None:
    """The required anti-affinity term on host names that matches the workload's own pods, and its index."""
    affinity = (workload.pod.get("affinity") or {}).get("podAntiAffinity") or {}
    for index, term in enumerate(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []):
        own = matches(term.get("labelSelector"), workload.labels) and "pod-template-hash" not in (
            term.get("matchLabelKeys") or []
        )
        elsewhere = term.get("namespaces") and workload.namespace not in term["namespaces"]
        if term.get("topologyKey") == _HOST and own and not elsewhere:
            return index, term
    return None


def _repelling(view: View) -> Iterator[Workload]:
    for workload in view.gpu_workloads:
        affinity = (workload.pod.get("affinity") or {}).get("podAntiAffinity") or {}
        if affinity.get("requiredDuringSchedulingIgnoredDuringExecution") and workload.serves:
            yield workload


def _bounds(workload: Workload, replicas: int) -> tuple[int, int]:
    """Surge and unavailable pods of a Deployment in pods: surge rounds up, unavailable down, never both 0.

    Source: kubernetes pkg/controller/deployment/util ResolveFenceposts.
    """
    spec = (
        workload.item.section("spec", "strategy")
        if workload.item.kind in {"Deployment", "Rollout"}
        else workload.pod.get("deploymentStrategy") or {}
    )
    rolling = spec.get("rollingUpdate") or {}
    surge = _amount(str(rolling.get("maxSurge", "25%")), replicas, math.ceil)
    unavailable = _amount(str(rolling.get("maxUnavailable", "25%")), replicas, math.floor)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _amount(text: str, replicas: int, rounding: Any) -> int:
    if text.endswith("%") and text[:-1].isdigit():
        return int(rounding(int(text[:-1]) * replicas / 100))
    return int(text) if text.isdigit() else 0


def _nodes(workload: Workload, view: View) -> list[NodeClass]:
    """Classes of nodes that the workload may run on."""
    return [
        c
        for c in view.node_classes
        if node_fits(workload.pod, c.one.name, c.one.labels) and not c.one.spec.get("unschedulable")
    ]


@rule(
    "rollout-deadlock",
    Area.SCHEDULING,
    Severity.ERROR,
    title="Rollout that can never finish: the new pod is kept off by the old ones",
    why=(
        "Required anti-affinity lets one pod of the app onto a node. The default strategy starts a new pod before it stops an old "
        "one; with as many nodes as replicas the new pod has no place and nothing is ever stopped. The fix for the incident does "
        "not roll out."
    ),
    fix="Roll with maxSurge 0 and maxUnavailable 1, or spread softly with topologySpreadConstraints.",
    references=(_ROLLOUT, _DEPLOYMENT),
    on=lambda view: (
        w for w in _repelling(view) if w.item.kind in {"Deployment", "Rollout", "InferenceService"}
    ),
)
def _rollout_deadlock(workload: Workload, view: View) -> Iterator[Hit]:
    found = repels_itself(workload)
    strategy = workload.item.section("spec", "strategy")
    if found is None or strategy.get("type") == "Recreate":
        return
    replicas = max(1, workload.minimum, view.replicas(workload)[0])
    surge, unavailable = _bounds(workload, replicas)
    nodes = sum(c.count for c in _nodes(workload, view))
    if unavailable or not surge or nodes > replicas:
        return
    path = (
        ("spec", "strategy")
        if workload.item.kind != "InferenceService"
        else (*workload.path, "deploymentStrategy")
    )
    value = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    have = f"{nodes} nodes" if nodes else "no node to spare"
    yield Hit(
        workload.item, path, f"with {replicas} replicas maxSurge is {surge} and maxUnavailable 0: the surge pod needs a free node, and with {have} it waits for ever",
        strategy or None, Fix("Stop one pod before starting the next", (add(path, value),)),
    )  # fmt: skip


@rule(
    "one-replica-per-gpu-node",
    Area.SCHEDULING,
    Severity.WARNING,
    title="Required anti-affinity allows one replica on a whole GPU node",
    why=(
        "An 8-GPU node carries one pod of one GPU: this app can use no other GPU of it, and every further replica needs another "
        "node. Scale-out ends with the nodes, not with the GPUs, while the bill says the GPUs idle."
    ),
    fix="Use topologySpreadConstraints with whenUnsatisfiable ScheduleAnyway, or preferred anti-affinity.",
    references=(_SPREAD,),
    on=_repelling,
)
def _one_replica_per_gpu_node(workload: Workload, view: View) -> Iterator[Hit]:
    found = repels_itself(workload)
    if found is None:
        return
    per_pod = max(workload.gpus.values(), default=0)
    guess = view.gpu(workload)
    sizes = [
        int(parse(c.one.section("status", "allocatable").get(r, "0")) or 0)
        for c in _nodes(workload, view)
        for r in workload.gpus
    ]
    per_node = max(sizes, default=0) or (guess.gpu.gpus_per_node if guess else 0)
    if not per_node or per_pod >= per_node:
        return
    index, _ = found
    path = (
        *workload.path,
        "affinity",
        "podAntiAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        index,
    )
    most = view.replicas(workload)[1]
    yield Hit(
        workload.item,
        path,
        f"each pod takes {per_pod} of {per_node} GPUs and a node to itself: {most} replicas need {most} nodes",
    )


@rule(
    "replicas-need-more-nodes",
    Area.SCHEDULING,
    Severity.ERROR,
    title="More replicas than nodes that may carry one each",
    why="The replicas beyond the nodes stay Pending, and still use up the namespace's GPU quota: nothing else can start either.",
    fix="Spread softly, add nodes, or lower the replicas.",
    references=("observed on a real 1.36 API server: 2 Running, 6 Pending, quota 8/8 used",),
    on=lambda view: (w for w in _repelling(view) if view.of("Node")),
)
def _replicas_need_more_nodes(workload: Workload, view: View) -> Iterator[Hit]:
    if repels_itself(workload) is None:
        return
    nodes, most = sum(c.count for c in _nodes(workload, view)), view.replicas(workload)[1]
    if most > nodes:
        yield Hit(
            workload.item,
            (*workload.path, "affinity"),
            f"{most} replicas, one a node, and {nodes} nodes match",
            most,
        )


def _spreading(view: View) -> Iterator[tuple[Workload, int, Mapping[str, Any]]]:
    for workload in view.gpu_workloads:
        if workload.complete or workload.labels:
            for index, constraint in enumerate(workload.pod.get("topologySpreadConstraints") or []):
                yield workload, index, constraint


@rule(
    "spread-selects-other-pods",
    Area.SCHEDULING,
    Severity.WARNING,
    title="Spread constraint that does not select the workload's own pods",
    why="The scheduler counts other pods and takes every node for empty: all replicas may land on one node, and one drain is an outage.",
    fix="Select the pods' own labels.",
    references=(_SPREAD,),
    on=lambda view: (entry for entry in _spreading(view) if entry[0].complete),
)
def _spread_selects_other_pods(subject: tuple[Workload, int, Mapping[str, Any]], view: View) -> Iterator[Hit]:
    workload, index, constraint = subject
    selector = constraint.get("labelSelector")
    if not selector or not matches(selector, workload.labels):
        path = (*workload.path, "topologySpreadConstraints", index, "labelSelector")
        value = {"matchLabels": dict(workload.labels)}
        yield Hit(workload.item, path, "the selector does not match the pods' own labels", selector,
                  Fix("Select the pods' own labels", (add(path, value),) if workload.labels else ()))  # fmt: skip


def _budgets(view: View) -> Iterator[Item]:
    yield from view.of("PodDisruptionBudget.policy")


def _guarded(budget: Item, view: View) -> list[Workload]:
    return [
        w for w in view.workloads_in(budget.namespace)
        if not w.template and matches(budget.spec.get("selector"), w.labels)
    ]  # fmt: skip


@rule(
    "budget-blocks-every-drain",
    Area.SCHEDULING,
    Severity.WARNING,
    title="PodDisruptionBudget that allows no disruption",
    why="`kubectl drain` waits for ever: node upgrades hang, and at the deadline somebody deletes the pods by hand, all at once.",
    fix="Use maxUnavailable 1, and two replicas where one may not be missed.",
    references=("https://kubernetes.io/docs/tasks/run-application/configure-pdb/",),
    on=lambda view: (b for b in _budgets(view) if any(w.uses_gpu for w in _guarded(b, view))),
)
def _budget_blocks_every_drain(budget: Item, view: View) -> Iterator[Hit]:
    least, unavailable = budget.spec.get("minAvailable"), budget.spec.get("maxUnavailable")
    replicas = sum(view.replicas(w)[0] for w in _guarded(budget, view))
    drop: tuple[Op, ...] = () if least is None else (remove(("spec", "minAvailable")),)
    fix = Fix("Allow one at a time", (add(("spec", "maxUnavailable"), 1), *drop))
    if unavailable in {"0", "0%"}:
        yield Hit(budget, ("spec", "maxUnavailable"), f"maxUnavailable is {unavailable}", unavailable, fix)
    elif least == "100%" or (least is not None and least.isdigit() and 0 < replicas <= int(least)):
        yield Hit(
            budget,
            ("spec", "minAvailable"),
            f"minAvailable {least} of {replicas} replicas leaves none to move",
            least,
            fix,
        )


@rule(
    "budget-selects-nothing",
    Area.SCHEDULING,
    Severity.WARNING,
    title="PodDisruptionBudget that selects no pods of its namespace",
    why="A drain takes every replica at once: the budget that was to prevent it guards nothing.",
    fix="Select the labels of the pods.",
    references=("https://kubernetes.io/docs/tasks/run-application/configure-pdb/",),
    on=lambda view: (b for b in _budgets(view) if any(w.uses_gpu for w in view.workloads_in(b.namespace))),
)
def _budget_selects_nothing(budget: Item, view: View) -> Iterator[Hit]:
    if not _guarded(budget, view) and budget.spec.get("selector"):
        yield Hit(
            budget,
            ("spec", "selector"),
            f"no workload of {budget.namespace or 'this namespace'} has these labels",
            budget.spec["selector"],
        )
