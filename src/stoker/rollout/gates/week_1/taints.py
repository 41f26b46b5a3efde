"""A pod without the pool's tolerations cannot come onto its nodes, because of the taint; the same pod with them runs there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stoker.kube.selectors import untolerated
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.nodes import GpuNode, read_gpu_nodes
from stoker.rollout.gates.pods import (
    IMAGE,
    PROBE_REQUESTS,
    Fate,
    follow,
    probe_name,
    probe_pod,
    taint_counts,
)

__all__ = ["TOLERATED", "UNTOLERATED", "Probed", "judge_tolerated", "judge_untolerated"]


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of a probe pod that was aimed at one node of a pool.

    Attributes:
        node: aimed at; empty where no node of the pool had room.
        bare: nodes of the pool without its taints.
        added: whether something gave the pod tolerations that it did not ask for and that cover the node's taints.
    """

    pool: str
    node: str
    fate: Fate = field(default_factory=Fate)
    bare: tuple[str, ...] = ()
    added: bool = False


def judge_untolerated(probed: Sequence[Probed]) -> Judgement:
    """Each pod is refused, and the one node that it was aimed at is counted as tainted."""
    figures = _figures(probed)
    bound = [f"{one.pool}: {one.fate.node}" for one in probed if one.fate.node]
    if bound and not any(one.added for one in probed if one.fate.node):
        return Judgement.failed(f"a pod without tolerations was placed on {', '.join(bound)}", **figures)
    bare = [f"{one.pool}: {', '.join(one.bare)}" for one in probed if one.bare]
    if bare:
        return Judgement.failed(f"nodes do not have their pool's taint: {'; '.join(bare)}", **figures)
    unclear = [f"{one.pool}: {why}" for one in probed if (why := _unclear(one))]
    if unclear:
        return Judgement.inconclusive("; ".join(unclear), **figures)
    return Judgement.passed(
        f"the taint keeps pods without tolerations off the nodes of {_pools(probed)}", **figures
    )


def _unclear(one: Probed) -> str:
    if not one.node:
        return "no node is Ready and has room for a small pod"
    if one.added:
        return "an admission plugin gave the pod a toleration, so that it tells nothing of pods without"
    if not one.fate.message:
        return "the scheduler has not looked at the pod; is it alive?"
    if taint_counts(one.fate.message)[0] != 1:
        return f"the pod waits for another reason than a taint: {one.fate.message}"
    return ""


def judge_tolerated(probed: Sequence[Probed]) -> Judgement:
    """Each pod runs on the node that it was aimed at."""
    figures = _figures(probed)
    failed, unclear = [], []
    for one in probed:
        if one.fate.is_running and one.fate.node == one.node and one.node:
            continue
        if not one.node:
            unclear.append(f"{one.pool}: no node is Ready and has room for a small pod")
        elif taint_counts(one.fate.message)[0]:
            failed.append(
                f"{one.pool}: {one.node} has a taint that its pool does not name: {one.fate.message}"
            )
        elif one.fate.bad_image:
            unclear.append(f"{one.pool}: {one.node} cannot get the probe's image: {one.fate.message}")
        elif one.fate.node:
            failed.append(
                f"{one.pool}: placed on {one.fate.node} but {one.fate.phase or 'gone'}: {one.fate.message}"
            )
        else:
            unclear.append(f"{one.pool}: not placed: {one.fate.message or 'the scheduler has not looked'}")
    if failed:
        return Judgement.failed("; ".join(failed), **figures)
    if unclear:
        return Judgement.inconclusive("; ".join(unclear), **figures)
    return Judgement.passed(f"pods with the tolerations run on nodes of {_pools(probed)}", **figures)


def _figures(probed: Sequence[Probed]) -> dict[str, Any]:
    return {"pools": len(probed), "nodes": [one.node for one in probed if one.node]}


def _pools(probed: Sequence[Probed]) -> str:
    return ", ".join(one.pool for one in probed)


@dataclass(frozen=True, slots=True)
class _Target:
    """Attributes: node is where to aim at, None where no node has room; bare as in `Probed`."""

    node: GpuNode | None
    bare: tuple[str, ...]


def _targets(context: Context) -> dict[str, _Target]:
    nodes = read_gpu_nodes(context.cluster, context.platform)
    if not any(node.pool for node in nodes):
        raise CannotMeasureError(
            "the cluster has no node of the platform's pools", fix="week-1/gpus-visible says more"
        )
    found = {}
    for name, pool in context.platform.pools.items():
        mine = [node for node in nodes if node.pool == name]
        wanted = {(taint["key"], taint["effect"]) for taint in untolerated(pool.taints, ())}
        bare = tuple(
            node.name for node in mine if wanted - {(taint["key"], taint["effect"]) for taint in node.taints}
        )
        # The most open node first: what a node without taints lets in, the others would hide.
        able = sorted(
            (node for node in mine if node.has_room(PROBE_REQUESTS)),
            key=lambda node: (len(untolerated(node.taints, ())), node.name),
        )
        found[name] = _Target(able[0] if able else None, bare)
    return found


def _namespace(context: Context) -> str:
    """A tenant's namespace, the least important one: its policies are those that users' pods meet."""
    tenants = sorted(context.platform.tenants.values(), key=lambda tenant: tenant.priority)
    if not tenants:
        raise CannotMeasureError("the platform has no tenant, so no namespace to try a pod in", fix="add one")
    return tenants[0].namespace


def _measure(context: Context, *, tolerated: bool) -> list[Probed]:
    probed = []
    namespace, image = _namespace(context), str(context.settings["image"])
    for number, (pool, target) in enumerate(_targets(context).items()):
        node = target.node
        if node is None:
            probed.append(Probed(pool, "", bare=target.bare))
            continue
        tolerations: Sequence[Mapping[str, str]] = (
            context.platform.pools[pool].tolerations if tolerated else ()
        )
        name = probe_name(context, f"{'tolerated' if tolerated else 'untolerated'}-{number}")
        pod = context.probes.create(
            probe_pod(name, namespace, node=node.name, tolerations=tolerations, image=image)
        )
        kept_off = bool(untolerated(node.taints, ()))
        added = (
            not tolerated and kept_off and not untolerated(node.taints, pod["spec"].get("tolerations") or ())
        )
        fate = follow(context, pod, within=float(context.settings["within_seconds"]), refused=not tolerated)
        probed.append(Probed(pool, node.name, _own(fate, node.name), target.bare, added))
        context.probes.remove(pod)
    return probed


def _own(fate: Fate, node: str) -> Fate:
    """A pod that never came is told as such."""
    return fate if fate.phase else replace(fate, message=f"the pod aimed at {node} is gone")


UNTOLERATED: Final = Gate(
    "week-1/untolerated",
    "A pod without tolerations cannot come onto GPU nodes, because of their taint",
    "refused on one node of each pool within {within_seconds} s, and the scheduler counts that node as tainted",
    "makes one small pod for each pool, aimed at one of its nodes, and removes it",
    lambda context: judge_untolerated(_measure(context, tolerated=False)),
    {"within_seconds": 60, "image": IMAGE},
)
TOLERATED: Final = Gate(
    "week-1/tolerated",
    "The same pod with the pool's tolerations runs there",
    "runs on one node of each pool within {within_seconds} s",
    "makes one small pod for each pool, aimed at one of its nodes, and removes it",
    lambda context: judge_tolerated(_measure(context, tolerated=True)),
    {"within_seconds": 120, "image": IMAGE},
)
