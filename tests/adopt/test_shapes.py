"""The shapes in which public charts and samples serve models: each becomes a model, and the file passes its check."""

from datetime import date

import pytest

from stoker.adopt.adopt import adopt
from stoker.adopt.text import write
from stoker.audit.view.view import View
from stoker.kube.read import read_text
from stoker.platform.load import loads
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedModel

# As the charts of production-stack and llm-d-modelservice print it.
CHART = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm-llama3-deployment-vllm, labels: {environment: test}}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: vllm
        image: lmcache/vllm-openai:v0.3.9
        command: [/opt/venv/bin/vllm, serve, meta-llama/Llama-3.1-8B-Instruct, --host, 0.0.0.0, --port, "8000",
                  --max-model-len, "8192", --tensor-parallel-size, "2", --enable-chunked-prefill]
        env: [{name: HF_HOME, value: /data}, {name: LMCACHE_CHUNK_SIZE, value: "256"}]
        resources: {requests: {nvidia.com/gpu: "2"}, limits: {nvidia.com/gpu: "2"}}
"""
# As KServe's samples have it.
HUGGINGFACE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: huggingface-llama3, namespace: models}
spec:
  predictor:
    model:
      modelFormat: {name: huggingface}
      args: [--model_name=llama3, --model_id=meta-llama/meta-llama-3-8b-instruct]
      resources: {limits: {nvidia.com/gpu: "1"}}
"""
LLM = """
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: qwen, namespace: models}
spec:
  model: {uri: "hf://Qwen/Qwen2.5-7B-Instruct", name: Qwen/Qwen2.5-7B-Instruct}
  replicas: 2
  parallelism: {tensor: 2}
  router: {route: {}, gateway: {}, scheduler: {}}
  template:
    containers: [{name: main, resources: {limits: {nvidia.com/gpu: "2"}}}]
"""
GROUP = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: vllm, namespace: models}
spec:
  replicas: 1
  leaderWorkerTemplate:
    size: 2
    leaderTemplate:
      spec:
        containers:
        - name: leader
          image: vllm/vllm-openai:v0.30.0
          command: [sh, -c, "bash run.sh leader; vllm serve meta-llama/Meta-Llama-3.1-405B-Instruct --port 8080 --tensor-parallel-size 8 --pipeline-parallel-size 2 --max-model-len 8192"]
          resources: {limits: {nvidia.com/gpu: "8"}}
    workerTemplate:
      spec:
        containers:
        - {name: worker, image: "vllm/vllm-openai:v0.30.0", command: [sh, -c, bash run.sh worker], resources: {limits: {nvidia.com/gpu: "8"}}}
"""
TGI = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: tgi, namespace: models}
spec:
  template:
    spec:
      nodeSelector: {node.kubernetes.io/instance-type: g5.12xlarge}
      containers:
      - name: tgi
        image: ghcr.io/huggingface/text-generation-inference:3.3.4
        args: [--model-id, /data/mistral-7b-instruct-v0.3, --max-total-tokens, "4096"]
        volumeMounts: [{name: data, mountPath: /data, subPath: weights}]
        resources: {limits: {nvidia.com/gpu: "4"}}
      volumes: [{name: data, persistentVolumeClaim: {claimName: model-store}}]
"""
TRITON = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: triton, namespace: models}
spec:
  template:
    spec:
      nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}
      containers:
      - name: triton
        image: nvcr.io/nvidia/tritonserver:25.06-py3
        args: [tritonserver, "--model-repository=s3://acme-models/repository"]
        resources: {limits: {nvidia.com/gpu: "1"}}
"""


def model_of(text: str) -> ResolvedModel:
    found = adopt(View(read_text(text.encode()), date(2026, 11, 24)))
    (model,) = resolve(loads(write(found))).models.values()
    return model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            CHART,
            (
                "vllm-llama3-deployment-vllm",
                "vllm",
                "hf://meta-llama/Llama-3.1-8B-Instruct",
                (2, 1),
                "Deployment",
            ),
        ),
        (
            HUGGINGFACE,
            ("llama3", "huggingface", "hf://meta-llama/meta-llama-3-8b-instruct", (1, 1), "Standard"),
        ),
        (LLM, ("qwen", "vllm", "hf://Qwen/Qwen2.5-7B-Instruct", (2, 1), "LLMInferenceService")),
        (GROUP, ("vllm", "vllm", "hf://meta-llama/Meta-Llama-3.1-405B-Instruct", (8, 2), "Deployment")),
        (TGI, ("tgi", "tgi", "pvc://model-store/weights/mistral-7b-instruct-v0.3", (4, 1), "Deployment")),
    ],
    ids=["chart", "huggingface", "llm", "group", "tgi"],
)
def test_each_public_shape_becomes_its_model(text: str, expected: tuple[object, ...]) -> None:
    model = model_of(text)

    actual = (
        model.name,
        model.release.engine,
        model.spec.source,
        (model.tensor, model.pipeline),
        model.mode.value,
    )
    assert expected == actual


def test_a_model_repository_keeps_its_protocol() -> None:
    model = model_of(TRITON)

    assert ("triton", "s3://acme-models/repository", "v2") == (
        model.release.engine,
        model.spec.source,
        model.spec.protocol,
    )


def test_a_fork_of_an_image_is_kept_where_it_is_pinned() -> None:
    assert "lmcache/vllm-openai:v0.3.9" == model_of(CHART).image


def test_an_instance_type_becomes_the_pools_shape() -> None:
    assert "g5.12xlarge" == model_of(TGI).pool.spec.shape
