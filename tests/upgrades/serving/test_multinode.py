"""A replica over two nodes."""

from collections.abc import Callable
from typing import Any

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.serving import compile_serving

PLATFORM = """
name: ai
pools: [{name: a100, gpu: A100-SXM-80GB, nodes: 8, fabric: infiniband}]
serving: {mode: Deployment}
models:
  - name: chat
    source: pvc://mine/chat
    architecture: llama-3-70b
    parallelism: {tensor: 8, pipeline: 2}
"""


def test_ranks_of_a_group_find_each_other_and_only_the_leader_speaks_http(
    resolved: Callable[[str], ResolvedPlatform], named: Callable[..., dict[str, Any]]
) -> None:
    items = compile_serving(resolved(PLATFORM))
    group = named(items, "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    leader = group["leaderTemplate"]["spec"]["containers"][0]
    worker = group["workerTemplate"]["spec"]["containers"][0]
    selector = named(items, "Service")["spec"]["selector"]

    assert group["size"] == 2
    assert {"--node-rank=0", "--nnodes=2", "--master-addr=$(LWS_LEADER_ADDRESS)"} <= set(leader["args"])
    assert {"--node-rank=$(LWS_WORKER_INDEX)", "--headless"} <= set(worker["args"])
    assert "readinessProbe" in leader
    assert not {"ports", "startupProbe", "readinessProbe", "livenessProbe"} & set(worker)
    assert selector.items() <= group["leaderTemplate"]["metadata"]["labels"].items()
    assert not selector.items() <= group["workerTemplate"]["metadata"]["labels"].items()
