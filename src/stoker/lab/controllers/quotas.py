"""Quotas: what is in use, counted again when something goes.

Source: kubernetes pkg/controller/resourcequota/{resource_quota_controller.go,resource_quota_monitor.go}. Creations are
charged by admission; what lets go of an amount is found here.
"""

from collections.abc import Iterable, Sequence

from stoker.lab.admission.quotas import refresh
from stoker.lab.admission.usage import is_counted
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.objects import is_terminal
from stoker.lab.store import Change

__all__ = ["Quotas"]

_SHELF = "resourcequotas"
# Kinds that count for more than their number: an update can let go of something.
_WEIGHED = frozenset(("services", "persistentvolumeclaims", "resourceclaims.resource.k8s.io"))
# --resource-quota-sync-period: everything is counted again now and then.
_RESYNC_S = 300.0


class Quotas:
    """The quota controller."""

    name = "resourcequota"

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._quotas = caches("v1", "ResourceQuota")
        # Quotas, and every kind whose number they can limit.
        self.shelves: Sequence[str] = sorted(
            {
                kind.shelf
                for kind in local.cluster.served.stored()
                if kind.resource.namespaced and is_counted(kind.resource.qualified)
            }
        )

    def targets(self, change: Change) -> Iterable[Target]:
        namespace, resource = change.key.namespace, change.key.resource
        if resource == _SHELF and not change.is_delete:
            return [(namespace, change.key.name)]
        if not change.is_delete and not self._lets_go(change):
            return ()
        return [(namespace, quota["metadata"]["name"]) for quota in self._quotas.all(namespace)]

    def _lets_go(self, change: Change) -> bool:
        if change.before is None:
            return False
        if change.key.resource != "pods":
            return change.key.resource in _WEIGHED
        now, before = self._caches.now_and_before(change)
        return is_terminal(now) and not is_terminal(before)

    def reconcile(self, target: Target) -> float | None:
        refresh(self._local.cluster, *target)
        return _RESYNC_S if self._quotas.get(*target) is not None else None
