"""`stoker advise`: the questions every team asks, answered from the numbers of their own platform file.

Each answer is arithmetic over the resolved platform; where a rule of thumb decides, the answer names it as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stoker.platform.models import EngineName
from stoker.platform.tenants import WorkloadClass
from stoker.sizing.resolved import DeliveryKind, ResolvedModel, ResolvedPlatform

__all__ = ["Answer", "advise"]

# Past this many GPU nodes the guide's author finds a dedicated cluster simpler to run; a rule of thumb, not a limit.
_DEDICATED_NODES = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, the answer, and the numbers it follows from. ``subject`` is a model, or empty for the platform."""

    question: str
    subject: str
    answer: str
    because: tuple[str, ...]


def advise(platform: ResolvedPlatform) -> list[Answer]:
    """Every answer, platform-wide ones first, then model by model in the user's order."""
    answers = [_cluster(platform), _kserve(platform)]
    for model in platform.models.values():
        answers += [_engine(model), _storage(model), _layout(model)]
    return answers


def _cluster(platform: ResolvedPlatform) -> Answer:
    nodes = sum(pool.spec.nodes for pool in platform.pools.values())
    capacity = _capacity(platform)
    production = _demand(platform, production=True)
    others = _ceilings(platform)
    unlimited = [tenant for tenant, quota in others.items() if not quota]
    because = [
        f"{nodes} GPU nodes; capacity {_counts(capacity)}",
        f"production at its peak: {_counts(production)}",
    ]
    if unlimited:
        return Answer(
            "Shared or dedicated cluster?",
            "",
            f"Shared only after {', '.join(unlimited)} has a GPU quota: without one it may take every free GPU.",
            tuple(because),
        )
    ceiling: dict[str, int] = {}
    for quota in others.values():
        for resource, count in quota.items():
            ceiling[resource] = ceiling.get(resource, 0) + count
    because.append(f"all other tenants together may hold at most: {_counts(ceiling)}")
    tight = [
        item for item, count in production.items() if capacity.get(item, 0) - ceiling.get(item, 0) < count
    ]
    if tight:
        return Answer(
            "Shared or dedicated cluster?",
            "",
            f"Shared works only through preemption: with every quota in use, {', '.join(tight)} runs short of "
            "production's peak. Lower the quotas or add nodes to share without it.",
            tuple(because),
        )
    if nodes > _DEDICATED_NODES and any(others.values()):
        because.append(
            f"rule of thumb: above {_DEDICATED_NODES} GPU nodes a dedicated cluster has the simpler blast radius"
        )
    return Answer(
        "Shared or dedicated cluster?",
        "",
        "Shared: the quotas leave production's peak free at all times, so nobody can starve it even without preemption.",
        tuple(because),
    )


def _kserve(platform: ResolvedPlatform) -> Answer:
    models = list(platform.models.values())
    canaries = [model.name for model in models if model.canary]
    pipelines = [
        model.name
        for model in models
        if model.spec.transformer or model.spec.explainer or model.spec.outlier_detector
    ]
    counts = (
        f"{len(models)} models, {len(canaries)} canaries, {len(pipelines)} with pre- or post-processing, "
        f"{len(platform.spec.graphs)} graphs"
    )
    if pipelines or platform.spec.graphs:
        answer = "KServe: transformers, explainers and graphs exist nowhere else as objects."
    elif canaries or len(models) > 1:
        answer = "KServe: from the second version or model on, its runtimes and canaries cost less than keeping your own."
    else:
        answer = "A plain Deployment is enough for one model and one version; KServe pays from the second on."
    used = sorted({model.mode.value for model in models})
    return Answer("KServe or a Deployment?", "", answer, (counts, f"this file uses: {', '.join(used)}"))


def _engine(model: ResolvedModel) -> Answer:
    engine = model.spec.engine.name
    because = [f"this file uses {model.release.engine} {model.release.version}"]
    if model.spec.lora:
        because.append(f"{len(model.spec.lora)} LoRA adapters")
    if engine is EngineName.TGI:
        answer = "Move to vLLM or SGLang: TGI is in maintenance mode, and its own README points there."
    elif engine is EngineName.TRITON and model.spec.protocol == "openai":
        answer = "vLLM: Triton's strength is many frameworks behind the V2 protocol; for one language model it adds a layer."
    elif engine is EngineName.TRITON:
        answer = "Triton: the V2 protocol over several frameworks is what it is for."
    elif engine is EngineName.CUSTOM:
        answer = "Custom: autoscaling and alerts work as far as its metrics carry vLLM's names; else they follow HTTP load."
    elif engine is EngineName.SGLANG:
        answer = "SGLang is a sound choice; its metrics and flags are compiled for, as vLLM's are."
    else:
        answer = "vLLM: continuous batching, paged KV cache and preemption in place of crashes, and metrics KEDA can follow."
    return Answer("Which engine?", model.name, answer, tuple(because))


def _storage(model: ResolvedModel) -> Answer:
    gib = model.weights_gib
    burst = max(1, model.max_replicas - model.min_replicas)
    because = [
        f"{gib:.1f} GiB of weights; ready after about {model.startup_seconds} s ({model.startup_basis})",
        f"a scale-out from {model.min_replicas} to {model.max_replicas} replicas reads {gib * burst:.0f} GiB",
    ]
    kind = model.delivery.kind
    if kind is DeliveryKind.HUB:
        answer = "Change it: every start downloads from the hub. Stage the weights on NVMe, or on a shared volume first."
    elif kind is DeliveryKind.OBJECT_STORE and burst > 1:
        answer = "Cache it on the nodes: each replica of a scale-out pulls the whole model from the object store again."
    elif kind is DeliveryKind.PVC and burst > 1:
        answer = (
            "A shared volume is simple and right for few replicas; they share its bandwidth when they start together, "
            "so NVMe pre-staging is the next step if cold starts hurt."
        )
    else:
        answer = "Good: each node reads its own copy, so replicas that start together do not slow each other."
    return Answer("Where should the weights live?", model.name, answer, tuple(because))


def _layout(model: ResolvedModel) -> Answer:
    because = [
        f"{model.weights_gib:.1f} GiB of weights in {model.quantization if model.quantization != 'none' else model.dtype}",
        f"{model.kv_tokens} tokens of KV cache a replica: {model.max_sequences} sequences of {model.context_length} tokens",
        f"{model.pool.gpu.name}: {model.slice.memory_gib:.1f} GiB usable, {model.pool.gpu.interconnect.kind}",
    ]
    split = model.tensor * model.pipeline
    if split == 1:
        answer = "One GPU a replica: scale by replicas, which fail and roll out one by one."
    elif model.pipeline == 1:
        answer = f"Tensor parallelism {model.tensor} inside one node: each layer is split, and the all-reduce stays on the fast link."
    else:
        answer = (
            f"Tensor parallelism {model.tensor} inside each node and pipeline parallelism {model.pipeline} across "
            f"{model.nodes_per_replica} nodes: only activations cross the slower network."
        )
    return Answer("How many GPUs a replica, and how?", model.name, answer, tuple(because))


def _capacity(platform: ResolvedPlatform) -> dict[str, int]:
    totals: dict[str, int] = {}
    for pool in platform.pools.values():
        for item in pool.slices:
            totals[item.resource] = totals.get(item.resource, 0) + item.per_node * pool.spec.nodes
    return totals


def _demand(platform: ResolvedPlatform, *, production: bool) -> dict[str, int]:
    totals: dict[str, int] = {}
    for model in platform.models.values():
        if (model.tenant.spec.workload_class is WorkloadClass.PRODUCTION) is production:
            totals[model.slice.resource] = totals.get(model.slice.resource, 0) + model.peak_gpus
    return totals


def _ceilings(platform: ResolvedPlatform) -> dict[str, dict[str, int]]:
    return {
        name: tenant.gpu_quota
        for name, tenant in platform.tenants.items()
        if tenant.spec.workload_class is not WorkloadClass.PRODUCTION
    }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {resource}" for resource, count in counts.items() if count) or "none"
