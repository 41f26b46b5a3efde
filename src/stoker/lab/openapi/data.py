"""Facts of the OpenAPI v3 documents that the packaged definitions leave out: defaults and enumerations.

The packaged definitions are those of the v2 document as Kubernetes publishes it: without defaults, and made without the
feature that lists enumerations. A served v3 document has both. Upstream: the generated pkg/generated/openapi and
api/openapi-spec/v3 of 1.36. Definitions are named without ``io.k8s.api.``.
"""

from functools import cache
from typing import Any

__all__ = ["ENUM_TEXTS", "FIELD_DEFAULTS", "POINTERS", "VALUES", "VALUE_FIELDS", "enumerations"]

# Structures held as values, so that a reference to one has the default {}. Those whose names end in Spec or Status are
# values unless POINTERS has them; other structures are pointers unless VALUES has them.
VALUES = frozenset(
    [
        "admissionregistration.v1.WebhookClientConfig",
        "apps.v1.DaemonSetUpdateStrategy",
        "apps.v1.DeploymentStrategy",
        "apps.v1.StatefulSetUpdateStrategy",
        "authentication.v1.UserInfo",
        "autoscaling.v1.CrossVersionObjectReference",
        "autoscaling.v2.CrossVersionObjectReference",
        "autoscaling.v2.MetricIdentifier",
        "autoscaling.v2.MetricTarget",
        "autoscaling.v2.MetricValueStatus",
        "batch.v1.JobTemplateSpec",
        "core.v1.ContainerState",
        "core.v1.DaemonEndpoint",
        "core.v1.EventSource",
        "core.v1.NodeDaemonEndpoints",
        "core.v1.NodeSelectorTerm",
        "core.v1.NodeSystemInfo",
        "core.v1.PodAffinityTerm",
        "core.v1.PodTemplateSpec",
        "core.v1.VolumeResourceRequirements",
        "discovery.v1.EndpointConditions",
        "flowcontrol.v1.LimitResponse",
        "flowcontrol.v1.PriorityLevelConfigurationReference",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames",
        "io.k8s.apimachinery.pkg.apis.meta.v1.GroupVersionForDiscovery",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "networking.v1.ServiceBackendPort",
        "rbac.v1.RoleRef",
        "resource.v1.DeviceAllocationResult",
        "resource.v1.DeviceClaim",
        "resource.v1.ResourcePool",
        "storage.v1.VolumeAttachmentSource",
    ]
)
POINTERS = frozenset(
    [
        "autoscaling.v2.ContainerResourceMetricStatus",
        "autoscaling.v2.ExternalMetricStatus",
        "autoscaling.v2.ObjectMetricStatus",
        "autoscaling.v2.PodsMetricStatus",
        "autoscaling.v2.ResourceMetricStatus",
        "core.v1.NodeConfigStatus",
        "core.v1.NodeSwapStatus",
        "core.v1.PersistentVolumeSpec",
        "core.v1.ModifyVolumeStatus",
        "core.v1.PodExtendedResourceClaimStatus",
        "core.v1.VolumeStatus",
        "core.v1.ImageVolumeStatus",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus",
    ]
)
# Single fields that are otherwise than their structure: True for a value, False for a pointer.
VALUE_FIELDS = {
    "networking.v1.NetworkPolicySpec.podSelector": True,
    "core.v1.ReplicationControllerSpec.template": False,
    "core.v1.Binding.target": True,
    "core.v1.Event.involvedObject": True,
    "events.v1.Event.regarding": True,
    "core.v1.Container.resources": True,
    "core.v1.EphemeralContainer.resources": True,
    "core.v1.PersistentVolume.spec": True,
    "networking.v1.HTTPIngressPath.backend": True,
}
# A required text, number or boolean has its zero value as default, others have none; None says that a required one has none.
FIELD_DEFAULTS: dict[str, Any] = {
    "admissionregistration.v1.MutatingWebhook.sideEffects": None,
    "admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec.policyName": None,
    "admissionregistration.v1.ValidatingWebhook.sideEffects": None,
    "apps.v1.StatefulSetOrdinals.start": 0,
    "apps.v1.StatefulSetSpec.serviceName": "",
    "apps.v1.StatefulSetStatus.availableReplicas": 0,
    "authentication.v1.TokenRequestStatus.token": "",
    "authentication.v1.TokenReviewSpec.token": None,
    "autoscaling.v1.ScaleSpec.replicas": 0,
    "batch.v1.PodFailurePolicyOnPodConditionsPattern.status": "",
    "certificates.v1.CertificateSigningRequestSpec.request": None,
    "core.v1.AzureDiskVolumeSource.cachingMode": "ReadWrite",
    "core.v1.AzureDiskVolumeSource.fsType": "ext4",
    "core.v1.AzureDiskVolumeSource.kind": "Shared",
    "core.v1.AzureDiskVolumeSource.readOnly": False,
    "core.v1.ConfigMapEnvSource.name": "",
    "core.v1.ConfigMapKeySelector.name": "",
    "core.v1.ConfigMapProjection.name": "",
    "core.v1.ConfigMapVolumeSource.name": "",
    "core.v1.ContainerPort.protocol": "TCP",
    "core.v1.ContainerRestartRule.action": None,
    "core.v1.ContainerRestartRuleOnExitCodes.operator": None,
    "core.v1.Event.reportingComponent": "",
    "core.v1.Event.reportingInstance": "",
    "core.v1.FileKeySelector.optional": False,
    "core.v1.GRPCAction.service": "",
    "core.v1.ISCSIPersistentVolumeSource.iscsiInterface": "default",
    "core.v1.ISCSIVolumeSource.iscsiInterface": "default",
    "core.v1.ImageVolumeStatus.imageRef": None,
    "core.v1.LocalObjectReference.name": "",
    "core.v1.NodeRuntimeHandler.name": "",
    "core.v1.PodCertificateProjection.keyType": None,
    "core.v1.PodCertificateProjection.signerName": None,
    "core.v1.RBDPersistentVolumeSource.keyring": "/etc/ceph/keyring",
    "core.v1.RBDPersistentVolumeSource.pool": "rbd",
    "core.v1.RBDPersistentVolumeSource.user": "admin",
    "core.v1.RBDVolumeSource.keyring": "/etc/ceph/keyring",
    "core.v1.RBDVolumeSource.pool": "rbd",
    "core.v1.RBDVolumeSource.user": "admin",
    "core.v1.ReplicationControllerSpec.minReadySeconds": 0,
    "core.v1.ReplicationControllerSpec.replicas": 1,
    "core.v1.ScaleIOPersistentVolumeSource.fsType": "xfs",
    "core.v1.ScaleIOPersistentVolumeSource.storageMode": "ThinProvisioned",
    "core.v1.ScaleIOVolumeSource.fsType": "xfs",
    "core.v1.ScaleIOVolumeSource.storageMode": "ThinProvisioned",
    "core.v1.SecretEnvSource.name": "",
    "core.v1.SecretKeySelector.name": "",
    "core.v1.SecretProjection.name": "",
    "core.v1.ServicePort.protocol": "TCP",
    "flowcontrol.v1.FlowSchemaSpec.matchingPrecedence": 0,
    "flowcontrol.v1.QueuingConfiguration.handSize": 0,
    "flowcontrol.v1.QueuingConfiguration.queueLengthLimit": 0,
    "flowcontrol.v1.QueuingConfiguration.queues": 0,
    "networking.v1.HTTPIngressPath.pathType": None,
    "networking.v1.ParentReference.name": None,
    "networking.v1.ParentReference.resource": None,
    "policy.v1.PodDisruptionBudgetStatus.currentHealthy": 0,
    "policy.v1.PodDisruptionBudgetStatus.desiredHealthy": 0,
    "policy.v1.PodDisruptionBudgetStatus.disruptionsAllowed": 0,
    "policy.v1.PodDisruptionBudgetStatus.expectedPods": 0,
    "rbac.v1.RoleRef.apiGroup": "",
    "resource.v1.DeviceToleration.operator": "Equal",
    "scheduling.v1.PriorityClass.value": 0,
}

_ENUMERATIONS = """
Equivalent|Exact = admissionregistration.v1.MatchResources.matchPolicy admissionregistration.v1.MutatingWebhook.matchPolicy admissionregistration.v1.ValidatingWebhook.matchPolicy
Fail|Ignore = admissionregistration.v1.MutatingAdmissionPolicySpec.failurePolicy admissionregistration.v1.MutatingWebhook.failurePolicy admissionregistration.v1.ValidatingAdmissionPolicySpec.failurePolicy admissionregistration.v1.ValidatingWebhook.failurePolicy
IfNeeded|Never = admissionregistration.v1.MutatingAdmissionPolicySpec.reinvocationPolicy admissionregistration.v1.MutatingWebhook.reinvocationPolicy
None|NoneOnDryRun|Some|Unknown = admissionregistration.v1.MutatingWebhook.sideEffects admissionregistration.v1.ValidatingWebhook.sideEffects
ApplyConfiguration|JSONPatch = admissionregistration.v1.Mutation.patchType
*|CONNECT|CREATE|DELETE|UPDATE = admissionregistration.v1.NamedRuleWithOperations.operations admissionregistration.v1.RuleWithOperations.operations
*|Cluster|Namespaced = admissionregistration.v1.NamedRuleWithOperations.scope admissionregistration.v1.RuleWithOperations.scope
Audit|Deny|Warn = admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec.validationActions
OnDelete|RollingUpdate = apps.v1.DaemonSetUpdateStrategy.type apps.v1.StatefulSetUpdateStrategy.type
Recreate|RollingUpdate = apps.v1.DeploymentStrategy.type
OrderedReady|Parallel = apps.v1.StatefulSetSpec.podManagementPolicy
ContainerResource|External|Object|Pods|Resource = autoscaling.v2.MetricSpec.type autoscaling.v2.MetricStatus.type
Allow|Forbid|Replace = batch.v1.CronJobSpec.concurrencyPolicy
Indexed|NonIndexed = batch.v1.JobSpec.completionMode
Failed|TerminatingOrFailed = batch.v1.JobSpec.podReplacementPolicy
In|NotIn = batch.v1.PodFailurePolicyOnExitCodesRequirement.operator
Count|FailIndex|FailJob|Ignore = batch.v1.PodFailurePolicyRule.action
any|cert sign|client auth|code signing|content commitment|crl sign|data encipherment|decipher only|digital signature|email protection|encipher only|ipsec end system|ipsec tunnel|ipsec user|key agreement|key encipherment|microsoft sgc|netscape sgc|ocsp signing|s/mime|server auth|signing|timestamping = certificates.v1.CertificateSigningRequestSpec.usages
Localhost|RuntimeDefault|Unconfined = core.v1.AppArmorProfile.type core.v1.SeccompProfile.type
None|ReadOnly|ReadWrite = core.v1.AzureDiskVolumeSource.cachingMode
Dedicated|Managed|Shared = core.v1.AzureDiskVolumeSource.kind
FallbackToLogsOnError|File = core.v1.Container.terminationMessagePolicy core.v1.EphemeralContainer.terminationMessagePolicy
Always|IfNotPresent|Never = core.v1.Container.imagePullPolicy core.v1.EphemeralContainer.imagePullPolicy core.v1.ImageVolumeSource.pullPolicy
SCTP|TCP|UDP = core.v1.ContainerPort.protocol core.v1.EndpointPort.protocol core.v1.PortStatus.protocol core.v1.ServicePort.protocol discovery.v1.EndpointPort.protocol networking.v1.IngressPortStatus.protocol networking.v1.NetworkPolicyPort.protocol
SIGABRT|SIGALRM|SIGBUS|SIGCHLD|SIGCLD|SIGCONT|SIGFPE|SIGHUP|SIGILL|SIGINT|SIGIO|SIGIOT|SIGKILL|SIGPIPE|SIGPOLL|SIGPROF|SIGPWR|SIGQUIT|SIGRTMAX|SIGRTMAX-1|SIGRTMAX-10|SIGRTMAX-11|SIGRTMAX-12|SIGRTMAX-13|SIGRTMAX-14|SIGRTMAX-2|SIGRTMAX-3|SIGRTMAX-4|SIGRTMAX-5|SIGRTMAX-6|SIGRTMAX-7|SIGRTMAX-8|SIGRTMAX-9|SIGRTMIN|SIGRTMIN+1|SIGRTMIN+10|SIGRTMIN+11|SIGRTMIN+12|SIGRTMIN+13|SIGRTMIN+14|SIGRTMIN+15|SIGRTMIN+2|SIGRTMIN+3|SIGRTMIN+4|SIGRTMIN+5|SIGRTMIN+6|SIGRTMIN+7|SIGRTMIN+8|SIGRTMIN+9|SIGSEGV|SIGSTKFLT|SIGSTOP|SIGSYS|SIGTERM|SIGTRAP|SIGTSTP|SIGTTIN|SIGTTOU|SIGURG|SIGUSR1|SIGUSR2|SIGVTALRM|SIGWINCH|SIGXCPU|SIGXFSZ = core.v1.ContainerStatus.stopSignal core.v1.Lifecycle.stopSignal
HTTP|HTTPS = core.v1.HTTPGetAction.scheme
|BlockDevice|CharDevice|Directory|DirectoryOrCreate|File|FileOrCreate|Socket = core.v1.HostPathVolumeSource.type
InProgress|Infeasible|Pending = core.v1.ModifyVolumeStatus.status
Active|Terminating = core.v1.NamespaceStatus.phase
DoesNotExist|Exists|Gt|In|Lt|NotIn = core.v1.NodeSelectorRequirement.operator
Pending|Running|Terminated = core.v1.NodeStatus.phase
ReadOnlyMany|ReadWriteMany|ReadWriteOnce|ReadWriteOncePod = core.v1.PersistentVolumeClaimSpec.accessModes core.v1.PersistentVolumeClaimStatus.accessModes core.v1.PersistentVolumeSpec.accessModes
Block|Filesystem = core.v1.PersistentVolumeClaimSpec.volumeMode core.v1.PersistentVolumeSpec.volumeMode
Bound|Lost|Pending = core.v1.PersistentVolumeClaimStatus.phase
ControllerResizeInProgress|ControllerResizeInfeasible|NodeResizeInProgress|NodeResizeInfeasible|NodeResizePending = core.v1.PersistentVolumeClaimStatus.allocatedResourceStatuses
Delete|Recycle|Retain = core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy storage.v1.StorageClass.reclaimPolicy
Available|Bound|Failed|Pending|Released = core.v1.PersistentVolumeStatus.phase
Merge|Strict = core.v1.PodSecurityContext.supplementalGroupsPolicy
Always|OnRootMismatch = core.v1.PodSecurityContext.fsGroupChangePolicy
Always|Never|OnFailure = core.v1.PodSpec.restartPolicy
ClusterFirst|ClusterFirstWithHostNet|Default|None = core.v1.PodSpec.dnsPolicy
Never|PreemptLowerPriority = core.v1.PodSpec.preemptionPolicy scheduling.v1.PriorityClass.preemptionPolicy
Failed|Pending|Running|Succeeded|Unknown = core.v1.PodStatus.phase
BestEffort|Burstable|Guaranteed = core.v1.PodStatus.qosClass
BestEffort|CrossNamespacePodAffinity|NotBestEffort|NotTerminating|PriorityClass|Terminating|VolumeAttributesClass = core.v1.ResourceQuotaSpec.scopes core.v1.ScopedResourceSelectorRequirement.scopeName
DoesNotExist|Exists|In|NotIn = core.v1.ScopedResourceSelectorRequirement.operator
Default|Unmasked = core.v1.SecurityContext.procMount
ClusterIP|ExternalName|LoadBalancer|NodePort = core.v1.ServiceSpec.type
ClientIP|None = core.v1.ServiceSpec.sessionAffinity
Cluster|Local = core.v1.ServiceSpec.externalTrafficPolicy core.v1.ServiceSpec.internalTrafficPolicy
|IPv4|IPv6 = core.v1.ServiceSpec.ipFamilies
PreferDualStack|RequireDualStack|SingleStack = core.v1.ServiceSpec.ipFamilyPolicy
NoExecute|NoSchedule|PreferNoSchedule = core.v1.Taint.effect core.v1.Toleration.effect
Equal|Exists|Gt|Lt = core.v1.Toleration.operator
DoNotSchedule|ScheduleAnyway = core.v1.TopologySpreadConstraint.whenUnsatisfiable
Honor|Ignore = core.v1.TopologySpreadConstraint.nodeAffinityPolicy core.v1.TopologySpreadConstraint.nodeTaintsPolicy
Bidirectional|HostToContainer|None = core.v1.VolumeMount.mountPropagation
FQDN|IPv4|IPv6 = discovery.v1.EndpointSlice.addressType
Exact|ImplementationSpecific|Prefix = networking.v1.HTTPIngressPath.pathType
Egress|Ingress = networking.v1.NetworkPolicySpec.policyTypes
AlwaysAllow|IfHealthyBudget = policy.v1.PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy
FromClaim|FromClass = resource.v1.DeviceAllocationConfiguration.source
All|ExactCount = resource.v1.DeviceSubRequest.allocationMode resource.v1.ExactDeviceRequest.allocationMode
NoExecute|NoSchedule|None = resource.v1.DeviceTaint.effect resource.v1.DeviceToleration.effect
Equal|Exists = resource.v1.DeviceToleration.operator
Immediate|WaitForFirstConsumer = storage.v1.StorageClass.volumeBindingMode
FieldValueDuplicate|FieldValueForbidden|FieldValueInvalid|FieldValueRequired = apiextensions.v1.ValidationRule.reason
"""

# What a value means is told by the server where Kubernetes' source says so; these are the ones that recordings show.
ENUM_TEXTS: dict[str, dict[str, str]] = {
    "core.v1.Toleration.effect": {
        "NoExecute": "Evict any already-running pods that do not tolerate the taint. Currently enforced by NodeController.",
        "NoSchedule": "Do not allow new pods to schedule onto the node unless they tolerate the taint, but allow all pods submitted to Kubelet without going through the scheduler to start, and allow all already-running pods to continue running. Enforced by the scheduler.",
        "PreferNoSchedule": "Like TaintEffectNoSchedule, but the scheduler tries not to schedule new pods onto the node, rather than prohibiting new pods from scheduling onto the node entirely. Enforced by the scheduler.",
    },
    "core.v1.TopologySpreadConstraint.nodeAffinityPolicy": {
        "Honor": "means use this scheduling directive when calculating pod topology spread skew.",
        "Ignore": "means ignore this scheduling directive when calculating pod topology spread skew.",
    },
    "core.v1.TopologySpreadConstraint.nodeTaintsPolicy": {
        "Honor": "means use this scheduling directive when calculating pod topology spread skew.",
        "Ignore": "means ignore this scheduling directive when calculating pod topology spread skew.",
    },
    "core.v1.TopologySpreadConstraint.whenUnsatisfiable": {
        "DoNotSchedule": "instructs the scheduler not to schedule the pod when constraints are not satisfied.",
        "ScheduleAnyway": "instructs the scheduler to schedule the pod even if constraints are not satisfied.",
    },
    "scheduling.v1.PriorityClass.preemptionPolicy": {
        "Never": "means that pod never preempts other pods with lower priority.",
        "PreemptLowerPriority": "means that pod can preempt other pods with lower priority.",
    },
}


@cache
def enumerations() -> dict[str, list[str]]:
    """Values of a field, by ``group.version.Kind.field``; of a list or a map they are those of its elements."""
    found: dict[str, list[str]] = {}
    for line in _ENUMERATIONS.strip().splitlines():
        values, _, fields = line.partition(" = ")
        for field in fields.split():
            name = field.replace(
                "apiextensions.v1.", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
            )
            found[name] = values.split("|")
    return found
