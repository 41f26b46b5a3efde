"""Objects by storage kind."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.storage import compile_storage, weights_init_containers, weights_volume

Resolver = Callable[[str], ResolvedPlatform]
PLATFORM = """
name: ai
cluster: {{version: "{version}"}}
pools: [{{name: a100, gpu: A100-SXM-80GB, nodes: 8, localNvme: 7T}}]
serving: {{mode: {mode}}}
storage: [{storage}]
models:
  - name: chat
    source: {source}
    architecture: llama-3-70b
    parallelism: {{tensor: 4}}
"""
HUB = "hf://meta-llama/Meta-Llama-3-70B-Instruct"
NFS = "{kind: nfs, name: nas, server: nfs.internal, path: /models}"
Named = Callable[..., dict[str, Any]]


def _text(storage: str, mode: str = "Standard", source: str = HUB, version: str = "1.35") -> str:
    return PLATFORM.format(storage=storage, mode=mode, source=source, version=version)


def test_nfs_has_a_volume_bound_to_the_namespaces_claim_and_a_job_that_fills_it(
    resolved: Resolver, named: Named
) -> None:
    items = compile_storage(resolved(_text(NFS)))
    volume, claim, job = (named(items, kind) for kind in ("PersistentVolume", "PersistentVolumeClaim", "Job"))
    container = job["spec"]["template"]["spec"]["containers"][0]

    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
    assert container["args"] == ["copy", "/weights", "chat", HUB]
    assert container["command"][0] == "python3"


def test_nvme_stages_in_the_platform_namespace_and_hands_out_local_volumes(
    resolved: Resolver, named: Named
) -> None:
    items = compile_storage(resolved(_text("{kind: nvme, name: disk}")))
    stager = named(items, "DaemonSet")
    volume = named(items, "PersistentVolume")
    hostpaths = [item.object["kind"] for item in items if "'hostPath':" in str(item.object)]

    assert stager["metadata"]["namespace"] == "stoker-system"
    assert hostpaths == ["DaemonSet"]
    assert volume["spec"]["local"]["path"] == "/mnt/nvme/models/chat"
    assert f"chat={HUB}" in stager["spec"]["template"]["spec"]["containers"][0]["args"]


def test_two_models_of_one_source_share_a_cache(resolved: Resolver, named: Named) -> None:
    text = (
        _text("{kind: hub, name: hub}")
        + f"  - {{name: chat-b, source: '{HUB}', parallelism: {{tensor: 4}}}}\n"
    )

    cache = named(compile_storage(resolved(text)), "LocalModelCache")

    assert cache["spec"]["sourceModelUri"] == HUB


@pytest.mark.parametrize(
    ("version", "source", "init"),
    [
        pytest.param("1.36", "image", [], id="image volumes are GA"),
        pytest.param("1.35", "emptyDir", ["weights-copy"], id="before that the image is copied"),
    ],
)
def test_oci_weights_of_a_plain_deployment(
    resolved: Resolver, version: str, source: str, init: list[str]
) -> None:
    model = resolved(_text("{kind: oci, name: reg}", "Deployment", "oci://reg.io/m:1", version)).models[
        "chat"
    ]
    volumes, mounts = weights_volume(model, model.delivery)

    assert source in volumes[0]
    assert mounts[0]["mountPath"] == "/mnt/models"
    assert init == [item["name"] for item in weights_init_containers(model, model.delivery)]


@pytest.mark.parametrize(
    ("storage", "source"),
    [
        pytest.param("{kind: hub, name: hub, cache: false}", HUB, id="hub"),
        pytest.param("{kind: object-store, name: s3}", "s3://b/m", id="object store"),
    ],
)
def test_vllm_fetches_by_itself_and_needs_no_volume(resolved: Resolver, storage: str, source: str) -> None:
    model = resolved(_text(storage, "Deployment", source)).models["chat"]

    assert weights_volume(model, model.delivery) == ([], [])
