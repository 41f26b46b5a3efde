"""Every example: rendered, adopted from what was rendered, compared with what it was rendered from."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from stoker.adopt.adopt import adopt
from stoker.adopt.text import write
from stoker.audit.view.view import View
from stoker.kube.read import read_text
from stoker.platform.load import load, loads
from stoker.render.formats import Destination, render_files
from stoker.render.layout import stream
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform, ResolvedTenant

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))

# What rendered objects do not tell, by example. No Node was rendered: pools hold what the models need at their peak, and a
# pool without a model is not known. The size of LoRA adapters, the fabric's kind and the domain of a route that KServe's
# controller makes are in no object; Knative's canary is a revision that only the cluster knows.
DIFFERENT: dict[str, list[str]] = {
    "deployment": [
        "pools: [('A100-SXM-40GB', 8, 'none', 4), ('A100-SXM-80GB', 8, 'none', 2)] -> [('A100-SXM-40GB', 8, 'none', 3), ('A100-SXM-80GB', 8, 'none', 1)]",
    ],
    "fleet": [
        "pools: [('A100-SXM-80GB', 8, 'none', 48)] -> [('A100-SXM-80GB', 8, 'none', 40)]",
    ],
    "graph": [
        "runbookUrl: https://runbooks.example.com/llm -> None",
    ],
    "guide": [
        "pools: [('A100-SXM-80GB', 8, 'none', 48)] -> [('A100-SXM-80GB', 8, 'none', 6)]",
    ],
    "knative": [
        "models.qwen-7b.canary: ('v2', 10, 1) -> None",
        "models.qwen-7b.canary.args: ['--enable-prefix-caching'] -> None",
        "pools: [('L4', 4, 'none', 6)] -> [('L4', 4, 'none', 2)]",
    ],
    "llm-inference-service": [
        "fabric: ['efa'] -> ['infiniband']",
        "gateway: name='kserve-ingress-gateway' namespace='kserve' class_name='envoy' domain='llm.example.com' tls_secret='llm-tls' -> name='kserve-ingress-gateway' namespace='kserve' class_name='envoy' domain='models.example.com' tls_secret='llm-tls'",
        "models.llama3-8b.lora: [('support-de', 's3://example-models/adapters/support-de', 32), ('support-fr', 's3://example-models/adapters/support-fr', 32)] -> [('support-de', 's3://example-models/adapters/support-de', 16), ('support-fr', 's3://example-models/adapters/support-fr', 16)]",
    ],
    "minimal": [
        "storage: [] -> ['hub']",
    ],
    "shared-gpus": [
        "pools: [('A100-SXM-80GB', 8, 'mig', 2), ('L4', 4, 'time-slicing', 4)] -> [('A100-SXM-80GB', 8, 'mig', 2)]",
        "tenants.notebooks.gpus: {'nvidia.com/mig-3g.40gb': 0, 'nvidia.com/gpu.shared': 8} -> {'nvidia.com/mig-3g.40gb': 6}",
        "tenants.product.gpus: {'nvidia.com/mig-3g.40gb': 12, 'nvidia.com/gpu.shared': 0} -> {'nvidia.com/mig-3g.40gb': 12}",
    ],
}


def adopted_from(objects: str) -> str:
    return write(adopt(View(read_text(objects.encode()), date(2026, 11, 24))))


def facts_of_model(model: ResolvedModel) -> Iterator[tuple[str, object]]:
    yield "source", model.spec.source
    yield "tenant", model.tenant.name
    yield "tier", model.spec.tier.value
    yield "engine", f"{model.release.engine} {model.release.version}"
    yield "args", list(model.spec.engine.args)
    yield "mode", model.mode.value
    yield "gpu", model.pool.gpu.name
    yield "resource", model.slice.resource
    yield "layout", (model.tensor, model.pipeline, model.data)
    yield "context", model.context_length
    yield "replicas", (model.min_replicas, model.max_replicas)
    yield "drain", model.drain_seconds
    yield "delivery", model.delivery.kind.value
    yield "lora", [(item.name, item.source, item.rank) for item in model.spec.lora]
    yield "transformer", model.spec.transformer
    yield "explainer", model.spec.explainer
    yield "outlierDetector", model.spec.outlier_detector
    yield "wake", model.scaling.wake.value if model.scaling.wake else None
    yield "broker", model.spec.autoscaling.broker
    yield "warmUp", model.spec.autoscaling.warm_up
    yield "slo", model.spec.slo
    if model.canary:
        yield "canary", (model.canary.name, model.canary.traffic_percent, model.canary.replicas)
        yield "canary.source", model.spec.canary.source if model.spec.canary else None
        yield "canary.args", list(model.canary.args)


def facts_of_tenant(tenant: ResolvedTenant) -> Iterator[tuple[str, object]]:
    yield "namespace", tenant.namespace
    yield "class", tenant.spec.workload_class.value
    yield "priority", (tenant.priority, tenant.preempts)
    yield "gpus", tenant.gpu_quota
    yield "pods", tenant.pods_quota
    yield "memory", tenant.spec.quota.memory
    yield "guardrails", (tenant.max_gpus_per_pod, tenant.spec.guardrails.max_memory_per_container)
    yield "defaults", (tenant.spec.guardrails.default_memory, tenant.spec.guardrails.default_cpu)
    yield "access", tenant.spec.access
    yield "network", tenant.spec.network


def facts(platform: ResolvedPlatform) -> dict[str, object]:
    spec = platform.spec
    found: dict[str, object] = {
        "name": spec.name,
        "cluster": spec.cluster.version,
        "pools": sorted(
            (pool.gpu.name, pool.gpus_per_node, pool.spec.sharing.mode.value, pool.max_nodes)
            for pool in platform.pools.values()
        ),
        "fabric": sorted({pool.spec.fabric.value for pool in platform.pools.values()}),
        "graphs": [
            (graph.name, graph.type, [(s.model, s.url, s.data) for s in graph.steps]) for graph in spec.graphs
        ],
        "storage": sorted(entry.kind for entry in spec.storage),
        "gateway": spec.serving.gateway,
        "kueue": spec.tenancy.kueue,
        "guards": (spec.tenancy.guard_priorities, spec.tenancy.network_policies),
        "prometheus": (spec.observability.prometheus.value, spec.observability.namespace),
        "scrapeInterval": spec.observability.scrape_interval,
        "selectorLabels": spec.observability.selector_labels,
        "receivers": spec.observability.receivers,
        "runbookUrl": spec.observability.runbook_url,
    }
    for model in platform.models.values():
        found |= {f"models.{model.name}.{key}": value for key, value in facts_of_model(model)}
    for tenant in platform.tenants.values():
        found |= {f"tenants.{tenant.name}.{key}": value for key, value in facts_of_tenant(tenant)}
    return found


def differences(first: dict[str, object], second: dict[str, object]) -> list[str]:
    return [
        f"{key}: {first.get(key)} -> {second.get(key)}"
        for key in sorted({*first, *second})
        if first.get(key) != second.get(key)
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_adopted_from_a_rendered_example_is_the_example(example: Path) -> None:
    """Whoever loses the platform file gets it back from the cluster, but for what is listed here."""
    original = resolve(load(example))
    objects = stream(render_files(original, "plain", Destination()).objects)

    again = resolve(loads(adopted_from(objects)))

    assert DIFFERENT[example.stem] == differences(facts(original), facts(again))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_adopting_twice_gives_the_same_bytes(example: Path) -> None:
    platform = resolve(load(example))
    objects = stream(render_files(platform, "plain", Destination()).objects)

    assert adopted_from(objects) == adopted_from(objects)
