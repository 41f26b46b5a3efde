"""Kinds that the cluster does not serve: which component brings them, and how it is installed."""

from stoker.catalog.components import components
from stoker.kube.refs import Ref

__all__ = ["missing_kind"]


def missing_kind(ref: Ref) -> tuple[str, str]:
    """Why an object of a kind that is not served cannot be applied, and what to do."""
    found = next((item for item in components() if ref.resource in item.crds), None)
    what = f"the cluster serves no {ref.kind} in {ref.api_version}"
    if found is None:
        group = next(
            (item for item in components() if any(_group(crd) == ref.group for crd in item.crds)), None
        )
        if group is None:
            return what, "install what brings it; `kubectl api-resources` lists what is served"
        found = group
    return (
        f"{what}: {found.name} is not installed, or in another version",
        f"`stoker components FILE` prints {found.name}'s pinned chart, `--values {found.name}` its values",
    )


def _group(crd: str) -> str:
    return crd.partition(".")[2]
