"""Replicas of a production model lie on different nodes, so that one node takes no model away.

Where a model does not run yet, pause pods with its placement, its GPUs and its priority stand for its replicas.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.refs import Object
from stoker.platform.models import Tier
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.nodes import read_gpu_nodes
from stoker.rollout.gates.pods import IMAGE, PROBE_REQUESTS, follow, probe_name, probe_pod
from stoker.rollout.gates.refusals import try_pod
from stoker.sizing.resolved import ResolvedModel
from stoker.upgrades.scheduling.claims import uses_dra
from stoker.upgrades.scheduling.placement import pod_placement

__all__ = ["GATE", "Spread", "judge"]

_PROBE_OF: Final = "stoker.dev/probe-of"
_VERSION: Final = "stoker.dev/version"


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the replicas of a model lie.

    Attributes:
        by: ``its pods``, or ``probe pods``.
        placed: replicas by node.
        open: other nodes of the pool that have room for one more replica.
        why: why fewer than two are placed, in the words of who refused.
    """

    model: str
    by: str
    placed: Mapping[str, int]
    open: tuple[str, ...] = ()
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"by": self.by, "placed": dict(self.placed), "nodes_with_room": list(self.open)}

    @property
    def skew(self) -> int:
        """Most replicas of a node less fewest, over the nodes that hold one or could."""
        counts = [*self.placed.values(), *(0 for _ in self.open)]
        return max(counts, default=0) - min(counts, default=0)


def judge(spreads: Sequence[Spread]) -> Judgement:
    """Replicas lie on nodes of their own where there are as many nodes, and differ by one at most where there are fewer."""
    figures = {"models": {one.model: one.as_json() for one in spreads}}
    failed, unclear = [], []
    for one in spreads:
        total, nodes = sum(one.placed.values()), len(one.placed) + len(one.open)
        told = ", ".join(f"{count} on {node}" for node, count in sorted(one.placed.items()))
        if total < 2:
            unclear.append(f"{one.model}: {total} of its replicas placed{f': {one.why}' if one.why else ''}")
        elif nodes == 1:
            unclear.append(f"{one.model}: only {next(iter(one.placed))} had room, so nothing could be spread")
        elif (total <= nodes and max(one.placed.values()) > 1) or one.skew > 1:
            failed.append(
                f"{one.model} ({one.by}): {told}, though {', '.join(one.open) or 'others'} had room"
            )
    if failed:
        return Judgement.failed("; ".join(failed), **figures)
    if unclear:
        return Judgement.inconclusive("; ".join(unclear), **figures)
    told = "; ".join(
        f"{one.model} ({one.by}): {sum(one.placed.values())} on {len(one.placed)} nodes" for one in spreads
    )
    return Judgement.passed(told, **figures)


def measure(context: Context) -> Judgement:
    models = [
        model
        for model in context.platform.models.values()
        if model.spec.tier is Tier.PRODUCTION and model.nodes_per_replica == 1 and model.max_replicas > 1
    ]
    if not models:
        raise CannotMeasureError(
            "the platform has no production model with more than one replica on single nodes",
            fix="nothing is spread",
        )
    found = []
    for model in models:
        one = _own(context, model) or _by_probes(context, model)
        context.note(f"{model.name}, {one.by}: {dict(one.placed)}", **one.as_json())
        found.append(one)
    return judge(found)


def _own(context: Context, model: ResolvedModel) -> Spread | None:
    """The model's own replicas; None where fewer than two of its stable version are placed."""
    selector = ",".join(f"{key}={value}" for key, value in model.pod_labels.items())
    canary = model.canary.name if model.canary else None
    placed: Counter[str] = Counter()
    for pod in context.cluster.objects("v1", "Pod", model.namespace, labels=selector):
        metadata, node = pod["metadata"], pod["spec"].get("nodeName")
        ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        of_canary = canary is not None and (metadata.get("labels") or {}).get(_VERSION) == canary
        if node and not ended and not of_canary and not metadata.get("deletionTimestamp"):
            placed[node] += 1
    if sum(placed.values()) < 2:
        return None
    requests = {"cpu": model.millicores, "memory": model.memory_bytes, **_gpus(context, model)}
    return Spread(model.name, "its pods", placed, _open(context, model, placed, requests))


def _by_probes(context: Context, model: ResolvedModel) -> Spread:
    placed: Counter[str] = Counter()
    made: list[Object] = []
    why = ""
    for number in range(min(max(2, model.min_replicas), int(context.settings["most_probes"]))):
        refusal, pod = try_pod(context, _standing_in(context, model, number))
        if pod is None:
            why = refusal.message
            break
        made.append(pod)
        fate = follow(context, pod, within=float(context.settings["within_seconds"]), refused=True)
        if not fate.node:
            why = fate.message or "the scheduler has not looked"
            break
        placed[fate.node] += 1
    requests = {**PROBE_REQUESTS, **_gpus(context, model)}
    found = Spread(model.name, "probe pods", placed, _open(context, model, placed, requests), why)
    for pod in made:
        context.probes.remove(pod)
    return found


def _standing_in(context: Context, model: ResolvedModel, number: int) -> Object:
    placement = pod_placement(context.platform, model)
    pod = probe_pod(
        probe_name(context, f"{model.name}-{number}"[:40]),
        model.namespace,
        tolerations=model.pool.tolerations,
        priority_class=model.tenant.priority_class,
        scheduler=model.scheduler_name,
        gpus=_gpus(context, model),
        image=str(context.settings["image"]),
    )
    # Labels of its own: under the model's, its Service would send requests to a pod that answers nothing.
    labels = {_PROBE_OF: model.name}
    pod["metadata"]["labels"] = labels
    pod["spec"]["affinity"] = placement["affinity"]
    pod["spec"]["topologySpreadConstraints"] = [
        {key: value for key, value in one.items() if key != "matchLabelKeys"}
        | {"labelSelector": {"matchLabels": labels}}
        for one in placement.get("topologySpreadConstraints") or ()
    ]
    return pod


def _gpus(context: Context, model: ResolvedModel) -> dict[str, int]:
    return {} if uses_dra(context.platform, model) else {model.slice.resource: model.gpus_per_pod}


def _open(
    context: Context, model: ResolvedModel, placed: Mapping[str, int], requests: Mapping[str, int]
) -> tuple[str, ...]:
    nodes = read_gpu_nodes(context.cluster, context.platform)
    return tuple(
        node.name
        for node in nodes
        if node.pool == model.pool.name and node.name not in placed and node.has_room(requests)
    )


GATE: Final = Gate(
    "week-1/spread",
    "Replicas of each production model lie on different nodes",
    "on nodes of their own, or one more on some than on others where nodes with room are fewer",
    "reads pods; for models that do not run, makes up to {most_probes} pods each with their GPUs and priority, and removes them",
    measure,
    {"within_seconds": 60, "most_probes": 4, "image": IMAGE},
)
