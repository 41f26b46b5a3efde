"""Selectors, tolerations and node affinity as the API server and the scheduler match them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["matches", "node_fits", "nodes_terms", "tolerates", "untolerated"]

Labels = Mapping[str, str]
Object = Mapping[str, Any]


def matches(selector: Object | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects; an empty one selects everything, None nothing.

    Source: apimachinery pkg/apis/meta/v1/helpers.go LabelSelectorAsSelector.
    """
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(entry, labels) for entry in selector.get("matchExpressions") or [])


def _expression(entry: Object, labels: Labels) -> bool:
    key, operator, values = entry.get("key", ""), entry.get("operator", ""), entry.get("values") or []
    here = labels.get(key)
    if operator == "In":
        return here in values
    if operator == "NotIn":
        return here not in values
    if operator == "Exists":
        return here is not None
    if operator == "DoesNotExist":
        return here is None
    if operator in {"Gt", "Lt"} and here is not None and len(values) == 1:
        try:
            left, right = int(here), int(values[0])
        except ValueError:
            return False
        return left > right if operator == "Gt" else left < right
    return False


def nodes_terms(pod: Object) -> list[Object]:
    """Required node selector terms of a pod specification; terms are alternatives."""
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return list(required.get("nodeSelectorTerms") or [])


def node_fits(pod: Object, name: str, labels: Labels) -> bool:
    """Whether nodeSelector and required node affinity allow the node.

    Source: kube-scheduler plugins/nodeaffinity; a term without expressions matches nothing.
    """
    if any(labels.get(key) != value for key, value in (pod.get("nodeSelector") or {}).items()):
        return False
    terms = nodes_terms(pod)
    return not terms or any(_term(term, name, labels) for term in terms)


def _term(term: Object, name: str, labels: Labels) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_expression(entry, labels) for entry in expressions) and all(
        _expression(entry, {"metadata.name": name}) for entry in fields
    )


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether one toleration covers one taint (k8s.io/api core/v1 toleration.go ToleratesTaint)."""
    effect = toleration.get("effect")
    if effect and effect != taint.get("effect"):
        return False
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if key and key != taint.get("key"):
        return False
    if operator == "Exists":
        return True
    return bool(key) and operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(taints: Sequence[Object], tolerations: Sequence[Object]) -> list[Object]:
    """Taints that keep a pod off a node: NoSchedule and NoExecute without a toleration."""
    return [
        taint
        for taint in taints
        if taint.get("effect") in {"NoSchedule", "NoExecute"}
        and not any(tolerates(toleration, taint) for toleration in tolerations)
    ]
