"""Labels and taints of nodes, as each pool's plan has them.

They belong to the node groups: a node that is replaced comes without what was set by hand. Where nobody can change the
groups now, a rollout may set them itself; what it found is recorded on each node, so that it can be taken off again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.api_errors import ConflictError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref
from stoker.kube.selectors import matches
from stoker.upgrades.scheduling.nodes import NodePlan

__all__ = ["NODES_ANNOTATION", "NodeChange", "change_nodes", "plan_nodes", "restore_nodes"]

NODES_ANNOTATION: Final = "stoker.dev/node-set"  # what we set: {"taints": [...], "labels": [...]}
_TRIES: Final = 10

Taint = dict[str, str]


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What a node lacks.

    Attributes:
        taints: to add; those of others stay.
        labels: to add; a label that is there with another value is not touched, and named in ``other``.
        other: labels with another value than the plan's, as found.
    """

    node: str
    pool: str
    taints: tuple[Taint, ...]
    labels: Mapping[str, str]
    other: Mapping[str, str]


def plan_nodes(plans: Sequence[NodePlan], nodes: Iterable[Object]) -> list[NodeChange]:
    """What the nodes of every pool lack; those that lack nothing are left out. Pure."""
    found = []
    for node in sorted(nodes, key=lambda one: str(one["metadata"]["name"])):
        labels = node["metadata"].get("labels") or {}
        for plan in plans:
            # A pool that is alone with its GPU type is found by GFD's labels, before its own label is there.
            terms = [term for term in plan.expressions if term["key"] not in plan.labels]
            if terms and matches({"matchExpressions": terms}, labels) and _may_be(plan, labels):
                change = _change(plan, node, labels)
                if change.taints or change.labels or change.other:
                    found.append(change)
                break
    return found


def _may_be(plan: NodePlan, labels: Mapping[str, str]) -> bool:
    """Whether its own label, where there is one already, is this pool's."""
    own = next((key for key in plan.labels if key.endswith("/pool")), "")
    return not own or labels.get(own, plan.labels[own]) == plan.labels[own]


def _change(plan: NodePlan, node: Object, labels: Mapping[str, str]) -> NodeChange:
    there = {(taint["key"], taint["effect"]) for taint in (node.get("spec") or {}).get("taints") or []}
    return NodeChange(
        node["metadata"]["name"],
        plan.pool,
        tuple(taint for taint in plan.taints if (taint["key"], taint["effect"]) not in there),
        {key: value for key, value in plan.labels.items() if key not in labels},
        {key: labels[key] for key, value in plan.labels.items() if labels.get(key, value) != value},
    )


def change_nodes(cluster: Cluster, changes: Iterable[NodeChange]) -> None:
    """Add what is lacking, over the version of each node that was read: taints that others set meanwhile stay.

    Raises:
        ConflictError: a node was written by others all the time.
    """
    for change in changes:
        if change.taints or change.labels:
            _write(cluster, change.node, lambda node, change=change: _with(node, change))


def restore_nodes(cluster: Cluster) -> int:
    """Take off what `change_nodes` set, and nothing else; the number of nodes that were changed."""
    found = [
        node["metadata"]["name"]
        for node in cluster.objects("v1", "Node")
        if NODES_ANNOTATION in (node["metadata"].get("annotations") or {})
    ]
    for name in found:
        _write(cluster, name, _without)
    return len(found)


def _with(node: Object, change: NodeChange) -> Object:
    metadata, spec = node["metadata"], node.get("spec") or {}
    set_before = _recorded(node)
    taints = [taint for taint in change.taints if not _has(spec, taint)]
    record = {
        "taints": [*set_before["taints"], *taints],
        "labels": sorted({*set_before["labels"], *change.labels}),
    }
    return {
        **node,
        "metadata": {
            **metadata,
            "labels": {**change.labels, **(metadata.get("labels") or {})},
            "annotations": {
                **(metadata.get("annotations") or {}),
                NODES_ANNOTATION: json.dumps(record, sort_keys=True),
            },
        },
        "spec": {**spec, "taints": [*(spec.get("taints") or []), *taints]},
    }


def _without(node: Object) -> Object:
    metadata, spec, record = node["metadata"], node.get("spec") or {}, _recorded(node)
    annotations = {key: value for key, value in metadata["annotations"].items() if key != NODES_ANNOTATION}
    labels = {
        key: value for key, value in (metadata.get("labels") or {}).items() if key not in record["labels"]
    }
    taints = [taint for taint in spec.get("taints") or [] if _plain(taint) not in record["taints"]]
    return {
        **node,
        "metadata": {**metadata, "labels": labels, "annotations": annotations},
        "spec": {**spec, "taints": taints},
    }


def _recorded(node: Object) -> dict[str, list[Any]]:
    text = (node["metadata"].get("annotations") or {}).get(NODES_ANNOTATION)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = {}  # somebody wrote over it: what it said is lost, and nothing is taken off by guess
    found = found if isinstance(found, dict) else {}
    return {"taints": list(found.get("taints") or []), "labels": list(found.get("labels") or [])}


def _plain(taint: Mapping[str, str]) -> Taint:
    return {key: value for key, value in taint.items() if key in {"key", "value", "effect"}}


def _has(spec: Mapping[str, Any], wanted: Taint) -> bool:
    return any(
        taint["key"] == wanted["key"] and taint["effect"] == wanted["effect"]
        for taint in spec.get("taints") or []
    )


def _write(cluster: Cluster, name: str, change: Any) -> None:
    ref = Ref("v1", "Node", "", name)
    for left in reversed(range(_TRIES)):
        node = cluster.get(ref)
        if node is None:
            return  # nodes come and go
        try:
            cluster.replace(change(node))
        except ConflictError:
            if not left:
                raise
            continue  # its kubelet writes it every few seconds
        return
