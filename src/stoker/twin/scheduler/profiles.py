"""Scheduler profiles: which plugins score with which weight, and how the resources plugin does (KubeSchedulerConfiguration)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["DEFAULT_PROFILES", "Profile", "parse_profiles"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Scoring strategy of NodeResourcesFit.

    Attributes:
        strategy: LeastAllocated, MostAllocated or RequestedToCapacityRatio.
        resources: weight by resource.
        shape: (utilisation in percent, score 0 to 10), ascending, for RequestedToCapacityRatio.
        weights: of score plugins, where they differ from the default profile's; 0 for one that is disabled.
    """

    strategy: str = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = (("cpu", 1), ("memory", 1))
    shape: tuple[tuple[int, int], ...] = ()
    weights: tuple[tuple[str, int], ...] = ()


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
        profile = replace(profile, weights=_weights((entry.get("plugins") or {}).get("score") or {}))
        found[entry.get("schedulerName", "default-scheduler")] = profile
    return found


def _weights(score: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Weights that a profile sets: disabled plugins score nothing, unless they are enabled again with a weight."""
    found = {item["name"]: 0 for item in score.get("disabled") or ()}
    found |= {item["name"]: int(item.get("weight") or 1) for item in score.get("enabled") or ()}
    return tuple(found.items())
