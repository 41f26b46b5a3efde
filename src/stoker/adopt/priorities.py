"""PriorityClasses put to the tenants whose pods they rank."""

import re
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import managed
from stoker.audit.view.view import View
from stoker.kube.snapshot import Item

__all__ = ["priorities"]

_DEFAULTS: Final = {
    "production": 1_000_000,
    "staging": 500_000,
    "batch": 100_000,
    "training": 50_000,
    "experiments": 10_000,
}
_PREEMPTS: Final = frozenset(("production", "staging"))
_KIND: Final = "PriorityClass.scheduling.k8s.io"


def priorities(view: View, classes: dict[str, str], ledger: Ledger) -> dict[str, dict[str, Any]]:
    """``priority`` and ``preempts`` by namespace: of the class that its pods name, of its own name, or of its kind of work."""
    found: dict[str, dict[str, Any]] = {}
    by_name = {item.name: item for item in view.of(_KIND) if not item.name.startswith("system-")}
    for namespace, kind in classes.items():
        item = _of(view, namespace, kind, classes, by_name)
        if item is not None:
            ledger.use(item)
            fields = _fields(item, kind, ledger)
            if fields:
                found[namespace] = fields
    for item in by_name.values():
        if not ledger.used(item) and not managed(item):
            ledger.note(item, (), "no tenant's pods name this class: it is not carried over")
    return found


def _of(
    view: View, namespace: str, kind: str, classes: dict[str, str], by_name: dict[str, Item]
) -> Item | None:
    own = [s.workload for s in view.running_servers if s.item.namespace == namespace]
    named = [
        str(w.pod.get("priorityClassName") or "")
        for w in (*own, *view.gpu_workloads)
        if w.namespace == namespace
    ]
    item = view.snapshot.get("Namespace", "", namespace)
    tenant = item.labels.get("stoker.dev/tenant", "") if item else ""
    for name in (*named, namespace, f"stoker-{tenant or namespace}"):
        if name in by_name:
            return by_name[name]
    # One namespace and one class that speak of the same kind of work belong together.
    if sum(1 for other in classes.values() if other == kind) > 1:
        return None
    fitting = [item for name, item in by_name.items() if re.search(kind[:5], name)]
    return fitting[0] if len(fitting) == 1 else None


def _fields(item: Item, kind: str, ledger: Ledger) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    value = item.obj.get("value")
    if isinstance(value, int) and not isinstance(value, bool) and value != _DEFAULTS[kind]:
        if abs(value) <= 1_000_000_000:
            fields["priority"] = value
        else:
            ledger.note(
                item,
                ("value",),
                "a value beyond one billion is the system's own: the class's default is taken",
            )
    preempts = item.obj.get("preemptionPolicy") != "Never"
    if preempts is not (kind in _PREEMPTS):
        fields["preempts"] = preempts
    if item.obj.get("globalDefault") is True:
        ledger.note(
            item,
            ("globalDefault",),
            "a default for every pod of the cluster is not carried over: each tenant's pods name their own class",
        )
    return fields
