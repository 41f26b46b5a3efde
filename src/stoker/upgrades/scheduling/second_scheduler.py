"""A second kube-scheduler that packs GPUs, so that one-GPU pods do not break up eight-GPU nodes."""

import hashlib
import json
from typing import Final

from stoker.catalog.kubernetes import kubernetes_minor
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Object, Upgrade, Wave, emit

__all__ = ["SCHEDULER", "compile_second_scheduler", "scheduler_configuration"]

SCHEDULER: Final = "stoker-scheduler"  # name of its Deployment, ServiceAccount, ConfigMap and lease
_RBAC: Final = "rbac.authorization.k8s.io"
_CONFIG_PATH: Final = "/etc/kubernetes/scheduler"
_CONFIG_KEY: Final = "config.json"
_PORT: Final = (
    10259  # kube-scheduler's HTTPS port (kubernetes.io/docs/reference/networking/ports-and-protocols)
)
_NOBODY: Final = 65534
_GPU_WEIGHT: Final = 5
_FIT_WEIGHT: Final = 3


def compile_second_scheduler(platform: ResolvedPlatform) -> list[Emitted]:
    """Configuration, identity, rights and Deployment of the scheduler that GPU pods name; empty where none is wanted.

    It stands in the platform's own namespace; the one object in kube-system is the RoleBinding that must be there.
    """
    if not platform.bin_packing:
        return []
    return [
        _emit(platform, reason, obj)
        for reason, obj in (
            ("Identity of the bin-packing scheduler", _service_account()),
            (
                "Scores fuller nodes higher, so that whole nodes stay free for pods with many GPUs",
                _config_map(platform),
            ),
            ("The rights of the default scheduler", _cluster_binding("system:kube-scheduler")),
            ("Binds volumes like the default scheduler", _cluster_binding("system:volume-scheduler")),
            ("Lets it check who asks for its health and metrics", _authentication_binding()),
            ("Only one of its replicas schedules at a time", _lease_role()),
            ("Gives the scheduler its lease", _lease_binding()),
            ("Places GPU pods by MostAllocated; two replicas, one of them leads", _deployment(platform)),
            ("A drain never takes both schedulers at once", _budget()),
        )
    ]


def scheduler_configuration(platform: ResolvedPlatform) -> Object:
    """The KubeSchedulerConfiguration: one profile for each scheduler name that pods use.

    MostAllocated over GPUs first (kubernetes pkg/scheduler/apis/config/types_pluginargs.go); the plugin that balances CPU
    against memory would work against it and is off. Cluster-wide default spreading is off too: pods that want to
    spread say so themselves.
    """
    resources = dict.fromkeys(item.resource for pool in platform.pools.values() for item in pool.slices)
    scored = [{"name": name, "weight": _GPU_WEIGHT} for name in resources]
    scored += [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
    fit = {"type": "MostAllocated", "resources": scored}
    names = dict.fromkeys(model.scheduler_name for model in platform.models.values() if model.scheduler_name)
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {
            "leaderElect": True,
            "resourceLock": "leases",
            "resourceName": SCHEDULER,
            "resourceNamespace": PLATFORM_NAMESPACE,
        },
        "profiles": [_profile(name, fit) for name in (names or {SCHEDULER: None})],
    }


def _profile(name: str, fit: Object) -> Object:
    return {
        "schedulerName": name,
        "plugins": {
            "score": {
                "disabled": [{"name": "NodeResourcesBalancedAllocation"}, {"name": "NodeResourcesFit"}],
                "enabled": [{"name": "NodeResourcesFit", "weight": _FIT_WEIGHT}],
            }
        },
        "pluginConfig": [
            {
                "name": "NodeResourcesFit",
                "args": {
                    "apiVersion": "kubescheduler.config.k8s.io/v1",
                    "kind": "NodeResourcesFitArgs",
                    "scoringStrategy": fit,
                },
            },
            {
                "name": "PodTopologySpread",
                "args": {
                    "apiVersion": "kubescheduler.config.k8s.io/v1",
                    "kind": "PodTopologySpreadArgs",
                    "defaultingType": "List",
                    "defaultConstraints": [],
                },
            },
        ],
    }


def _emit(platform: ResolvedPlatform, reason: str, obj: Object) -> Emitted:
    return emit(platform, Upgrade.SCHEDULING, Wave.POLICY, reason, obj)


def _metadata(name: str = SCHEDULER) -> Object:
    return {"name": name, "namespace": PLATFORM_NAMESPACE}


def _service_account() -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata()}


def _subjects() -> list[Object]:
    return [{"kind": "ServiceAccount", "name": SCHEDULER, "namespace": PLATFORM_NAMESPACE}]


def _cluster_binding(role: str) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{SCHEDULER}-{role.removeprefix('system:')}"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": _subjects(),
    }


def _authentication_binding() -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{SCHEDULER}-authentication-reader", "namespace": "kube-system"},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": "extension-apiserver-authentication-reader"},
        "subjects": _subjects(),
    }


def _lease_role() -> Object:
    # system:kube-scheduler allows only the lease named kube-scheduler, which the default scheduler holds.
    group, leases = ["coordination.k8s.io"], ["leases"]
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": _metadata(),
        "rules": [
            {"apiGroups": group, "resources": leases, "verbs": ["create"]},
            {
                "apiGroups": group,
                "resources": leases,
                "resourceNames": [SCHEDULER],
                "verbs": ["get", "update"],
            },
        ],
    }


def _lease_binding() -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": SCHEDULER},
        "subjects": _subjects(),
    }


def _selector() -> Object:
    return {"app.kubernetes.io/name": "kube-scheduler", "app.kubernetes.io/instance": SCHEDULER}


def _config_map(platform: ResolvedPlatform) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(),
        "data": {_CONFIG_KEY: _config_text(platform)},
    }


def _config_text(platform: ResolvedPlatform) -> str:
    return json.dumps(scheduler_configuration(platform), indent=2)


def _deployment(platform: ResolvedPlatform) -> Object:
    checksum = hashlib.sha256(_config_text(platform).encode()).hexdigest()
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**_metadata(), "labels": _selector()},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": _selector()},
            "template": {
                # The scheduler reads its configuration once; a changed one must start new pods.
                "metadata": {"labels": _selector(), "annotations": {"stoker.dev/config-sha256": checksum}},
                "spec": _pod(platform),
            },
        },
    }


def _pod(platform: ResolvedPlatform) -> Object:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector()},
        "matchLabelKeys": ["pod-template-hash"],
    }
    return {
        "serviceAccountName": SCHEDULER,
        "priorityClassName": "system-cluster-critical",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [_container(platform)],
        "volumes": [{"name": "config", "configMap": {"name": SCHEDULER}}],
    }


def _container(platform: ResolvedPlatform) -> Object:
    get = {"httpGet": {"path": "/healthz", "port": _PORT, "scheme": "HTTPS"}}
    return {
        "name": "kube-scheduler",
        # Never newer than the API server (kubernetes.io/releases/version-skew-policy), hence the cluster's own minor.
        "image": kubernetes_minor(platform.spec.cluster.version).scheduler_image,
        "command": ["kube-scheduler", f"--config={_CONFIG_PATH}/{_CONFIG_KEY}", "--v=2"],
        "ports": [{"name": "https", "containerPort": _PORT}],
        "livenessProbe": {**get, "initialDelaySeconds": 15, "timeoutSeconds": 5},
        "readinessProbe": {**get, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": _CONFIG_PATH, "readOnly": True}],
    }


def _budget() -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": _selector()},
        },
    }
