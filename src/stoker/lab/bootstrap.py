"""What a new cluster has before anybody writes to it: namespaces, roles, priority classes, the API's own service."""

from collections.abc import Callable
from typing import Any

from stoker.lab.access.roles import BINDINGS, ROLES
from stoker.lab.control.local import Local
from stoker.lab.status import ApiError

__all__ = ["bootstrap", "bootstrap_platform"]

_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "default")
_RBAC = "rbac.authorization.k8s.io"
_DEFAULTS = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
# scheduling.SystemPriorityClasses (pkg/apis/scheduling/types.go).
_PRIORITIES = (
    ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
    ("system-cluster-critical", 2_000_000_000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
)  # fmt: skip


def bootstrap(local: Local, prepare_namespace: Callable[[Local, str], None]) -> None:
    """Create what is missing; what is there is left as it is."""
    for name in _NAMESPACES:
        _ensure(local, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        prepare_namespace(local, name)
    for name, rules in ROLES.items():
        _ensure(
            local,
            {
                "apiVersion": f"{_RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name, **_DEFAULTS},
                "rules": rules,
            },
        )
    for name, (role, groups) in BINDINGS.items():
        _ensure(
            local,
            {
                "apiVersion": f"{_RBAC}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name, **_DEFAULTS},
                "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "Group", "apiGroup": _RBAC, "name": group} for group in groups],
            },
        )
    for name, value, description in _PRIORITIES:
        _ensure(
            local,
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": value,
                "description": description,
            },
        )


def bootstrap_platform(local: Local) -> None:
    """The GatewayClass that Envoy Gateway's chart would bring: without one Gateways wait for ever."""
    _ensure(
        local,
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "envoy"},
            "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        },
    )


def _ensure(local: Local, obj: dict[str, Any]) -> None:
    try:
        local.create(obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
