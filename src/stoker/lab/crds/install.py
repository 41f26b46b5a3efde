"""Puts the definitions into a cluster."""

from stoker.lab.control.local import Local
from stoker.lab.crds.definitions import definitions

__all__ = ["install"]


def install(local: Local, *sets: str) -> None:
    """Create the definitions that a cluster lacks; those that are there stay as they are, whoever made them."""
    for one in definitions(*sets):
        if local.get("apiextensions.k8s.io/v1", one["kind"], "", one["metadata"]["name"]) is None:
            local.create(one)
