"""One replica over several nodes: a LeaderWorkerSet, whose group lives and dies as one."""

from dataclasses import replace

from stoker.errors import StokerError
from stoker.platform.models import EngineName
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedCanary, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.serving.arguments import Option, option
from stoker.upgrades.serving.deployment import service_object
from stoker.upgrades.serving.engine import EngineCommand, engine_command, launch_of, with_options
from stoker.upgrades.serving.pods import EnginePod, engine_pod, pod_labels
from stoker.upgrades.tenancy.queues import queue_labels

__all__ = ["compile_group", "leader_pod", "worker_pod"]

_LEADER = "$(LWS_LEADER_ADDRESS)"  # set by LeaderWorkerSet in every container; the kubelet expands it
_RANK = "$(LWS_WORKER_INDEX)"
_RENDEZVOUS_PORT = 29501


def compile_group(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """LeaderWorkerSet and leader Service of the model, and of its canary; the same in every mode without a group of its own.

    KServe's own multi-node Deployments restart the head and its workers apart from one another, and allow neither
    autoscaling nor a canary (kserve v0.20.0 validateMultiNodeVariables).
    """
    plain = replace(model, mode=ServingMode.DEPLOYMENT)
    objects = _version(platform, plain, None)
    return objects + (_version(platform, plain, model.canary) if model.canary else [])


def leader_pod(platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None) -> EnginePod:
    """The pod with rank 0, which serves HTTP."""
    return engine_pod(platform, model, canary, command=_ranked(model, canary, leader=True))


def worker_pod(platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None) -> EnginePod:
    """A pod of a further rank: no HTTP server, so no port and no probe; its group is restarted when it dies."""
    pod = engine_pod(platform, model, canary, command=_ranked(model, canary, leader=False))
    silent = ("ports", "startupProbe", "readinessProbe", "livenessProbe")
    return replace(pod, container={key: value for key, value in pod.container.items() if key not in silent})


def _ranked(model: ResolvedModel, canary: ResolvedCanary | None, *, leader: bool) -> EngineCommand:
    launch = launch_of(model, canary)
    engine = EngineName(launch.release.engine)
    nodes = model.nodes_per_replica
    extra: list[Option]
    if engine is EngineName.VLLM and launch.accepts("--nnodes"):
        # docs.vllm.ai serving/parallelism_scaling, "Running vLLM with MultiProcessing" (vllm-project/vllm pull 30509).
        extra = [
            option("--distributed-executor-backend", "mp"),
            option("--nnodes", nodes),
            option("--node-rank", 0 if leader else _RANK),
            option("--master-addr", _LEADER),
            option("--master-port", _RENDEZVOUS_PORT),
            *([] if leader else [option("--headless")]),
        ]
    elif engine is EngineName.SGLANG:
        # docs.sglang.ai references/multi_node_deployment.
        extra = [
            option("--nnodes", nodes),
            option("--node-rank", 0 if leader else _RANK),
            option("--dist-init-addr", f"{_LEADER}:{_RENDEZVOUS_PORT}"),
        ]
    else:
        raise StokerError(
            f"{model.name}: {engine.value} {launch.release.version} cannot run one replica on {nodes} nodes",
            fix="use vllm from 0.12 on or sglang, or a layout that fits one node",
        )
    return with_options(engine_command(model, canary=canary), launch, extra)


def _version(
    platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None
) -> list[Emitted]:
    version = canary.name if canary else "stable"
    name = canary.workload if canary else model.workload
    service = canary.service if canary else model.service
    labels = pod_labels(model, version)
    leading = {**labels, "stoker.dev/role": "leader"}
    owned = model.scaling.enabled and canary is None
    group: Object = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "namespace": model.namespace, "labels": queue_labels(platform, model)},
        "spec": {
            "replicas": None if owned else canary.replicas if canary else model.min_replicas,
            "startupPolicy": "LeaderCreated",
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {
                    "maxUnavailable": model.max_unavailable,
                    "maxSurge": model.max_surge,
                },
            },
            "leaderWorkerTemplate": {
                "size": model.nodes_per_replica,
                # The ranks share one communicator: one that restarts alone waits for a group that has gone on.
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {
                    "metadata": {"labels": leading},
                    "spec": leader_pod(platform, model, canary).pod_spec("engine"),
                },
                "workerTemplate": {
                    "metadata": {"labels": {**labels, "stoker.dev/role": "worker"}},
                    "spec": worker_pod(platform, model, canary).pod_spec("engine"),
                },
            },
        },
    }
    nodes = model.nodes_per_replica
    return [
        emit(
            platform,
            Upgrade.SERVING,
            Wave.WORKLOADS,
            f"Runs each replica of {model.name} ({version}) as one group over {nodes} nodes",
            group,
            model=model,
        ),
        service_object(
            platform,
            model,
            service,
            leading,
            f"Leads to the leaders of {model.name} ({version}): only they speak HTTP",
        ),
    ]
