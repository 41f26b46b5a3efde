"""ResourceQuota: what it really counts."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload, gpu_resource
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

_EVALUATOR: Final = "kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go:206"


def _quotas(view: View) -> tuple[Item, ...]:
    return view.of("ResourceQuota")


@rule(
    "gpu-quota-never-enforced",
    Area.TENANCY,
    Severity.ERROR,
    title="ResourceQuota limits GPUs under a name that is never counted",
    why=(
        "The API server takes any name with a slash, and counts an extended resource only as requests.NAME. The entry shows "
        "in the quota's status without a used value and never refuses a pod: the team can take every GPU of the cluster."
    ),
    fix="Name the resource requests.nvidia.com/gpu.",
    references=(_EVALUATOR, "kubernetes 1.36 pkg/apis/core/validation/validation.go:7528"),
    on=_quotas,
)
def _gpu_quota_never_enforced(quota: Item, view: View) -> Iterator[Hit]:
    hard = quota.section("spec", "hard")
    for name, amount in hard.items():
        resource = name.removeprefix("limits.")
        if not gpu_resource(resource) or name.startswith("requests."):
            continue
        wanted = f"requests.{resource}"
        ops = [remove(("spec", "hard", name))]
        if wanted not in hard:
            ops.append(add(("spec", "hard", wanted), amount))
        yield Hit(
            quota,
            ("spec", "hard", name),
            f"{name}: {amount} is never enforced"
            + (f"; only {wanted} is" if wanted in hard else ": this namespace has no GPU limit at all"),
            amount,
            Fix(f"Remove {name}" if wanted in hard else f"Name it {wanted}", tuple(ops)),
        )


def _memory_quotas(view: View) -> Iterator[Item]:
    """Quotas on cpu or memory, where pods or defaults of the namespace can be judged."""
    for quota in _quotas(view):
        if _counted(quota) and not quota.spec.get("scopes") and not quota.spec.get("scopeSelector"):
            yield quota


def _counted(quota: Item) -> list[str]:
    names = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory")
    return [name for name in names if name in quota.section("spec", "hard")]


def _defaults(view: View, namespace: str) -> set[str]:
    """What LimitRanges of the namespace fill in, as ``limits.memory`` or ``requests.cpu``."""
    found: set[str] = set()
    for item in view.snapshot.within("LimitRange", namespace):
        for limit in item.spec.get("limits") or []:
            if limit.get("type") == "Container":
                for name in {**(limit.get("default") or {}), **(limit.get("max") or {})}:
                    found |= {
                        f"limits.{name}",
                        f"requests.{name}",
                    }  # a default limit is the default request too
                found |= {f"requests.{name}" for name in limit.get("defaultRequest") or {}}
    return found


@rule(
    "memory-quota-without-defaults",
    Area.TENANCY,
    Severity.WARNING,
    title="Quota on cpu or memory in a namespace whose pods get no defaults",
    why=(
        "Once a quota counts memory, every container must state it: a sidecar, a Job or a debug pod without requests is refused "
        "with `must specify limits.memory`, and the rollout that brought it stands still."
    ),
    fix="Add a LimitRange with default and defaultRequest for cpu and memory to the namespace.",
    references=("kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go:100-160",),
    on=_memory_quotas,
)
def _memory_quota_without_defaults(quota: Item, view: View) -> Iterator[Hit]:
    wanted = [name if "." in name else f"requests.{name}" for name in _counted(quota)]
    missing = [name for name in wanted if name not in _defaults(view, quota.namespace)]
    if not missing:
        return
    bare = [str(w) for w in view.workloads_in(quota.namespace) if not w.template and _bare(w, missing)]
    shown = bool(view.of("LimitRange")) or view.knows("LimitRange", quota.namespace)
    if not bare and not shown:
        return
    who = (
        f"{', '.join(bare[:3])} does not set them and is refused"
        if bare
        else "a pod that leaves them out is refused"
    )
    yield Hit(
        quota,
        ("spec", "hard"),
        f"no LimitRange of {quota.namespace} gives defaults for {', '.join(missing)}: {who}",
        missing,
    )


def _bare(workload: Workload, names: list[str]) -> bool:
    """Whether a pod of the workload is refused; KServe fills in what an InferenceService's model leaves out."""
    for container in workload.containers:
        if container.path[-1:] == ("model",) or not workload.complete:
            continue
        for name in names:
            side, _, resource = name.partition(".")
            given = container.limits if side == "limits" else {**container.limits, **container.requests}
            if resource not in given:
                return True
    return False


def _own_quotas(view: View) -> Iterator[tuple[Item, list[Workload]]]:
    for quota in _quotas(view):
        if quota.spec.get("scopes") or quota.spec.get("scopeSelector"):
            continue
        found = [w for w in view.gpu_workloads_in(quota.namespace) if w.minimum]
        if found:
            yield quota, found


@rule(
    "quota-below-one-replica",
    Area.TENANCY,
    Severity.ERROR,
    title="Quota refuses a single replica",
    why="Not one pod is admitted: the workload exists, its ReplicaSet fails with `exceeded quota`, and nothing serves.",
    fix="Raise the quota above one replica, with room for a rollout.",
    references=(_EVALUATOR,),
    on=_own_quotas,
)
def _quota_below_one_replica(subject: tuple[Item, list[Workload]], view: View) -> Iterator[Hit]:
    quota, workloads = subject
    hard = quota.section("spec", "hard")
    for workload in workloads:
        for resource, gpus in workload.gpus.items():
            amount = parse(hard.get(f"requests.{resource}", ""))
            if amount is not None and gpus > amount:
                yield Hit(
                    quota, ("spec", "hard", f"requests.{resource}"),
                    f"one pod of {workload} takes {gpus} {resource}, and the quota allows {amount}", str(amount),
                )  # fmt: skip
        for name in ("requests.memory", "requests.cpu", "limits.memory", "limits.cpu"):
            amount, needed = parse(hard.get(name, "")), _needed(workload, name)
            if amount is not None and needed > amount:
                yield Hit(
                    quota, ("spec", "hard", name), f"one pod of {workload} takes more {name} than the quota's {hard[name]}",
                    hard[name],
                )  # fmt: skip


def _needed(workload: Workload, name: str) -> float:
    side, _, resource = name.partition(".")
    total = 0.0
    for container in workload.containers:
        given = container.limits if side == "limits" else {**container.limits, **container.requests}
        total += float(parse(given.get(resource, "0")) or 0) if not container.init else 0.0
    return total


@rule(
    "quota-without-room-for-rollout",
    Area.TENANCY,
    Severity.WARNING,
    title="Quota leaves no GPU for the pod that a rollout starts first",
    why=(
        "The default strategy starts a new pod before it stops an old one. With the quota used up it is refused, nothing is ever "
        "stopped, and the rollout hangs until its deadline, often with a fix for the incident at hand."
    ),
    fix="Roll with maxSurge 0 and maxUnavailable 1, or raise the quota by one replica.",
    references=(
        _EVALUATOR,
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment",
    ),
    on=lambda view: ((q, [w for w in ws if w.item.kind == "Deployment"]) for q, ws in _own_quotas(view)),
)
def _quota_without_room_for_rollout(subject: tuple[Item, list[Workload]], view: View) -> Iterator[Hit]:
    quota, workloads = subject
    for workload in workloads:
        strategy = workload.item.section("spec", "strategy")
        rolling = strategy.get("rollingUpdate") or {}
        if strategy.get("type") == "Recreate" or str(rolling.get("maxSurge")) in {"0", "0%"}:
            continue
        most = view.replicas(workload)[1]
        if not _blocked(rolling, most):
            continue
        for resource, gpus in workload.gpus.items():
            amount = parse(quota.section("spec", "hard").get(f"requests.{resource}", ""))
            if amount is not None and gpus <= amount < (most + 1) * gpus and most * gpus <= amount:
                path = ("spec", "strategy")
                value = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
                yield Hit(
                    workload.item, path, f"{most} replicas × {gpus} use all {amount} {resource} of quota {quota.name}: a surge pod is refused",
                    strategy or None, Fix("Stop one before starting the next", (add(path, value),)),
                )  # fmt: skip


def _blocked(rolling: "dict[str, str]", replicas: int) -> bool:
    """Whether a rollout cannot go on without its surge pod: nothing may be unavailable."""
    text = str(rolling.get("maxUnavailable", "25%"))
    if text.endswith("%") and text[:-1].isdigit():
        return (
            int(text[:-1]) * replicas // 100 == 0
        )  # rounded down (kubernetes deployment util ResolveFenceposts)
    return text == "0"


@rule(
    "gpu-namespace-without-quota",
    Area.TENANCY,
    Severity.WARNING,
    title="Namespace uses GPUs without a quota where other namespaces have one",
    why="One team's runaway Job takes what the others were promised: a limit that only some have protects nobody.",
    fix="Give every namespace that may use GPUs a ResourceQuota on requests.nvidia.com/gpu.",
    references=("https://kubernetes.io/docs/concepts/policy/resource-quotas/",),
    on=lambda view: (
        sorted({w.namespace for w in view.gpu_workloads})
        if any(_gpu_entries(q) for q in _quotas(view))
        else []
    ),
)
def _gpu_namespace_without_quota(namespace: str, view: View) -> Iterator[Hit]:
    quotas = view.snapshot.within("ResourceQuota", namespace)
    if quotas or not namespace:
        return
    yield Hit(
        view.gpu_workloads_in(namespace)[0].item,
        ("metadata", "namespace"),
        f"namespace {namespace} has no GPU quota, other namespaces have",
        namespace,
    )


def _gpu_entries(quota: Item) -> list[str]:
    return [
        name
        for name in quota.section("spec", "hard")
        if name.startswith("requests.") and gpu_resource(name.removeprefix("requests."))
    ]


@rule(
    "gpu-resource-outside-quota",
    Area.TENANCY,
    Severity.WARNING,
    title="Pods use a GPU resource that the namespace's quota does not name",
    why="A quota counts each resource name by itself: MIG slices and shared GPUs without a line of their own are unlimited.",
    fix="Add a requests.NAME line for every GPU resource of the cluster.",
    references=(
        "kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go:316",
        "NVIDIA k8s-device-plugin README (resource names)",
    ),
    on=lambda view: ((q, ws) for q, ws in _own_quotas(view) if _gpu_entries(q)),
)
def _gpu_resource_outside_quota(subject: tuple[Item, list[Workload]], view: View) -> Iterator[Hit]:
    quota, workloads = subject
    named = {
        name
        for q in view.snapshot.within("ResourceQuota", quota.namespace)
        for name in q.section("spec", "hard")
    }
    for workload in workloads:
        for resource in workload.gpus:
            if f"requests.{resource}" not in named:
                yield Hit(
                    quota,
                    ("spec", "hard"),
                    f"{workload} uses {resource}, which no quota of {quota.namespace} limits",
                    resource,
                )


@rule(
    "quotas-over-capacity",
    Area.TENANCY,
    Severity.WARNING,
    title="GPU quotas add up to more than the cluster has",
    why="A quota is a ceiling, no reservation: the promised GPUs go to whoever comes first, and production may come last.",
    fix="Keep the sum within the capacity, or let Kueue lend and reclaim what is nominally each team's.",
    references=(
        "https://kubernetes.io/docs/concepts/policy/resource-quotas/",
        "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/",
    ),
    on=lambda view: (
        [view.of("Node")[0]] if view.of("Node") and any(_gpu_entries(q) for q in _quotas(view)) else []
    ),
)
def _quotas_over_capacity(node: Item, view: View) -> Iterator[Hit]:
    resources = sorted(
        {name.removeprefix("requests.") for quota in _quotas(view) for name in _gpu_entries(quota)}
    )
    for resource in resources:
        have = sum(parse(n.section("status", "allocatable").get(resource, "0")) or 0 for n in view.of("Node"))
        quotas = [
            q
            for q in _quotas(view)
            if f"requests.{resource}" in q.section("spec", "hard") and not q.spec.get("scopeSelector")
        ]
        promised = sum(parse(q.section("spec", "hard")[f"requests.{resource}"]) or 0 for q in quotas)
        if quotas and have and promised > have:
            largest = max(quotas, key=lambda q: parse(q.section("spec", "hard")[f"requests.{resource}"]) or 0)
            yield Hit(
                largest, ("spec", "hard", f"requests.{resource}"),
                f"{len(quotas)} quotas promise {promised} {resource}, the nodes have {have}",
                largest.section("spec", "hard")[f"requests.{resource}"],
            )  # fmt: skip
