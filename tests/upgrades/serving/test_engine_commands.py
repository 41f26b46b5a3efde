"""Arguments by engine and release."""

from collections.abc import Callable

import pytest

from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.serving import engine_command

Resolver = Callable[[str], ResolvedPlatform]
PLATFORM = """
name: ai
pools: [{{name: a100, gpu: A100-SXM-80GB, nodes: 8}}]
serving: {{mode: {mode}}}
storage: [{{kind: nfs, name: nas, server: nfs.internal, path: /models}}]
models:
  - name: chat
    source: hf://meta-llama/Meta-Llama-3-70B-Instruct
    parallelism: {{tensor: 4}}
    {model}
"""


def _chat(resolved: Resolver, model: str, mode: str = "Deployment") -> ResolvedModel:
    platform: ResolvedPlatform = resolved(PLATFORM.format(mode=mode, model=model))
    return platform.models["chat"]


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        pytest.param(
            "0.33.0", "--shutdown-timeout=120", "--model=/mnt/models", id="newest drains and is positional"
        ),
        pytest.param("0.15.0", "/mnt/models", "--shutdown-timeout=120", id="before the drain flag"),
        pytest.param(
            "0.11.0", "--model=/mnt/models", "/mnt/models", id="before vllm serve was the entry point"
        ),
    ],
)
def test_vllm_gets_no_flag_its_release_lacks(
    resolved: Resolver, version: str, present: str, absent: str
) -> None:
    args = engine_command(_chat(resolved, f"engine: {{name: vllm, version: {version}}}")).args

    assert present in args
    assert absent not in args


def test_defaults_of_the_release_are_not_repeated(resolved: Resolver) -> None:
    plain = engine_command(_chat(resolved, "tier: production")).args
    tuned = engine_command(_chat(resolved, "gpuMemoryUtilization: 0.85")).args

    assert not [
        item for item in plain if item.startswith(("--gpu-memory", "--dtype", "--kv-cache", "--quant"))
    ]
    assert "--gpu-memory-utilization=0.85" in tuned


def test_lora_rank_is_rounded_up_to_a_size_the_kernels_have(resolved: Resolver) -> None:
    args = engine_command(_chat(resolved, "lora: [{name: law, source: hf://a/b, rank: 20}]")).args

    assert "--max-lora-rank=32" in args
    assert "law=/mnt/adapters/law" in args


def test_a_users_variable_replaces_ours_and_none_is_there_twice(resolved: Resolver) -> None:
    env = engine_command(_chat(resolved, "engine: {name: vllm, env: [{name: HOME, value: /home/x}]}")).env
    names = [item["name"] for item in env]

    assert len(set(names)) == len(names)
    assert {"name": "HOME", "value": "/home/x"} in env


def test_local_weights_keep_the_engine_offline(resolved: Resolver) -> None:
    env = engine_command(_chat(resolved, "tier: production")).env

    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in env


def test_kserve_starts_the_engine_of_a_llm_service_and_arguments_are_quoted_for_its_shell(
    resolved: Resolver,
) -> None:
    command = engine_command(
        _chat(
            resolved,
            """engine: {name: vllm, args: ['--hf-overrides={"a": "$(id)"}']}""",
            "LLMInferenceService",
        )
    )

    assert command.command == ()
    assert """'--hf-overrides={"a": "$(id)"}'""" in command.args
    assert not [item for item in command.args if item.startswith(("--port", "--served-model-name", "/mnt"))]


@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        pytest.param("{mode: time-slicing, replicas: 2}", "--gpu-memory-utilization=0.46", id="time-slicing"),
        pytest.param("{mode: mps, replicas: 2}", "--gpu-memory-utilization=0.46", id="mps"),
        pytest.param("{mode: mig, migProfiles: {3g.40gb: 2}}", None, id="a MIG slice is a device of its own"),
    ],
)
def test_a_share_of_a_gpu_is_told_to_the_engine_as_a_share_of_the_device(
    resolved: Resolver, sharing: str, expected: str | None
) -> None:
    text = f"""
name: ai
pools:
  - {{name: a100, gpu: A100-SXM-80GB, nodes: 1, sharing: {sharing}}}
tenants:
  - {{name: prod, class: production}}
models:
  - {{name: small, tenant: prod, source: hf://meta-llama/Llama-3.1-8B-Instruct, contextLength: 4096}}
"""
    found = [
        one
        for one in engine_command(resolved(text).models["small"]).args
        if one.startswith("--gpu-memory-utilization")
    ]

    assert ([expected] if expected else []) == found
