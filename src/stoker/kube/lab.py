"""What a lab says of itself to every user: how fast its time runs (`clock`), and where its monitoring answers."""

from collections.abc import Mapping
from typing import Any, Final

from stoker.kube.api_errors import ForbiddenError
from stoker.kube.clock import LAB
from stoker.kube.cluster import Cluster

__all__ = ["SERVICES", "lab_services", "named_services"]

SERVICES: Final = ("prometheus", "alertmanager", "catcher")


def lab_services(cluster: Cluster) -> dict[str, str]:
    """URLs of the lab's Prometheus (in the lab's time), Alertmanager and catcher of pages by these names.

    Empty where this is no lab, and without those that do not run.
    """
    try:
        found = cluster.get(LAB)
    except ForbiddenError:  # every lab lets every user read it
        return {}
    return named_services(found)


def named_services(config_map: Mapping[str, Any] | None) -> dict[str, str]:
    """The URLs in a lab's ``kube-public/stoker-lab``; names that are not there do not run."""
    data = (config_map or {}).get("data") or {}
    return {name: str(data[name]) for name in SERVICES if data.get(name)}
