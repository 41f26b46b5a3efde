"""The rights that `stoker canary` needs, no more: traffic, its own record, and a look at pods."""

from typing import Any, Final

__all__ = ["canary_role"]

_RULES: Final = (
    (
        "",
        ["configmaps"],
        ["get", "list", "create", "update", "patch", "delete"],
    ),  # the record, orders, and a lab's clock
    ("", ["pods"], ["list"]),
    ("", ["pods/proxy"], ["get", "create"]),  # probes, where pods cannot be reached directly
    ("", ["services"], ["get", "patch"]),
    ("apps", ["deployments"], ["get", "patch"]),
    ("coordination.k8s.io", ["leases"], ["get", "create", "update"]),
    ("gateway.networking.k8s.io", ["httproutes"], ["get", "patch"]),
    ("serving.kserve.io", ["inferenceservices"], ["get", "patch"]),
    ("serving.knative.dev", ["revisions"], ["get"]),
)


def canary_role() -> dict[str, Any]:
    """The ClusterRole; bind it in the model's namespace, and for `status` without ``--namespace`` in the cluster."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "stoker-canary"},
        "rules": [
            {"apiGroups": [group], "resources": resources, "verbs": verbs}
            for group, resources, verbs in _RULES
        ],
    }
