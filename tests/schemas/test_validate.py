"""The harness refuses what a server refuses: good objects, each broken in one way."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.schemas.validate import validate_object

from stoker.schemas.core_schemas import MINORS, kinds

Object = dict[str, Any]
LABELS = {"app": "vllm"}


def pod_spec() -> Object:
    return {
        "containers": [
            {
                "name": "main",
                "image": "vllm/vllm-openai:v0.33.0",
                "env": [{"name": "HF_HOME", "value": "/cache"}],
                "ports": [{"name": "http", "containerPort": 8000}],
                "resources": {
                    "limits": {"nvidia.com/gpu": "4", "memory": "160Gi"},
                    "requests": {"nvidia.com/gpu": "4", "memory": "160Gi", "cpu": "16"},
                },
                "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108  # a mount path
            }
        ],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }


def deployment() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "vllm", "namespace": "ai", "labels": dict(LABELS), "annotations": {}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": dict(LABELS)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": pod_spec()},
        },
    }


def scaled_object() -> Object:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "vllm", "namespace": "ai"},
        "spec": {
            "scaleTargetRef": {"name": "vllm"},
            "minReplicaCount": 2,
            "maxReplicaCount": 4,
            "triggers": [
                {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 7 * * *", "end": "0 19 * * *"}}
            ],
        },
    }


def simple(api_version: str, kind: str, *, namespace: str | None = "ai", **fields: Any) -> Object:
    metadata = {"name": "x"} if namespace is None else {"name": "x", "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def quota() -> Object:
    return simple("v1", "ResourceQuota", spec={"hard": {"requests.nvidia.com/gpu": "8", "pods": "20"}})


def limit_range() -> Object:
    limit = {"type": "Container", "max": {"nvidia.com/gpu": "1"}}
    zero = {"nvidia.com/gpu": "0"}
    return simple(
        "v1", "LimitRange", spec={"limits": [{**limit, "default": zero, "defaultRequest": dict(zero)}]}
    )


def priority_class() -> Object:
    return simple("scheduling.k8s.io/v1", "PriorityClass", namespace=None, value=1_000_000)


def budget() -> Object:
    spec = {"minAvailable": 1, "selector": {"matchLabels": dict(LABELS)}}
    return simple("policy/v1", "PodDisruptionBudget", spec=spec)


def claim() -> Object:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}}
    return simple("v1", "PersistentVolumeClaim", spec=spec)


def service() -> Object:
    return simple(
        "v1", "Service", spec={"selector": dict(LABELS), "ports": [{"port": 80, "targetPort": "http"}]}
    )


def group() -> Object:
    template = {"metadata": {"labels": dict(LABELS)}, "spec": pod_spec()}
    spec = {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template}}
    return simple("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", spec=spec)


GOOD = (
    deployment, scaled_object, quota, limit_range, priority_class, budget, claim, service, group,
)  # fmt: skip


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("make", GOOD, ids=lambda make: make.__name__)
def test_a_good_object_passes_on_every_minor(make: Callable[[], Object], minor: str) -> None:
    assert validate_object(make(), minor) == []


def container(obj: Object) -> Object:
    first: Object = obj["spec"]["template"]["spec"]["containers"][0]
    return first


def pod(obj: Object) -> Object:
    spec: Object = obj["spec"]["template"]["spec"]
    return spec


Change = Callable[[Object], object]
BROKEN: dict[str, tuple[Callable[[], Object], Change, str]] = {
    "unknown field": (deployment, lambda o: o["spec"].update(replica=1), "replica"),
    "unknown field in metadata": (deployment, lambda o: o["metadata"].update(label={}), "label"),
    "wrong type": (deployment, lambda o: o["spec"].update(replicas="2"), "replicas"),
    "no containers": (deployment, lambda o: pod(o).update(containers=[]), "containers"),
    "upper-case name": (deployment, lambda o: o["metadata"].update(name="Vllm"), "name"),
    "no namespace": (deployment, lambda o: o["metadata"].pop("namespace"), "namespace"),
    "label too long": (deployment, lambda o: o["metadata"]["labels"].update(a="x" * 64), "label value"),
    "label with a space": (deployment, lambda o: o["metadata"]["labels"].update(a="x y"), "label value"),
    "annotation key": (deployment, lambda o: o["metadata"]["annotations"].update({"a b": "c"}), "qualified"),
    "annotations too large": (
        deployment,
        lambda o: o["metadata"]["annotations"].update(a="x" * 300_000),
        "256 KiB",
    ),
    "selector mismatch": (
        deployment,
        lambda o: o["spec"]["selector"].update(matchLabels={"a": "b"}),
        "selector",
    ),
    "surge and unavailable zero": (
        deployment,
        lambda o: o["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=0),
        "maxUnavailable",
    ),
    "env twice": (deployment, lambda o: container(o)["env"].append({"name": "HF_HOME"}), "duplicate"),
    "port name too long": (
        deployment,
        lambda o: container(o)["ports"].append({"name": "a-name-of-sixteen", "containerPort": 1}),
        "port name",
    ),
    "port twice": (deployment, lambda o: container(o)["ports"].append({"containerPort": 8000}), "duplicate"),
    "mount without volume": (deployment, lambda o: pod(o).pop("volumes"), "no volume"),
    "half a GPU": (
        deployment,
        lambda o: container(o)["resources"].update(limits={"nvidia.com/gpu": "500m"}, requests={}),
        "integer",
    ),
    "GPU request unlike limit": (
        deployment,
        lambda o: container(o)["resources"]["requests"].update({"nvidia.com/gpu": "2"}),
        "equal",
    ),
    "GPU request only": (
        deployment,
        lambda o: container(o)["resources"]["limits"].pop("nvidia.com/gpu"),
        "Limit must be set",
    ),
    "bad quantity": (
        deployment,
        lambda o: container(o)["resources"]["limits"].update(memory="160GB"),
        "quantity",
    ),
    "request above limit": (
        deployment,
        lambda o: container(o)["resources"]["requests"].update(memory="161Gi"),
        "above",
    ),
    "two handlers": (
        deployment,
        lambda o: container(o)["readinessProbe"].update(tcpSocket={"port": 1}),
        "handler",
    ),
    "probe on a port nobody names": (
        deployment,
        lambda o: container(o)["readinessProbe"]["httpGet"].update(port="metrics"),
        "no port",
    ),
    "toleration with value": (deployment, lambda o: pod(o)["tolerations"][0].update(value="x"), "empty"),
    "deprecated service account field": (
        deployment,
        lambda o: pod(o).update(serviceAccount="x"),
        "deprecated",
    ),
    "deprecated node label": (
        deployment,
        lambda o: pod(o).update(nodeSelector={"beta.kubernetes.io/arch": "amd64"}),
        "deprecated",
    ),
    "restart policy": (deployment, lambda o: pod(o).update(restartPolicy="Never"), "restartPolicy"),
    "trigger metadata is text": (
        scaled_object,
        lambda o: o["spec"]["triggers"][0]["metadata"].update(desiredReplicas=2),
        "string",
    ),
    "no triggers": (scaled_object, lambda o: o["spec"].update(triggers=[]), "triggers"),
    "minimum above maximum": (
        scaled_object,
        lambda o: o["spec"].update(minReplicaCount=5),
        "minReplicaCount",
    ),
    "irrelevant polling interval": (
        scaled_object,
        lambda o: o["spec"].update(pollingInterval=15),
        "not relevant",
    ),
    "unknown field of a CRD": (scaled_object, lambda o: o["spec"].update(minReplicas=1), "minReplicas"),
    "GPU limit in a quota": (
        quota,
        lambda o: o["spec"]["hard"].update({"limits.nvidia.com/gpu": "8"}),
        "never enforced",
    ),
    "unknown quota resource": (quota, lambda o: o["spec"]["hard"].update(gpu="1"), "standard resource"),
    "GPU default unlike request": (
        limit_range,
        lambda o: o["spec"]["limits"][0].update(default={"nvidia.com/gpu": "1"}),
        "equal",
    ),
    "limit range that injects GPUs": (
        limit_range,
        lambda o: [o["spec"]["limits"][0].pop(key) for key in ("default", "defaultRequest")],
        "every container",
    ),
    "priority too high": (priority_class, lambda o: o.update(value=1_000_000_001), "1000000000"),
    "budget with both": (budget, lambda o: o["spec"].update(maxUnavailable=1), "both"),
    "access mode": (claim, lambda o: o["spec"].update(accessModes=["RWX"]), "accessModes"),
    "service without ports": (service, lambda o: o["spec"].pop("ports"), "ports"),
    "service name starts with a digit": (service, lambda o: o["metadata"].update(name="70b"), "1035"),
    "unknown field of a group": (group, lambda o: o["spec"].update(size=2), "size"),
    "unknown field in a group's pod": (
        group,
        lambda o: o["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"].update(gpus=2),
        "gpus",
    ),
    "removed API": (deployment, lambda o: o.update(apiVersion="apps/v1beta1"), "no matches"),
    "unknown kind": (deployment, lambda o: o.update(apiVersion="example.com/v1"), "no matches"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_refuses(case: str) -> None:
    make, change, words = BROKEN[case]
    obj = copy.deepcopy(make())
    change(obj)
    problems = validate_object(obj, "1.35")
    assert any(words in problem for problem in problems), problems


def test_every_minor_has_the_kinds_we_emit_and_says_which_came_later() -> None:
    claims = ("resource.k8s.io/v1", "ResourceClaimTemplate")
    assert [minor for minor in MINORS if claims in kinds(minor)] == ["1.34", "1.35", "1.36", "1.37"]
    policy = ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
    assert [minor for minor in MINORS if policy in kinds(minor)] == list(MINORS)


@pytest.mark.parametrize(
    ("level", "refused"), [("privileged", False), ("baseline", False), ("restricted", True)]
)
def test_pod_security_of_the_namespace_decides(level: str, refused: bool) -> None:  # noqa: FBT001
    labels = {"pod-security.kubernetes.io/enforce": level}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai", "labels": labels}}
    assert refused == bool(validate_object(deployment(), "1.35", namespace=namespace))


def test_a_host_path_breaks_baseline() -> None:
    obj = deployment()
    pod(obj)["volumes"].append({"name": "nvme", "hostPath": {"path": "/mnt"}})
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai", "labels": labels}}
    assert ["spec.template.spec: enforce PodSecurity baseline: hostPath volumes"] == validate_object(
        obj, "1.35", namespace=namespace
    )
