"""What exists becomes a platform file that passes its check; what does not is told, and nothing secret is repeated."""

from datetime import date

import pytest

from stoker.adopt.adopt import adopt
from stoker.adopt.ledger import Adopted
from stoker.adopt.text import write
from stoker.audit.view.view import View
from stoker.errors import InputError
from stoker.kube.read import read_text
from stoker.platform.load import loads
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: llama, namespace: ai-production}
spec:
  replicas: 2
  template:
    spec:
      nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.30.0
        args: [--model, meta-llama/Llama-3.1-8B-Instruct, --max-model-len, "16384", --enable-prefix-caching]
        env:
        - {name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hub, key: token}}}
        resources: {limits: {nvidia.com/gpu: "1"}}
"""
TOO_LARGE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: big, namespace: ai-production}
spec:
  template:
    spec:
      nodeSelector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}
      containers:
      - name: vllm
        image: vllm/vllm-openai:latest
        args: [--model, meta-llama/Meta-Llama-3-70B-Instruct, --tensor-parallel-size=1, --max-model-len=8192]
        resources: {limits: {nvidia.com/gpu: "1"}}
"""
QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: gpus, namespace: ai-production}
spec: {hard: {limits.nvidia.com/gpu: "8", pods: "30"}}
"""
NODES = "".join(
    f"""
---
apiVersion: v1
kind: Node
metadata:
  name: gpu-{number}
  labels:
    nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
    nvidia.com/gpu.count: "8"
    cloud.google.com/gke-nodepool: h100
    team: research
    topology.kubernetes.io/zone: europe-west4-{"ab"[number % 2]}
spec:
  taints:
  - {{key: dedicated, value: inference, effect: NoSchedule}}
  - {{key: node.kubernetes.io/not-ready, effect: NoSchedule}}
status:
  capacity: {{nvidia.com/gpu: "8", cpu: "208", memory: 1900Gi}}
  nodeInfo: {{kubeletVersion: v1.34.3-gke.1}}
"""
    for number in range(3)
)


def adopted(text: str) -> Adopted:
    return adopt(View(read_text(text.encode()), date(2026, 11, 24)))


def resolved(text: str) -> ResolvedPlatform:
    return resolve(loads(write(adopted(text))))


def test_a_deployment_becomes_a_model_with_its_engine_and_flags() -> None:
    model = resolved(DEPLOYMENT).models["llama"]

    expected = (
        "hf://meta-llama/Llama-3.1-8B-Instruct",
        "0.30.0",
        16384,
        ("--enable-prefix-caching",),
        2,
        2,
        "Deployment",
    )
    actual = (
        model.spec.source,
        model.release.version,
        model.context_length,
        model.spec.engine.args,
        model.min_replicas,
        model.max_replicas,
        model.mode.value,
    )
    assert expected == actual


def test_nodes_become_a_pool_with_what_they_carry() -> None:
    document = adopted(DEPLOYMENT + NODES).document

    expected = {
        "name": "h100",
        "gpu": "H100-SXM-80GB",
        "nodes": 3,
        "gpusPerNode": 8,
        "cpu": "208",
        "memory": "1900Gi",
        "zones": ["europe-west4-a", "europe-west4-b"],
        "labels": {"team": "research"},
        "taints": [{"key": "dedicated", "value": "inference", "effect": "NoSchedule"}],
    }
    assert [expected] == document["pools"]


def test_the_oldest_kubelet_says_the_clusters_version() -> None:
    assert {"version": "1.34"} == adopted(DEPLOYMENT + NODES).document["cluster"]


def test_without_nodes_the_number_of_nodes_is_said_to_be_assumed() -> None:
    assert "pools.h100-80gb.nodes" in {assumption.path for assumption in adopted(DEPLOYMENT).assumptions}


def test_without_any_gpu_type_the_one_assumed_is_marked_loudly() -> None:
    text = write(
        adopted(
            DEPLOYMENT.replace("      nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}\n", "")
        )
    )

    assert "NO NODE AND NO WORKLOAD NAMES A GPU TYPE" in text


def test_a_model_that_cannot_fit_keeps_its_name_and_gets_the_layout_of_sizing() -> None:
    found = adopted(TOO_LARGE)

    model = resolve(loads(write(found))).models["big"]
    assert 4 == model.tensor
    assert any("TP1 does not hold big" in note.message for note in found.notes)


def test_a_quota_by_limits_is_taken_over_as_one_that_counts() -> None:
    found = adopted(DEPLOYMENT + "---" + QUOTA)

    assert {"gpus": {"h100-80gb": 8}, "pods": 30} == found.document["tenants"][0]["quota"]
    assert ['spec.hard["limits.nvidia.com/gpu"]'] == [
        note.path for note in found.notes if "ResourceQuota" in note.object
    ]


def test_a_quota_below_what_sizing_needs_is_raised_and_told() -> None:
    found = adopted(TOO_LARGE + "---" + QUOTA.replace('"8"', '"1"'))

    assert {"a100-80gb": 4} == found.document["tenants"][0]["quota"]["gpus"]
    assert any("the ceiling is raised" in note.message for note in found.notes)


def test_a_tier_at_zero_is_batch_with_its_broker() -> None:
    scaler = """
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: llama, namespace: ai-production}
spec:
  scaleTargetRef: {name: llama}
  minReplicaCount: 0
  maxReplicaCount: 5
  cooldownPeriod: 600
  triggers:
  - {type: kafka, metadata: {bootstrapServers: "kafka:9092", topic: jobs, consumerGroup: llama, lagThreshold: "20"}}
  - {type: cpu, metadata: {value: "80"}}
"""
    found = adopted(DEPLOYMENT + scaler)

    model = found.document["models"][0]
    broker = {
        "type": "kafka",
        "address": "kafka:9092",
        "queue": "jobs",
        "consumerGroup": "llama",
        "messagesPerReplica": 20,
    }
    assert ("batch", {"min": 0, "max": 5}, {"broker": broker, "idleAfter": "10m"}) == (
        model["tier"],
        model["replicas"],
        model["autoscaling"],
    )
    assert ["spec.triggers[1]"] == [note.path for note in found.notes if "ScaledObject" in note.object]


def test_credentials_in_plain_sight_are_never_repeated() -> None:
    # In parts: no scanner of secrets takes this file for a leak.
    token = "hf_" + "abcdefghijklmnopqrstuvwxyz012345"
    leaky = DEPLOYMENT.replace(
        "--enable-prefix-caching]", f"--api-key, {token}, --hf-token={token}]"
    ).replace(
        "        env:\n",
        f"        env:\n        - {{name: HF_TOKEN, value: {token}}}\n        - {{name: MY_PASSWORD, value: hunter2hunter2}}\n",
    )
    secret = f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: hub, namespace: ai-production}}\nstringData: {{token: {token}}}\n"

    found = adopted(leaky + secret)

    everything = write(found) + repr(found)
    assert (False, False) == (token in everything, "hunter2" in everything)


def test_a_model_nobody_can_size_is_carried_over_by_its_image() -> None:
    text = DEPLOYMENT.replace("meta-llama/Llama-3.1-8B-Instruct", "acme/secret-sauce-9000")

    model = adopted(text).document["models"][0]
    assert ("custom", "vllm/vllm-openai:v0.30.0", 8000) == (
        model["engine"]["name"],
        model["engine"]["image"].partition("@")[0],
        model["engine"]["port"],
    )
    assert "custom" == resolved(text).models["llama"].release.engine


def test_the_default_namespace_is_no_tenants() -> None:
    found = adopted(DEPLOYMENT.replace("namespace: ai-production", "namespace: default"))

    assert ["inference"] == [tenant["name"] for tenant in found.document["tenants"]]
    assert any(note.path == "metadata.namespace" for note in found.notes)


def test_a_gpu_workload_that_serves_nothing_is_told() -> None:
    job = """
---
apiVersion: batch/v1
kind: Job
metadata: {name: tune, namespace: ai-production}
spec:
  template:
    spec:
      containers: [{name: train, image: "acme/train:1", resources: {limits: {nvidia.com/gpu: "8"}}}]
"""
    found = adopted(DEPLOYMENT + job)

    assert ["Job ai-production/tune"] == [
        note.object for note in found.notes if "serves no known model" in note.message
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "just words",
        "apiVersion: v1\nkind: Pod\nmetadata: 7\nspec: []",
        "apiVersion: v1\nkind: Node\nmetadata: {name: a, labels: {nvidia.com/gpu.product: NVIDIA-L4}}\nstatus: {capacity: {nvidia.com/gpu: -1}}",
        DEPLOYMENT.replace('"1"', '"0"'),
        DEPLOYMENT.replace("meta-llama/Llama-3.1-8B-Instruct", "$(MODEL)"),
    ],
)
def test_a_source_with_nothing_to_adopt_is_an_input_error_that_says_what_was_looked_for(text: str) -> None:
    with pytest.raises(InputError, match="Deployments, StatefulSets"):
        adopted(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("replicas: 2", "replicas: 99999999"),
        ("replicas: 2", "replicas: 0"),
        ('"16384"', '"99999999"'),
        ('"16384"', '"many"'),
        ("name: llama,", "name: 0-9.ODD_name-" + "x" * 200 + ","),
        ("namespace: ai-production", "namespace: kube-system"),
        ("v0.30.0", "v99999.0"),
        ("v0.30.0", "nightly"),
        ('nvidia.com/gpu: "1"', 'nvidia.com/gpu: "3"'),
        ('nvidia.com/gpu: "1"', 'nvidia.com/gpu: "1000"'),
        ('nvidia.com/gpu: "1"', 'nvidia.com/mig-3g.40gb: "1"'),
        ('nvidia.com/gpu: "1"', 'nvidia.com/gpu.shared: "1"'),
        ("--enable-prefix-caching", "--tensor-parallel-size=3"),
        ("--enable-prefix-caching", "--tensor-parallel-size=16"),
        ("--enable-prefix-caching", "--gpu-memory-utilization=0.11"),
        ("--enable-prefix-caching", "--quantization=awq"),
        ("--enable-prefix-caching", "'--x=1e3', '--y=0o17', 'null', '# no', '--z=a: b'"),
    ],
)
def test_odd_values_give_way_and_the_file_still_passes(old: str, new: str) -> None:
    text = DEPLOYMENT.replace(old, new)
    assert text != DEPLOYMENT

    assert 1 == len(resolved(text).models)


def test_a_model_that_fits_nowhere_at_all_is_told_with_its_reason() -> None:
    text = DEPLOYMENT.replace('nvidia.com/gpu: "1"', 'nvidia.com/mig-1g.10gb: "1"')

    with pytest.raises(InputError, match="fits no pool as asked"):
        adopted(text)
