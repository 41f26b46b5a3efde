"""Documents in a folder of manifests that are no Kubernetes objects and that other servers read.

They become items of kinds of our own, so that rules find them like any object: `RuleFile.prometheus` (a bare `groups:`
file), `ConfigFile.prometheus` (`scrape_configs:`), `Dashboard.grafana` (an exported dashboard).
"""

from pathlib import PurePath
from typing import Any

__all__ = ["as_object"]


def as_object(document: dict[str, Any], file: str) -> dict[str, Any] | None:
    """The document as an object of our own kinds, None where it is none of them."""
    if isinstance(document.get("groups"), list) and any(
        isinstance(group, dict) and "rules" in group for group in document["groups"]
    ):
        return _wrap("prometheus/v1", "RuleFile", document, file)
    if isinstance(document.get("scrape_configs"), list):
        return _wrap("prometheus/v1", "ConfigFile", document, file)
    if isinstance(document.get("panels"), list) and ("schemaVersion" in document or "title" in document):
        return _wrap("grafana/v1", "Dashboard", document, file)
    return None


def _wrap(api_version: str, kind: str, document: dict[str, Any], file: str) -> dict[str, Any]:
    return {
        **document,
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": PurePath(file).name or "-"},
    }
