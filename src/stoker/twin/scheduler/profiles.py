"""Scheduler profiles: how the resources plugin scores (KubeSchedulerConfiguration, NodeResourcesFitArgs)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DEFAULT_PROFILES", "Profile", "parse_profiles"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Scoring strategy of NodeResourcesFit.

    Attributes:
        strategy: LeastAllocated, MostAllocated or RequestedToCapacityRatio.
        resources: weight by resource.
        shape: (utilisation in percent, score 0 to 10), ascending, for RequestedToCapacityRatio.
    """

    strategy: str = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = (("cpu", 1), ("memory", 1))
    shape: tuple[tuple[int, int], ...] = ()


DEFAULT_PROFILES: Final[Mapping[str, Profile]] = {"default-scheduler": Profile()}


def parse_profiles(configuration: Mapping[str, Any]) -> dict[str, Profile]:
    """Profiles of a KubeSchedulerConfiguration, by scheduler name."""
    found: dict[str, Profile] = {}
    for entry in configuration.get("profiles") or ():
        profile = Profile()
        for plugin in entry.get("pluginConfig") or ():
            if plugin.get("name") == "NodeResourcesFit":
                strategy = (plugin.get("args") or {}).get("scoringStrategy") or {}
                ratio = strategy.get("requestedToCapacityRatio") or {}
                resources = strategy.get("resources") or [{"name": "cpu"}, {"name": "memory"}]
                profile = Profile(
                    strategy=strategy.get("type", "LeastAllocated"),
                    resources=tuple((item["name"], int(item.get("weight") or 1)) for item in resources),
                    shape=tuple((int(p["utilization"]), int(p["score"])) for p in ratio.get("shape") or ()),
                )
        found[entry.get("schedulerName", "default-scheduler")] = profile
    return found
