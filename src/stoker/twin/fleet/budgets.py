"""PodDisruptionBudgets of a run: whether a pod may be evicted now."""

from collections.abc import Sequence
from math import ceil

from stoker.twin.fleet.pods import PodRun
from stoker.twin.fleet.spec import Object
from stoker.twin.fleet.workload import WorkloadRun

__all__ = ["Budgets"]


class Budgets:
    """Answers evictions as the API server does from what the disruption controller has counted.

    Sources: kubernetes 1.36 pkg/controller/disruption/disruption.go (expected pods come from the controllers' scale,
    healthy ones are Ready) and pkg/registry/core/pod/storage/eviction.go (``unhealthyPodEvictionPolicy``).
    """

    def __init__(self, policies: Sequence[Object], runs: Sequence[WorkloadRun]) -> None:
        self._budgets = [item for item in policies if item["kind"] == "PodDisruptionBudget"]
        self._runs = runs

    def allow(self, pod: PodRun) -> bool:
        """Whether every budget that selects ``pod`` can spare it."""
        return all(self._spares(budget, pod) for budget in self._budgets if _selects(budget, pod.object))

    def _spares(self, budget: Object, pod: PodRun) -> bool:
        runs = [run for run in self._runs if _selects(budget, run.spec.pod)]
        expected = sum(run.desired * run.spec.pods_per_replica for run in runs)
        healthy = sum(run.ready * run.spec.pods_per_replica for run in runs)
        spec = budget["spec"]
        if "maxUnavailable" in spec:
            least = max(0, expected - _whole(spec["maxUnavailable"], expected))
        else:
            least = _whole(spec.get("minAvailable", 0), expected)
        if not pod.ready:
            return spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow" or healthy >= max(1, least)
        return healthy > least


def _whole(value: int | str, of: int) -> int:
    """An IntOrString; percentages round up, for both fields of a budget."""
    return ceil(int(value.rstrip("%")) * of / 100) if isinstance(value, str) else value


def _selects(budget: Object, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    wanted = (budget["spec"].get("selector") or {}).get("matchLabels") or {}
    return (
        budget["metadata"].get("namespace") == pod["metadata"].get("namespace")
        and wanted.items() <= labels.items()
    )
