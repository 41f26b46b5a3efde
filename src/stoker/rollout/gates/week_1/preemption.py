"""A production pod takes the place of a training pod, and never the other way round.

Both are probe pods, on one node that is filled with them: only GPUs that are free are taken, and only a node on which the
scheduler would choose a probe as its victim. It removes the least important pods first (lowest priority, then youngest: kubernetes
pkg/scheduler/framework/preemption), so a node where a user's pod is less important than the probes is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from stoker.kube.api_errors import ApiError
from stoker.kube.refs import Object, Ref
from stoker.platform.tenants import WorkloadClass
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.nodes import GpuNode, read_gpu_nodes
from stoker.rollout.gates.pods import IMAGE, PROBE_REQUESTS, Fate, follow, look, probe_name, probe_pod
from stoker.rollout.gates.quotas import quota_left
from stoker.rollout.gates.refusals import Refuser, refusal_of, try_pod
from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant

__all__ = ["GATE", "Seen", "Stage", "choose_stage", "chunks", "judge"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened on the node.

    Attributes:
        high: the production probe's fate.
        victims: training probes that were preempted.
        bystanders: pods of others that were.
        reverse: fate of the training probe that came after; None where it could not be made, `why` says why.
        high_after: the production probe's fate at the end.
    """

    node: str
    high: Fate
    victims: tuple[str, ...]
    bystanders: tuple[str, ...] = ()
    reverse: Fate | None = None
    high_after: Fate = field(default_factory=Fate)
    why: str = ""
    seconds: float | None = None


def judge(seen: Seen) -> Judgement:
    figures = {
        "node": seen.node, "victims": list(seen.victims), "bystanders": list(seen.bystanders),
        "seconds_until_production_ran": seen.seconds, "production": seen.high.as_json(),
        "production_at_the_end": seen.high_after.as_json(),
        "training_afterwards": seen.reverse.as_json() if seen.reverse else None,
    }  # fmt: skip
    if seen.bystanders:
        return Judgement.failed(f"pods of others were preempted: {', '.join(seen.bystanders)}", **figures)
    if not seen.high.is_running:
        why = seen.high.message or "the scheduler has not looked at it"
        if seen.high.bad_image or (not seen.high.node and not seen.high.message):
            return Judgement.inconclusive(f"the production pod did not come to run: {why}", **figures)
        return Judgement.failed(f"the production pod did not get a training pod's GPU: {why}", **figures)
    if not seen.victims:
        return Judgement.inconclusive("a GPU became free by itself: nothing had to be preempted", **figures)
    if not seen.high_after.is_running or seen.high_after.preempted:
        return Judgement.failed("the training pod took the production pod's GPU", **figures)
    if seen.reverse is None or not seen.reverse.refused:
        why = (
            seen.why
            or (seen.reverse and (seen.reverse.message or seen.reverse.node))
            or "the scheduler has not looked"
        )
        return Judgement.inconclusive(f"the training pod that came after was not refused: {why}", **figures)
    return Judgement.passed(
        f"on {seen.node} the production pod took a training pod's GPU, and the training pod that came after waits",
        **figures,
    )


# --- where ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """The node that is filled, and with what.

    Attributes:
        free: GPUs of it that are free.
        most: GPUs that one training pod may have; None for no limit.
    """

    node: str
    pool: str
    resource: str
    free: int
    most: int | None


def choose_stage(
    nodes: Sequence[GpuNode],
    platform: ResolvedPlatform,
    low: ResolvedTenant,
    left: dict[str, tuple[int | None, int | None]],
) -> tuple[Stage | None, list[str]]:
    """The node with the fewest free GPUs, at least one, that can be filled without touching anybody; why others cannot.

    ``left`` is what quotas leave of a resource to the training and to the production tenant, None where there is no quota.
    """
    found: list[tuple[int, str, Stage]] = []
    why: list[str] = []
    for node in nodes:
        pool = platform.pools.get(node.pool)
        for resource in [one.resource for one in pool.slices] if pool else ():
            problem = _problem(node, resource, low, left.get(resource, (None, None)))
            if problem:
                why.append(f"{node.name}: {problem}")
            else:
                free = node.free(resource)
                found.append(
                    (free, node.name, Stage(node.name, node.pool, resource, free, low.max_gpus_per_pod))
                )
    return (min(found)[2] if found else None), why


def _problem(node: GpuNode, resource: str, low: ResolvedTenant, left: tuple[int | None, int | None]) -> str:
    free = node.free(resource)
    if not node.schedulable:
        return "not Ready, or cordoned"
    if free < 1:
        return f"no {resource} is free"
    weaker = [
        f"{pod.namespace}/{pod.name}"
        for pod in node.pods
        if pod.requests.get(resource, 0) and pod.priority < low.priority
    ]
    if weaker:
        return f"{', '.join(weaker)} would be preempted before a probe"
    pods = len(chunks(free, low.max_gpus_per_pod)) + 2
    if (
        any(node.free(name) < amount * pods for name, amount in PROBE_REQUESTS.items())
        or node.free("pods") < pods
    ):
        return "no CPU, memory or pod slots left"
    for who, quota, needed in (("training", left[0], free), ("production", left[1], 1)):
        if quota is not None and quota < needed:
            return f"the {who} tenant's quota leaves {quota} {resource}, {needed} are needed"
    return ""


def chunks(free: int, most: int | None) -> list[int]:
    """GPUs of the pods that fill a node, as few pods as may be; the last one has a single GPU: the youngest goes first."""
    each = most or free
    rest = free - 1
    return [*([each] * (rest // each)), *([rest % each] if rest % each else []), 1]


def _tenants(platform: ResolvedPlatform) -> tuple[ResolvedTenant, ResolvedTenant]:
    """The production tenant that may preempt, and the one that yields: training, or else the least important."""
    tenants = list(platform.tenants.values())
    high = [one for one in tenants if one.spec.workload_class is WorkloadClass.PRODUCTION and one.preempts]
    if not high:
        raise CannotMeasureError(
            "no production tenant of the platform may preempt", fix="tenants[].preempts allows it"
        )
    above = max(high, key=lambda one: one.priority)
    below = [one for one in tenants if one.priority < above.priority and one.max_gpus_per_pod != 0]
    if not below:
        raise CannotMeasureError(
            "every tenant of the platform is as important as production", fix="add a training tenant"
        )
    return above, min(
        below, key=lambda one: (one.spec.workload_class is not WorkloadClass.TRAINING, one.priority)
    )


# --- how --------------------------------------------------------------------------------------------------------------


def measure(context: Context) -> Judgement:
    high, low = _tenants(context.platform)
    judgement = _judge_classes(context, high, low)
    if judgement is not None:
        return judgement
    resources = {one.resource for pool in context.platform.pools.values() for one in pool.slices}
    left = {
        name: (
            quota_left(context.cluster, low.namespace, name),
            quota_left(context.cluster, high.namespace, name),
        )
        for name in resources
    }
    stage, why = choose_stage(read_gpu_nodes(context.cluster, context.platform), context.platform, low, left)
    if stage is None:
        raise CannotMeasureError(
            f"no node can be filled without touching users' pods: {'; '.join(why) or 'there is no GPU node'}",
            fix="run this gate again when a node has a free GPU",
        )
    return _on(context, stage, high, low)


def _judge_classes(context: Context, high: ResolvedTenant, low: ResolvedTenant) -> Judgement | None:
    """The verdict where the PriorityClasses decide it: what is not ranked is not put to the test, it could hit anybody."""
    values: dict[str, int] = {}
    for tenant in (high, low):
        found = context.cluster.get(Ref("scheduling.k8s.io/v1", "PriorityClass", "", tenant.priority_class))
        if found is None:
            return Judgement.failed(f"the cluster has no PriorityClass {tenant.priority_class}")
        values[tenant.priority_class] = int(found["value"])
        policy = found.get("preemptionPolicy") or "PreemptLowerPriority"
        context.note(
            f"PriorityClass {tenant.priority_class} is {found['value']}, {policy}", value=found["value"]
        )
    if values[high.priority_class] <= values[low.priority_class]:
        told = " and ".join(f"{name} {value}" for name, value in values.items())
        return Judgement.failed(f"production does not stand above {low.name}: {told}", **values)
    return None


def _on(context: Context, stage: Stage, high: ResolvedTenant, low: ResolvedTenant) -> Judgement:
    context.note(f"filling {stage.free} free {stage.resource} of {stage.node} with pods of {low.name}")
    fillers = _fill(context, stage, low)
    node = next(one for one in read_gpu_nodes(context.cluster, context.platform) if one.name == stage.node)
    mine = {pod["metadata"]["uid"] for pod in fillers}
    weaker = [
        pod.name
        for pod in node.pods
        if pod.uid not in mine and pod.requests.get(stage.resource, 0) and pod.priority < low.priority
    ]
    if node.free(stage.resource) != 0 or weaker:
        raise CannotMeasureError(
            f"{stage.node} changed while it was filled: others came or went", fix="run it again"
        )
    began = context.now()
    pod = _probe(context, stage, high, "production", 1)
    production = context.probes.create(pod)
    fate = follow(context, production, within=float(context.settings["within_seconds"]))
    seconds = round((context.now() - began).total_seconds(), 1) if fate.is_running else None
    victims, bystanders = _preempted_by(context, production, fillers)
    if not fate.is_running:
        return judge(Seen(stage.node, fate, victims, bystanders, None, fate, "it was not tried"))
    reverse, why = _reverse(context, stage, low)
    return judge(
        Seen(stage.node, fate, victims, bystanders, reverse, look(context.cluster, production), why, seconds)
    )


def _fill(context: Context, stage: Stage, low: ResolvedTenant) -> list[Object]:
    fillers = []
    for number, gpus in enumerate(chunks(stage.free, stage.most)):
        refusal, made = try_pod(context, _probe(context, stage, low, f"training-{number}", gpus))
        if made is None:
            raise CannotMeasureError(f"{low.name}'s pod is refused by {refusal}: {refusal.message}", fix="")
        fillers.append(made)
        fate = follow(context, made, within=float(context.settings["within_seconds"]))
        if not fate.is_running:
            raise CannotMeasureError(
                f"{low.name}'s pod does not run on {stage.node}: {fate.message or fate.phase or 'it is gone'}",
                fix="week-1/tolerated shows whether pods run there at all",
            )
    return fillers


def _reverse(context: Context, stage: Stage, low: ResolvedTenant) -> tuple[Fate | None, str]:
    """A training pod on the full node: its fate after it was watched, or None and why it could not be made."""
    pod = _probe(context, stage, low, "training-after", 1)
    message = ""

    def make() -> Object | None:
        nonlocal message
        try:
            return context.probes.create(pod)
        except ApiError as error:
            refusal = refusal_of(error)
            message = refusal.message
            if refusal.by is Refuser.QUOTA:  # the victim's GPU is given back a moment after it is gone
                return None
            raise

    made = context.until(make, within=30)
    if made is None:
        return None, message
    # It has the whole time to do harm, refused or not: a refused pod is looked at again.
    context.until(
        lambda: look(context.cluster, made).node or None, within=float(context.settings["watch_seconds"])
    )
    fate = look(context.cluster, made)
    context.note(f"the training pod that came after is {fate.phase or 'gone'}", **fate.as_json())
    return fate, ""


def _preempted_by(
    context: Context, by: Object, fillers: Sequence[Object]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Probes that the pod preempted, and pods of others; by events, and by what has become of the probes."""
    uid = by["metadata"]["uid"]
    mine = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in fillers}
    hit: set[tuple[str, str]] = set()
    for event in context.cluster.objects("v1", "Event", fields="reason=Preempted"):
        about = event.get("involvedObject") or {}
        if uid in str(event.get("message") or ""):
            hit.add((about.get("namespace", ""), about.get("name", "")))
            context.note(f"event: {about.get('namespace')}/{about.get('name')}: {event.get('message')}")
    for pod in fillers:
        fate = look(context.cluster, pod)
        if fate.preempted or not fate.phase:
            hit.add((pod["metadata"]["namespace"], pod["metadata"]["name"]))
    return _told(hit & mine), _told(hit - mine)


def _told(places: set[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{namespace}/{name}" for namespace, name in sorted(places))


def _probe(context: Context, stage: Stage, tenant: ResolvedTenant, what: str, gpus: int) -> Object:
    schedulers = [
        model.scheduler_name
        for model in context.platform.models.values()
        if model.tenant.name == tenant.name and model.pool.name == stage.pool
    ]
    return probe_pod(
        probe_name(context, what),
        tenant.namespace,
        node=stage.node,
        tolerations=context.platform.pools[stage.pool].tolerations,
        priority_class=tenant.priority_class,
        scheduler=next(iter(schedulers), None),
        gpus={stage.resource: gpus},
        image=str(context.settings["image"]),
    )


GATE: Final = Gate(
    "week-1/preemption",
    "A production pod takes a training pod's GPU, and not the other way round",
    "the production pod runs within {within_seconds} s, and a training pod that comes after waits for {watch_seconds} s",
    "fills the free GPUs of one node with pods of the training tenant, within its quota, lets a production pod preempt one of "
    "them, and removes them all; no other pod is touched",
    measure,
    {"within_seconds": 120, "watch_seconds": 30, "image": IMAGE},
)
