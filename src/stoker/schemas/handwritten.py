"""Schemas of the kinds that ../shared/crds lacks: the fields that Stoker emits, and no others.

LeaderWorkerSet v1: https://lws.sigs.k8s.io/docs/reference/leaderworkerset.v1/ and
kubernetes-sigs/lws api/leaderworkerset/v1/leaderworkerset_types.go.
InterceptorRoute v1beta1: kedacore/http-add-on operator/apis/http/v1beta1/interceptorroute_types.go (v0.15.0).
"""

from typing import Any


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _crd(group: str, version: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    root = _object(("spec",), spec=schema)
    return {
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind},
            "versions": [{"name": version, "served": True, "schema": {"openAPIV3Schema": root}}],
        },
    }


_COUNT = {"type": "integer", "format": "int32", "minimum": 0}
_POSITIVE = {"type": "integer", "format": "int32", "minimum": 1}
_TEXT = {"type": "string", "minLength": 1}
_DURATION = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$"}
# A PodTemplateSpec: the pods inside are checked by the pod rules and by the core schema.
_POD_TEMPLATE = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "x-stoker-pod-template": True,
}
_INT_OR_STRING = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}

_LWS = _object(
    ("leaderWorkerTemplate",),
    replicas=_COUNT,
    leaderWorkerTemplate=_object(
        ("workerTemplate",),
        leaderTemplate=_POD_TEMPLATE,
        workerTemplate=_POD_TEMPLATE,
        size=_POSITIVE,
        restartPolicy={
            "type": "string",
            "enum": ["Default", "RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"],
        },
        subGroupPolicy=_object(
            subGroupSize=_POSITIVE,
            subGroupPolicyType={"type": "string", "enum": ["LeaderWorker", "LeaderExcluded"]},
        ),
    ),
    rolloutStrategy=_object(
        ("type",),
        type={"type": "string", "enum": ["RollingUpdate"]},
        rollingUpdateConfiguration=_object(
            partition=_COUNT, maxUnavailable=_INT_OR_STRING, maxSurge=_INT_OR_STRING
        ),
    ),
    startupPolicy={"type": "string", "enum": ["LeaderCreated", "LeaderReady"]},
    networkConfig=_object(
        ("subdomainPolicy",), subdomainPolicy={"type": "string", "enum": ["Shared", "UniquePerReplica"]}
    ),
)

_INTERCEPTOR_ROUTE = _object(
    ("target", "scalingMetric"),
    target=_object(("service",), service=_TEXT, port={**_POSITIVE, "maximum": 65535}, portName=_TEXT),
    rules={
        "type": "array",
        "items": _object(
            hosts={"type": "array", "x-kubernetes-list-type": "set", "items": _TEXT},
            paths={"type": "array", "items": _object(("value",), value=_TEXT)},
            headers={
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": _object(("name",), name=_TEXT, value={"type": "string"}),
            },
        ),
    },
    scalingMetric=_object(
        concurrency=_object(("targetValue",), targetValue=_POSITIVE),
        requestRate=_object(("targetValue",), targetValue=_POSITIVE, granularity=_DURATION, window=_DURATION),
    ),
    timeouts=_object(readiness=_DURATION, request=_DURATION, responseHeader=_DURATION),
)

HANDWRITTEN = (
    _crd("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", _LWS),
    _crd("http.keda.sh", "v1beta1", "InterceptorRoute", _INTERCEPTOR_ROUTE),
)
