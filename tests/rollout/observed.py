"""A platform with its scalers and its monitoring on a lab that runs, for the gates of weeks 3 and 4."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.running.conftest import stoker
from tests.rollout.charts import alerting_secret, install_charts
from tests.rollout.permitted import within_rights

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object, Ref
from stoker.platform.load import loads
from stoker.rollout.evidence import GateResult
from stoker.rollout.gate import Context, Gate, run_gate
from stoker.rollout.pods import ready_pods
from stoker.rollout.probes import Probes
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades import compile_platform

__all__ = ["PLATFORM", "apply_platform", "lab_up", "measured", "platform", "seeded", "told", "wait_ready"]

PLATFORM = """
name: watched
pools:
  - {name: a100, gpu: A100-SXM-80GB, nodes: 2, gpusPerNode: 8, memory: 1152Gi}
tenants:
  - {name: ai-production, class: production}
  - {name: ai-batch, class: batch}
serving: {mode: Deployment}
models:
  - name: mistral
    source: pvc://model-store/mistral-7b
    architecture: mistral-7b
    tenant: ai-production
    contextLength: 4096
    maxNumSeqs: 16
    replicas: {min: 1, max: 4}
  - name: nightly
    source: pvc://model-store/mistral-7b
    architecture: mistral-7b
    tenant: ai-batch
    tier: batch
    contextLength: 4096
    replicas: {min: 0, max: 2}
    autoscaling:
      idleAfter: 2m
      wake: WAKE
      broker: {type: kafka, address: "kafka:9092", queue: documents}
observability:
  receivers:
    - {name: pagerduty, type: pagerduty, secret: {name: alerting, key: pagerduty-routing-key}}
    - {name: opsgenie, type: opsgenie, secret: {name: alerting, key: opsgenie-api-key}}
"""


def platform(wake: str = "broker", **changes: str) -> ResolvedPlatform:
    """The platform; ``changes`` replaces texts of its file."""
    text = PLATFORM.replace("WAKE", wake)
    for old, new in changes.items():
        text = text.replace(old, new)
    return resolve(loads(text))


def _claims() -> list[Object]:
    storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "weights"}}
    found: list[Object] = [{**storage, "provisioner": "efs.csi.aws.com"}]
    for namespace in ("ai-production", "ai-batch"):
        found += [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "model-store", "namespace": namespace},
                "spec": {
                    "accessModes": ["ReadWriteMany"],
                    "storageClassName": "weights",
                    "resources": {"requests": {"storage": "100Gi"}},
                },
            },
        ]
    return found


def lab_up(folder: Path, speed: int, *arguments: object) -> Cluster:
    """A lab with monitoring, and nodes of the platform; whoever starts it ends it with ``stoker lab down``."""
    nodes = ("--nodes", "2x8xA100-80GB", "--nodes", "1xcpu")
    stoker("lab", "up", "--state", folder, "--speed", speed, *nodes, *arguments)
    return open_cluster(kubeconfig=str(folder / "kubeconfig"))


def apply_platform(
    cluster: Cluster, resolved: ResolvedPlatform, change: Callable[[Object], Object | None] = lambda obj: obj
) -> None:
    """Charts' objects, then everything that is compiled, in order; ``change`` seeds a fault, None leaves an object out."""
    install_charts(cluster)
    compiled = sorted(compile_platform(resolved), key=lambda one: one.wave)
    for obj in (*_claims(), alerting_secret(), *(one.object for one in compiled)):
        wanted = change(obj)
        if wanted is not None:
            cluster.apply(wanted, force=True)


def wait_ready(cluster: Cluster, resolved: ResolvedPlatform, model: str, replicas: int = 1) -> None:
    """Until so many pods of a model are ready."""
    for _ in range(600):
        if len(ready_pods(cluster, resolved.models[model])) >= replicas:
            return
        cluster.clock.sleep(max(5.0, 0.1 * cluster.clock.speed))
    pods = cluster.objects("v1", "Pod", resolved.models[model].namespace)
    raise AssertionError([(pod["metadata"]["name"], pod.get("status")) for pod in pods])


def measured(
    cluster: Cluster,
    resolved: ResolvedPlatform,
    gate: Gate,
    services: dict[str, str] | None = None,
    **settings: Any,
) -> GateResult:
    """Run a gate as the rollout does."""
    context = Context(
        cluster,
        resolved,
        {**gate.settings, **settings},
        random.Random(0),  # noqa: S311  # seeded on purpose
        Probes(cluster, "test"),
        services or {},
    )
    with within_rights(cluster):
        result = run_gate(gate, context)
    assert result.cleaned, result.as_json()
    return result


@contextmanager
def seeded(cluster: Cluster, ref: Ref, change: Callable[[Object], None] | None) -> Iterator[None]:
    """An object changed, or gone, and as it was afterwards."""
    before = cluster.get(ref)
    assert before is not None
    clean = {**before, "metadata": {key: before["metadata"][key] for key in ("name", "namespace", "labels")}}
    clean.pop("status", None)
    if change is None:
        cluster.delete(ref)
    else:
        wanted = copy.deepcopy(clean)
        change(wanted)
        cluster.apply(wanted, force=True)
    try:
        yield
    finally:
        cluster.apply(clean, force=True)


def told(result: GateResult) -> str:
    """Everything that a gate said, for a test that fails."""
    return json.dumps(result.as_json(), indent=1)[:6000]
