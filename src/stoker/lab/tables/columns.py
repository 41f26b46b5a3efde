"""Columns of the built-in kinds' Tables.

Upstream: pkg/printers/internalversion/printers.go, AddHandlers; kinds without a printer get the columns of
staging/src/k8s.io/apiserver/pkg/registry/rest/table.go. One line a column: name, ``:int``, ``:bool``, ``:date`` or ``:name``
for another type or format than plain text, ``+`` where only `-o wide` shows it, and after the bar its description: words, or
``@Definition.field`` where the description is that of a field.
"""

from functools import cache
from typing import Any

from stoker.lab.schema.builtin import definitions

__all__ = ["NAME", "column", "column_definitions", "has_columns", "metadata_description"]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TYPES = {"int": "integer", "bool": "boolean", "date": "date"}
NAME = "Name:name | @meta.name"
_CONTAINERS = """Containers+ | Names of each container in the template.
Images+ | Images referenced by each container in the template."""
_AGE = "Age | @meta.creationTimestamp"
_JUST_NAMED = f"{NAME}\n{_AGE}"
_BINDING = """Age | @meta.creationTimestamp
Users+ | Users in the {kind}
Groups+ | Groups in the {kind}
ServiceAccounts+ | ServiceAccounts in the {kind}"""
_HOOKS = "Webhooks:int | Webhooks indicates the number of webhooks registered in this configuration"
_PARAM_KIND = "ParamKind | ParamKind specifies the kind of resources used to parameterize this policy"
_POLICY_BINDING = f"""{NAME}
PolicyName | PolicyName indicates the policy definition which the policy binding binded to
ParamRef | ParamRef indicates the param resource which sets the configuration param
{_AGE}"""
_EVENT = """Last Seen | @core.v1.Event.lastTimestamp
Type | @core.v1.Event.type
Reason | @core.v1.Event.reason
Object | @core.v1.Event.involvedObject
Subobject+ | @core.v1.ObjectReference.fieldPath
Source+ | @core.v1.Event.source
Message | @core.v1.Event.message
First Seen+ | @core.v1.Event.firstTimestamp
Count+ | @core.v1.Event.count
Name:name+ | @meta.name"""
_DEFAULT = f"{NAME}\nCreated At:date | @meta.creationTimestamp"

_COLUMNS: dict[tuple[str, str], str] = {
    ("", "Pod"): f"""{NAME}
Ready | The aggregate readiness state of this pod for accepting traffic.
Status | The aggregate status of the containers in this pod.
Restarts | The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.
{_AGE}
IP+ | @core.v1.PodStatus.podIP
Node+ | @core.v1.PodSpec.nodeName
Nominated Node+ | @core.v1.PodStatus.nominatedNodeName
Readiness Gates+ | @core.v1.PodSpec.readinessGates""",
    ("", "PodTemplate"): f"""{NAME}
Containers | Names of each container in the template.
Images | Images referenced by each container in the template.
Pod Labels | The labels for the pod template.""",
    ("policy", "PodDisruptionBudget"): f"""{NAME}
Min Available | The minimum number of pods that must be available.
Max Unavailable | The maximum number of pods that may be unavailable.
Allowed Disruptions:int | Calculated number of pods that may be disrupted at this time.
{_AGE}""",
    ("", "ReplicationController"): f"""{NAME}
Desired:int | @core.v1.ReplicationControllerSpec.replicas
Current:int | @core.v1.ReplicationControllerStatus.replicas
Ready:int | @core.v1.ReplicationControllerStatus.readyReplicas
{_AGE}
{_CONTAINERS}
Selector+ | @core.v1.ReplicationControllerSpec.selector""",
    ("apps", "ReplicaSet"): f"""{NAME}
Desired:int | @apps.v1.ReplicaSetSpec.replicas
Current:int | @apps.v1.ReplicaSetStatus.replicas
Ready:int | @apps.v1.ReplicaSetStatus.readyReplicas
{_AGE}
{_CONTAINERS}
Selector+ | @apps.v1.ReplicaSetSpec.selector""",
    ("apps", "DaemonSet"): f"""{NAME}
Desired:int | @apps.v1.DaemonSetStatus.desiredNumberScheduled
Current:int | @apps.v1.DaemonSetStatus.currentNumberScheduled
Ready:int | @apps.v1.DaemonSetStatus.numberReady
Up-to-date:int | @apps.v1.DaemonSetStatus.updatedNumberScheduled
Available:int | @apps.v1.DaemonSetStatus.numberAvailable
Node Selector | @core.v1.PodSpec.nodeSelector
{_AGE}
{_CONTAINERS}
Selector+ | @apps.v1.DaemonSetSpec.selector""",
    ("apps", "StatefulSet"): f"""{NAME}
Ready | Number of the pod with ready state
{_AGE}
{_CONTAINERS}""",
    ("apps", "Deployment"): f"""{NAME}
Ready | Number of the pod with ready state
Up-to-date | @apps.v1.DeploymentStatus.updatedReplicas
Available | @apps.v1.DeploymentStatus.availableReplicas
{_AGE}
{_CONTAINERS}
Selector+ | @apps.v1.DeploymentSpec.selector""",
    ("apps", "ControllerRevision"): f"""{NAME}
Controller | Controller of the object
Revision | @apps.v1.ControllerRevision.revision
{_AGE}""",
    ("batch", "Job"): f"""{NAME}
Status | Status of the job.
Completions | @batch.v1.JobStatus.succeeded
Duration | Time required to complete the job.
{_AGE}
{_CONTAINERS}
Selector+ | @batch.v1.JobSpec.selector""",
    ("batch", "CronJob"): f"""{NAME}
Schedule | @batch.v1.CronJobSpec.schedule
Timezone | @batch.v1.CronJobSpec.timeZone
Suspend:bool | @batch.v1.CronJobSpec.suspend
Active:int | @batch.v1.CronJobStatus.active
Last Schedule | @batch.v1.CronJobStatus.lastScheduleTime
{_AGE}
{_CONTAINERS}
Selector+ | @batch.v1.JobSpec.selector""",
    ("", "Service"): f"""{NAME}
Type | @core.v1.ServiceSpec.type
Cluster-IP | @core.v1.ServiceSpec.clusterIP
External-IP | @core.v1.ServiceSpec.externalIPs
Port(s) | @core.v1.ServiceSpec.ports
{_AGE}
Selector+ | @core.v1.ServiceSpec.selector""",
    ("networking.k8s.io", "Ingress"): f"""{NAME}
Class | The name of the IngressClass resource that should be used for additional configuration
Hosts | Hosts that incoming requests are matched against before the ingress rule
Address | Address is a list containing ingress points for the load-balancer
Ports | Ports of TLS configurations that open
{_AGE}""",
    ("networking.k8s.io", "IngressClass"): f"""{NAME}
Controller | Controller that is responsible for handling this class
Parameters | A reference to a resource with additional parameters
{_AGE}""",
    ("networking.k8s.io", "NetworkPolicy"): f"""{NAME}
Pod-Selector | @networking.v1.NetworkPolicySpec.podSelector
{_AGE}""",
    ("networking.k8s.io", "ServiceCIDR"): f"{NAME}\nCIDRs | @networking.v1.ServiceCIDRSpec.cidrs\n{_AGE}",
    ("networking.k8s.io", "IPAddress"): f"{NAME}\nParentRef | @networking.v1.IPAddressSpec.parentRef",
    ("", "Endpoints"): f"{NAME}\nEndpoints | @core.v1.Endpoints.subsets\n{_AGE}",
    ("", "Node"): f"""{NAME}
Status | The status of the node
Roles | The roles of the node
{_AGE}
Version | @core.v1.NodeSystemInfo.kubeletVersion
Internal-IP+ | @core.v1.NodeStatus.addresses
External-IP+ | @core.v1.NodeStatus.addresses
OS-Image+ | @core.v1.NodeSystemInfo.osImage
Kernel-Version+ | @core.v1.NodeSystemInfo.kernelVersion
Container-Runtime+ | @core.v1.NodeSystemInfo.containerRuntimeVersion""",
    ("", "Event"): _EVENT,
    ("events.k8s.io", "Event"): _EVENT,
    ("", "Namespace"): f"{NAME}\nStatus | The status of the namespace\n{_AGE}",
    ("", "Secret"): f"{NAME}\nType | @core.v1.Secret.type\nData | @core.v1.Secret.data\n{_AGE}",
    ("", "ServiceAccount"): _JUST_NAMED,
    ("", "PersistentVolume"): f"""{NAME}
Capacity | @core.v1.PersistentVolumeSpec.capacity
Access Modes | @core.v1.PersistentVolumeSpec.accessModes
Reclaim Policy | @core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy
Status | @core.v1.PersistentVolumeStatus.phase
Claim | @core.v1.PersistentVolumeSpec.claimRef
StorageClass | StorageClass of the pv
VolumeAttributesClass | VolumeAttributesClass of the pv
Reason | @core.v1.PersistentVolumeStatus.reason
{_AGE}
VolumeMode+ | @core.v1.PersistentVolumeSpec.volumeMode""",
    ("", "PersistentVolumeClaim"): f"""{NAME}
Status | @core.v1.PersistentVolumeClaimStatus.phase
Volume | @core.v1.PersistentVolumeClaimSpec.volumeName
Capacity | @core.v1.PersistentVolumeClaimStatus.capacity
Access Modes | @core.v1.PersistentVolumeClaimStatus.accessModes
StorageClass | StorageClass of the pvc
VolumeAttributesClass | VolumeAttributesClass of the pvc
{_AGE}
VolumeMode+ | @core.v1.PersistentVolumeClaimSpec.volumeMode""",
    ("", "ComponentStatus"): f"""{NAME}
Status | Status of the component conditions
Message | Message of the component conditions
Error | Error of the component conditions""",
    ("autoscaling", "HorizontalPodAutoscaler"): f"""{NAME}
Reference | @autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef
Targets | @autoscaling.v2.HorizontalPodAutoscalerSpec.metrics
MinPods | @autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas
MaxPods | @autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas
Replicas | @autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas
{_AGE}""",
    ("autoscaling", "Scale"): f"""Name | @meta.name
Desired:int | @autoscaling.v1.ScaleSpec.replicas
Available:int | @autoscaling.v1.ScaleStatus.replicas
{_AGE}""",
    ("", "ConfigMap"): f"{NAME}\nData | @core.v1.ConfigMap.data\n{_AGE}",
    ("rbac.authorization.k8s.io", "RoleBinding"): (
        f"{NAME}\nRole | @rbac.v1.RoleBinding.roleRef\n" + _BINDING.format(kind="roleBinding")
    ),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (
        f"{NAME}\nRole | @rbac.v1.ClusterRoleBinding.roleRef\n" + _BINDING.format(kind="clusterRoleBinding")
    ),
    ("certificates.k8s.io", "CertificateSigningRequest"): f"""{NAME}
{_AGE}
SignerName | @certificates.v1.CertificateSigningRequestSpec.signerName
Requestor | @certificates.v1.CertificateSigningRequestSpec.request
RequestedDuration | @certificates.v1.CertificateSigningRequestSpec.expirationSeconds
Condition | @certificates.v1.CertificateSigningRequestStatus.conditions""",
    ("coordination.k8s.io", "Lease"): f"{NAME}\nHolder | @coordination.v1.LeaseSpec.holderIdentity\n{_AGE}",
    ("storage.k8s.io", "StorageClass"): f"""{NAME}
Provisioner | @storage.v1.StorageClass.provisioner
ReclaimPolicy | @storage.v1.StorageClass.reclaimPolicy
VolumeBindingMode | @storage.v1.StorageClass.volumeBindingMode
AllowVolumeExpansion | @storage.v1.StorageClass.allowVolumeExpansion
{_AGE}""",
    ("storage.k8s.io", "VolumeAttributesClass"): (
        f"{NAME}\nDriverName | @storage.v1.VolumeAttributesClass.driverName\n{_AGE}"
    ),
    ("storage.k8s.io", "VolumeAttachment"): f"""{NAME}
Attacher:name | @storage.v1.VolumeAttachmentSpec.attacher
PV | @storage.v1.VolumeAttachmentSource.persistentVolumeName
Node | @storage.v1.VolumeAttachmentSpec.nodeName
Attached:bool | @storage.v1.VolumeAttachmentStatus.attached
{_AGE}""",
    ("storage.k8s.io", "CSINode"): f"""{NAME}
Drivers:int | Drivers indicates the number of CSI drivers registered on the node
{_AGE}""",
    ("storage.k8s.io", "CSIDriver"): f"""{NAME}
AttachRequired:bool | @storage.v1.CSIDriverSpec.attachRequired
PodInfoOnMount:bool | @storage.v1.CSIDriverSpec.podInfoOnMount
StorageCapacity:bool | @storage.v1.CSIDriverSpec.storageCapacity
TokenRequests | @storage.v1.CSIDriverSpec.tokenRequests
RequiresRepublish:bool | @storage.v1.CSIDriverSpec.requiresRepublish
Modes | @storage.v1.CSIDriverSpec.volumeLifecycleModes
{_AGE}""",
    ("storage.k8s.io", "CSIStorageCapacity"): f"""{NAME}
StorageClassName | @storage.v1.CSIStorageCapacity.storageClassName
Capacity | @storage.v1.CSIStorageCapacity.capacity""",
    ("", "ResourceQuota"): f"""{NAME}
Request | Request represents a minimum amount of cpu/memory that a container may consume.
Limit | Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.
{_AGE}""",
    ("scheduling.k8s.io", "PriorityClass"): f"""{NAME}
Value:int | @scheduling.v1.PriorityClass.value
Global-Default:bool | @scheduling.v1.PriorityClass.globalDefault
{_AGE}
PreemptionPolicy | @scheduling.v1.PriorityClass.preemptionPolicy""",
    ("node.k8s.io", "RuntimeClass"): f"{NAME}\nHandler | @meta.handler\n{_AGE}",
    ("discovery.k8s.io", "EndpointSlice"): f"""{NAME}
AddressType | @discovery.v1.EndpointSlice.addressType
Ports | @discovery.v1.EndpointSlice.ports
Endpoints | @discovery.v1.EndpointSlice.endpoints
{_AGE}""",
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): f"{NAME}\n{_HOOKS}\n{_AGE}",
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): f"{NAME}\n{_HOOKS}\n{_AGE}",
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): f"""{NAME}
Validations:int | Validations indicates the number of validation rules defined in this configuration
{_PARAM_KIND}
{_AGE}""",
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): f"""{NAME}
Mutations:int | Mutation indicates the number of mutations rules defined in this configuration
{_PARAM_KIND}
{_AGE}""",
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): _POLICY_BINDING,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): _POLICY_BINDING,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): f"""{NAME}
PriorityLevel | @flowcontrol.v1.PriorityLevelConfigurationReference.name
MatchingPrecedence | @flowcontrol.v1.FlowSchemaSpec.matchingPrecedence
DistinguisherMethod | @flowcontrol.v1.FlowSchemaSpec.distinguisherMethod
{_AGE}
MissingPL | references a broken or non-existent PriorityLevelConfiguration""",
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): f"""{NAME}
Type | @flowcontrol.v1.PriorityLevelConfigurationSpec.type
NominalConcurrencyShares | @flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares
Queues | @flowcontrol.v1.QueuingConfiguration.queues
HandSize | @flowcontrol.v1.QueuingConfiguration.handSize
QueueLengthLimit | @flowcontrol.v1.QueuingConfiguration.queueLengthLimit
{_AGE}""",
    ("resource.k8s.io", "DeviceClass"): _JUST_NAMED,
    ("resource.k8s.io", "ResourceClaimTemplate"): _JUST_NAMED,
    ("resource.k8s.io", "ResourceClaim"): f"""{NAME}
State | A summary of the current state (allocated, pending, reserved, etc.).
{_AGE}""",
    ("resource.k8s.io", "ResourceSlice"): f"""{NAME}
Node | @resource.v1.ResourceSliceSpec.nodeName
Driver | @resource.v1.ResourceSliceSpec.driver
Pool | @resource.v1.ResourcePool.name
{_AGE}""",
    # kube-aggregator pkg/registry/apiservice/etcd/etcd.go
    ("apiregistration.k8s.io", "APIService"): f"""{NAME}
Service | The reference to the service that hosts this API endpoint.
Available | Whether this service is available.
{_AGE}""",
}


def has_columns(group: str, kind: str) -> bool:
    """Whether the kind has a printer of its own."""
    return (group, kind) in _COLUMNS


@cache
def column_definitions(group: str, kind: str) -> list[dict[str, Any]]:
    """The kind's columns; name and time of creation for a kind without a printer. Not to be changed by the caller."""
    return [column(line) for line in _COLUMNS.get((group, kind), _DEFAULT).splitlines()]


def column(line: str) -> dict[str, Any]:
    """One column out of its line."""
    head, _, description = line.partition(" | ")
    name, _, form = head.removesuffix("+").partition(":")
    if description.startswith("@"):
        definition, _, field = description[1:].rpartition(".")
        description = _described(definition, field)
    return {
        "name": name,
        "type": _TYPES.get(form, "string"),
        "format": "name" if form == "name" else "",
        "description": description,
        "priority": int(head.endswith("+")),
    }


def _described(definition: str, field: str) -> str:
    if definition == "meta":
        return metadata_description(field)
    schema = definitions()[f"io.k8s.api.{definition}"]
    return str(schema["properties"][field].get("description", ""))


def metadata_description(field: str) -> str:
    """What ObjectMeta says of a field; nothing where it has none (RuntimeClass asks for one that does not exist)."""
    return str(definitions()[_META]["properties"].get(field, {}).get("description", ""))
