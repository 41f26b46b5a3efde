"""Kubernetes' own controllers, level-triggered and synchronous: what kube-controller-manager does, in the lab's process."""

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Controller
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.cronjobs import CronJobs
from stoker.lab.controllers.daemonsets import DaemonSets
from stoker.lab.controllers.deployments import Deployments
from stoker.lab.controllers.disruption import DisruptionBudgets
from stoker.lab.controllers.garbage import GarbageCollector
from stoker.lab.controllers.hpa import Autoscalers
from stoker.lab.controllers.jobs import Jobs
from stoker.lab.controllers.metrics import MetricsError, MetricsSource, NoMetrics, Usage
from stoker.lab.controllers.namespaces import Namespaces, prepare_namespace
from stoker.lab.controllers.podgc import PodGC
from stoker.lab.controllers.protection import StorageProtection
from stoker.lab.controllers.quotas import Quotas
from stoker.lab.controllers.replicasets import ReplicaSets
from stoker.lab.controllers.services import Services
from stoker.lab.controllers.statefulsets import StatefulSets

__all__ = ["MetricsError", "MetricsSource", "NoMetrics", "Usage", "controllers", "prepare_namespace"]


def controllers(local: Local, metrics: MetricsSource | None = None) -> list[Controller]:
    """Every controller, ready for a manager.

    Args:
        local: through which they read and write, as ``kube-controller-manager``.
        metrics: what autoscalers ask; None for a cluster in which nobody serves metrics.
    """
    caches = Caches(local)
    return [
        Deployments(local, caches),
        ReplicaSets(local, caches),
        StatefulSets(local, caches),
        DaemonSets(local, caches),
        Jobs(local, caches),
        CronJobs(local, caches),
        Services(local, caches),
        DisruptionBudgets(local, caches),
        Autoscalers(local, caches, metrics or NoMetrics()),
        Quotas(local, caches),
        GarbageCollector(local),
        Namespaces(local),
        PodGC(local, caches),
        StorageProtection(local, caches),
    ]
