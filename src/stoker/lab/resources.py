"""The resources that the API server serves: Kubernetes' own, and those that CustomResourceDefinitions add.

Names, short names, categories, verbs and subresources are those of a 1.36 server's discovery.
"""

from dataclasses import dataclass, field, replace

__all__ = ["BUILTIN", "SUBRESOURCES", "Resource", "Subresource"]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_READ_WRITE = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """Part of a resource with a path of its own. An empty kind is the resource's own kind."""

    name: str
    verbs: tuple[str, ...] = _READ_WRITE
    kind: str = ""
    group: str = ""
    version: str = ""


SUBRESOURCES: dict[str, Subresource] = {
    one.name: one
    for one in (
        Subresource("status"),
        Subresource("scale", kind="Scale", group="autoscaling", version="v1"),
        Subresource("finalize", ("update",)),
        Subresource("approval"),
        Subresource("binding", ("create",), "Binding"),
        Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
        Subresource("log", ("get",)),
        Subresource("ephemeralcontainers"),
        Subresource("resize"),
        Subresource("proxy", ("create", "delete", "get", "patch", "update"), "{kind}ProxyOptions"),
        Subresource("attach", ("create", "get"), "PodAttachOptions"),
        Subresource("exec", ("create", "get"), "PodExecOptions"),
        Subresource("portforward", ("create", "get"), "PodPortForwardOptions"),
        Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),
    )
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource in one version.

    Attributes:
        is_stored: whether objects of it are kept; reviews are answered and forgotten.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...] = ALL_VERBS
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = field(default=())
    list_kind: str = ""
    is_stored: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """``deployments.apps``, or ``pods`` in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def subresource(self, name: str) -> Subresource | None:
        return next((one for one in self.subresources if one.name == name), None)


_NO_COLLECTION = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
# group, version | kind, plural, singular, namespaced, short names, categories, subresources
_TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "v1"): (
        "ConfigMap configmaps ns cm",
        "Endpoints endpoints ns ep",
        "Event events ns ev",
        "LimitRange limitranges ns limits",
        "Namespace namespaces - ns - finalize,status",
        "Node nodes - no - proxy,status",
        "PersistentVolumeClaim persistentvolumeclaims ns pvc - status",
        "PersistentVolume persistentvolumes - pv - status",
        "Pod pods ns po all attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status",
        "PodTemplate podtemplates ns",
        "ReplicationController replicationcontrollers ns rc all scale,status",
        "ResourceQuota resourcequotas ns quota - status",
        "Secret secrets ns",
        "ServiceAccount serviceaccounts ns sa - token",
        "Service services ns svc all proxy,status",
    ),
    ("apps", "v1"): (
        "ControllerRevision controllerrevisions ns",
        "DaemonSet daemonsets ns ds all status",
        "Deployment deployments ns deploy all scale,status",
        "ReplicaSet replicasets ns rs all scale,status",
        "StatefulSet statefulsets ns sts all scale,status",
    ),
    ("batch", "v1"): ("CronJob cronjobs ns cj all status", "Job jobs ns - all status"),
    ("autoscaling", "v2"): ("HorizontalPodAutoscaler horizontalpodautoscalers ns hpa all status",),
    ("autoscaling", "v1"): ("HorizontalPodAutoscaler horizontalpodautoscalers ns hpa all status",),
    ("policy", "v1"): ("PodDisruptionBudget poddisruptionbudgets ns pdb - status",),
    ("rbac.authorization.k8s.io", "v1"): (
        "ClusterRoleBinding clusterrolebindings -",
        "ClusterRole clusterroles -",
        "RoleBinding rolebindings ns",
        "Role roles ns",
    ),
    ("scheduling.k8s.io", "v1"): ("PriorityClass priorityclasses - pc",),
    ("storage.k8s.io", "v1"): (
        "CSIDriver csidrivers -",
        "CSINode csinodes -",
        "CSIStorageCapacity csistoragecapacities ns",
        "StorageClass storageclasses - sc",
        "VolumeAttachment volumeattachments - - - status",
        "VolumeAttributesClass volumeattributesclasses - vac",
    ),
    ("networking.k8s.io", "v1"): (
        "IPAddress ipaddresses - ip",
        "IngressClass ingressclasses -",
        "Ingress ingresses ns ing - status",
        "NetworkPolicy networkpolicies ns netpol",
        "ServiceCIDR servicecidrs - - - status",
    ),
    ("coordination.k8s.io", "v1"): ("Lease leases ns",),
    ("events.k8s.io", "v1"): ("Event events ns ev",),
    ("discovery.k8s.io", "v1"): ("EndpointSlice endpointslices ns",),
    ("node.k8s.io", "v1"): ("RuntimeClass runtimeclasses -",),
    ("resource.k8s.io", "v1"): (
        "DeviceClass deviceclasses -",
        "ResourceClaim resourceclaims ns - - status",
        "ResourceClaimTemplate resourceclaimtemplates ns",
        "ResourceSlice resourceslices -",
    ),
    ("certificates.k8s.io", "v1"): (
        "CertificateSigningRequest certificatesigningrequests - csr - approval,status",
    ),
    ("flowcontrol.apiserver.k8s.io", "v1"): (
        "FlowSchema flowschemas - - - status",
        "PriorityLevelConfiguration prioritylevelconfigurations - - - status",
    ),
    ("admissionregistration.k8s.io", "v1"): (
        "MutatingAdmissionPolicy mutatingadmissionpolicies - - api-extensions",
        "MutatingAdmissionPolicyBinding mutatingadmissionpolicybindings - - api-extensions",
        "MutatingWebhookConfiguration mutatingwebhookconfigurations - - api-extensions",
        "ValidatingAdmissionPolicy validatingadmissionpolicies - - api-extensions status",
        "ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings - - api-extensions",
        "ValidatingWebhookConfiguration validatingwebhookconfigurations - - api-extensions",
    ),
    ("apiextensions.k8s.io", "v1"): (
        "CustomResourceDefinition customresourcedefinitions - crd,crds api-extensions status",
    ),
    ("apiregistration.k8s.io", "v1"): ("APIService apiservices - - api-extensions status",),
}
_REVIEWS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "v1"): ("Binding bindings ns",),
    ("authentication.k8s.io", "v1"): (
        "SelfSubjectReview selfsubjectreviews -",
        "TokenReview tokenreviews -",
    ),
    ("authorization.k8s.io", "v1"): (
        "LocalSubjectAccessReview localsubjectaccessreviews ns",
        "SelfSubjectAccessReview selfsubjectaccessreviews -",
        "SelfSubjectRulesReview selfsubjectrulesreviews -",
        "SubjectAccessReview subjectaccessreviews -",
    ),
}


def _resource(group: str, version: str, row: str, *, is_stored: bool) -> Resource:
    kind, plural, scope, *rest = row.split()
    short, categories, subresources = (
        tuple(part for part in cell.split(",") if part != "-") for cell in [*rest, "-", "-", "-"][:3]
    )
    verbs = _NO_COLLECTION if kind == "Namespace" else ALL_VERBS
    return Resource(
        group,
        version,
        kind,
        plural,
        kind.lower(),
        scope == "ns",
        verbs if is_stored else ("create",),
        short,
        categories,
        tuple(
            replace(SUBRESOURCES[name], kind=SUBRESOURCES[name].kind.format(kind=kind))
            for name in subresources
        ),
        f"{kind}List",
        is_stored,
    )


BUILTIN: tuple[Resource, ...] = (
    *(
        _resource(group, version, row, is_stored=is_stored)
        for table, is_stored in ((_TABLE, True), (_REVIEWS, False))
        for (group, version), rows in table.items()
        for row in rows
    ),
    Resource(
        "", "v1", "ComponentStatus", "componentstatuses", "componentstatus", namespaced=False, verbs=("get", "list"),
        short_names=("cs",), list_kind="ComponentStatusList", is_stored=False,
    ),
)  # fmt: skip
