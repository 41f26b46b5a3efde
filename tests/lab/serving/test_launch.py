"""What a container's command line starts, and how it fails."""

from typing import Any

import pytest

from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.devices import environment_of
from stoker.lab.serving.launch import Launch, launch_of, server_of

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def run(
    *args: str,
    image: str = "vllm/vllm-openai:v0.33.0",
    gpus: int = 1,
    gpu: str = "A100-SXM-80GB",
    env: Any = None,
    limits: dict[str, str] | None = None,
    pod: dict[str, Any] | None = None,
) -> RunContainer:
    container = {
        "name": "main",
        "image": image,
        "args": list(args),
        "env": env or {},
        "resources": {"limits": limits or {}},
    }
    return RunContainer(
        id="uid/main/0",
        address="127.0.0.2",
        container=container,
        pod=pod or {"metadata": {"name": "p"}, "spec": {}},
        gpu=gpu,
        gpus=gpus,
    )


def launch(*args: str, **options: Any) -> Launch:
    asked = run(*args, **options)
    server = server_of(asked)
    assert server is not None
    return launch_of(asked, server)


def test_flags_reach_the_engine() -> None:
    found = launch(LLAMA, "--served-model-name=llama", "--port", "9000", "--max-model-len=4096", "--max-num-seqs=64",
                   "--max-num-batched-tokens=4k", "--no-enable-prefix-caching", "--api-key=secret", "--shutdown-timeout=30")  # fmt: skip

    assert found.spec is not None
    assert ("llama",) == found.names
    assert (9000, 4096, 64, 4000) == (
        found.port,
        found.spec.max_model_len,
        found.spec.max_num_seqs,
        found.spec.max_num_batched_tokens,
    )
    assert (False, "secret", 30.0, LLAMA) == (
        found.has_prefix_cache,
        found.api_key,
        found.drain_s,
        found.root,
    )


def test_a_script_and_environment_are_read_as_the_shell_does() -> None:
    asked = run(image="vllm/vllm-openai:v0.11.0", env=[{"name": "LEN", "value": "2048"}])
    container = {
        **asked.container,
        "command": ["sh", "-c"],
        "args": [f"exec vllm serve {LLAMA} --max-model-len $LEN --port 8001"],
    }
    asked = RunContainer(
        id="a", address="127.0.0.2", container=container, pod=asked.pod, gpu=asked.gpu, gpus=1
    )
    server = server_of(asked)
    assert server is not None
    found = launch_of(asked, server)

    assert found.spec is not None
    assert ("0.11.0", 8001, 2048) == (found.version, found.port, found.spec.max_model_len)


def test_kserves_server_has_its_own_flags_and_port() -> None:
    found = launch(
        "--model_name=qwen", "--model_id=Qwen/Qwen2.5-7B-Instruct", image="kserve/huggingfaceserver:v0.15.0"
    )

    assert (("qwen",), 8080, "qwen2.5-7b", True) == (
        found.names,
        found.port,
        found.architecture.name,
        found.metrics,
    )


def test_a_model_on_a_volume_is_told_by_who_put_it_there() -> None:
    pod = {
        "metadata": {"name": "p"},
        "spec": {"initContainers": [{"args": ["hf://Qwen/Qwen2.5-14B-Instruct", "/mnt/models"]}]},
    }

    found = launch("--model=/mnt/models", "--served-model-name=chat", "--max-model-len=8192", pod=pod)

    assert "qwen2.5-14b" == found.architecture.name
    assert found.failure is None


def test_an_unknown_model_is_taken_for_the_nearest_and_says_so() -> None:
    found = launch("acme/Mystery-13B", "--max-model-len=4096")

    assert any("Mystery-13B" in note and found.architecture.name in note for note in found.notes)
    assert found.spec is not None


def test_a_mig_slice_is_a_part_of_the_gpu() -> None:
    whole = launch("meta-llama/Llama-3.2-1B", "--max-model-len=2048")
    part = launch("meta-llama/Llama-3.2-1B", "--max-model-len=2048", limits={"nvidia.com/mig-3g.40gb": "1"})

    assert whole.spec is not None
    assert part.spec is not None
    assert part.spec.blocks < 0.6 * whole.spec.blocks
    assert part.spec.cost.knot_seconds[0] > whole.spec.cost.knot_seconds[0]


FAILURES: list[tuple[list[str], dict[str, Any], str, int, str]] = [
    ([LLAMA, "--tensor-paralel-sizes=2"], {}, "arguments", 2, "unrecognized arguments: --tensor-paralel-sizes=2"),
    ([LLAMA, "--num-scheduler-steps=8"], {}, "arguments", 2, "unrecognized arguments: --num-scheduler-steps=8"),
    ([LLAMA, "--port=http"], {}, "arguments", 2, "argument --port: invalid int value: 'http'"),
    ([LLAMA], {"gpus": 0}, "config", 1, "Failed to infer device type"),
    ([LLAMA, "-tp", "3"], {"gpus": 4}, "config", 1, "must be divisible by tensor parallel size (3)"),
    ([LLAMA, "-tp", "4"], {"gpus": 2}, "config", 1, "World size (4) is larger than the number of available GPUs (2)"),
    ([LLAMA, "--gpu-memory-utilization=1.5"], {}, "config", 1, "GPU memory utilization must be"),
    ([LLAMA, "--max-model-len=1M"], {}, "config", 1, "User-specified max_model_len (1048576) is greater than the derived"),
    (["meta-llama/Llama-3.1-70B-Instruct"], {}, "weights", 1, "CUDA out of memory"),
    (["Qwen/Qwen2.5-32B-Instruct", "--gpu-memory-utilization=0.5"], {}, "cache", 1, "No available memory for the cache blocks"),
    (["meta-llama/Llama-3.1-70B-Instruct", "-tp", "2", "--max-model-len=131072"], {"gpus": 2}, "cache", 1,
     "estimated maximum model length is"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "options", "stage", "code", "words"), FAILURES)
def test_what_cannot_start_fails_as_the_real_one_does(
    args: list[str], options: dict[str, Any], stage: str, code: int, words: str
) -> None:
    failure = launch(*args, **options).failure

    assert failure is not None
    assert (stage, code) == (failure.stage, failure.code)
    assert words in failure.message


@pytest.mark.parametrize("env", [{"A": "1", "B": ""}, [{"name": "A", "value": "1"}, {"name": "B"}]])
def test_environments_are_read_in_either_form(env: Any) -> None:
    assert {"A": "1", "B": ""} == environment_of({"env": env})


@pytest.mark.parametrize("image", ["nginx:1.27", "registry.k8s.io/pause:3.10", "acme/worker:1"])
def test_other_images_are_no_servers(image: str) -> None:
    assert server_of(run(image=image)) is None
