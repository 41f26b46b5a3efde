"""Which scheduler names are served: the default one, those of the lab's options, and those of schedulers that run as pods.

A second kube-scheduler is a Deployment like any other; its profiles are served while a pod of it runs, from the ConfigMap
that it mounts.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from stoker.lab.controllers.objects import Object
from stoker.twin.scheduler import Profile, parse_profiles

__all__ = ["is_scheduler", "running_profiles"]


def is_scheduler(pod: Object) -> bool:
    """Whether the pod runs a kube-scheduler."""
    return any(
        (words := [*(one.get("command") or ()), *(one.get("args") or ())])
        and words[0].endswith("kube-scheduler")
        for one in pod["spec"].get("containers") or ()
    )


def running_profiles(
    pods: Iterable[Object], config_maps: Mapping[tuple[str, str], Object]
) -> dict[str, Profile]:
    """Profiles of the schedulers among the pods that run."""
    found: dict[str, Profile] = {}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
            continue
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes") or ():
            name = str((volume.get("configMap") or {}).get("name") or "")
            for text in ((config_maps.get((namespace, name)) or {}).get("data") or {}).values():
                found |= _parsed(text)
    return found


def _parsed(text: str) -> dict[str, Profile]:
    if "KubeSchedulerConfiguration" not in text:
        return {}
    try:
        read: Any = yaml.safe_load(text)
        return parse_profiles(read) if isinstance(read, dict) else {}
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        # The real scheduler would not start with it; its pods name a scheduler that nobody is.
        return {}
