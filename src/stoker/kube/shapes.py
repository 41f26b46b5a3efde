"""Types of the fields that Stoker reads, so that a rule can trust what it finds and a wrong type is told, not tripped over.

A declared field that has another type is what an API server refuses; it is left out of the object and reported. Fields
that are not declared stay as they are. Quantities and ``int-or-string`` become text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.paths import Path
from stoker.kube.snapshot import Malformed

__all__ = ["SHAPES", "Leaf", "Map", "TooLargeError", "conform", "conform_shape"]


class TooLargeError(ValueError):
    """An object that unfolds to more values, or deeper, than any cluster stores (1.5 MiB in etcd)."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar: ``name`` is what messages call it."""

    name: str
    types: tuple[type, ...]
    as_text: bool = False


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping with free keys; ``of`` is the shape of every value."""

    of: Any


STR: Final = Leaf("a string", (str,))
INT: Final = Leaf("a whole number", (int,))
NUM: Final = Leaf("a number", (int, float))
BOOL: Final = Leaf("true or false", (bool,))
QTY: Final = Leaf("a quantity", (str, int, float), as_text=True)
INTSTR: Final = Leaf("a number or a string", (str, int), as_text=True)
OBJ: Final = Map(None)  # a mapping of anything

_LABELS: Final = Map(STR)
_METADATA: Final[Any] = {
    "name": STR, "namespace": STR, "generateName": STR, "uid": STR, "labels": _LABELS, "annotations": _LABELS,
    "creationTimestamp": STR, "deletionTimestamp": STR, "finalizers": [STR],
    "ownerReferences": [{"kind": STR, "name": STR, "uid": STR, "apiVersion": STR, "controller": BOOL}],
}  # fmt: skip
_EXPRESSIONS: Final = [{"key": STR, "operator": STR, "values": [STR]}]
_SELECTOR: Final[Any] = {"matchLabels": _LABELS, "matchExpressions": _EXPRESSIONS}
_HTTP: Final[Any] = {"path": STR, "port": INTSTR, "scheme": STR}
_PROBE: Final[Any] = {
    "httpGet": _HTTP, "tcpSocket": {"port": INTSTR}, "exec": {"command": [STR]}, "grpc": {"port": INT},
    "initialDelaySeconds": INT, "periodSeconds": INT, "timeoutSeconds": INT, "failureThreshold": INT,
    "successThreshold": INT, "terminationGracePeriodSeconds": INT,
}  # fmt: skip
_RESOURCES: Final[Any] = {"limits": Map(QTY), "requests": Map(QTY), "claims": [{"name": STR, "request": STR}]}
_KEY_REF: Final[Any] = {"name": STR, "key": STR, "optional": BOOL}
_SECURITY: Final[Any] = {
    "privileged": BOOL, "runAsNonRoot": BOOL, "runAsUser": INT, "allowPrivilegeEscalation": BOOL,
    "readOnlyRootFilesystem": BOOL, "capabilities": {"add": [STR], "drop": [STR]}, "seccompProfile": {"type": STR},
    "fsGroup": INT,
}  # fmt: skip
CONTAINER: Final[Any] = {
    "name": STR, "image": STR, "imagePullPolicy": STR, "command": [STR], "args": [STR], "workingDir": STR,
    "env": [{"name": STR, "value": STR, "valueFrom": {"secretKeyRef": _KEY_REF, "configMapKeyRef": _KEY_REF, "fieldRef": OBJ}}],
    "envFrom": [{"configMapRef": _KEY_REF, "secretRef": _KEY_REF, "prefix": STR}],
    "ports": [{"name": STR, "containerPort": INT, "protocol": STR, "hostPort": INT}],
    "resources": _RESOURCES, "volumeMounts": [{"name": STR, "mountPath": STR, "subPath": STR, "readOnly": BOOL}],
    "livenessProbe": _PROBE, "readinessProbe": _PROBE, "startupProbe": _PROBE,
    "lifecycle": {"preStop": {"exec": {"command": [STR]}, "httpGet": _HTTP, "sleep": {"seconds": INT}}},
    "securityContext": _SECURITY, "restartPolicy": STR,
}  # fmt: skip
_VOLUME: Final[Any] = {
    "name": STR, "emptyDir": {"medium": STR, "sizeLimit": QTY}, "hostPath": {"path": STR, "type": STR},
    "persistentVolumeClaim": {"claimName": STR, "readOnly": BOOL}, "configMap": {"name": STR, "optional": BOOL},
    "secret": {"secretName": STR, "optional": BOOL}, "nfs": {"server": STR, "path": STR},
    "image": {"reference": STR}, "csi": OBJ, "projected": OBJ, "ephemeral": OBJ,
}  # fmt: skip
_NODE_TERM: Final[Any] = {"matchExpressions": _EXPRESSIONS, "matchFields": _EXPRESSIONS}
_POD_TERM: Final[Any] = {
    "labelSelector": _SELECTOR, "topologyKey": STR, "namespaces": [STR], "namespaceSelector": _SELECTOR,
    "matchLabelKeys": [STR],
}  # fmt: skip
_POD_AFFINITY: Final[Any] = {
    "requiredDuringSchedulingIgnoredDuringExecution": [_POD_TERM],
    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": INT, "podAffinityTerm": _POD_TERM}],
}
POD: Final[Any] = {
    "containers": [CONTAINER], "initContainers": [CONTAINER], "volumes": [_VOLUME], "nodeSelector": _LABELS,
    "nodeName": STR, "priorityClassName": STR, "priority": INT, "preemptionPolicy": STR, "schedulerName": STR,
    "serviceAccountName": STR, "runtimeClassName": STR, "restartPolicy": STR, "terminationGracePeriodSeconds": INT,
    "automountServiceAccountToken": BOOL, "hostNetwork": BOOL, "hostIPC": BOOL, "hostPID": BOOL, "shareProcessNamespace": BOOL,
    "tolerations": [{"key": STR, "operator": STR, "value": STR, "effect": STR, "tolerationSeconds": INT}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_NODE_TERM]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": INT, "preference": _NODE_TERM}],
        },
        "podAffinity": _POD_AFFINITY, "podAntiAffinity": _POD_AFFINITY,
    },
    "topologySpreadConstraints": [
        {"maxSkew": INT, "topologyKey": STR, "whenUnsatisfiable": STR, "labelSelector": _SELECTOR, "matchLabelKeys": [STR],
         "minDomains": INT}
    ],
    "securityContext": _SECURITY, "imagePullSecrets": [{"name": STR}], "resources": _RESOURCES,
    "resourceClaims": [{"name": STR, "resourceClaimName": STR, "resourceClaimTemplateName": STR}],
    "schedulingGates": [{"name": STR}],
}  # fmt: skip
_TEMPLATE: Final[Any] = {"metadata": _METADATA, "spec": POD}
_ROLLING: Final[Any] = {
    "type": STR,
    "rollingUpdate": {"maxSurge": INTSTR, "maxUnavailable": INTSTR, "partition": INT},
}
_CONDITIONS: Final = [{"type": STR, "status": STR, "reason": STR, "message": STR, "lastTransitionTime": STR}]
_STATE: Final[Any] = {
    "waiting": {"reason": STR, "message": STR}, "running": {"startedAt": STR},
    "terminated": {"reason": STR, "message": STR, "exitCode": INT, "finishedAt": STR, "startedAt": STR},
}  # fmt: skip
_CONTAINER_STATUS: Final = [
    {"name": STR, "ready": BOOL, "restartCount": INT, "started": BOOL, "image": STR, "imageID": STR, "state": _STATE,
     "lastState": _STATE}
]  # fmt: skip
_PORT: Final[Any] = {
    "name": STR,
    "port": INT,
    "targetPort": INTSTR,
    "protocol": STR,
    "nodePort": INT,
    "appProtocol": STR,
}

_POD_OBJECT: Final[Any] = {
    "spec": POD,
    "status": {
        "phase": STR, "reason": STR, "message": STR, "conditions": _CONDITIONS, "containerStatuses": _CONTAINER_STATUS,
        "initContainerStatuses": _CONTAINER_STATUS, "nominatedNodeName": STR, "startTime": STR, "qosClass": STR, "podIP": STR,
    },
}  # fmt: skip
_WORKLOAD_STATUS: Final[Any] = {
    "replicas": INT, "readyReplicas": INT, "availableReplicas": INT, "updatedReplicas": INT, "unavailableReplicas": INT,
    "observedGeneration": INT, "conditions": _CONDITIONS, "desiredNumberScheduled": INT, "numberReady": INT,
    "currentNumberScheduled": INT, "numberUnavailable": INT,
}  # fmt: skip
_APP: Final[Any] = {
    "spec": {"replicas": INT, "selector": _SELECTOR, "template": _TEMPLATE, "strategy": _ROLLING, "updateStrategy": _ROLLING,
             "progressDeadlineSeconds": INT, "revisionHistoryLimit": INT, "paused": BOOL, "serviceName": STR,
             "podManagementPolicy": STR, "minReadySeconds": INT,
             "volumeClaimTemplates": [{"metadata": _METADATA, "spec": OBJ}]},
    "status": _WORKLOAD_STATUS,
}  # fmt: skip
_JOB_SPEC: Final[Any] = {
    "template": _TEMPLATE, "parallelism": INT, "completions": INT, "backoffLimit": INT, "suspend": BOOL,
    "activeDeadlineSeconds": INT, "ttlSecondsAfterFinished": INT,
}  # fmt: skip
_RAY: Final[Any] = {
    "rayVersion": STR, "headGroupSpec": {"template": _TEMPLATE},
    "workerGroupSpecs": [{"groupName": STR, "replicas": INT, "minReplicas": INT, "maxReplicas": INT, "numOfHosts": INT,
                          "template": _TEMPLATE}],
}  # fmt: skip
_METRIC_TARGET: Final[Any] = {"type": STR, "value": QTY, "averageValue": QTY, "averageUtilization": INT}
_HPA_BEHAVIOR: Final[Any] = {
    side: {"stabilizationWindowSeconds": INT, "selectPolicy": STR,
           "policies": [{"type": STR, "value": INT, "periodSeconds": INT}]}
    for side in ("scaleUp", "scaleDown")
}  # fmt: skip
_TARGET_REF: Final[Any] = {"apiVersion": STR, "kind": STR, "name": STR}

_EXTERNAL_METRIC: Final[Any] = {
    "metric": {"backend": STR, "serverAddress": STR, "query": STR, "namespace": STR, "metricNames": [STR]},
    "target": {"type": STR, "value": QTY, "averageValue": QTY},
}
_COMPONENT: Final[Any] = {
    **POD,
    "name": STR, "minReplicas": INT, "maxReplicas": INT, "scaleTarget": INT, "scaleMetric": STR, "scaleMetricType": STR,
    "containerConcurrency": INT, "timeout": INT, "canaryTrafficPercent": INT, "deploymentStrategy": _ROLLING,
    "labels": _LABELS, "annotations": _LABELS,
    "autoScaling": {"metrics": [{"type": STR, "resource": {"name": STR, "target": _METRIC_TARGET}, "external": _EXTERNAL_METRIC,
                                 "podmetric": _EXTERNAL_METRIC}], "behavior": _HPA_BEHAVIOR},
    "model": {**CONTAINER, "modelFormat": {"name": STR, "version": QTY}, "runtime": STR, "runtimeVersion": STR,
              "protocolVersion": STR, "storageUri": STR, "storage": OBJ},
    "workerSpec": {**POD, "pipelineParallelSize": INT, "tensorParallelSize": INT},
}  # fmt: skip
_RUNTIME: Final[Any] = {
    **POD, "supportedModelFormats": [{"name": STR, "version": QTY, "autoSelect": BOOL, "priority": INT}],
    "protocolVersions": [STR], "multiModel": BOOL, "disabled": BOOL, "labels": _LABELS, "annotations": _LABELS,
    "workerSpec": {**POD, "pipelineParallelSize": INT, "tensorParallelSize": INT},
}  # fmt: skip
_LLM_WORKLOAD: Final[Any] = {
    "replicas": INT, "template": POD, "worker": POD, "labels": _LABELS, "annotations": _LABELS,
    "parallelism": {"tensor": INT, "pipeline": INT, "data": INT, "dataLocal": INT, "expert": BOOL},
    "scaling": {"minReplicas": INT, "maxReplicas": INT, "wva": OBJ, "keda": OBJ},
}  # fmt: skip
_LLM: Final[Any] = {
    **_LLM_WORKLOAD, "prefill": _LLM_WORKLOAD, "model": {"uri": STR, "name": STR, "lora": OBJ}, "router": OBJ,
    "baseRefs": [{"name": STR}],
}  # fmt: skip

_ENDPOINT: Final[Any] = {
    "port": STR, "targetPort": INTSTR, "path": STR, "scheme": STR, "interval": STR, "scrapeTimeout": STR, "honorLabels": BOOL,
    "metricRelabelings": [OBJ], "relabelings": [OBJ], "portNumber": INT,
}  # fmt: skip
_NAMESPACES: Final[Any] = {"any": BOOL, "matchNames": [STR]}
_RULES: Final = [
    {"name": STR, "interval": STR,
     "rules": [{"alert": STR, "record": STR, "expr": INTSTR, "for": STR, "keep_firing_for": STR, "labels": _LABELS,
                "annotations": _LABELS}]}
]  # fmt: skip
_SCRAPE_CONFIG: Final[Any] = {
    "job_name": STR, "metrics_path": STR, "scrape_interval": STR, "honor_labels": BOOL,
    "static_configs": [{"targets": [STR], "labels": _LABELS}], "kubernetes_sd_configs": [OBJ], "relabel_configs": [OBJ],
    "metric_relabel_configs": [OBJ],
}  # fmt: skip
PROMETHEUS_CONFIG: Final[Any] = {
    "scrape_configs": [_SCRAPE_CONFIG], "rule_files": [STR], "global": {"scrape_interval": STR, "evaluation_interval": STR},
    "alerting": OBJ,
}  # fmt: skip
_TRIGGER: Final[Any] = {
    "type": STR, "name": STR, "metricType": STR, "useCachedMetrics": BOOL, "metadata": Map(STR),
    "authenticationRef": {"name": STR, "kind": STR},
}  # fmt: skip
_ROUTE_REF: Final[Any] = {
    "group": STR,
    "kind": STR,
    "name": STR,
    "namespace": STR,
    "port": INT,
    "weight": INT,
}

# Fields by kind and group. `metadata` is added to each.
SHAPES: Final[Mapping[str, Any]] = {
    "Pod": _POD_OBJECT,
    "Deployment.apps": _APP, "StatefulSet.apps": _APP, "DaemonSet.apps": _APP, "ReplicaSet.apps": _APP,
    "Job.batch": {"spec": _JOB_SPEC, "status": {"active": INT, "failed": INT, "succeeded": INT, "conditions": _CONDITIONS}},
    "CronJob.batch": {"spec": {"jobTemplate": {"spec": _JOB_SPEC}, "schedule": STR, "concurrencyPolicy": STR}},
    "Rollout.argoproj.io": _APP,
    "RayCluster.ray.io": {"spec": _RAY}, "RayService.ray.io": {"spec": {"rayClusterConfig": _RAY, "serveConfigV2": STR}},
    "RayJob.ray.io": {"spec": {"rayClusterSpec": _RAY}},
    "JobSet.jobset.x-k8s.io": {"spec": {"replicatedJobs": [{"name": STR, "replicas": INT, "template": {"spec": _JOB_SPEC}}]}},
    "PyTorchJob.kubeflow.org": {"spec": {"pytorchReplicaSpecs": Map({"replicas": INT, "template": _TEMPLATE})}},
    "MPIJob.kubeflow.org": {"spec": {"mpiReplicaSpecs": Map({"replicas": INT, "template": _TEMPLATE})}},
    "Service": {"spec": {"selector": _LABELS, "ports": [_PORT], "type": STR, "clusterIP": STR, "externalName": STR}},
    "ConfigMap": {"data": Map(STR)},
    "Secret": {"type": STR},
    "Namespace": {"status": {"phase": STR}},
    "ServiceAccount": {},
    "Node": {
        "spec": {"taints": [{"key": STR, "value": STR, "effect": STR}], "unschedulable": BOOL, "providerID": STR},
        "status": {"capacity": Map(QTY), "allocatable": Map(QTY), "conditions": _CONDITIONS,
                   "nodeInfo": {"kubeletVersion": STR, "kernelVersion": STR, "containerRuntimeVersion": STR}},
    },
    "Event": {"reason": STR, "message": STR, "type": STR, "count": INT, "lastTimestamp": STR, "eventTime": STR,
              "involvedObject": {"kind": STR, "namespace": STR, "name": STR, "uid": STR}},
    "Event.events.k8s.io": {"reason": STR, "note": STR, "type": STR, "regarding": {"kind": STR, "namespace": STR, "name": STR}},
    "PersistentVolumeClaim": {
        "spec": {"accessModes": [STR], "storageClassName": STR, "volumeName": STR, "resources": _RESOURCES},
        "status": {"phase": STR},
    },
    "PersistentVolume": {"spec": {"accessModes": [STR], "storageClassName": STR, "capacity": Map(QTY), "nodeAffinity": OBJ,
                                  "hostPath": OBJ, "nfs": OBJ, "csi": OBJ, "claimRef": {"name": STR, "namespace": STR}}},
    "StorageClass.storage.k8s.io": {"provisioner": STR, "volumeBindingMode": STR, "reclaimPolicy": STR},
    "ResourceQuota": {
        "spec": {"hard": Map(QTY), "scopes": [STR],
                 "scopeSelector": {"matchExpressions": [{"scopeName": STR, "operator": STR, "values": [STR]}]}},
        "status": {"hard": Map(QTY), "used": Map(QTY)},
    },
    "LimitRange": {
        "spec": {"limits": [{"type": STR, "max": Map(QTY), "min": Map(QTY), "default": Map(QTY), "defaultRequest": Map(QTY),
                             "maxLimitRequestRatio": Map(QTY)}]}
    },
    "PriorityClass.scheduling.k8s.io": {"value": INT, "globalDefault": BOOL, "description": STR, "preemptionPolicy": STR},
    "PodDisruptionBudget.policy": {
        "spec": {"minAvailable": INTSTR, "maxUnavailable": INTSTR, "selector": _SELECTOR, "unhealthyPodEvictionPolicy": STR},
        "status": {"disruptionsAllowed": INT, "currentHealthy": INT, "desiredHealthy": INT},
    },
    "NetworkPolicy.networking.k8s.io": {"spec": {"podSelector": _SELECTOR, "policyTypes": [STR], "ingress": [OBJ],
                                                 "egress": [OBJ]}},
    "Ingress.networking.k8s.io": {"spec": {"tls": [OBJ], "rules": [{"host": STR, "http": {"paths": [
        {"path": STR, "backend": {"service": {"name": STR, "port": {"number": INT, "name": STR}}}}]}}]}},
    "RoleBinding.rbac.authorization.k8s.io": {"roleRef": {"kind": STR, "name": STR},
                                              "subjects": [{"kind": STR, "name": STR, "namespace": STR}]},
    "ClusterRoleBinding.rbac.authorization.k8s.io": {"roleRef": {"kind": STR, "name": STR},
                                                     "subjects": [{"kind": STR, "name": STR, "namespace": STR}]},
    "Role.rbac.authorization.k8s.io": {"rules": [{"apiGroups": [STR], "resources": [STR], "verbs": [STR], "resourceNames": [STR]}]},
    "ClusterRole.rbac.authorization.k8s.io": {"rules": [{"apiGroups": [STR], "resources": [STR], "verbs": [STR],
                                                         "resourceNames": [STR]}]},
    "HorizontalPodAutoscaler.autoscaling": {
        "spec": {"scaleTargetRef": _TARGET_REF, "minReplicas": INT, "maxReplicas": INT, "behavior": _HPA_BEHAVIOR,
                 "targetCPUUtilizationPercentage": INT,
                 "metrics": [{"type": STR, "resource": {"name": STR, "target": _METRIC_TARGET},
                              "containerResource": {"name": STR, "container": STR, "target": _METRIC_TARGET},
                              "pods": {"metric": {"name": STR, "selector": _SELECTOR}, "target": _METRIC_TARGET},
                              "object": {"metric": {"name": STR}, "target": _METRIC_TARGET},
                              "external": {"metric": {"name": STR, "selector": _SELECTOR}, "target": _METRIC_TARGET}}]},
        "status": {"currentReplicas": INT, "desiredReplicas": INT, "conditions": _CONDITIONS},
    },
    "ScaledObject.keda.sh": {
        "spec": {"scaleTargetRef": {**_TARGET_REF, "envSourceContainerName": STR}, "pollingInterval": INT, "cooldownPeriod": INT,
                 "initialCooldownPeriod": INT, "minReplicaCount": INT, "maxReplicaCount": INT, "idleReplicaCount": INT,
                 "fallback": {"failureThreshold": INT, "replicas": INT, "behavior": STR},
                 "advanced": {"horizontalPodAutoscalerConfig": {"name": STR, "behavior": _HPA_BEHAVIOR},
                              "scalingModifiers": {"formula": STR, "target": QTY, "activationTarget": QTY, "metricType": STR},
                              "restoreToOriginalReplicaCount": BOOL},
                 "triggers": [_TRIGGER]},
        "status": {"conditions": _CONDITIONS},
    },
    "ScaledJob.keda.sh": {"spec": {"jobTargetRef": _JOB_SPEC, "pollingInterval": INT, "minReplicaCount": INT,
                                   "maxReplicaCount": INT, "triggers": [_TRIGGER]}},
    "TriggerAuthentication.keda.sh": {"spec": {"secretTargetRef": [{"parameter": STR, "name": STR, "key": STR}]}},
    "HTTPScaledObject.http.keda.sh": {"spec": {"scaleTargetRef": {**_TARGET_REF, "service": STR, "port": INT},
                                               "replicas": {"min": INT, "max": INT}}},
    "InterceptorRoute.http.keda.sh": {"spec": {"target": {"service": STR, "port": INT}}},
    "InferenceService.serving.kserve.io": {
        "spec": {"predictor": _COMPONENT, "transformer": _COMPONENT, "explainer": _COMPONENT,
                 "canary": [{"trafficPercent": INT, "predictor": _COMPONENT}]},
        "status": {"deploymentMode": STR, "conditions": _CONDITIONS,
                   "modelStatus": {"transitionStatus": STR, "states": {"activeModelState": STR, "targetModelState": STR},
                                   "lastFailureInfo": {"reason": STR, "message": STR}}},
    },
    "LLMInferenceService.serving.kserve.io": {"spec": _LLM, "status": {"conditions": _CONDITIONS}},
    "LLMInferenceServiceConfig.serving.kserve.io": {"spec": _LLM},
    "ServingRuntime.serving.kserve.io": {"spec": _RUNTIME},
    "ClusterServingRuntime.serving.kserve.io": {"spec": _RUNTIME},
    "InferenceGraph.serving.kserve.io": {"spec": {"nodes": Map({"routerType": STR, "steps": [
        {"serviceName": STR, "nodeName": STR, "serviceUrl": STR, "weight": INT}]})}},
    "LocalModelCache.serving.kserve.io": {"spec": {"sourceModelUri": STR, "modelSize": QTY, "nodeGroups": [STR]}},
    "LocalModelNodeGroup.serving.kserve.io": {"spec": {"storageLimit": QTY}},
    "Service.serving.knative.dev": {"spec": {"template": {"metadata": _METADATA, "spec": {**POD, "containerConcurrency": INT,
                                                                                        "timeoutSeconds": INT}}},
                                    "status": {"conditions": _CONDITIONS}},
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": {
        "spec": {"replicas": INT, "leaderWorkerTemplate": {"size": INT, "leaderTemplate": _TEMPLATE, "workerTemplate": _TEMPLATE,
                                                           "restartPolicy": STR},
                 "rolloutStrategy": {"type": STR, "rollingUpdateConfiguration": {"maxSurge": INTSTR, "maxUnavailable": INTSTR}}},
        "status": _WORKLOAD_STATUS,
    },
    "PodMonitor.monitoring.coreos.com": {"spec": {"selector": _SELECTOR, "namespaceSelector": _NAMESPACES,
                                                  "podMetricsEndpoints": [_ENDPOINT], "jobLabel": STR,
                                                  "podTargetLabels": [STR]}},
    "ServiceMonitor.monitoring.coreos.com": {"spec": {"selector": _SELECTOR, "namespaceSelector": _NAMESPACES,
                                                      "endpoints": [_ENDPOINT], "jobLabel": STR, "targetLabels": [STR]}},
    "PrometheusRule.monitoring.coreos.com": {"spec": {"groups": _RULES}},
    "Prometheus.monitoring.coreos.com": {
        "spec": {f"{what}{suffix}": _SELECTOR
                 for what in ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
                 for suffix in ("Selector", "NamespaceSelector")} | {"replicas": INT, "retention": STR, "alerting": OBJ},
    },
    "Alertmanager.monitoring.coreos.com": {"spec": {"alertmanagerConfigSelector": _SELECTOR, "replicas": INT}},
    "AlertmanagerConfig.monitoring.coreos.com": {"spec": {"route": OBJ, "receivers": [OBJ]}},
    "HTTPRoute.gateway.networking.k8s.io": {"spec": {"parentRefs": [_ROUTE_REF], "hostnames": [STR],
                                                     "rules": [{"backendRefs": [_ROUTE_REF], "timeouts": OBJ}]}},
    "Gateway.gateway.networking.k8s.io": {"spec": {"gatewayClassName": STR, "listeners": [
        {"name": STR, "port": INT, "protocol": STR, "allowedRoutes": OBJ}]}},
    "InferencePool.inference.networking.k8s.io": {"spec": {"selector": _SELECTOR, "targetPorts": [{"number": INT}],
                                                           "endpointPickerRef": {"name": STR, "kind": STR}}},
    "InferencePool.inference.networking.x-k8s.io": {"spec": {"selector": _LABELS, "targetPortNumber": INT}},
    "ClusterQueue.kueue.x-k8s.io": {
        "spec": {"cohort": STR, "cohortName": STR, "preemption": OBJ, "namespaceSelector": _SELECTOR,
                 "resourceGroups": [{"coveredResources": [STR], "flavors": [
                     {"name": STR, "resources": [{"name": STR, "nominalQuota": QTY, "borrowingLimit": QTY,
                                                  "lendingLimit": QTY}]}]}]},
    },
    "LocalQueue.kueue.x-k8s.io": {"spec": {"clusterQueue": STR}},
    "ResourceFlavor.kueue.x-k8s.io": {"spec": {"nodeLabels": _LABELS, "nodeTaints": [OBJ], "tolerations": [OBJ]}},
    "DeviceClass.resource.k8s.io": {"spec": {"extendedResourceName": STR}},
    "ResourceClaimTemplate.resource.k8s.io": {"spec": OBJ},
    "ValidatingAdmissionPolicy.admissionregistration.k8s.io": {"spec": {"matchConstraints": OBJ, "validations": [
        {"expression": STR, "message": STR}], "paramKind": OBJ}},
    "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": {"spec": {"policyName": STR, "validationActions": [STR]}},
    "RuntimeClass.node.k8s.io": {"handler": STR},
    # Documents that are no Kubernetes objects and that Prometheus, Grafana and Stoker itself read; see kube/documents.py.
    "RuleFile.prometheus": {"groups": _RULES},
    "ConfigFile.prometheus": PROMETHEUS_CONFIG,
    "Dashboard.grafana": {"title": STR, "panels": [OBJ], "templating": OBJ},
    "Measurements.stoker.dev": {"source": STR, "at": STR, "queries": Map([{"labels": _LABELS, "value": NUM}])},
}  # fmt: skip

_MOST_VALUES: Final = 400_000  # an object of 1.5 MiB holds fewer
_MOST_DEPTH: Final = 60


def conform(resource: str, obj: dict[str, Any]) -> tuple[dict[str, Any], tuple[Malformed, ...]]:
    """The object without nulls and without declared fields of another type, and what was left out.

    Raises:
        TooLargeError: it unfolds (through YAML aliases, say) beyond anything an API server stores.
    """
    walk = _Walk()
    shape = {"metadata": _METADATA, **(SHAPES.get(resource) or {})}
    found = walk.visit(obj, shape, (), 0)
    return found, tuple(walk.dropped)


def conform_shape(value: dict[str, Any], shape: Any) -> dict[str, Any]:
    """A mapping that is no object of its own (a configuration in a ConfigMap), made to conform; empty where it is too large."""
    try:
        found: dict[str, Any] = _Walk().visit(value, shape, (), 0)
    except TooLargeError:
        return {}
    return found


class _Walk:
    def __init__(self) -> None:
        self.dropped: list[Malformed] = []
        self.values = 0

    def visit(self, value: Any, shape: Any, path: Path, depth: int) -> Any:  # noqa: C901  # one type a branch
        """The conforming value; `_WRONG` where it has another type than the shape wants."""
        self.values += 1
        if self.values > _MOST_VALUES or depth > _MOST_DEPTH:
            raise TooLargeError(f"more than {_MOST_VALUES} values or {_MOST_DEPTH} levels")
        if isinstance(shape, Leaf):
            return self._leaf(value, shape, path)
        if isinstance(value, dict):
            if isinstance(shape, list):
                return self._wrong(path, value, "a list")
            below = shape.of if isinstance(shape, Map) else None
            known = shape if isinstance(shape, dict) else {}
            made = {}
            for key, item in value.items():
                if item is None:
                    continue
                name = key if isinstance(key, str) else str(key)
                kept = self.visit(item, known.get(name, below), (*path, name), depth + 1)
                if kept is not _WRONG:
                    made[name] = kept
            return made
        if isinstance(value, list):
            if isinstance(shape, dict | Map):
                return self._wrong(path, value, "a mapping")
            below = shape[0] if isinstance(shape, list) else None
            kept_items = [
                self.visit(item, below, (*path, index), depth + 1)
                if item is not None
                else self._wrong((*path, index), item, "no null")
                for index, item in enumerate(value)
            ]
            return [item for item in kept_items if item is not _WRONG]
        if isinstance(shape, list):
            return self._wrong(path, value, "a list")
        if isinstance(shape, dict | Map):
            return self._wrong(path, value, "a mapping")
        return value

    def _leaf(self, value: Any, shape: Leaf, path: Path) -> Any:
        if not isinstance(value, shape.types) or (isinstance(value, bool) and bool not in shape.types):
            return self._wrong(path, value, shape.name)
        return str(value) if shape.as_text else value

    def _wrong(self, path: Path, value: Any, wanted: str) -> Any:
        self.dropped.append(Malformed(path, _brief(value), wanted))
        return _WRONG


_WRONG: Final = object()


def _brief(value: Any) -> str:
    if value is None:
        return "null"
    kind = {dict: "a mapping", list: "a list", bool: "true or false", str: "a string"}.get(
        type(value), "a number"
    )
    return kind if isinstance(value, dict | list) else f"{kind} ({str(value)[:60]!r})"
