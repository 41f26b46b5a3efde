"""What the smaller kinds refuse, in the server's words; each case is one mistake and the causes it brings."""

import base64
import copy
from typing import Any

import pytest

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.events_conversion import event_to_core, event_to_events_v1
from stoker.lab.kinds.priorities import check_default_class, check_delete
from stoker.lab.kinds.registry import strategy
from stoker.lab.kinds.workload_strategies import STRATEGIES
from stoker.lab.resources import BUILTIN
from stoker.lab.schema.builtin import definition, definition_name
from stoker.lab.status import ApiError

Object = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"


def _made(api_version: str, kind: str, **fields: Any) -> Object:
    """An object as it is when it is validated."""
    group, _, version = api_version.rpartition("/")
    resource = next(one for one in BUILTIN if (one.group, one.version, one.kind) == (group, version, kind))
    name = definition_name(group, version, kind)
    assert name is not None
    body: Object = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **fields}
    obj: Object = canonical(copy.deepcopy(body), definition(name))
    if resource.namespaced:
        obj["metadata"]["namespace"] = "ns"
    strategy(group, kind).default(obj)
    strategy(group, kind).prepare_create(obj)
    return obj


def _texts(obj: Object) -> list[str]:
    group = obj["apiVersion"].rpartition("/")[0]
    return [str(cause) for cause in strategy(group, obj["kind"]).validate(obj)]


def _update_texts(old: Object, **fields: Any) -> list[str]:
    group = old["apiVersion"].rpartition("/")[0]
    before = copy.deepcopy(old)
    before["metadata"]["resourceVersion"] = "1"
    new = {**copy.deepcopy(before), **fields}
    behaviour = strategy(group, old["kind"])
    behaviour.prepare_update(new, before)
    causes = behaviour.validate(new) + behaviour.validate_update(new, before)
    return [str(cause) for cause in causes]


def _rule(**fields: Any) -> Object:
    return {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], **fields}]}


_ITEM = {"type": "Container"}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_BINDING = {"roleRef": {"kind": "Role", "name": "r"}}
_REQUEST = {"name": "gpu", "exactly": {"deviceClassName": "c"}}
_POLICY = {
    "matchConstraints": {
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    },
    "validations": [{"expression": "true"}],
}  # fmt: skip

_CASES: list[tuple[str, str, Object, list[str]]] = [
    ("v1", "ConfigMap", {"data": {"..a": "1"}}, ['data[..a]: Invalid value: "..a": must not start with \'..\'']),
    ("v1", "Secret", {"type": "kubernetes.io/tls"}, ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
    (
        "v1",
        "Secret",
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "[]"}},
        [
            ('data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value'
            " of type map[string]interface {}")
        ],
    ),
    (
        "v1",
        "ResourceQuota",
        {"spec": {"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}},
        ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'],
    ),
    (
        "v1",
        "LimitRange",
        {"spec": {"limits": [{**_ITEM, "max": {"nvidia.com/gpu": "2"}, "defaultRequest": {"nvidia.com/gpu": "1"}}]}},
        [
            ('spec.limits[0].defaultRequest[nvidia.com/gpu]: Invalid value: "1": default value 2 must equal to defaultRequest'
            " value 1 in nvidia.com/gpu")
        ],
    ),
    (
        "v1",
        "LimitRange",
        {"spec": {"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}},
        ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'],
    ),
    (
        "scheduling.k8s.io/v1",
        "PriorityClass",
        {"metadata": {"name": "system-x"}, "value": 1},
        [
            ("metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error:"
            " system-x is not a known system priority class")
        ],
    ),
    (
        "v1",
        "PersistentVolume",
        {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "local": {"path": "/a/../b"}}},
        [
            'spec.local.path: Invalid value: "/a/../b": must not contain \'..\'',
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    ),
    (_RBAC + "/v1", "Role", _rule(verbs=[]), ["rules[0].verbs: Required value: verbs must contain at least one value"]),
    (
        _RBAC + "/v1",
        "Role",
        {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/a"]}]},
        [
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs',
        ],
    ),
    (
        _RBAC + "/v1",
        "RoleBinding",
        {**_BINDING, "subjects": [{"kind": "ServiceAccount", "name": "A", "apiGroup": "x"}]},
        [
            ('subjects[0].name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric'
            " characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used"
            " for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"),
            'subjects[0].apiGroup: Unsupported value: "x": supported values: ""',
        ],
    ),
    (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.1/24", "except": ["10.0.0.0/24"]}}]}]}},
        [
            ('spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.1/24": must not have bits set beyond the prefix'
            " length"),
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.0.0.0/24": must be a strict subset of `cidr`',
        ],
    ),
    (
        "networking.k8s.io/v1",
        "Ingress",
        {"spec": {"rules": [{"http": {"paths": [{"path": "a", "pathType": "Prefix", "backend": {}}]}}]}},
        [
            'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
            'spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required',
        ],
    ),
    (
        "coordination.k8s.io/v1",
        "Lease",
        {"spec": {"leaseDurationSeconds": 0}},
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    ),
    (
        "discovery.k8s.io/v1",
        "EndpointSlice",
        {"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1", "10.0.0.01"]}], "ports": []},
        [
            'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
            'endpoints[0].addresses[1]: Invalid value: "10.0.0.01": must not have leading 0s',
        ],
    ),
    (
        "resource.k8s.io/v1",
        "ResourceClaim",
        {"spec": {"devices": {"requests": [_REQUEST], "constraints": [{"requests": ["other"], "matchAttribute": "a"}]}}},
        [
            ('spec.devices.constraints[0].requests[0]: Invalid value: "other": must be the name of a request in the claim or'
            " the name of a request and a subrequest separated by '/'"),
            ('spec.devices.constraints[0].matchAttribute: Invalid value: "a": a fully qualified name must be a domain and a'
            " name separated by a slash"),
        ],
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        {"spec": {**_POLICY, "validations": [{"expression": " ", "message": "a\nb"}]}},
        [
            "spec.validations[0].expression: Required value: expression is not specified",
            'spec.validations[0].message: Invalid value: "a\\nb": must not contain line breaks',
        ],
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        {"spec": {"policyName": "p", "validationActions": ["Deny", "Deny"]}},
        ['spec.validationActions[1]: Duplicate value: "Deny"'],
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        {"webhooks": [{"name": "a.b.c", "clientConfig": {"url": "http://h"}, "admissionReviewVersions": ["v1"]}]},
        [
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            ("webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format:"
            " https://host[/path]"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "fields", "expected"), _CASES)
def test_a_mistake_is_refused_in_the_servers_words(
    api_version: str, kind: str, fields: Object, expected: list[str]
) -> None:
    assert expected == _texts(_made(api_version, kind, **fields))


def test_every_stored_kind_has_a_strategy_and_a_bare_object_does_not_break_it() -> None:
    for resource in BUILTIN:
        behaviour = strategy(resource.group, resource.kind)
        if resource.is_stored and (resource.group, resource.kind) not in STRATEGIES:
            obj = _made(resource.api_version, resource.kind)
            again = copy.deepcopy(obj)
            behaviour.default(again)
            assert obj == again, resource.kind
            behaviour.validate(obj)
            behaviour.warnings(obj)
            _update_texts(obj)


def test_text_of_a_secret_goes_into_its_data() -> None:
    found = _made("v1", "Secret", data={"a": "MQ==", "b": "MQ=="}, stringData={"b": "2"})
    assert {"a": "MQ==", "b": base64.b64encode(b"2").decode()} == found["data"]
    assert ("Opaque", False) == (found["type"], "stringData" in found)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_immutable_object_keeps_its_data(kind: str) -> None:
    old = _made("v1", kind, data={"a": "MQ=="}, immutable=True)
    frozen = "field is immutable when `immutable` is set"
    assert [f"immutable: Forbidden: {frozen}", f"data: Forbidden: {frozen}"] == _update_texts(
        old, data={"a": "Mg=="}, immutable=False
    )


def test_a_bound_claim_may_grow_and_not_shrink() -> None:
    old = _made("v1", "PersistentVolumeClaim", spec=copy.deepcopy(_CLAIM))
    old["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}

    def sized(size: str) -> Object:
        return {**old["spec"], "resources": {"requests": {"storage": size}}}

    assert [] == _update_texts(old, spec=sized("2Gi"))
    path = "spec.resources.requests.storage"
    assert [f"{path}: Forbidden: field can not be less than status.capacity"] == _update_texts(
        old, spec=sized("512Mi")
    )


def test_a_changed_volume_source_is_shown_as_a_difference() -> None:
    source = {"hostPath": {"path": "/a"}}
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    old = _made("v1", "PersistentVolume", spec={**spec, **source})
    texts = _update_texts(old, spec={**old["spec"], "hostPath": {"path": "/b", "type": ""}})
    shown = (
        '@@ -2,7 +2,7 @@\n  "GCEPersistentDisk": null,\n  "AWSElasticBlockStore": null,\n  "HostPath": {\n'
    )
    shown += '-  "Path": "/a",\n+  "Path": "/b",\n   "Type": ""\n  },\n  "Glusterfs": null,\n'
    text = "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"
    assert [text + shown] == texts


def test_a_storage_class_keeps_what_volumes_were_made_with() -> None:
    old = _made("storage.k8s.io/v1", "StorageClass", provisioner="p.io/x")
    assert {"Delete", "Immediate"} == {old["reclaimPolicy"], old["volumeBindingMode"]}
    assert ['reclaimPolicy: Invalid value: "Retain": field is immutable'] == _update_texts(
        old, reclaimPolicy="Retain"
    )


def test_endpoint_slices_count_changes_of_labels_too() -> None:
    old = _made("discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4")
    old["metadata"]["generation"] = 1
    new = copy.deepcopy(old)
    behaviour = strategy("discovery.k8s.io", "EndpointSlice")
    behaviour.prepare_update(new, old)
    assert 1 == new["metadata"]["generation"]
    new["metadata"]["labels"] = {"a": "b"}
    behaviour.prepare_update(new, old)
    assert 2 == new["metadata"]["generation"]


def test_only_one_priority_class_is_the_default() -> None:
    stored = [{"metadata": {"name": "a"}, "value": 1, "globalDefault": True}]
    new: Object = {"metadata": {"name": "b"}, "globalDefault": True}
    with pytest.raises(ApiError, match="PriorityClass a is already marked as default"):
        check_default_class(new, stored, is_update=False)
    check_default_class({**new, "metadata": {"name": "a"}}, stored, is_update=True)
    assert check_delete("system-node-critical") is not None
    assert check_delete("a") is None


def test_an_event_is_the_same_after_a_round_trip() -> None:
    fields: Object = {
        "involvedObject": {"kind": "Pod", "namespace": "ns"},
        "reason": "R",
        "message": "m",
        "source": {"component": "c"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "count": 2,
        "reportingComponent": "c",
    }
    event = _made("v1", "Event", **fields)
    other = event_to_events_v1(event)
    assert ("m", {"component": "c"}, 2) == (
        other["note"],
        other["deprecatedSource"],
        other["deprecatedCount"],
    )
    assert event == event_to_core(other)


def test_events_of_the_newer_group_need_a_time_and_a_reporter() -> None:
    regarding = {"kind": "Pod", "namespace": "ns"}
    found = _made("events.k8s.io/v1", "Event", regarding=regarding, type="Normal")
    assert ["eventTime: Required value"] == _texts(found)
    found["eventTime"] = "2026-01-01T00:00:00.000000Z"
    fields = [text.partition(":")[0] for text in _texts(found)]
    assert [
        "reportingController",
        "reportingController",
        "reportingController",
        "reportingInstance",
        "action",
        "reason",
    ] == (fields)


def test_an_unset_scope_of_parameters_is_the_cluster() -> None:
    parameters = {"kind": "K", "name": "n"}
    found = _made(
        "networking.k8s.io/v1", "IngressClass", spec={"controller": "a.io/b", "parameters": parameters}
    )
    assert "Cluster" == found["spec"]["parameters"]["scope"]
    assert [] == _texts(found)
