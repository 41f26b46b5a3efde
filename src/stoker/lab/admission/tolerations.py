"""DefaultTolerationSeconds: pods leave a node that is gone after five minutes (plugin/pkg/admission/defaulttolerationseconds)."""

from collections.abc import Sequence

from stoker.lab.admission.requests import is_write_of, spec_of
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object

__all__ = ["DEFAULT_TOLERATION_SECONDS", "merged_tolerations"]

_SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _mutate(review: Review) -> None:
    if not is_write_of(review, "pods", "CREATE", "UPDATE"):
        return
    spec = spec_of(review)
    own = spec.get("tolerations") or []
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
        for key in _TAINTS
        if not any(
            one.get("key", "") in {key, ""} and one.get("effect", "") in {"NoExecute", ""} for one in own
        )
    ]
    if added:
        spec["tolerations"] = [*own, *added]


def merged_tolerations(first: Sequence[Object], second: Sequence[Object]) -> list[Object]:
    """Both, without those that another one covers (pkg/util/tolerations MergeTolerations)."""
    everything = [*first, *second]
    merged: list[Object] = []
    for index, one in enumerate(everything):
        if any(_covers(other, one) for other in merged):
            continue
        if any(other != one and _covers(other, one) for other in everything[index + 1 :]):
            continue
        merged.append(one)
    return merged


def _covers(wide: Object, narrow: Object) -> bool:
    if wide == narrow:
        return True
    operator = wide.get("operator", "")
    if narrow.get("key", "") != wide.get("key", "") and (wide.get("key") or operator != "Exists"):
        return False
    if wide.get("effect") and narrow.get("effect", "") != wide["effect"]:
        return False
    seconds = wide.get("tolerationSeconds")
    if wide.get("effect") == "NoExecute" and seconds is not None:
        other = narrow.get("tolerationSeconds")
        if other is None or other > seconds:
            return False
    if operator in {"", "Equal"}:
        return bool(narrow.get("operator") == "Equal" and narrow.get("value", "") == wide.get("value", ""))
    return bool(operator == "Exists")


DEFAULT_TOLERATION_SECONDS = Plugin("DefaultTolerationSeconds", mutate=_mutate)
