"""TaintNodesByCondition: a new node takes no pods until its readiness is known (plugin/pkg/admission/nodetaint)."""

from stoker.lab.admission.requests import is_write_of, spec_of
from stoker.lab.api.cluster import Plugin, Review

__all__ = ["TAINT_NODES"]

_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def _mutate(review: Review) -> None:
    if not is_write_of(review, "nodes", "CREATE"):
        return
    spec = spec_of(review)
    taints = spec.get("taints") or []
    if not any((one.get("key"), one.get("effect")) == (_TAINT["key"], _TAINT["effect"]) for one in taints):
        spec["taints"] = [*taints, dict(_TAINT)]


TAINT_NODES = Plugin("TaintNodesByCondition", mutate=_mutate)
