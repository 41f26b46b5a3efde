"""Each rule across fields: a document that breaks it, where it is told, and what stays allowed."""

from typing import Any

import pytest
from tests.platform.documents import document, problems_of

from stoker.platform.check import check
from stoker.platform.document import Platform

LLAMA = "hf://meta-llama/Llama-3.1-8B-Instruct"
M = "models.0."
OTHER = {"name": "other", "source": LLAMA}
NFS = {"name": "nfs", "kind": "nfs", "server": "nfs.internal", "path": "/models"}
KAFKA = {"type": "kafka", "address": "kafka:9092", "queue": "docs"}
WINDOW = {"start": "0 7 * * 1-5", "end": "0 19 * * 1-5", "replicas": 2}
L4 = {"name": "l4", "gpu": "L4", "nodes": 1}
MULTI = {"tensor": 8, "pipeline": 2}
IMAGE = "registry.example.com/a/b"

BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("two pools of one name", {"pools.1": {**L4, "name": "gpu"}}, "pools[1].name", "the name is taken by pools[0]"),
    ("two models of one name", {"models.1": {**OTHER, "name": "llama"}}, "models[1].name", "the name is taken by models[0]"),
    ("two tenants of one name", {"tenants": [{"name": "a"}, {"name": "a"}]}, "tenants[1].name", "the name is taken by tenants[0]"),
    ("two tenants of one namespace", {"tenants": [{"name": "a"}, {"name": "b", "namespace": "a"}]}, "tenants[1].namespace", "tenants[0] has the same namespace"),
    ("two storage entries of one name", {"storage": [NFS, NFS], M + "storage": "nfs"}, "storage[1].name", "the name is taken by storage[0]"),
    ("a tenant in kube-system", {"tenants": [{"name": "a", "namespace": "kube-system"}]}, "tenants[0].namespace", "is a namespace of Kubernetes itself"),
    ("a tenant in KEDA's namespace", {"tenants": [{"name": "keda"}]}, "tenants[0].name", "is the namespace of KEDA"),
    ("a canary deployed under another model's name", {"models.1": {**OTHER, "name": "llama-v2"}, M + "canary": {"name": "v2"}}, "models[0].canary.name", "deployed as llama-v2"),
    ("an adapter called like another model", {"models.1": OTHER, M + "lora": [{"name": "other", "source": LLAMA}]}, "models[0].lora[0].name", "models[1] of the same tenant has that name"),
    ("an adapter called like its own model", {M + "lora": [{"name": "llama", "source": LLAMA}]}, "models[0].lora[0].name", "models[0] of the same tenant has that name"),
    ("one adapter twice", {M + "lora": [{"name": "x", "source": LLAMA}] * 2}, "models[0].lora[1].name", "the name is taken by lora[0]"),
    ("a graph called like a model", {"graphs": [{"name": "llama", "steps": [{"model": "llama"}]}]}, "graphs[0].name", "both make a Service"),
    ("an unknown tenant", {"tenants": [{"name": "prod"}], M + "tenant": "prd"}, "models[0].tenant", "no tenant has that name"),
    ("an unknown pool", {M + "pool": "gpus"}, "models[0].pool", "no pool has that name"),
    ("an unknown storage entry", {M + "storage": "nfs"}, "models[0].storage", "no storage entry has that name"),
    ("a quota on an unknown pool", {"tenants": [{"name": "a", "quota": {"gpus": {"cpu": 1}}}]}, "tenants[0].quota.gpus.cpu", "no pool has that name"),
    ("a graph over an unknown model", {"graphs": [{"name": "g", "steps": [{"model": "lama"}]}]}, "graphs[0].steps[0].model", "no model has that name"),
    ("a price of an unknown GPU", {"cost.usdPerGpuHour": {"A1000": 1}}, "cost.usdPerGpuHour.A1000", "the catalogue has no such GPU"),
    ("a pool without gpu and shape", {"pools.0": {"name": "gpu", "nodes": 1}}, "pools[0]", "names neither gpu nor shape"),
    ("an unknown GPU", {"pools.0.gpu": "A100-SMX-80GB"}, "pools[0].gpu", "the catalogue has no such GPU"),
    ("an unknown shape", {"pools.0": {"name": "gpu", "nodes": 1, "shape": "p4de.24xlarg"}}, "pools[0].shape", "no such instance type"),
    ("a shape with another GPU", {"pools.0.shape": "p5.48xlarge"}, "pools[0].gpu", "p5.48xlarge has H100"),
    ("a shape with other GPUs per node", {"pools.0.shape": "p4de.24xlarge", "pools.0.gpusPerNode": 4}, "pools[0].gpusPerNode", "has 8 GPUs"),
    ("fewer nodes at most than now", {"pools.0.maxNodes": 2}, "pools[0].maxNodes", "is less than nodes"),
    ("MIG on a GPU without it", {"pools.0": {**L4, "sharing": {"mode": "mig", "migProfiles": {"1g.10gb": 1}}}}, "pools[0].sharing.mode", "L4 has no MIG"),
    ("MIG without profiles", {"pools.0.sharing": {"mode": "mig"}}, "pools[0].sharing", "mode mig without migProfiles"),
    ("a MIG profile of another GPU", {"pools.0.sharing": {"mode": "mig", "migProfiles": {"3g.20gb": 1}}}, 'pools[0].sharing.migProfiles["3g.20gb"]', "has no such MIG profile"),
    ("too many of one MIG profile", {"pools.0.sharing": {"mode": "mig", "migProfiles": {"3g.40gb": 3}}}, 'pools[0].sharing.migProfiles["3g.40gb"]', "holds 2 of 3g.40gb"),
    ("MIG profiles over the compute slices", {"pools.0.sharing": {"mode": "mig", "migProfiles": {"4g.40gb": 1, "2g.20gb": 2}}}, "pools[0].sharing.migProfiles", "together they take 8 compute slices"),
    ("MIG profiles over the memory", {"pools.0.sharing": {"mode": "mig", "migProfiles": {"3g.40gb": 1, "1g.20gb": 4}}}, "pools[0].sharing.migProfiles", "GiB of memory"),
    ("profiles without MIG", {"pools.0.sharing": {"mode": "mps", "migProfiles": {"3g.40gb": 2}}}, "pools[0].sharing.migProfiles", "MIG profiles in sharing mode mps"),
    ("DRA with time-slicing", {"cluster.gpuAllocation": "dra", "pools.0.sharing": {"mode": "time-slicing"}}, "pools[0].sharing.mode", "cluster.gpuAllocation is dra"),
    ("tensor parallelism over parts of GPUs", {"pools.0.sharing": {"mode": "time-slicing"}, M + "parallelism": {"tensor": 2}}, "models[0].parallelism", "hands out parts of GPUs"),
    ("a replica over nodes without a fabric", {M + "parallelism": {"tensor": 16}}, "models[0].parallelism", "without a fabric"),
    ("a replica larger than its pool", {"pools.0.fabric": "roce", M + "parallelism": {"tensor": 64}}, "models[0].parallelism", "has 32 GPUs in all"),
    ("storage for a volume that is there", {"storage": [NFS], M + "source": "pvc://claim/llama", M + "storage": "nfs"}, "models[0].storage", "the source is a volume"),
    ("no storage named among two", {"storage": [NFS, {**NFS, "name": "b"}]}, "models[0]", "names no storage, and there are 2 entries"),
    ("an object store for the hub", {"storage": [{"name": "s", "kind": "object-store"}], M + "storage": "s"}, "models[0].storage", "cannot deliver a hf:// source"),
    ("the hub for an object store", {"storage": [{"name": "s", "kind": "hub"}], M + "source": "s3://a/b"}, "models[0].source", "cannot deliver a s3:// source"),
    ("an OCI registry for the hub", {"storage": [{"name": "s", "kind": "oci"}]}, "models[0].source", "cannot deliver a hf:// source"),
    ("a canary's source", {"storage": [{"name": "s", "kind": "hub"}], M + "canary": {"source": "gs://a/b"}}, "models[0].canary.source", "cannot deliver a gs:// source"),
    ("NVMe staging without NVMe", {"storage": [{"name": "s", "kind": "nvme"}]}, "models[0].source", "no pool has any"),
    ("NVMe staging on a pool without NVMe", {"storage": [{"name": "s", "kind": "nvme"}], "pools.1": {**L4, "localNvme": "1Ti"}, M + "pool": "gpu", M + "storage": "s"}, "models[0].storage", "pool gpu has none"),
    ("credentials in a source", {M + "source": "https://me:secret@host/w"}, "models[0].source", "holds credentials"),
    ("more replicas at least than at most", {M + "replicas": {"min": 3, "max": 2}}, "models[0].replicas.min", "min is more than max"),
    ("production at zero", {M + "replicas": {"min": 0, "max": 2}}, "models[0].replicas.min", "a production model at zero"),
    ("batch at zero with nothing to start it", {M + "tier": "batch", M + "replicas": {"min": 0, "max": 2}, "autoscaling.enabled": False}, "models[0].replicas.min", "autoscaling is off"),
    ("Knative's wake in another mode", {M + "autoscaling": {"wake": "knative"}}, "models[0].autoscaling.wake", "no Knative activator"),
    ("another wake in Knative mode", {M + "serving": "Knative", M + "autoscaling": {"wake": "http-addon"}}, "models[0].autoscaling.wake", "Knative owns the replica count"),
    ("the platform's wake for a batch model", {M + "tier": "batch", "autoscaling.wake": "knative"}, "autoscaling.wake", "no Knative activator"),
    ("a broker's wake without a broker", {M + "autoscaling": {"wake": "broker"}}, "models[0].autoscaling.wake", "has no broker"),
    ("cron's wake without windows", {M + "autoscaling": {"wake": "cron"}}, "models[0].autoscaling.wake", "has no window"),
    ("SQS without a region", {"autoscaling.broker": {**KAFKA, "type": "aws-sqs-queue"}}, "autoscaling.broker", "an SQS queue without region"),
    ("Kafka with a region", {"autoscaling.broker": {**KAFKA, "region": "eu-west-1"}}, "autoscaling.broker.region", "kafka has no region"),
    ("RabbitMQ with a consumer group", {"autoscaling.broker": {**KAFKA, "type": "rabbitmq", "consumerGroup": "g"}}, "autoscaling.broker.consumerGroup", "no consumer groups"),
    ("minute 60", {"autoscaling.warmUp": [{**WINDOW, "start": "60 7 * * *"}]}, "autoscaling.warmUp[0].start", "`60` is no minute"),
    ("a weekday out of range", {"autoscaling.warmUp": [{**WINDOW, "start": "0 7 * * 1-8"}]}, "autoscaling.warmUp[0].start", "is no day of the week"),
    ("a range that runs backwards", {"autoscaling.warmUp": [{**WINDOW, "end": "0 19-7 * * *"}]}, "autoscaling.warmUp[0].end", "is no hour"),
    ("a window that ends as it starts", {"autoscaling.warmUp": [{**WINDOW, "end": "0 7 * * 1-5"}]}, "autoscaling.warmUp[0].end", "start and end are the same"),
    ("an unknown time zone", {"autoscaling.warmUp": [{**WINDOW, "timezone": "Europe/Berln"}]}, "autoscaling.warmUp[0].timezone", "no time zone has that name"),
    ("more replicas in a window than at most", {M + "replicas": 1, M + "autoscaling": {"warmUp": [WINDOW]}}, "models[0].autoscaling.warmUp[0].replicas", "more than the model's most replicas"),
    ("a canary over nodes in Standard mode", {"pools.0.fabric": "roce", M + "parallelism": MULTI, M + "canary": {}}, "models[0].canary", "KServe allows no canary"),
    ("replicas over nodes in Knative mode", {"pools.0.fabric": "roce", M + "parallelism": MULTI, M + "serving": "Knative"}, "models[0].serving", "not possible in Knative mode"),
    ("Triton in an LLMInferenceService", {M + "engine": "triton", M + "serving": "LLMInferenceService"}, "models[0].engine", "engine triton does not run"),
    ("KServe's server without KServe", {M + "engine": "huggingface", "serving.mode": "Deployment"}, "models[0].engine", "engine huggingface does not run"),
    ("a custom engine without image", {M + "engine": {"name": "custom", "port": 8000}}, "models[0].engine", "a custom engine without image"),
    ("a custom engine without port", {M + "engine": {"name": "custom", "image": IMAGE + ":1"}}, "models[0].engine", "a custom engine without port"),
    ("a port for vLLM", {M + "engine": {"port": 9000}}, "models[0].engine.port", "the port of vllm is set by its mode"),
    ("adapters on TGI", {M + "engine": "tgi", M + "lora": [{"name": "x", "source": LLAMA}]}, "models[0].lora", "is not known to serve LoRA"),
    ("a transformer without KServe", {M + "transformer": {"image": IMAGE + ":1"}, "serving.mode": "Deployment"}, "models[0].transformer", "a part of KServe's InferenceService"),
    ("an outlier detector in an LLMInferenceService", {M + "outlierDetector": {"image": IMAGE + ":1"}, M + "serving": "LLMInferenceService"}, "models[0].outlierDetector", "a part of KServe's InferenceService"),
    ("a graph over a plain Deployment", {M + "serving": "Deployment", "graphs": [{"name": "g", "steps": [{"model": "llama"}]}]}, "graphs[0].steps[0].model", "a graph routes to InferenceServices"),
    ("a step that is nothing", {"graphs": [{"name": "g", "steps": [{}]}]}, "graphs[0].steps[0]", "either a model or a url"),
    ("a splitter without weight", {"graphs": [{"name": "g", "type": "Splitter", "steps": [{"model": "llama"}]}]}, "graphs[0].steps[0]", "without weight"),
    ("weights that do not add up", {"graphs": [{"name": "g", "type": "Splitter", "steps": [{"model": "llama", "weight": 90}]}]}, "graphs[0].steps", "do not add up"),
    ("a switch without condition", {"graphs": [{"name": "g", "type": "Switch", "steps": [{"model": "llama"}]}]}, "graphs[0].steps[0]", "without condition"),
    ("an image without tag", {M + "engine": {"image": "registry:5000/vllm"}}, "models[0].engine.image", "the image has no tag"),
    ("the tag latest", {M + "transformer": {"image": IMAGE + ":latest"}}, "models[0].transformer.image", "the tag latest"),
    ("a variable without value", {M + "engine": {"env": [{"name": "A"}]}}, "models[0].engine.env[0]", "neither value nor secret"),
    ("a variable with two values", {M + "engine": {"env": [{"name": "A", "value": "1", "secret": {"name": "s", "key": "k"}}]}}, "models[0].engine.env[0]", "both value and secret"),
    ("one variable twice", {M + "engine": {"env": [{"name": "A", "value": "1"}] * 2}}, "models[0].engine.env[1].name", "given twice"),
    ("a password in plain text", {M + "engine": {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}}, "models[0].engine.env[0].value", "looks like a credential"),
    ("an AWS key in plain text", {M + "engine": {"env": [{"name": "X", "value": "AKIAABCDEFGHIJKLMNOP"}]}}, "models[0].engine.env[0].value", "looks like a credential"),
    ("an API key as argument", {M + "engine": {"args": ["--api-key=sk-abcdefghijkl"]}}, "models[0].engine.args[0]", "looks like a credential"),
    ("a version of an unknown component", {"components.versions": {"keada": "2.20.2"}}, "components.versions.keada", "no component has that name"),
    ("an unknown component that is there", {"components.installed": ["prometheus-oprator"]}, "components.installed[0]", "no component has that name"),
    ("a channel for PagerDuty", {"observability.receivers": [{"name": "p", "type": "pagerduty", "secret": {"name": "s", "key": "k"}, "channel": "#a"}]}, "observability.receivers[0].channel", "pagerduty has no channels"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "path", "message"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN]
)
def test_a_contradiction_is_told_where_it_stands(changes: dict[str, Any], path: str, message: str) -> None:
    found = problems_of(changes)

    assert [path] == [problem.path for problem in found]
    assert message in found[0].message
    assert found[0].line > 0


ALLOWED: dict[str, dict[str, Any]] = {
    "the smallest document": {},
    "a batch model at zero": {M + "tier": "batch", M + "replicas": {"min": 0, "max": 2}},
    "MIG slices that fill the GPU": {"pools.0.sharing": {"mode": "mig", "migProfiles": {"3g.40gb": 1, "2g.20gb": 2}}},
    "a shape with its own GPU by an alias": {"pools.0.shape": "p4de.24xlarge"},
    "a replica over nodes with a fabric": {"pools.0.fabric": "infiniband", M + "parallelism": MULTI},
    "one pool of two can hold the layout": {"pools.1": L4, M + "parallelism": {"tensor": 8}},
    "an image by digest": {M + "engine": {"image": IMAGE + "@sha256:" + "a" * 64}},
    "a switch whose name sounds secret": {M + "engine": {"env": [{"name": "TOKENIZERS_PARALLELISM", "value": "false"}, {"name": "MAX_TOKEN", "value": "4096"}, {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/token"}]}},
    "a canary in Deployment mode": {M + "canary": {}, "serving.mode": "Deployment"},
    "an adapter called like a model of another tenant": {"tenants": [{"name": "a"}, {"name": "b"}], M + "tenant": "a", "models.1": {**OTHER, "tenant": "b"}, M + "lora": [{"name": "other", "source": LLAMA}]},
    "quotas over capacity, which is a warning elsewhere": {"tenants": [{"name": "a", "quota": {"gpus": 1000}}]},
    "names of months and days": {"autoscaling.warmUp": [{**WINDOW, "start": "*/15 6-8 1,15 JAN-MAR mon"}]},
    "a volume without storage": {M + "source": "pvc://claim/x", "storage": [NFS, {**NFS, "name": "b"}]},
    "an OCI image beside other storage": {M + "source": "oci://r/a:1", "storage": [NFS, {**NFS, "name": "b"}]},
    "Knative's wake for production is nobody's business": {"autoscaling.wake": "knative"},
}  # fmt: skip


@pytest.mark.parametrize("changes", [pytest.param(value, id=name) for name, value in ALLOWED.items()])
def test_what_is_no_contradiction_passes(changes: dict[str, Any]) -> None:
    assert () == problems_of(changes)


def test_the_rules_need_no_positions() -> None:
    platform = Platform.model_validate(document({M + "pool": "x"}))

    assert [("models[0].pool", 0)] == [(problem.path, problem.line) for problem in check(platform)]
