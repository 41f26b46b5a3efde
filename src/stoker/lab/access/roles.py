"""Roles that every cluster has: cluster-admin, admin, edit, view, and what everybody may read.

Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go. The lab has the roles that people bind and those of
discovery; the roles of the control plane's own parts are not there, because the lab's parts do not ask.
"""

from typing import Any

__all__ = ["BINDINGS", "ROLES"]

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_RBAC = "rbac.authorization.k8s.io"
_GROUP = {"kind": "Group", "apiGroup": _RBAC}


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources}


_VIEW = [
    _rule(
        "",
        ["configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "replicationcontrollers",
         "replicationcontrollers/scale", "serviceaccounts", "services", "services/status", "bindings", "events", "limitranges",
         "namespaces/status", "pods/log", "pods/status", "replicationcontrollers/status", "resourcequotas",
         "resourcequotas/status", "namespaces"],
        _READ,
    ),
    _rule("discovery.k8s.io", ["endpointslices"], _READ),
    _rule(
        "apps",
        ["controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale", "deployments/status",
         "replicasets", "replicasets/scale", "replicasets/status", "statefulsets", "statefulsets/scale", "statefulsets/status"],
        _READ,
    ),
    _rule("autoscaling", ["horizontalpodautoscalers", "horizontalpodautoscalers/status"], _READ),
    _rule("batch", ["cronjobs", "cronjobs/status", "jobs", "jobs/status"], _READ),
    _rule("policy", ["poddisruptionbudgets", "poddisruptionbudgets/status"], _READ),
    _rule("networking.k8s.io", ["ingresses", "ingresses/status", "networkpolicies"], _READ),
    _rule("resource.k8s.io", ["resourceclaims", "resourceclaims/status", "resourceclaimtemplates"], _READ),
]  # fmt: skip
_EDIT = [
    _rule("", ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"], _READ),
    _rule("", ["serviceaccounts"], ["impersonate"]),
    _rule("", ["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"], _WRITE),
    _rule("", ["pods/eviction"], ["create"]),
    _rule(
        "",
        ["configmaps", "events", "persistentvolumeclaims", "replicationcontrollers", "replicationcontrollers/scale", "secrets",
         "serviceaccounts", "services", "services/proxy"],
        _WRITE,
    ),
    _rule("", ["serviceaccounts/token"], ["create"]),
    _rule(
        "apps",
        ["daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets", "replicasets/scale",
         "statefulsets", "statefulsets/scale"],
        _WRITE,
    ),
    _rule("autoscaling", ["horizontalpodautoscalers"], _WRITE),
    _rule("batch", ["cronjobs", "jobs"], _WRITE),
    _rule("policy", ["poddisruptionbudgets"], _WRITE),
    _rule("networking.k8s.io", ["ingresses", "networkpolicies"], _WRITE),
    _rule("coordination.k8s.io", ["leases"], [*_WRITE, *_READ]),
    _rule("resource.k8s.io", ["resourceclaims", "resourceclaimtemplates"], _WRITE),
    *_VIEW,
]  # fmt: skip
_ADMIN = [
    _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
    _rule(_RBAC, ["rolebindings", "roles"], [*_READ, *_WRITE]),
    *_EDIT,
]
_OPEN_PATHS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_OPEN_PATHS]

ROLES: dict[str, list[dict[str, Any]]] = {
    "cluster-admin": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ],
    "admin": _ADMIN,
    "edit": _EDIT,
    "view": _VIEW,
    "system:discovery": [{"verbs": ["get"], "nonResourceURLs": _DISCOVERY_PATHS}],
    "system:public-info-viewer": [{"verbs": ["get"], "nonResourceURLs": _OPEN_PATHS}],
    "system:basic-user": [
        _rule("authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    ],
    "system:monitoring": [
        {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis",
                                               "/readyz", "/readyz/*"]}
    ],
}  # fmt: skip
BINDINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cluster-admin": ("cluster-admin", ("system:masters",)),
    "system:discovery": ("system:discovery", ("system:authenticated",)),
    "system:basic-user": ("system:basic-user", ("system:authenticated",)),
    "system:public-info-viewer": (
        "system:public-info-viewer",
        ("system:authenticated", "system:unauthenticated"),
    ),
    "system:monitoring": ("system:monitoring", ("system:monitoring",)),
}
