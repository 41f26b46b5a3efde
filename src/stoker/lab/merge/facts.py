"""What Kubernetes' Go types and registries decide about field ownership and no OpenAPI document says.

`ZERO` is each kind's struct as it is before anything is set: fields without ``omitempty``, and structs held by value, are
always there. A create is compared with it, so the fields it holds are not "new" and get no ``.`` of their own in managed
fields. Read from k8s.io/api, apiextensions-apiserver and kube-aggregator, 1.36.

`reset_fields` is what GetResetFields of pkg/registry/*/strategy.go answers (1.36): fields that a write through this path
cannot change, so that nobody comes to own them by it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from stoker.lab.merge.sets import EMPTY, FieldSet, keep_matching, recursive_difference

__all__ = ["CUSTOM_MAIN", "CUSTOM_STATUS", "KEY_DEFAULTS", "ZERO", "Reset", "excluding", "reset_fields"]

Reset = Callable[[FieldSet], FieldSet]
"""Takes from a set what the write does not change."""

_CORE = "io.k8s.api.core.v1."

# default of a key field of an associative list; required keys default to their type's zero
KEY_DEFAULTS: dict[tuple[str, str], Any] = {
    (_CORE + "ContainerPort", "protocol"): "TCP",
    (_CORE + "ServicePort", "protocol"): "TCP",
    (_CORE + "LocalObjectReference", "name"): "",
}

_TEMPLATE: dict[str, Any] = {"metadata": {}, "spec": {"containers": None}}
_REVIEW: dict[str, Any] = {"metadata": {}, "spec": {}, "status": {"allowed": False}}

ZERO: dict[str, dict[str, Any]] = {
    "io.k8s.api.core.v1.ConfigMap": {"metadata": {}},
    "io.k8s.api.core.v1.Endpoints": {"metadata": {}},
    "io.k8s.api.core.v1.Event": {
        "metadata": {},
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "io.k8s.api.core.v1.LimitRange": {"metadata": {}, "spec": {"limits": None}},
    "io.k8s.api.core.v1.Namespace": {"metadata": {}, "spec": {}, "status": {}},
    "io.k8s.api.core.v1.Node": {
        "metadata": {},
        "spec": {},
        "status": {
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": "",
                "osImage": "",
                "containerRuntimeVersion": "",
                "kubeletVersion": "",
                "kubeProxyVersion": "",
                "operatingSystem": "",
                "architecture": "",
            },
        },
    },
    "io.k8s.api.core.v1.PersistentVolumeClaim": {"metadata": {}, "spec": {"resources": {}}, "status": {}},
    "io.k8s.api.core.v1.PersistentVolume": {"metadata": {}, "spec": {}, "status": {}},
    "io.k8s.api.core.v1.Pod": {"metadata": {}, "spec": {"containers": None}, "status": {}},
    "io.k8s.api.core.v1.PodTemplate": {"metadata": {}, "template": _TEMPLATE},
    "io.k8s.api.core.v1.ReplicationController": {"metadata": {}, "spec": {}, "status": {"replicas": 0}},
    "io.k8s.api.core.v1.ResourceQuota": {"metadata": {}, "spec": {}, "status": {}},
    "io.k8s.api.core.v1.Secret": {"metadata": {}},
    "io.k8s.api.core.v1.ServiceAccount": {"metadata": {}},
    "io.k8s.api.core.v1.Service": {"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}},
    "io.k8s.api.apps.v1.ControllerRevision": {"metadata": {}, "data": None, "revision": 0},
    "io.k8s.api.apps.v1.DaemonSet": {
        "metadata": {},
        "spec": {"selector": None, "template": _TEMPLATE, "updateStrategy": {}},
        "status": {
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        },
    },
    "io.k8s.api.apps.v1.Deployment": {
        "metadata": {},
        "spec": {"selector": None, "template": _TEMPLATE, "strategy": {}},
        "status": {},
    },
    "io.k8s.api.apps.v1.ReplicaSet": {
        "metadata": {},
        "spec": {"selector": None, "template": _TEMPLATE},
        "status": {"replicas": 0},
    },
    "io.k8s.api.apps.v1.StatefulSet": {
        "metadata": {},
        "spec": {"selector": None, "template": _TEMPLATE, "serviceName": "", "updateStrategy": {}},
        "status": {"replicas": 0, "availableReplicas": 0},
    },
    "io.k8s.api.batch.v1.CronJob": {
        "metadata": {},
        "spec": {"schedule": "", "jobTemplate": {"metadata": {}, "spec": {"template": _TEMPLATE}}},
        "status": {},
    },
    "io.k8s.api.batch.v1.Job": {"metadata": {}, "spec": {"template": _TEMPLATE}, "status": {}},
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler": {
        "metadata": {},
        "spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0},
        "status": {"desiredReplicas": 0, "currentMetrics": None},
    },
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler": {
        "metadata": {},
        "spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0},
        "status": {"currentReplicas": 0, "desiredReplicas": 0},
    },
    "io.k8s.api.policy.v1.PodDisruptionBudget": {
        "metadata": {},
        "spec": {},
        "status": {
            "disruptedPods": None,
            "disruptionsAllowed": 0,
            "currentHealthy": 0,
            "desiredHealthy": 0,
            "expectedPods": 0,
        },
    },
    "io.k8s.api.rbac.v1.ClusterRoleBinding": {
        "metadata": {},
        "roleRef": {"apiGroup": "", "kind": "", "name": ""},
    },
    "io.k8s.api.rbac.v1.ClusterRole": {"metadata": {}, "rules": None},
    "io.k8s.api.rbac.v1.RoleBinding": {"metadata": {}, "roleRef": {"apiGroup": "", "kind": "", "name": ""}},
    "io.k8s.api.rbac.v1.Role": {"metadata": {}, "rules": None},
    "io.k8s.api.scheduling.v1.PriorityClass": {"metadata": {}, "value": 0},
    "io.k8s.api.storage.v1.CSIDriver": {"metadata": {}, "spec": {}},
    "io.k8s.api.storage.v1.CSINode": {"metadata": {}, "spec": {"drivers": None}},
    "io.k8s.api.storage.v1.CSIStorageCapacity": {"metadata": {}, "storageClassName": ""},
    "io.k8s.api.storage.v1.StorageClass": {"metadata": {}, "provisioner": ""},
    "io.k8s.api.storage.v1.VolumeAttachment": {
        "metadata": {},
        "spec": {"attacher": "", "source": {}, "nodeName": ""},
        "status": {"attached": False},
    },
    "io.k8s.api.networking.v1.IngressClass": {"metadata": {}, "spec": {}},
    "io.k8s.api.networking.v1.Ingress": {"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}},
    "io.k8s.api.networking.v1.NetworkPolicy": {"metadata": {}, "spec": {"podSelector": {}}},
    "io.k8s.api.coordination.v1.Lease": {"metadata": {}, "spec": {}},
    "io.k8s.api.events.v1.Event": {
        "metadata": {},
        "eventTime": None,
        "regarding": {},
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
    },
    "io.k8s.api.discovery.v1.EndpointSlice": {
        "metadata": {},
        "addressType": "",
        "endpoints": None,
        "ports": None,
    },
    "io.k8s.api.node.v1.RuntimeClass": {"metadata": {}, "handler": ""},
    "io.k8s.api.resource.v1.DeviceClass": {"metadata": {}, "spec": {}},
    "io.k8s.api.resource.v1.ResourceClaim": {
        "metadata": {},
        "spec": {"devices": {"requests": None}},
        "status": {},
    },
    "io.k8s.api.resource.v1.ResourceClaimTemplate": {
        "metadata": {},
        "spec": {"metadata": {}, "spec": {"devices": {"requests": None}}},
    },
    "io.k8s.api.resource.v1.ResourceSlice": {
        "metadata": {},
        "spec": {"driver": "", "pool": {"name": "", "generation": 0, "resourceSliceCount": 0}},
    },
    "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration": {"metadata": {}},
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy": {
        "metadata": {},
        "spec": {},
        "status": {},
    },
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding": {"metadata": {}, "spec": {}},
    "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration": {"metadata": {}},
    "io.k8s.api.authentication.v1.SelfSubjectReview": {"metadata": {}, "status": {"userInfo": {}}},
    "io.k8s.api.authentication.v1.TokenReview": {"metadata": {}, "spec": {}, "status": {"user": {}}},
    "io.k8s.api.authorization.v1.LocalSubjectAccessReview": _REVIEW,
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview": _REVIEW,
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview": {
        "metadata": {},
        "spec": {},
        "status": {"resourceRules": None, "nonResourceRules": None, "incomplete": False},
    },
    "io.k8s.api.authorization.v1.SubjectAccessReview": _REVIEW,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition": {
        "metadata": {},
        "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": None},
        "status": {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None},
    },
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService": {
        "metadata": {},
        "spec": {"groupPriorityMinimum": 0, "versionPriority": 0},
        "status": {},
    },
}


def excluding(*paths: str) -> Reset:
    """Everything but these dotted paths and what is below them."""
    removed: FieldSet = {}
    for path in paths:
        place = removed
        *parents, last = path.split(".")
        for parent in parents:
            place = place.setdefault(f"f:{parent}", {})
        place[f"f:{last}"] = EMPTY
    return lambda found: recursive_difference(found, removed)


def _only(*patterns: str) -> Reset:
    """Nothing but what these dotted paths begin; ``*`` stands for any element."""
    wanted = tuple(
        tuple(one if one == "*" else f"f:{one}" for one in pattern.split(".")) for pattern in patterns
    )
    return lambda found: keep_matching(found, wanted)


CUSTOM_MAIN = excluding("status")
"""Of the main path of a custom resource that has a status subresource."""

CUSTOM_STATUS = excluding("metadata", "spec")
"""Of the status path of any custom resource."""

_STATUS_KINDS: dict[str, str] = {
    "io.k8s.api.admissionregistration.v1": "ValidatingAdmissionPolicy",
    "io.k8s.api.apps.v1": "DaemonSet Deployment ReplicaSet StatefulSet",
    "io.k8s.api.autoscaling.v1": "HorizontalPodAutoscaler",
    "io.k8s.api.autoscaling.v2": "HorizontalPodAutoscaler",
    "io.k8s.api.batch.v1": "CronJob Job",
    "io.k8s.api.core.v1": (
        "Namespace Node PersistentVolume PersistentVolumeClaim Pod ReplicationController ResourceQuota Service"
    ),
    "io.k8s.api.networking.v1": "Ingress",
    "io.k8s.api.policy.v1": "PodDisruptionBudget",
    "io.k8s.api.resource.v1": "ResourceClaim",
    "io.k8s.api.storage.v1": "VolumeAttachment",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": "CustomResourceDefinition",
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1": "APIService",
}
_STATUS_PATHS: dict[str, tuple[str, ...]] = {
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy": ("spec", "metadata"),
    "io.k8s.api.apps.v1.Deployment": ("spec", "metadata.labels"),
    _CORE + "Pod": ("spec", "metadata.deletionTimestamp", "metadata.ownerReferences"),
    "io.k8s.api.resource.v1.ResourceClaim": ("metadata", "spec"),
    "io.k8s.api.storage.v1.VolumeAttachment": ("metadata", "spec"),
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService": ("spec", "metadata"),
}
_RESIZE = tuple(
    f"spec.{containers}.*.{field}"
    for containers in ("containers", "initContainers")
    for field in ("resources", "resizePolicy")
)


@cache
def reset_fields(name: str, subresource: str) -> Reset | None:
    """What a write of the built-in kind with this OpenAPI name does not change; None where it may change everything."""
    if name == _CORE + "Pod" and subresource == "ephemeralcontainers":
        return _only("spec.ephemeralContainers")
    if name == _CORE + "Pod" and subresource == "resize":
        return _only(*_RESIZE)
    package, _, kind = name.rpartition(".")
    if kind not in _STATUS_KINDS.get(package, "").split():
        return None
    if subresource == "status":
        return excluding(*_STATUS_PATHS.get(name, ("spec",)))
    return excluding("status")
