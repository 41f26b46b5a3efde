"""kubectl's last-applied annotation, kept up to date by a server-side apply of kubectl's.

Upstream: k8s.io/apimachinery pkg/util/managedfields/internal/lastappliedupdater.go, lastapplied.go.
"""

import json
from typing import Any

from stoker.lab.merge.conflicts import LAST_APPLIED

__all__ = ["refreshed"]

_ANNOTATIONS_LIMIT_BYTES = 256 * 1024  # apimachinery pkg/api/validation TotalAnnotationSizeLimitB


def refreshed(merged: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """The object with the annotation rewritten, if it has one: kubectl may go back to client-side apply."""
    annotations = merged.get("metadata", {}).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return merged
    changed = {**annotations, LAST_APPLIED: _text(applied)}
    if sum(len(key.encode()) + len(one.encode()) for key, one in changed.items()) > _ANNOTATIONS_LIMIT_BYTES:
        del changed[LAST_APPLIED]
    return {**merged, "metadata": {**merged["metadata"], "annotations": changed}}


def _text(applied: dict[str, Any]) -> str:
    """As Go's JSON encoder writes it: keys sorted, safe in HTML, a line's end."""
    metadata = applied.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("annotations"), dict):
        kept = {key: one for key, one in metadata["annotations"].items() if key != LAST_APPLIED}
        applied = {**applied, "metadata": {**metadata, "annotations": kept}}
    text = json.dumps(applied, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for one, escaped in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(one, escaped)
    return text + "\n"
