"""Priorities: who is thrown out for whom."""

import re
from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.kube.snapshot import Item

_CLASS: Final = "PriorityClass.scheduling.k8s.io"
_PREEMPTION: Final = "kubernetes 1.36 pkg/scheduler/framework/preemption/preemption.go:189-364"
_LOW: Final = re.compile(
    r"experiment|notebook|batch|best-?effort|dev\b|sandbox|scavenge|idle|low", re.IGNORECASE
)
_HIGHEST: Final = 1_000_000_000
_ROOM: Final = 10_000
_OBSERVED: Final = (
    "observed on a real 1.36 API server: a priority-50 notebook preempts a vLLM pod without a class"
)


def _own_classes(view: View) -> list[Item]:
    return [item for item in view.of(_CLASS) if not item.name.startswith("system-")]


def _value(item: Item) -> int:
    value = item.obj.get("value", 0)
    return value if isinstance(value, int) else 0


def _priority(workload: Workload, view: View) -> int | None:
    """Priority of a workload's pods as far as it is known here."""
    name = workload.pod.get("priorityClassName")
    if name:
        found = view.snapshot.get(_CLASS, "", str(name))
        return _value(found) if found else None
    default = next((_value(item) for item in _own_classes(view) if item.obj.get("globalDefault")), 0)
    number = workload.pod.get("priority")
    return number if isinstance(number, int) else default


def _serving(view: View) -> Iterator[Workload]:
    """Inference servers in a source that shows its priority classes."""
    if not _own_classes(view):
        return
    seen: set[int] = set()
    for server in view.running_servers:
        workload = server.workload
        if workload.serves and workload.uses_gpu and id(workload) not in seen:
            seen.add(id(workload))
            yield workload


@rule(
    "server-outranked-by-default",
    Area.TENANCY,
    Severity.ERROR,
    title="Model server has no priority, so any class outranks it",
    why=(
        "Without priorityClassName the pods have priority 0. A notebook of the lowest class that is above 0 preempts the "
        "production server: the scheduler deletes it, and it loads for minutes, if it finds a GPU at all."
    ),
    fix="Set priorityClassName of the production class.",
    references=(_PREEMPTION, _OBSERVED),
    on=_serving,
)
def _server_outranked_by_default(workload: Workload, view: View) -> Iterator[Hit]:
    if workload.pod.get("priorityClassName") or (
        workload.item.kind == "InferenceService" and not workload.complete and _runtime_sets(view)
    ):
        return
    own = _priority(workload, view) or 0
    above = [
        item
        for item in _own_classes(view)
        if _value(item) > own and item.obj.get("preemptionPolicy") != "Never"
    ]
    if above:
        lowest, highest = min(above, key=_value), max(above, key=_value)
        path = (*workload.path, "priorityClassName")
        meant = not _LOW.search(highest.name)  # a class for notebooks is none for production
        fix = (
            Fix(f"Use {highest.name}, the highest class here", (add(path, highest.name),)) if meant else None
        )
        told = f"its pods have priority {own}: even {lowest.name} ({_value(lowest)}) preempts them"
        yield Hit(
            workload.item, path, told, None, fix or Fix(f"Make a class for production above {highest.name}")
        )


def _runtime_sets(view: View) -> bool:
    """Whether a runtime of the source gives its pods a class."""
    runtimes = view.of("ServingRuntime.serving.kserve.io", "ClusterServingRuntime.serving.kserve.io")
    return any(item.spec.get("priorityClassName") for item in runtimes)


def _pairs(view: View) -> Iterator[tuple[Workload, list[Workload]]]:
    jobs = [w for w in view.gpu_workloads if not w.serves or w.item.kind == "Pod"]
    if jobs:
        for workload in _serving(view):
            yield workload, jobs


@rule(
    "training-outranks-serving",
    Area.TENANCY,
    Severity.ERROR,
    title="A batch workload has a higher priority than a model server",
    why="When GPUs are short the scheduler deletes the server to place the job: users see errors so that a training run starts a bit earlier.",
    fix="Give the server the higher class.",
    references=(_PREEMPTION,),
    on=_pairs,
)
def _training_outranks_serving(subject: tuple[Workload, list[Workload]], view: View) -> Iterator[Hit]:
    workload, jobs = subject
    own = _priority(workload, view)
    for job in jobs:
        other = _priority(job, view)
        if (
            own is not None
            and other is not None
            and other > own
            and job.pod.get("preemptionPolicy") != "Never"
            and job.item is not workload.item
        ):
            yield Hit(
                workload.item,
                (*workload.path, "priorityClassName"),
                f"{job} has priority {other}, the server {own}",
                workload.pod.get("priorityClassName"),
            )


@rule(
    "priority-classes-unused",
    Area.TENANCY,
    Severity.WARNING,
    title="PriorityClass that no workload of the source uses",
    why="The class protects nobody until pods name it; the cluster looks governed and is not.",
    fix="Name it in priorityClassName of the workloads it is meant for, or drop it.",
    references=("https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/",),
    on=lambda view: _own_classes(view) if view.gpu_workloads else [],
)
def _priority_classes_unused(item: Item, view: View) -> Iterator[Hit]:
    used = {str(w.pod.get("priorityClassName")) for w in view.workloads}
    if (
        item.name not in used
        and not item.obj.get("globalDefault")
        and not (used - {"None", "system-node-critical", "system-cluster-critical"})
    ):
        yield Hit(item, (), f"no workload here names {item.name}, or any other class")


@rule(
    "priority-value-refused",
    Area.TENANCY,
    Severity.ERROR,
    title="PriorityClass with a value that is reserved, or a second global default",
    why="The API server refuses values above 1000000000 and a second default; everything that names the class is refused with it.",
    fix="Use a value up to 1000000000, and one default in the cluster.",
    references=(
        "kubernetes 1.36 pkg/apis/scheduling/types.go:29",
        "kubernetes 1.36 plugin/pkg/admission/priority/admission.go",
    ),
    on=_own_classes,
)
def _priority_value_refused(item: Item, view: View) -> Iterator[Hit]:
    if _value(item) > _HIGHEST:
        yield Hit(
            item,
            ("value",),
            f"{_value(item)} is above {_HIGHEST}",
            _value(item),
            Fix("Use the highest value allowed", (add(("value",), _HIGHEST),)),
        )
    defaults = [
        other for other in _own_classes(view) if other.obj.get("globalDefault") and other.name != item.name
    ]
    if item.obj.get("globalDefault") and defaults:
        yield Hit(item, ("globalDefault",), f"{defaults[0].name} is the global default too", True)


@rule(
    "priority-promises-no-eviction",
    Area.TENANCY,
    Severity.WARNING,
    title="PriorityClass says that its pods are never evicted",
    why=(
        "Priority does not save a pod from node pressure (usage above requests goes first), drains, node loss or a higher class. "
        "Whoever believes the text runs one replica without a disruption budget."
    ),
    fix="Say what it does: preempts lower classes when it cannot be placed; add replicas, a PDB and requests equal to limits.",
    references=("kubernetes 1.36 pkg/kubelet/eviction/helpers.go:816-832",),
    on=lambda view: [item for item in _own_classes(view) if item.obj.get("description")],
)
def _priority_promises_no_eviction(item: Item, view: View) -> Iterator[Hit]:
    text = str(item.obj.get("description"))
    found = re.search(
        r"never\s+(be\s+)?(evicted|killed|preempted)|cannot\s+be\s+evicted", text, re.IGNORECASE
    )
    if found:
        yield Hit(item, ("description",), f"{found[0]!r} is not what a priority gives", text)


@rule(
    "priority-easily-outranked",
    Area.TENANCY,
    Severity.INFO,
    title="Production's priority is low enough for any other class to outrank it",
    why="Values go to a billion: the next team's class of 10000, or a chart's default of 100000, preempts what was meant to be the highest.",
    fix="Leave room: 1000000 for production, 100000 and 10000 below.",
    references=("kubernetes 1.36 pkg/apis/scheduling/types.go:29",),
    on=lambda view: sorted(_own_classes(view), key=_value)[-1:] if len(_own_classes(view)) > 1 else [],
)
def _priority_easily_outranked(item: Item, view: View) -> Iterator[Hit]:
    if 0 < _value(item) < _ROOM:
        yield Hit(
            item, ("value",), f"the highest class here is {item.name} with {_value(item)}", _value(item)
        )


@rule(
    "experiments-may-preempt",
    Area.TENANCY,
    Severity.WARNING,
    title="The class for experiments may preempt others",
    why="A pending notebook deletes whatever has a lower number, batch jobs with days of work included. Lowest in rank need not mean harmless.",
    fix="Set preemptionPolicy: Never on it.",
    references=(
        "https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#non-preempting-priority-class",
    ),
    on=lambda view: [item for item in _own_classes(view) if _LOW.search(item.name)],
)
def _experiments_may_preempt(item: Item, view: View) -> Iterator[Hit]:
    if item.obj.get("preemptionPolicy", "PreemptLowerPriority") != "Never" and _value(item) > 0:
        path = ("preemptionPolicy",)
        yield Hit(
            item,
            path,
            f"pods of {item.name} ({_value(item)}) preempt every pod without a class",
            None,
            Fix("Never preempt", (add(path, "Never"),)),
        )


@rule(
    "priority-unguarded",
    Area.TENANCY,
    Severity.WARNING,
    title="Anybody may use the production priority",
    why="A data scientist who copies priorityClassName into a notebook outranks production: the field is free in every namespace.",
    fix="Guard the class: a quota scoped to it with limitedResources in the API server's configuration, or a ValidatingAdmissionPolicy.",
    references=(
        "https://kubernetes.io/docs/concepts/policy/resource-quotas/#limit-priority-class-consumption-by-default",
    ),
    on=lambda view: (
        sorted(_own_classes(view), key=_value)[-1:]
        if len(_own_classes(view)) > 1 and view.of("ResourceQuota")
        else []
    ),
)
def _priority_unguarded(item: Item, view: View) -> Iterator[Hit]:
    scoped = any("PriorityClass" in str(q.spec.get("scopeSelector")) for q in view.of("ResourceQuota"))
    policies = view.of(
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
        "ClusterPolicy.kyverno.io",
        "K8sPriorityClass.constraints.gatekeeper.sh",
    )
    if not scoped and not any("priorityClassName" in str(policy.obj) for policy in policies):
        yield Hit(item, (), f"no quota and no admission policy here says who may use {item.name}")
