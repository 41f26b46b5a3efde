"""The platform on which gates prove themselves, and labs that run it."""

from pathlib import Path

from tests.lab.running.conftest import stoker

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object
from stoker.platform.load import loads
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades import compile_platform

__all__ = ["PLATFORM", "SPEED", "apply", "lab_up", "platform"]

SPEED = 60

PLATFORM = """
name: proof
pools:
  - {name: a100, gpu: A100-SXM-80GB, nodes: 3, gpusPerNode: 8, memory: 1152Gi}
tenants:
  - {name: ai-production, class: production}
  - {name: ai-training, class: training, quota: {gpus: {a100: 16}}}
  - {name: ai-experiments, class: experiments, quota: {gpus: {a100: 4}}, guardrails: {maxGpusPerPod: 1}}
serving: {mode: MODE}
models:
  - name: mistral
    source: pvc://model-store/mistral-7b
    architecture: mistral-7b
    tenant: ai-production
    replicas: {min: 2, max: 3}
    canary: {name: v2, trafficPercent: 10, replicas: 1}
"""
_CLAIM: tuple[Object, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai-production"}},
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "weights"},
        "provisioner": "efs.csi.aws.com",
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "model-store", "namespace": "ai-production"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "weights",
            "resources": {"requests": {"storage": "100Gi"}},
        },
    },
)


def platform(mode: str = "Standard") -> ResolvedPlatform:
    return resolve(loads(PLATFORM.replace("MODE", mode)))


def lab_up(folder: Path, *arguments: object, speed: int = SPEED) -> Cluster:
    """A lab with the platform's nodes; whoever starts it ends it with ``stoker lab down``."""
    if "--nodes" not in arguments:
        file = folder / "platform.yaml"
        file.write_text(PLATFORM.replace("MODE", "Standard"), encoding="utf-8")
        arguments = ("--platform", file, *arguments)
    stoker("lab", "up", "--state", folder, "--speed", speed, "--no-metrics", *arguments)
    return open_cluster(kubeconfig=str(folder / "kubeconfig"))


def apply(cluster: Cluster, resolved: ResolvedPlatform) -> None:
    """Everything that is compiled from it, in order, and the claim with the weights that it takes for granted."""
    compiled = sorted(compile_platform(resolved), key=lambda one: one.wave)
    for obj in (*_CLAIM, *(one.object for one in compiled)):
        cluster.apply(obj, force=True)
