"""A small platform with few and quick gates, and a cluster in which a user has things already."""

from pathlib import Path
from typing import Any

from tests.apply.running.things import Kubectl, config_map, deployment, namespace, state_of

from stoker.cli.rollout_told import held_rollout
from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object
from stoker.platform.load import loads
from stoker.rollout.gates import GATES
from stoker.rollout.nodes import restore_nodes
from stoker.rollout.phases import PlannedPhase, plan_phases
from stoker.rollout.probes import CHANGED_LABEL, KINDS, PROBE_LABEL
from stoker.rollout.run import carry_on
from stoker.rollout.state import Next, RolloutState
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades import compile_platform

__all__ = [
    "GATES_OF",
    "PLATFORM",
    "forget",
    "left_over",
    "phases_of",
    "planned",
    "roll",
    "standing",
    "theirs",
    "written",
]

# Three phases: two that are policy and prove something, and one that waits until an engine answers.
PLATFORM = """
name: small
pools:
  - {name: a100, gpu: A100-SXM-80GB, nodes: 1, gpusPerNode: 8, memory: 1152Gi}
tenants:
  - {name: ai-production, class: production}
  - {name: ai-experiments, class: experiments, quota: {gpus: {a100: 2}}, guardrails: {maxGpusPerPod: 1}}
serving: {mode: Deployment}
models:
  - name: llama
    source: pvc://model-store/llama-3.2-1b
    architecture: llama-3.2-1b
    tenant: ai-production
    replicas: {min: 1, max: 1}
rollout:
  phases:
    - {name: foundation, include: [components, scheduling, tenancy/Namespace], gates: [week-1/untolerated]}
    - {name: tenants, include: [tenancy], gates: [week-1/quota-refuses, week-1/limits-refuse]}
    - {name: rest, include: [storage, serving, autoscaling, observability]}
"""
GATES_OF = {
    "foundation": ["week-1/untolerated"],
    "tenants": ["week-1/quota-refuses", "week-1/limits-refuse"],
    "rest": [],
}
_KINDS = (
    "namespaces,configmaps,serviceaccounts,services,deployments,priorityclasses,resourcequotas,limitranges,networkpolicies,"
    "poddisruptionbudgets,validatingadmissionpolicies,validatingadmissionpolicybindings,persistentvolumeclaims,"
    "prometheusrules,podmonitors,gateways,httproutes,secrets,pods"
)
_OURS = ("ai-experiments", "ai-production", "stoker-system", "theirs", "kserve")


def planned(text: str = PLATFORM) -> tuple[ResolvedPlatform, tuple[PlannedPhase, ...]]:
    platform = resolve(loads(text))
    return platform, plan_phases(platform.spec.rollout, compile_platform(platform), GATES)


def phases_of(text: str = PLATFORM) -> tuple[PlannedPhase, ...]:
    return planned(text)[1]


def written(folder: Path, text: str = PLATFORM, name: str = "platform.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def roll(cluster: Cluster, *, through: str = "", text: str = PLATFORM) -> tuple[RolloutState, Next]:
    """As `stoker rollout run --set-nodes`."""
    platform, phases = planned(text)
    with held_rollout(cluster) as parts:
        return carry_on(parts(platform, phases, {}, 0, set_nodes=True, timeout=6000.0), through=through)


def theirs(kubectl: Kubectl) -> None:
    """What the user has: weights, in a namespace that the platform takes over, and things that are none of its business."""
    kubectl("apply", "-f", "-", body=namespace("ai-production", team="search"))
    kubectl("apply", "-f", "-", body=namespace("theirs"))
    kubectl("apply", "-f", "-", body=config_map("settings", "theirs", level="low"))
    kubectl("apply", "-f", "-", body=config_map("settings", "ai-production", level="low"))
    kubectl("apply", "-f", "-", body=deployment("web", "theirs", 1))
    storage: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "weights"},
        "provisioner": "efs.csi.aws.com",
    }
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "model-store", "namespace": "ai-production"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "weights",
            "resources": {"requests": {"storage": "100Gi"}},
        },
    }
    kubectl("apply", "-f", "-", body=storage)
    kubectl("apply", "-f", "-", body=claim)
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/model-store", "-n", "ai-production")
    kubectl("rollout", "status", "deployment/web", "-n", "theirs", "--timeout=300s")


def forget(kubectl: Kubectl) -> None:
    """Take everything away, whatever a test left."""
    with open_cluster(kubeconfig=str(kubectl.kubeconfig)) as cluster:
        restore_nodes(cluster)
    kubectl("delete", "validatingadmissionpolicybindings,validatingadmissionpolicies,priorityclasses", "-l",
            "app.kubernetes.io/managed-by=stoker", "--ignore-not-found")  # fmt: skip
    kubectl("delete", "namespace", *_OURS, "--ignore-not-found", "--wait")


def standing(kubectl: Kubectl) -> dict[str, Object]:
    """Everything that people made, and what nodes are told, without records."""
    found = {name: obj for name, obj in state_of(kubectl, _KINDS).items() if "stoker-system" not in name}
    for node in kubectl.json("get", "nodes")["items"]:
        metadata = node["metadata"]
        found[f"Node {metadata['name']}"] = {
            "labels": metadata["labels"],
            "annotations": metadata.get("annotations"),
            "taints": node["spec"].get("taints"),
        }
    return found


def left_over(cluster: Cluster) -> list[Any]:
    """Objects that gates made or changed, and that are there still."""
    return [
        (kind, one["metadata"]["name"])
        for api_version, kind in KINDS
        for label in (PROBE_LABEL, CHANGED_LABEL)
        for one in cluster.objects(api_version, kind, labels=label)
    ]
