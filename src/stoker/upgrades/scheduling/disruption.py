"""PodDisruptionBudgets: a drain may take one replica of a model at a time."""

from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Upgrade, Wave, emit

__all__ = ["compile_disruption_budgets"]


def compile_disruption_budgets(platform: ResolvedPlatform) -> list[Emitted]:
    """One budget a model."""
    return [_budget(platform, model) for model in platform.models.values()]


def _budget(platform: ResolvedPlatform, model: ResolvedModel) -> Emitted:
    """State what may be missing rather than what must stay (minAvailable).

    It follows the autoscaler's replica count, never blocks a drain for ever (one replica with minAvailable 1 would), and
    still lets only one replica load at a time. AlwaysAllow lets a drain remove pods that crash or load and would
    otherwise hold the node (kubernetes.io/docs/tasks/run-application/configure-pdb).
    """
    whole = model.nodes_per_replica
    one = "one pod" if whole == 1 else f"one group of {whole} pods"
    return emit(
        platform,
        Upgrade.SCHEDULING,
        Wave.WORKLOADS,
        f"A node drain takes {one} of {model.name} at a time and cannot be blocked by pods that are not ready",
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": model.name, "namespace": model.namespace},
            "spec": {
                "maxUnavailable": whole,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": dict(model.pod_labels)},
            },
        },
        model=model,
    )
