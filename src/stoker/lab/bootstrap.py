"""What a new cluster has before anybody writes to it: namespaces, roles, priority classes, the API's own service."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from stoker.kube.clock import LAB
from stoker.lab.access.roles import BINDINGS, ROLES
from stoker.lab.control.local import Local
from stoker.lab.status import ApiError

__all__ = ["bootstrap", "bootstrap_platform", "tell_services", "tell_time"]

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


def tell_time(local: Local, *, wall: datetime, lab: datetime, speed: float) -> None:
    """Write how fast the lab's clock runs where every user may read it: a client's waits and windows follow it.

    ``wall`` and ``lab`` are the two clocks at one moment.
    """
    where = {"name": LAB.name, "namespace": LAB.namespace}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [LAB.name], "verbs": ["get"]}]
    _ensure(local, {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": where, "rules": rules})
    _ensure(
        local,
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": where,
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": LAB.name},
            "subjects": [{"kind": "Group", "apiGroup": _RBAC, "name": "system:authenticated"}],
        },
    )
    data = {"speed": f"{speed:g}", "wall": wall.isoformat(), "lab": lab.isoformat()}
    config = {"apiVersion": LAB.api_version, "kind": LAB.kind, "metadata": where, "data": data}
    found = local.get(LAB.api_version, LAB.kind, LAB.namespace, LAB.name)
    if found is None:
        local.create(config)
    else:
        local.update({**found, "data": data})


def tell_services(local: Local, services: dict[str, str]) -> None:
    """Write beside the time where monitoring answers: URLs by name (`stoker.kube.lab.SERVICES`); empty where one is absent."""
    found = local.get(LAB.api_version, LAB.kind, LAB.namespace, LAB.name)
    if found is not None:
        local.update({**found, "data": {**found["data"], **services}})


def _ensure(local: Local, obj: dict[str, Any]) -> None:
    try:
        local.create(obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
