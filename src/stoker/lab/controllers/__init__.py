"""Kubernetes' own controllers, level-triggered and synchronous: what kube-controller-manager does, in the lab's process."""

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Controller
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.deployments import Deployments
from stoker.lab.controllers.garbage import GarbageCollector
from stoker.lab.controllers.namespaces import Namespaces, prepare_namespace
from stoker.lab.controllers.podgc import PodGC
from stoker.lab.controllers.quotas import Quotas
from stoker.lab.controllers.replicasets import ReplicaSets

__all__ = ["controllers", "prepare_namespace"]


def controllers(local: Local) -> list[Controller]:
    """Every controller, ready for a manager; they write as ``kube-controller-manager``."""
    caches = Caches(local)
    return [
        Deployments(local, caches),
        ReplicaSets(local, caches),
        Quotas(local, caches),
        GarbageCollector(local),
        Namespaces(local),
        PodGC(local, caches),
    ]
