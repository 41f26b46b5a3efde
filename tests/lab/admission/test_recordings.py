"""Admission inside the write pipeline, against what a real server recorded."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from stoker.lab.access.rbac import Authorizer
from stoker.lab.access.tokens import Tokens
from stoker.lab.api.call import Answer, Call, split_path
from stoker.lab.api.dispatch import dispatch
from stoker.lab.status import ApiError

Object = dict[str, Any]
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}
_RANDOM = re.compile(r"kube-api-access-[a-z0-9]{5}")
CRD = {
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {"kind": "ScaledObject", "plural": "scaledobjects"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


def play(world: Any, request: Object) -> tuple[int, Object, str | None]:
    """Status, body and warning of one request."""
    route = split_path(request["path"])
    assert route is not None
    kind = world.cluster.served.find(route.group, route.version, route.plural)
    assert kind is not None
    headers = request.get("headers") or {}
    body = b"" if request.get("body") is None else json.dumps(request["body"]).encode()
    verb = _VERBS[request["method"]]
    verb = "list" if verb == "get" and not route.name else verb
    call = Call(
        verb, kind.resource, route.namespace if kind.resource.namespaced else "", route.name, None, {}, "",
        headers.get("Content-Type", "application/json"), body, world.user, "oracle/1.0",
    )  # fmt: skip
    try:
        answer: Answer = dispatch(
            world.cluster, kind, call, Authorizer(world.cluster.store), Tokens(world.cluster.store, {})
        )
    except ApiError as error:
        return error.code, error.document(), None
    warnings = [value for name, value in answer.headers if name == "Warning"]
    document = answer.document if answer.document is not None else json.loads(answer.text or b"{}")
    return answer.code, document, ", ".join(warnings) or None


def told(obj: Object) -> Object:
    """What admission decides of an object: the whole spec of a pod, annotations, finalizers, the status of a quota."""
    if obj.get("kind") == "Status":
        return obj if obj["status"] == "Failure" else {"status": obj["status"]}
    metadata = obj.get("metadata") or {}
    found = {key: metadata[key] for key in ("annotations", "finalizers") if key in metadata}
    if obj.get("kind") == "Pod":
        found["spec"] = obj["spec"]
    elif obj.get("kind") == "ResourceQuota":
        found["status"] = obj.get("status")
        entries = metadata.get("managedFields") or ()
        found["owners"] = {one["manager"]: one["fieldsV1"] for one in entries}
    told_again: Object = json.loads(_RANDOM.sub("kube-api-access-<rand>", json.dumps(found)))
    return told_again


@pytest.mark.parametrize(
    "name",
    [
        "crud-create-in-missing-namespace",
        "limitrange-init-and-sidecars",
        "limitrange-only-max",
        "limitrange-pvc",
        "limitrange-violations",
        "namespace-terminating",
        "podsecurity-warn",
        "priorityclass-global-default",
        "priorityclass-validation",
        "pvc-validation",
        "quota-limits-gpu-ignored",
        "quota-must-specify",
        "quota-object-counts",
        "quota-priority-scope",
        "validating-admission-policy",
    ],
)
def test_a_recording_is_told_again(world: Any, recorded: Callable[[str], list[Object]], name: str) -> None:
    world.cluster.served.define(CRD)
    world.put(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "system-node-critical"},
            "value": 2_000_001_000,
            "preemptionPolicy": "PreemptLowerPriority",
        }
    )
    for step in recorded(name):
        request, expected = step["request"], step["response"]
        status, body, warning = play(world, request)
        label = f"{request['method']} {request['path']}"
        assert (label, expected["status"]) == (label, status), body
        assert expected["headers"].get("Warning") == warning
        full = expected.get("full", expected.get("body"))
        if full is not None and not full.get("kind", "").endswith("List"):
            assert told(full) == told(body)
        if request["path"] == "/api/v1/namespaces":
            # The controller that publishes the root certificate.
            metadata = {"name": "kube-root-ca.crt", "namespace": request["body"]["metadata"]["name"]}
            world.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
