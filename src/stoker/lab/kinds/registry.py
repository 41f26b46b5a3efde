"""Which strategy each built-in kind follows.

Strategies of this folder look at what is peculiar to a kind; here metadata is put before it: the format of names, labels,
owners and what an update may not touch. Kinds of workloads bring both (`workload_strategies`).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from stoker.lab.kinds import (
    access,
    admission_policies,
    admission_policies_webhooks,
    autoscaling,
    config_objects,
    config_runtime,
    custom_definitions,
    custom_definitions_aggregation,
    devices,
    devices_slices,
    disruption,
    events,
    leases,
    limits,
    networking,
    networking_ingress,
    priorities,
    quotas,
    services,
    services_endpoints,
    services_validation,
    volumes,
    volumes_claims,
    volumes_classes,
)
from stoker.lab.kinds.metadata import (
    Format,
    is_dns_label,
    is_dns_subdomain,
    is_path_segment,
    object_meta_causes,
    object_meta_update_causes,
)
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause

__all__ = ["status_causes", "strategy"]

_Row = tuple[Strategy, bool, Format]
_DEFAULT = Strategy()
_RBAC, _STORAGE, _NETWORK = access.GROUP, "storage.k8s.io", "networking.k8s.io"
_ADMISSION, _DEVICES = "admissionregistration.k8s.io", "resource.k8s.io"
_NAMESPACED, _CLUSTER = True, False

# (group, kind): strategy, whether namespaced, format of names. Where upstream's strategy looks at no name, every name that
# a path can hold is good (apiserver pkg/registry/rest/create.go asks that of all).
_ROWS: dict[tuple[str, str], _Row] = {
    ("", "ConfigMap"): (config_objects.CONFIG_MAP, _NAMESPACED, is_dns_subdomain),
    ("", "Endpoints"): (services_endpoints.ENDPOINTS, _NAMESPACED, is_dns_subdomain),
    ("", "Event"): (events.EVENT, _NAMESPACED, is_path_segment),
    ("", "LimitRange"): (limits.LIMIT_RANGE, _NAMESPACED, is_dns_subdomain),
    ("", "PersistentVolume"): (volumes.PERSISTENT_VOLUME, _CLUSTER, is_dns_subdomain),
    ("", "PersistentVolumeClaim"): (volumes_claims.CLAIM, _NAMESPACED, is_dns_subdomain),
    ("", "ResourceQuota"): (quotas.RESOURCE_QUOTA, _NAMESPACED, is_dns_subdomain),
    ("", "Secret"): (config_objects.SECRET, _NAMESPACED, is_dns_subdomain),
    # RelaxedServiceNameValidation is on since 1.36: a DNS-1123 label, no longer DNS-1035
    ("", "Service"): (services.SERVICE, _NAMESPACED, is_dns_label),
    ("", "ServiceAccount"): (config_objects.SERVICE_ACCOUNT, _NAMESPACED, is_dns_subdomain),
    ("autoscaling", "HorizontalPodAutoscaler"): (autoscaling.AUTOSCALER, _NAMESPACED, is_dns_subdomain),
    ("policy", "PodDisruptionBudget"): (disruption.DISRUPTION_BUDGET, _NAMESPACED, is_path_segment),
    (_RBAC, "ClusterRole"): (access.CLUSTER_ROLE, _CLUSTER, is_path_segment),
    (_RBAC, "ClusterRoleBinding"): (access.CLUSTER_ROLE_BINDING, _CLUSTER, is_path_segment),
    (_RBAC, "Role"): (access.ROLE, _NAMESPACED, is_path_segment),
    (_RBAC, "RoleBinding"): (access.ROLE_BINDING, _NAMESPACED, is_path_segment),
    ("scheduling.k8s.io", "PriorityClass"): (priorities.PRIORITY_CLASS, _CLUSTER, is_dns_subdomain),
    (_STORAGE, "CSIDriver"): (volumes_classes.CSI_DRIVER, _CLUSTER, is_dns_subdomain),
    (_STORAGE, "CSINode"): (volumes_classes.CSI_NODE, _CLUSTER, is_dns_subdomain),
    (_STORAGE, "CSIStorageCapacity"): (volumes_classes.CSI_STORAGE_CAPACITY, _NAMESPACED, is_dns_subdomain),
    (_STORAGE, "StorageClass"): (volumes_classes.STORAGE_CLASS, _CLUSTER, is_dns_subdomain),
    (_STORAGE, "VolumeAttachment"): (volumes_classes.VOLUME_ATTACHMENT, _CLUSTER, is_dns_subdomain),
    (_NETWORK, "Ingress"): (networking_ingress.INGRESS, _NAMESPACED, is_dns_subdomain),
    (_NETWORK, "IngressClass"): (networking_ingress.INGRESS_CLASS, _CLUSTER, is_dns_subdomain),
    (_NETWORK, "NetworkPolicy"): (networking.NETWORK_POLICY, _NAMESPACED, is_dns_subdomain),
    ("coordination.k8s.io", "Lease"): (leases.LEASE, _NAMESPACED, is_dns_subdomain),
    ("events.k8s.io", "Event"): (events.EVENT_V1, _NAMESPACED, is_dns_subdomain),
    ("discovery.k8s.io", "EndpointSlice"): (
        services_endpoints.ENDPOINT_SLICE,
        _NAMESPACED,
        is_dns_subdomain,
    ),
    ("node.k8s.io", "RuntimeClass"): (config_runtime.RUNTIME_CLASS, _CLUSTER, is_dns_subdomain),
    (_DEVICES, "DeviceClass"): (devices.DEVICE_CLASS, _CLUSTER, is_dns_subdomain),
    (_DEVICES, "ResourceClaim"): (devices.RESOURCE_CLAIM, _NAMESPACED, is_dns_subdomain),
    (_DEVICES, "ResourceClaimTemplate"): (devices.RESOURCE_CLAIM_TEMPLATE, _NAMESPACED, is_dns_subdomain),
    (_DEVICES, "ResourceSlice"): (devices_slices.RESOURCE_SLICE, _CLUSTER, is_dns_subdomain),
    (_ADMISSION, "MutatingWebhookConfiguration"): (
        admission_policies_webhooks.MUTATING_WEBHOOKS,
        _CLUSTER,
        is_dns_subdomain,
    ),
    (_ADMISSION, "ValidatingAdmissionPolicy"): (
        admission_policies.ADMISSION_POLICY,
        _CLUSTER,
        is_dns_subdomain,
    ),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): (
        admission_policies.ADMISSION_POLICY_BINDING,
        _CLUSTER,
        is_dns_subdomain,
    ),
    (_ADMISSION, "ValidatingWebhookConfiguration"): (
        admission_policies_webhooks.VALIDATING_WEBHOOKS,
        _CLUSTER,
        is_dns_subdomain,
    ),
}
# Kinds whose name depends on what else the object says.
_NAMED: dict[tuple[str, str], tuple[Strategy, Callable[[Object], tuple[str, ...]]]] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        custom_definitions.CUSTOM_DEFINITION,
        custom_definitions.definition_name_causes,
    ),
    ("apiregistration.k8s.io", "APIService"): (
        custom_definitions_aggregation.API_SERVICE,
        custom_definitions_aggregation.api_service_name_causes,
    ),
}


# Kinds whose update looks at what may not change before it looks at the rest.
_CHANGES_FIRST = {("", "Service"), ("", "Secret"), ("", "ConfigMap"), (_NETWORK, "IngressClass")}
# Kinds whose update does not look at the rest at all.
_CHANGES_ONLY = {("scheduling.k8s.io", "PriorityClass")}


def _with_metadata(
    key: tuple[str, str], found: Strategy, metadata_causes: Callable[[Object], list[Cause]]
) -> Strategy:
    own, own_update = found.validate, found.validate_update

    def validate_update(new: Object, old: Object) -> list[Cause]:
        causes = object_meta_update_causes(new, old)
        if key in _CHANGES_ONLY:
            return causes + own_update(new, old)
        whole = metadata_causes(new) + own(new)
        changes = own_update(new, old)
        return causes + (changes + whole if key in _CHANGES_FIRST else whole + changes)

    return _once(
        replace(found, validate=lambda obj: metadata_causes(obj) + own(obj), validate_update=validate_update)
    )


def _once(found: Strategy) -> Strategy:
    """Keeps the causes of an update from coming twice.

    `validate_update` says everything about an update, in the server's order. A pipeline that calls `validate` before it
    hears nothing there: an object with a resourceVersion is one that exists.
    """
    whole = found.validate

    def validate(obj: Object) -> list[Cause]:
        return [] if obj["metadata"].get("resourceVersion") else whole(obj)

    return replace(found, validate=validate)


def _plain(key: tuple[str, str], row: _Row) -> Strategy:
    found, is_namespaced, name_format = row
    return _with_metadata(
        key, found, lambda obj: object_meta_causes(obj, format_=name_format, is_namespaced=is_namespaced)
    )


def _named(key: tuple[str, str], found: Strategy, messages: Callable[[Object], tuple[str, ...]]) -> Strategy:
    return _with_metadata(
        key, found, lambda obj: object_meta_causes(obj, format_=lambda _: messages(obj), is_namespaced=False)
    )


_STRATEGIES: dict[tuple[str, str], Strategy] = {
    **{key: _plain(key, row) for key, row in _ROWS.items()},
    **{key: _named(key, *row) for key, row in _NAMED.items()},
}


_STATUS: dict[tuple[str, str], Callable[[Object], list[Cause]]] = {
    ("", "ResourceQuota"): quotas.quota_status_causes,
    ("", "Service"): services_validation.balancer_status_causes,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.autoscaler_status_causes,
    ("policy", "PodDisruptionBudget"): disruption.budget_status_causes,
}


def status_causes(group: str, kind: str) -> Callable[[Object, Object], list[Cause]]:
    """What is wrong with a write of the status subresource, ``(new, old)``, metadata included."""
    from stoker.lab.kinds.workload_strategies import STATUS_CAUSES

    found = STATUS_CAUSES.get((group, kind))
    if found is not None:
        return found
    own = _STATUS.get((group, kind))
    if own is None:
        return object_meta_update_causes
    return lambda new, old: object_meta_update_causes(new, old) + own(new)


def strategy(group: str, kind: str) -> Strategy:
    """How a built-in kind behaves, in any of its versions; kinds that nothing is known of have no rules of their own."""
    return _STRATEGIES.get((group, kind)) or _workloads().get((group, kind), _DEFAULT)


@cache
def _workloads() -> dict[tuple[str, str], Strategy]:
    from stoker.lab.kinds.workload_strategies import (
        STRATEGIES,
    )  # workloads import claims and amounts from here

    return {key: _once(found) for key, found in STRATEGIES.items()}
