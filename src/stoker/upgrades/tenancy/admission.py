"""ValidatingAdmissionPolicies: what quotas and limit ranges cannot say."""

from typing import Final

from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_admission"]

_API: Final = "admissionregistration.k8s.io/v1"
_NAMESPACE: Final = "kubernetes.io/metadata.name"  # set by the API server on every namespace
# nvidia.com also names network devices (nvidia.com/hostdev), hence more than the domain.
_IS_GPU: Final = (
    "(r.startsWith('nvidia.com/gpu') || r.startsWith('nvidia.com/mig-') || r.startsWith('amd.com/'))"
)
_HAS_LIMITS: Final = "has(c.resources) && has(c.resources.limits)"
_GPUS_OF_C: Final = (
    f"({_HAS_LIMITS} ? c.resources.limits.filter(r, {_IS_GPU})"
    ".map(r, quantity(c.resources.limits[r]).asInteger()).sum() : 0)"
)


def compile_admission(platform: ResolvedPlatform) -> list[Emitted]:
    """A policy and its binding for every rule that a tenant needs; each speaks of its own namespace only."""
    found: list[Emitted] = []
    if platform.spec.tenancy.guard_priorities:
        for tenant in platform.tenants.values():
            found += _priority_guard(platform, tenant)
        found += _outsiders(platform)
    for tenant in platform.tenants.values():
        if tenant.max_gpus_per_pod is not None or tenant.gpu_quota:
            found += _gpu_guard(platform, tenant)
    return found


def _priority_guard(platform: ResolvedPlatform, tenant: ResolvedTenant) -> list[Emitted]:
    # Priority 0 and below harms nobody: pods without a class, or with a harmless default of the cluster, pass.
    name = tenant.priority_class
    expression = (
        f"!has(object.spec.priorityClassName) || object.spec.priorityClassName in ['', '{name}'] || "
        "(has(object.spec.priority) && object.spec.priority <= 0)"
    )
    rule = {
        "expression": expression,
        "message": f"pods in namespace {tenant.namespace} may use PriorityClass {name} or none",
        "messageExpression": f"'pods in namespace {tenant.namespace} may use PriorityClass {name} or none, not ' + "
        "object.spec.priorityClassName",
        "reason": "Forbidden",
    }
    reason = f"Nobody in {tenant.namespace} can borrow the priority of another tenant"
    return _policy(
        platform, f"stoker-priority-{tenant.name}", reason, [rule], _in(tenant.namespace), tenant=tenant
    )


def _outsiders(platform: ResolvedPlatform) -> list[Emitted]:
    names = ", ".join(f"'{tenant.priority_class}'" for tenant in platform.tenants.values())
    rule = {
        "expression": f"!has(object.spec.priorityClassName) || !(object.spec.priorityClassName in [{names}])",
        "message": f"PriorityClasses of platform {platform.spec.name} belong to its tenants' namespaces",
        "reason": "Forbidden",
    }
    inside = dict.fromkeys((PLATFORM_NAMESPACE, *(tenant.namespace for tenant in platform.tenants.values())))
    outside = {"matchExpressions": [{"key": _NAMESPACE, "operator": "NotIn", "values": list(inside)}]}
    reason = "A namespace that is no tenant's cannot take a tenant's priority"
    return _policy(platform, "stoker-priority-outsiders", reason, [rule], outside)


def _gpu_guard(platform: ResolvedPlatform, tenant: ResolvedTenant) -> list[Emitted]:
    rules: list[Object] = []
    if tenant.gpu_quota:
        allowed = ", ".join(f"'{name}'" for name in tenant.gpu_quota)
        check = f".all(c, !({_HAS_LIMITS}) || c.resources.limits.all(r, !{_IS_GPU} || r in [{allowed}]))"
        rules.append(
            {
                "expression": f"object.spec.containers{check} && "
                f"(!has(object.spec.initContainers) || object.spec.initContainers{check})",
                "message": f"namespace {tenant.namespace} has a quota for these GPU resources only: "
                + ", ".join(tenant.gpu_quota),
                "reason": "Forbidden",
            }
        )
    most = tenant.max_gpus_per_pod
    variables: list[Object] = []
    if most is not None:
        variables = _pod_gpus()
        rules.append(
            {
                "expression": f"variables.gpus <= {most} && variables.initGpus.all(n, n + variables.sidecarGpus <= {most})",
                "message": f"a pod in namespace {tenant.namespace} may use at most {most} GPU(s) over all its containers",
                "reason": "Forbidden",
            }
        )
    parts = ["only by names that its quota counts"] if tenant.gpu_quota else []
    parts += [f"at most {most} a pod"] if most is not None else []
    reason = f"Pods of {tenant.name} take GPUs {' and '.join(parts)}; a LimitRange counts single containers"
    name = f"stoker-gpus-{tenant.name}"
    return _policy(platform, name, reason, rules, _in(tenant.namespace), tenant=tenant, variables=variables)


def _pod_gpus() -> list[Object]:
    """What the scheduler would charge: containers and sidecars together, plain init containers one by one."""
    sidecar = "(has(c.restartPolicy) && c.restartPolicy == 'Always')"
    inits = "has(object.spec.initContainers) ? object.spec.initContainers"
    return [
        {"name": "sidecarGpus", "expression": f"{inits}.filter(c, {sidecar}).map(c, {_GPUS_OF_C}).sum() : 0"},
        {"name": "initGpus", "expression": f"{inits}.filter(c, !{sidecar}).map(c, {_GPUS_OF_C}) : []"},
        {
            "name": "gpus",
            "expression": f"object.spec.containers.map(c, {_GPUS_OF_C}).sum() + variables.sidecarGpus",
        },
    ]


def _in(namespace: str) -> Object:
    return {"matchLabels": {_NAMESPACE: namespace}}


def _policy(
    platform: ResolvedPlatform,
    name: str,
    reason: str,
    rules: list[Object],
    namespaces: Object,
    *,
    tenant: ResolvedTenant | None = None,
    variables: list[Object] | None = None,
) -> list[Emitted]:
    # Only CREATE: priority and GPU counts of a pod cannot be changed later.
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"namespaceSelector": namespaces, "resourceRules": [pods]},
            "variables": variables or None,
            "validations": rules,
        },
    }
    binding = {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    bound = f"Puts {name} into force: violations are denied"
    return [
        emit(platform, Upgrade.TENANCY, Wave.POLICY, reason, policy, tenant=tenant),
        emit(platform, Upgrade.TENANCY, Wave.POLICY, bound, binding, tenant=tenant),
    ]
