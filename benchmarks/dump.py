"""A dump of a large cluster as `kubectl get -A -o json` prints it, for the audit's benchmark. Same sizes, same bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["write_dump"]

_FIELDS = {
    "f:metadata": {"f:annotations": {f"f:example.com/a{n}": {} for n in range(8)}, "f:labels": {"f:app": {}, "f:pod-template-hash": {}}},
    "f:spec": {
        "f:containers": {
            'k:{"name":"server"}': {
                field: {} for field in ("f:args", "f:env", "f:image", "f:imagePullPolicy", "f:name", "f:ports", "f:readinessProbe", "f:resources")
            }
        },
        "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:tolerations": {},
    },
}  # fmt: skip
_TIME = "2026-11-01T10:00:00Z"


def write_dump(path: Path, nodes: int, pods: int) -> None:
    """One List of ``nodes`` GPU nodes, ``pods`` pods of a deployment per 20 pods, and their ReplicaSets and Deployments."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{\n    "apiVersion": "v1",\n    "items": [\n')
        for index, item in enumerate(_items(nodes, pods)):
            text = json.dumps(item, indent=4)
            file.write((",\n" if index else "") + "\n".join("        " + line for line in text.split("\n")))
        file.write(
            '\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n'
        )


def _items(nodes: int, pods: int) -> Iterator[dict[str, Any]]:
    yield from (_node(n) for n in range(nodes))
    for deployment in range(max(1, pods // 20)):
        yield from _deployment(deployment)
    for n in range(pods):
        yield _pod(n, n // 20, n % nodes)


def _meta(kind: str, n: int, namespace: str = "", **extra: Any) -> dict[str, Any]:
    name = f"{kind.lower()}-{n:05}"
    meta: dict[str, Any] = {
        "creationTimestamp": _TIME,
        "managedFields": [
            {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": _FIELDS, "manager": manager, "operation": "Update", "time": _TIME}
            for manager in ("kubelet", "kube-controller-manager")
        ],
        "name": name,
        "resourceVersion": str(100_000 + n),
        "uid": f"{kind.lower()}-uid-{n}",
        **extra,
    }  # fmt: skip
    if namespace:
        meta["namespace"] = namespace
    return meta


def _node(n: int) -> dict[str, Any]:
    amounts = {
        "cpu": "96",
        "memory": "1152Gi",
        "nvidia.com/gpu": "8",
        "pods": "110",
        "ephemeral-storage": "2Ti",
    }
    labels = {
        "kubernetes.io/hostname": f"node-{n:05}", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": "81920", "nvidia.com/gpu.present": "true", "node.kubernetes.io/instance-type": "p4de.24xlarge",
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": _meta("Node", n, labels=labels),
        "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}], "providerID": f"aws:///us-east-1a/i-{n:017x}"},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}],
            "images": [{"names": [f"registry.example/image-{i}@sha256:{'0' * 64}"], "sizeBytes": 10**9} for i in range(50)],
            "nodeInfo": {"kubeletVersion": "v1.35.2", "kernelVersion": "6.8.0", "containerRuntimeVersion": "containerd://2.1.4"},
        },
    }  # fmt: skip


def _pod_spec() -> dict[str, Any]:
    probe = {
        "httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"},
        "periodSeconds": 10,
        "failureThreshold": 180,
        "timeoutSeconds": 1,
        "successThreshold": 1,
    }
    return {
        "containers": [
            {
                "name": "server",
                "image": "vllm/vllm-openai:v0.33.0",
                "imagePullPolicy": "IfNotPresent",
                "args": ["meta-llama/Meta-Llama-3-8B-Instruct", "--max-model-len=8192", "--shutdown-timeout=120", "--port=8000"],
                "env": [{"name": f"SETTING_{i}", "value": f"value of setting {i}"} for i in range(20)],
                "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"}, "requests": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"}},
                "readinessProbe": probe,
                "startupProbe": probe,
                "livenessProbe": probe,
                "volumeMounts": [{"mountPath": "/models", "name": "models"}, {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access", "readOnly": True}],
            }
        ],
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        "priorityClassName": "production",
        "priority": 1_000_000,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 180,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}, {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}],
    }  # fmt: skip


def _deployment(n: int) -> Iterator[dict[str, Any]]:
    namespace, labels = f"team-{n % 20}", {"app": f"model-{n}"}
    for kind, owner in (("Deployment", None), ("ReplicaSet", "Deployment")):
        extra = (
            {
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "controller": True,
                        "kind": owner,
                        "name": f"{owner.lower()}-{n:05}",
                        "uid": f"{owner.lower()}-uid-{n}",
                    }
                ]
            }
            if owner
            else {}
        )
        yield {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": _meta(kind, n, namespace, labels=labels, **extra),
            "spec": {"replicas": 20, "selector": {"matchLabels": labels}, "template": {"metadata": {"creationTimestamp": None, "labels": labels}, "spec": _pod_spec()}},
            "status": {"replicas": 20, "readyReplicas": 20, "availableReplicas": 20, "updatedReplicas": 20},
        }  # fmt: skip


def _pod(n: int, deployment: int, node: int) -> dict[str, Any]:
    spec = {**_pod_spec(), "nodeName": f"node-{node:05}"}
    running = n % 50 != 0
    extra = {
        "labels": {"app": f"model-{deployment}", "pod-template-hash": f"{deployment:010x}"},
        "annotations": {f"example.com/a{i}": "some value of an annotation" for i in range(8)},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "controller": True,
                "kind": "ReplicaSet",
                "name": f"replicaset-{deployment:05}",
                "uid": f"replicaset-uid-{deployment}",
            }
        ],
    }
    status: dict[str, Any] = {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": _TIME} for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
        "containerStatuses": [{"name": "server", "ready": True, "restartCount": 0, "started": True, "image": "vllm/vllm-openai:v0.33.0", "imageID": f"docker.io/vllm/vllm-openai@sha256:{'1' * 64}", "lastState": {}, "state": {"running": {"startedAt": _TIME}}}],
        "hostIP": "10.0.0.1", "podIP": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "qosClass": "Guaranteed", "startTime": _TIME,
    }  # fmt: skip
    if not running:
        spec.pop("nodeName")
        message = "0/1000 nodes are available: 1000 Insufficient nvidia.com/gpu."
        status = {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            ],
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _meta("Pod", n, f"team-{deployment % 20}", **extra),
        "spec": spec,
        "status": status,
    }
