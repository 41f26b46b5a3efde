"""The platform on which gates prove themselves, and labs that run it."""

import itertools
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.running.conftest import stoker
from tests.rollout.permitted import within_rights

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object
from stoker.platform.load import loads
from stoker.rollout.evidence import GateResult
from stoker.rollout.gate import Context, run_gate
from stoker.rollout.gates import GATES
from stoker.rollout.probes import PROBE_LABEL, Probes
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades import compile_platform
from stoker.upgrades.objects import Upgrade

__all__ = ["PLATFORM", "SPEED", "apply", "lab_up", "measure", "platform", "probes_left", "run"]

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
  - name: llama
    source: pvc://model-store/llama-3.2-1b
    architecture: llama-3.2-1b
    tenant: ai-production
    replicas: {min: 2, max: 3}
    canary: {name: v2, trafficPercent: 10, replicas: 1}
"""
_RUNS = itertools.count()
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


def apply(cluster: Cluster, resolved: ResolvedPlatform, *upgrades: Upgrade) -> None:
    """What is compiled from it (of some upgrades), in order, and the claim with the weights that it takes for granted."""
    compiled = sorted(compile_platform(resolved), key=lambda one: one.wave)
    wanted = [
        one.object
        for one in compiled
        if not upgrades
        or one.upgrade in {*upgrades, Upgrade.COMPONENTS}  # namespaces come with the components
    ]
    for obj in (*_CLAIM, *wanted):
        cluster.apply(obj, force=True)


def run(
    cluster: Cluster,
    resolved: ResolvedPlatform,
    gate: str,
    services: Mapping[str, str] | None = None,
    *,
    memory: dict[str, Any] | None = None,
    **settings: object,
) -> GateResult:
    """Run a gate."""
    found = next(one for one in GATES if one.id == gate)
    number = next(_RUNS)
    context = Context(
        cluster,
        resolved,
        {**found.settings, **settings},
        random.Random(number),  # noqa: S311  # seeded on purpose
        Probes(cluster, f"test-{number}"),
        services or {},
        memory={} if memory is None else memory,
    )
    with within_rights(cluster):
        return run_gate(found, context)


def measure(
    cluster: Cluster,
    resolved: ResolvedPlatform,
    gate: str,
    services: Mapping[str, str] | None = None,
    *,
    memory: dict[str, Any] | None = None,
    **settings: object,
) -> GateResult:
    """Run a gate; nothing of it may be left."""
    result = run(cluster, resolved, gate, services, memory=memory, **settings)
    assert result.cleaned
    assert probes_left(cluster) == []
    return result


def probes_left(cluster: Cluster) -> list[str]:
    """What gates made and that is still there."""
    kinds = (
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("v1", "Pod"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("serving.kserve.io/v1beta1", "InferenceService"),
    )
    return [
        one["metadata"]["name"]
        for api_version, kind in kinds
        for one in cluster.objects(api_version, kind, labels=PROBE_LABEL)
        if not one["metadata"].get("deletionTimestamp")
    ]
