"""What is too much is refused when it is asked for: by the tenant's quota, and by its limit on a single pod."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.api_errors import ApiError
from stoker.kube.refs import Object
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.pods import IMAGE, probe_name, probe_pod
from stoker.rollout.gates.refusals import Refusal, Refuser, refusal_of, try_pod
from stoker.sizing.resolved import ResolvedTenant
from stoker.upgrades.tenancy.quotas import QUOTA as QUOTA_NAME
from stoker.upgrades.tenancy.quotas import compile_quotas

__all__ = ["LIMIT", "QUOTA", "Asked", "judge_limit", "judge_quota"]

_MOST_PODS: Final = (
    64  # that are made to fill a quota whose pods are limited; more would be no probe any more
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a tenant's namespace, and who refused it.

    Attributes:
        what: such as ``17 nvidia.com/gpu in one pod``.
        control: whether a pod within the limits is admitted; the refusal of the other where it is not.
    """

    tenant: str
    what: str
    refusal: Refusal
    control: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "asked": self.what, **self.refusal.as_json()}


def judge_quota(asked: Sequence[Asked]) -> Judgement:
    """Each tenant's pod beyond its quota is refused, by a quota."""
    figures = {"asked": [one.as_json() for one in asked], "refused_by_quota": _count(asked, {Refuser.QUOTA})}
    let = [f"{one.tenant} got {one.what}" for one in asked if one.refusal.by is Refuser.NOBODY]
    if let:
        return Judgement.failed(f"no quota refused: {'; '.join(let)}", **figures)
    others = [
        f"{one.tenant}: {one.refusal}: {one.refusal.message}"
        for one in asked
        if one.refusal.by is not Refuser.QUOTA
    ]
    if others:
        return Judgement.inconclusive(f"refused, but not by the quota: {'; '.join(others)}", **figures)
    told = "; ".join(f"{one.tenant}: {one.what} by {one.refusal.name}" for one in asked)
    return Judgement.passed(f"refused at admission: {told}", **figures)


def judge_limit(asked: Sequence[Asked]) -> Judgement:
    """Each is refused by a LimitRange or a policy; a quota comes after both, so its refusal shows that they let the pod pass."""
    right = {Refuser.LIMIT_RANGE, Refuser.POLICY}
    figures = {"asked": [one.as_json() for one in asked], "refused_by_limit": _count(asked, right)}
    let = [f"{one.tenant} got {one.what}" for one in asked if one.refusal.by is Refuser.NOBODY]
    if let:
        return Judgement.failed(f"nobody refused: {'; '.join(let)}", **figures)
    late = [f"{one.tenant}: {one.what}" for one in asked if one.refusal.by is Refuser.QUOTA]
    if late:
        return Judgement.failed(
            f"neither LimitRange nor policy refused, only the quota: {'; '.join(late)}", **figures
        )
    others = [
        f"{one.tenant}: {one.refusal}: {one.refusal.message}" for one in asked if one.refusal.by not in right
    ]
    if others:
        return Judgement.inconclusive(f"refused for another reason: {'; '.join(others)}", **figures)
    strict = [f"{one.tenant}: {one.control}" for one in asked if one.control]
    if strict:
        return Judgement.inconclusive(
            f"pods within the limit are refused as well: {'; '.join(strict)}", **figures
        )
    told = "; ".join(f"{one.tenant}: {one.what} by {one.refusal}" for one in asked)
    return Judgement.passed(f"refused at admission: {told}", **figures)


def _count(asked: Sequence[Asked], by: set[Refuser]) -> int:
    return sum(one.refusal.by in by for one in asked)


# --- quota ------------------------------------------------------------------------------------------------------------


def measure_quota(context: Context) -> Judgement:
    by_namespace = {tenant.namespace: tenant for tenant in context.platform.tenants.values()}
    asked = []
    for emitted in compile_quotas(context.platform):
        metadata, hard = emitted.object["metadata"], emitted.object["spec"]["hard"]
        tenant = by_namespace.get(metadata["namespace"])
        if metadata["name"] == QUOTA_NAME and tenant is not None:
            asked += [
                _beyond(context, tenant, resource, int(hard[f"requests.{resource}"]))
                for resource in tenant.gpu_quota
            ]
    if not asked:
        raise CannotMeasureError(
            "no tenant of the platform has a quota of GPUs", fix="tenants[].quota.gpus sets one"
        )
    return judge_quota(asked)


def _beyond(context: Context, tenant: ResolvedTenant, resource: str, quota: int) -> Asked:
    """Ask for one GPU more than the quota: in one pod, or where pods are limited, in as many as it takes.

    The pods have a scheduling gate: they count, and never run.
    """
    most = tenant.max_gpus_per_pod
    each = quota + 1 if most is None else min(quota + 1, most)
    pods = -(-(quota + 1) // each) if each else _MOST_PODS + 1
    what = f"{pods * each} {resource} in {'one pod' if pods == 1 else f'{pods} pods'}"
    if pods > _MOST_PODS:
        why = f"at {each} a pod it takes more than {_MOST_PODS} pods to exceed {quota}"
        return Asked(tenant.name, what, Refusal(Refuser.NOT_ASKED, "", why))
    let_in = []
    refusal = Refusal(Refuser.NOBODY)
    for number in range(pods):
        pod = _gated(context, tenant, f"beyond-{number}", {resource: each})
        refusal, made = try_pod(context, pod)
        if made is None:
            break
        let_in.append(made)
    for made in let_in:
        context.probes.remove(made)
    if refusal.by is Refuser.QUOTA and f"requests.{resource}=" not in refusal.message:
        refusal = Refusal(Refuser.OTHER, refusal.name, refusal.message)  # such as its count of pods
    return Asked(tenant.name, what, refusal)


def _gated(context: Context, tenant: ResolvedTenant, what: str, gpus: Mapping[str, int]) -> Object:
    (resource,) = gpus
    name = probe_name(context, f"{what}-{resource.rpartition('/')[2].replace('.', '-')}")
    return probe_pod(
        name,
        tenant.namespace,
        priority_class=tenant.priority_class,
        gpus=gpus,
        gated=True,
        image=str(context.settings["image"]),
    )


QUOTA: Final = Gate(
    "week-1/quota-refuses",
    "A pod that exceeds its tenant's quota of GPUs is refused",
    "refused at admission by the quota, in every tenant that has one",
    "asks for one GPU more than each quota allows, in pods that are never scheduled, and removes those that were let in",
    measure_quota,
    {"image": IMAGE},
)


# --- limit of a pod ---------------------------------------------------------------------------------------------------


def measure_limit(context: Context) -> Judgement:
    tenants = [one for one in context.platform.tenants.values() if one.max_gpus_per_pod is not None]
    if not tenants:
        raise CannotMeasureError(
            "no tenant of the platform limits the GPUs of a pod",
            fix="tenants[].guardrails.maxGpusPerPod does",
        )
    asked = [one for tenant in tenants for one in _too_large(context, tenant)]
    return judge_limit(asked)


def _too_large(context: Context, tenant: ResolvedTenant) -> list[Asked]:
    """Eight GPUs in one container, and eight containers of one: a LimitRange sees only single containers."""
    resource = next(iter(tenant.gpu_quota), None) or _any_resource(context)
    most = tenant.max_gpus_per_pod or 0
    gpus = max(int(context.settings["gpus"]), most + 1)
    image = str(context.settings["image"])
    control = _control(context, tenant, resource, most)
    found = []
    for what, each, containers in (("one container", gpus, 1), (f"{gpus} containers", 1, gpus)):
        pod = probe_pod(
            probe_name(context, f"large-{containers}"), tenant.namespace, priority_class=tenant.priority_class,
            gpus={resource: each}, containers=containers, gated=True, image=image,
        )  # fmt: skip
        refusal, made = try_pod(context, pod)
        if made is not None:
            context.probes.remove(made)
        found.append(Asked(tenant.name, f"{gpus} {resource} in {what}", refusal, control))
    return found


def _control(context: Context, tenant: ResolvedTenant, resource: str, most: int) -> str:
    """What LimitRange or policy say to a pod that is within the limit; empty where it passes them (it is not created)."""
    gpus = {resource: most} if most else {}
    pod = probe_pod(
        probe_name(context, "within"), tenant.namespace, priority_class=tenant.priority_class, gpus=gpus, gated=True,
        image=str(context.settings["image"]),
    )  # fmt: skip
    try:
        context.cluster.create(pod, dry_run=True)
    except ApiError as error:
        refusal = refusal_of(error)
        context.note(f"a pod of {tenant.name} with {most} GPUs: refused by {refusal}", **refusal.as_json())
        return "" if refusal.by in {Refuser.QUOTA, Refuser.STALE_QUOTA} else refusal.message
    context.note(f"a pod of {tenant.name} with {most} GPUs would be admitted")
    return ""


def _any_resource(context: Context) -> str:
    return next(iter(context.platform.pools.values())).slices[0].resource


LIMIT: Final = Gate(
    "week-1/limits-refuse",
    "A pod with too many GPUs is refused where pods are limited",
    "{gpus} GPUs (or one more than the limit) are refused by LimitRange or policy, in one container and over several",
    "asks for two pods that are never scheduled in each tenant that limits them, and removes those that were let in",
    measure_limit,
    {"gpus": 8, "image": IMAGE},
)
