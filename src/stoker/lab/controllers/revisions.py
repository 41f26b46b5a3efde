"""ControllerRevisions: the templates that StatefulSets and DaemonSets have had.

Source: kubernetes pkg/controller/history/controller_history.go, pkg/controller/{statefulset,daemon}.
"""

import copy
import json
from collections.abc import Iterable

from stoker.lab.controllers.hashes import fnv32, safe_text
from stoker.lab.controllers.objects import Object, controller_reference

__all__ = ["apply_revision", "data_hash", "data_name", "new_revision", "revision_data", "sorted_revisions"]

_LONGEST_PREFIX = 223


def revision_data(workload: Object) -> Object:
    """What a revision keeps: a patch that puts the template in place of another (getPatch)."""
    return {"spec": {"template": {**workload["spec"]["template"], "$patch": "replace"}}}


def apply_revision(workload: Object, revision: Object) -> Object:
    """The workload with the template that a revision keeps (ApplyRevision)."""
    template = {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}
    return {**workload, "spec": {**workload["spec"], "template": template}}


def new_revision(
    workload: Object, number: int, name: str, label: tuple[str, str], annotations: Object | None = None
) -> Object:
    """A revision of a workload's template, under a name and with a label that tells it from others."""
    template = workload["spec"]["template"]
    metadata: Object = {
        "name": name,
        "namespace": workload["metadata"]["namespace"],
        "labels": {**((template.get("metadata") or {}).get("labels") or {}), label[0]: label[1]},
        "ownerReferences": [controller_reference(workload)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": copy.deepcopy(revision_data(workload)),
        "revision": number,
    }


def data_hash(workload: Object, collisions: int) -> str:
    """HashControllerRevision: of the data as Go writes it, and of the count of collisions."""
    text = json.dumps(revision_data(workload), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return safe_text(str(fnv32(text.encode() + str(collisions).encode())))


def data_name(workload: Object, digest: str) -> str:
    return f"{workload['metadata']['name'][:_LONGEST_PREFIX]}-{digest}"


def sorted_revisions(revisions: Iterable[Object]) -> list[Object]:
    """From the oldest to the newest."""
    return sorted(
        revisions,
        key=lambda one: (
            int(one["revision"]),
            one["metadata"].get("creationTimestamp", ""),
            one["metadata"]["name"],
        ),
    )
