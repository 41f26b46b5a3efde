"""metrics.k8s.io as the HPA controller asks it."""

from collections.abc import Mapping, Sequence
from typing import Final

from stoker.lab.control.local import Local
from stoker.lab.controllers.metrics import NoMetrics, Usage
from stoker.lab.monitoring.resources import UsageOf, estimated_usage, pod_usage

__all__ = ["ResourceMetrics"]

_WINDOW_S: Final = 15.0


class ResourceMetrics(NoMetrics):
    """Resource metrics of pods; custom and external ones are others' and stay unserved here.

    Args:
        local: a client of the cluster.
        usage_of: what a pod uses; the default is an assumption (`resources`).
    """

    def __init__(self, local: Local, usage_of: UsageOf = estimated_usage) -> None:
        self._local = local
        self._usage_of = usage_of

    def resource(
        self, namespace: str, pods: Sequence[str], resource: str, container: str
    ) -> Mapping[str, Usage]:
        """Pods that do not run, and those of which nobody knows, are absent: the HPA counts them as missing."""
        now = self._local.cluster.clock()
        found = {}
        for name in pods:
            pod = self._local.get("v1", "Pod", namespace, name)
            value = None if pod is None else pod_usage(pod, self._usage_of, resource, container)
            if value is not None:
                found[name] = Usage(value, now, _WINDOW_S)
        return found
