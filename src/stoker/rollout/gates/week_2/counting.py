"""Who answered, by the engines' own counters: requests that each version finished between two looks.

A counter of finished requests counts everybody's. Where more were finished than were sent, the others' may have been of either
version, and the count of ours is known within bounds only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2

from stoker.catalog.engines import Metric
from stoker.kube.refs import Object
from stoker.rollout.endpoints import find_pod
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.sizing.resolved import ResolvedModel

__all__ = ["Count", "Look", "counted", "pods_of", "read_counters", "sum_of"]

_VERSION: Final = "stoker.dev/version"
_TIMEOUT: Final = httpx2.Timeout(10.0, connect=3.0)


@dataclass(frozen=True, slots=True)
class Count:
    """Requests between two looks.

    Attributes:
        sent: by us, and answered.
        finished: by version, of all clients.
    """

    sent: int
    finished: Mapping[str, int]

    @property
    def others(self) -> int:
        """Requests of other clients; negative where answers are missing in the counters."""
        return sum(self.finished.values()) - self.sent

    def bounds(self, version: str) -> tuple[int, int]:
        """Fewest and most of ours that a version can have answered."""
        found = self.finished.get(version, 0)
        return max(0, found - self.others), min(self.sent, found)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the counters.

    Attributes:
        counters: version and requests finished so far, by pod.
        direct: requests that were answered at each version's own door so far; they are no part of a split.
    """

    counters: Mapping[str, tuple[str, float]]
    direct: Mapping[str, int]


def counted(before: Look, after: Look, sent: int) -> Count:
    """The difference of two looks, less what was asked directly.

    Raises:
        CannotMeasureError: a pod began anew, or went, and took the count of some of our requests with it.
    """
    finished: dict[str, int] = {version: 0 for version, _ in before.counters.values()}
    for pod, (version, value) in after.counters.items():
        made = value - before.counters.get(pod, (version, 0.0))[1]
        if made < 0:
            raise CannotMeasureError(f"{pod} began anew while requests were counted", fix="run it again")
        finished[version] = finished.get(version, 0) + round(made)
    for version, count in after.direct.items():
        if version in finished:
            finished[version] -= count - before.direct.get(version, 0)
    gone = sorted(before.counters.keys() - after.counters.keys())
    if gone and sum(finished.values()) < sent:
        raise CannotMeasureError(f"{', '.join(gone)} went while requests were counted", fix="run it again")
    return Count(sent, finished)


def sum_of(page: str, name: str) -> float | None:
    """Sum of a counter's series on a page of metrics (Prometheus text format); None where it has none."""
    pattern = re.compile(rf"^{re.escape(name)}(?:\{{[^\n]*\}})?[ \t]+(\S+)", re.MULTILINE)
    found = [float(value) for value in pattern.findall(page)]
    return sum(found) if found else None


def pods_of(context: Context, model: ResolvedModel) -> dict[str, list[Object]]:
    """Pods that are ready and stay, by version."""
    selector = ",".join(f"{key}={value}" for key, value in model.pod_labels.items())
    found: dict[str, list[Object]] = {}
    for pod in context.cluster.objects("v1", "Pod", model.namespace, labels=selector):
        conditions = (pod.get("status") or {}).get("conditions") or ()
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        if ready and not pod["metadata"].get("deletionTimestamp"):
            found.setdefault(pod["metadata"]["labels"].get(_VERSION, ""), []).append(pod)
    return found


def read_counters(
    context: Context, model: ResolvedModel, pods: Mapping[str, Sequence[Object]]
) -> dict[str, tuple[str, float]]:
    """Version and requests finished so far, by pod. A counter that is not there yet has counted nothing.

    Raises:
        CannotMeasureError: a pod's metrics cannot be read.
    """
    release = model.release
    port = release.metrics_port if release.metrics_port != release.port else model.port
    name = release.metrics[Metric.REQUEST_SUCCESS].name
    found = {}
    for version, pod in ((version, pod) for version, each in pods.items() for pod in each):
        endpoint = find_pod(context.cluster, pod, port, health=release.metrics_path)
        try:
            with endpoint.client(_TIMEOUT) as client:
                page = client.get(release.metrics_path)
        except httpx2.HTTPError as error:
            raise CannotMeasureError(
                f"{endpoint.through}: no metrics: {error}", fix="run it again"
            ) from error
        if not page.is_success:
            raise CannotMeasureError(
                f"{endpoint.through}: metrics answer {page.status_code}", fix="run it again"
            )
        # vLLM makes the series of each end at its start; others with the first request.
        found[pod["metadata"]["name"]] = (version, sum_of(page.text, name) or 0.0)
    return found
