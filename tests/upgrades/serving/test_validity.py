"""Every mode with every storage kind, with a canary and without, passes strict validation and Pod Security."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.schemas.validate import validate_object

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.serving import compile_serving
from stoker.upgrades.storage import compile_storage

STORAGE = {
    "nfs": (
        "{kind: nfs, name: s, server: nfs.internal, path: /models}",
        "hf://meta-llama/Meta-Llama-3-70B-Instruct",
    ),
    "csi": ("{kind: csi, name: s, storageClass: efs-sc}", "hf://meta-llama/Meta-Llama-3-70B-Instruct"),
    "nvme": ("{kind: nvme, name: s}", "hf://meta-llama/Meta-Llama-3-70B-Instruct"),
    "bucket": ("{kind: object-store, name: s, credentials: s3, cache: false}", "s3://bucket/model"),
    "cached bucket": ("{kind: object-store, name: s, credentials: s3}", "s3://bucket/model"),
    "oci": ("{kind: oci, name: s}", "oci://registry.example/model:1"),
    "hub": (
        "{kind: hub, name: s, cache: false, credentials: {name: hf, key: HF_TOKEN}}",
        "hf://meta-llama/Meta-Llama-3-70B-Instruct",
    ),
    "claim": ("", "pvc://mine/chat"),
}
PLATFORM = """
name: ai
cluster: {{version: "{version}"}}
pools: [{{name: a100, gpu: A100-SXM-80GB, nodes: 8, localNvme: 7T}}]
tenants: [{{name: prod, class: production, podSecurity: {security}}}]
serving: {{mode: {mode}}}
storage: [{storage}]
models:
  - name: chat
    source: {source}
    architecture: llama-3-70b
    parallelism: {{tensor: 4}}
    lora: [{{name: law, source: hf://a/b}}]
    {canary}
"""
MODES = ("Standard", "Knative", "LLMInferenceService", "Deployment")


@pytest.mark.parametrize("security", ["baseline", "restricted"])
@pytest.mark.parametrize(("mode", "kind"), list(itertools.product(MODES, STORAGE)))
def test_objects_pass_the_api_server(
    shared: Path, resolved: Callable[[str], ResolvedPlatform], mode: str, kind: str, security: str
) -> None:
    assert shared.is_dir()
    storage, source = STORAGE[kind]
    for version, canary in itertools.product(("1.33", "1.36"), ("", "canary: {engineVersion: 0.30.0}")):
        platform = resolved(
            PLATFORM.format(
                version=version, security=security, mode=mode, storage=storage, source=source, canary=canary
            )
        )
        items = [*compile_serving(platform), *compile_storage(platform)]
        keys = [item.key for item in items]
        problems = [problem for item in items for problem in _problems(item.object, version, security)]

        assert len(set(keys)) == len(keys)
        assert problems == []


def _problems(item: dict[str, Any], version: str, security: str) -> list[str]:
    name = item["metadata"].get("namespace")
    if name != "prod":
        return list(validate_object(item, version))
    labels = {"pod-security.kubernetes.io/enforce": security}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    return list(validate_object(item, version, namespace=namespace))
