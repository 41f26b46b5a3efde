"""RBAC: the built-in admin, edit and view roles for a tenant's groups, and a role for the serving kinds beside them."""

from typing import Final

from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_access"]

_GROUP: Final = "rbac.authorization.k8s.io"
_READ: Final = ("get", "list", "watch")
_WRITE: Final = (*_READ, "create", "update", "patch", "delete", "deletecollection")
EDIT_ROLE: Final = "stoker-tenant-edit"
VIEW_ROLE: Final = "stoker-tenant-view"
_SERVING: Final = ("inferenceservices", "inferencegraphs", "llminferenceservices", "servingruntimes")
_KEDA: Final = ("scaledobjects", "scaledjobs", "triggerauthentications")
_MONITORING: Final = ("podmonitors", "servicemonitors", "prometheusrules")


def compile_access(platform: ResolvedPlatform) -> list[Emitted]:
    """Bindings for every tenant that names groups, and the two roles they use."""
    bindings = [item for tenant in platform.tenants.values() for item in _bindings(platform, tenant)]
    if not bindings:
        return []
    roles = (
        (
            EDIT_ROLE,
            _WRITE,
            "Editors may change models and scaling, which the built-in edit role does not know",
        ),
        (VIEW_ROLE, _READ, "Viewers may see models and scaling, which the built-in view role does not know"),
    )
    return [*(_role(platform, name, verbs, reason) for name, verbs, reason in roles), *bindings]


def _role(platform: ResolvedPlatform, name: str, verbs: tuple[str, ...], reason: str) -> Emitted:
    # Bound in the tenant's namespace instead of aggregated into `edit`: that would widen the rights of everyone who may
    # edit any other namespace of the cluster.
    kinds = [("serving.kserve.io", _SERVING), ("keda.sh", _KEDA), ("monitoring.coreos.com", _MONITORING)]
    rules: list[Object] = [
        {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
        for group, resources in kinds
    ]
    if platform.spec.tenancy.kueue.enabled:
        rules.append(
            {"apiGroups": ["kueue.x-k8s.io"], "resources": ["localqueues", "workloads"], "verbs": list(_READ)}
        )
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        reason,
        {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
    )


def _bindings(platform: ResolvedPlatform, tenant: ResolvedTenant) -> list[Emitted]:
    access = tenant.spec.access
    wanted = (
        ("admins", access.admins, "admin", EDIT_ROLE),
        ("editors", access.editors, "edit", EDIT_ROLE),
        ("viewers", access.viewers, "view", VIEW_ROLE),
    )
    return [
        _binding(platform, tenant, who, groups, role)
        for who, groups, builtin, own in wanted
        if groups
        for role in (builtin, own)
    ]


def _binding(
    platform: ResolvedPlatform, tenant: ResolvedTenant, who: str, groups: tuple[str, ...], role: str
) -> Emitted:
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        f"{who.capitalize()} of {tenant.name} hold {role} in {tenant.namespace} and nowhere else",
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": {
                "name": f"stoker-{who}-{role.removeprefix('stoker-')}",
                "namespace": tenant.namespace,
            },
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [
                {"apiGroup": _GROUP, "kind": "Group", "name": group} for group in dict.fromkeys(groups)
            ],
        },
        tenant=tenant,
    )
