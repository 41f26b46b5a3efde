"""Where a model's pods may run, how they spread, how long they may take to stop, and with which rights."""

from typing import Final

from stoker.platform.models import Tier
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Object, compact
from stoker.upgrades.scheduling.claims import pod_claims
from stoker.upgrades.scheduling.containers import PRE_STOP_SECONDS
from stoker.upgrades.scheduling.identity import service_account_name

__all__ = ["grace_seconds", "node_affinity", "pod_placement", "rolling_update"]

_HOSTNAME: Final = "kubernetes.io/hostname"
_ZONE: Final = "topology.kubernetes.io/zone"
# GFD's label of the NVLink domain that spans nodes (GB200 NVL72): k8s-device-plugin docs/gpu-feature-discovery.
_CLIQUE: Final = "nvidia.com/gpu.clique"
# LeaderWorkerSet labels every pod of a group with it (kubernetes-sigs/lws api/leaderworkerset/v1).
_GROUP_KEY: Final = "leaderworkerset.sigs.k8s.io/group-key"
# The user `vllm` of the published image: it runs as root unless told otherwise, and torch looks its user up in
# /etc/passwd, so that no other number will do (github.com/vllm-project/vllm/pull/40275).
_VLLM_USER: Final = 2000
# After the engine has let its streams finish it still frees GPUs and closes sockets.
_STOP_MARGIN: Final = 20


def pod_placement(platform: ResolvedPlatform, model: ResolvedModel) -> Object:
    """Pod-spec fields that place a model's pods; valid in every serving mode that the model may have.

    Knative's revision API has neither a grace period (it follows ``timeoutSeconds``) nor resource claims; both are left
    out in that mode. The other fields need Knative's ``kubernetes.podspec-*`` feature flags.
    """
    knative = model.mode is ServingMode.KNATIVE
    fields: Object = compact(
        {
            "serviceAccountName": service_account_name(model),
            "automountServiceAccountToken": False,
            "priorityClassName": model.tenant.priority_class,
            "schedulerName": model.scheduler_name,
            "tolerations": model.pool.tolerations,
            "affinity": _affinity(model),
            "topologySpreadConstraints": _spread(platform, model) or None,
            "terminationGracePeriodSeconds": None if knative else grace_seconds(model),
            "securityContext": _pod_security(model),
            "resourceClaims": pod_claims(platform, model) or None,
        }
    )
    return fields


def grace_seconds(model: ResolvedModel) -> int:
    """terminationGracePeriodSeconds: the pre-stop pause, the drain of running streams, and a margin."""
    return PRE_STOP_SECONDS + model.drain_seconds + _STOP_MARGIN


def rolling_update(model: ResolvedModel) -> Object:
    """Deployment ``strategy``: the surge that pool and quota have room for, as the sizing found it."""
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": model.max_surge, "maxUnavailable": model.max_unavailable},
    }


def node_affinity(expressions: list[Object]) -> Object:
    """Required node affinity by match expressions; the scheduler must not fall back to another GPU type."""
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": expressions}]
        }
    }


def _affinity(model: ResolvedModel) -> Object:
    affinity: Object = {
        "nodeAffinity": node_affinity([dict(term) for term in model.pool.node_selector_terms])
    }
    if model.nodes_per_replica > 1:
        affinity["podAffinity"] = _group_affinity(model)
    return affinity


def _group_affinity(model: ResolvedModel) -> Object:
    """Keep the pods of one replica within one fabric.

    A zone is the widest reach of RDMA, so it is required where the pool has several; an NVLink domain over nodes is
    preferred where the GPU has one. The group key restricts both to the pods of the same replica: without it every
    replica would follow the first.
    """

    def term(key: str) -> Object:
        return {
            "topologyKey": key,
            "labelSelector": {"matchLabels": dict(model.pod_labels)},
            "matchLabelKeys": [_GROUP_KEY],
        }

    several = len(model.pool.spec.zones) > 1
    wide_nvlink = model.pool.gpu.interconnect.domain_gpus > model.pool.gpus_per_node
    preferred = [{"weight": 100, "podAffinityTerm": term(_CLIQUE)}] if wide_nvlink else []
    affinity: Object = compact(
        {
            "requiredDuringSchedulingIgnoredDuringExecution": [term(_ZONE)] if several else None,
            "preferredDuringSchedulingIgnoredDuringExecution": preferred or None,
        }
    )
    return affinity


def _spread(platform: ResolvedPlatform, model: ResolvedModel) -> list[Object]:
    """Soft spread over hosts, and over zones where there are several.

    ScheduleAnyway and the template hash keep a rollout from dead-locking: the new pods count by themselves, and a full
    cluster places them where there is room. A batch tier is packed instead under the bin-packing scheduler: it has no
    availability to protect and whole nodes to keep free. Groups of several nodes fill their nodes anyway.
    """
    if model.nodes_per_replica > 1:
        return []
    if platform.bin_packing and model.spec.tier is Tier.BATCH:
        return []
    keys = [_HOSTNAME, _ZONE] if len(model.pool.spec.zones) > 1 else [_HOSTNAME]
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(model.pod_labels)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in keys
    ]


def _pod_security(model: ResolvedModel) -> Object:
    # No fsGroup: weights are mounted read-only, and changing the group of a terabyte of files takes minutes at each start.
    context: Object = {"seccompProfile": {"type": "RuntimeDefault"}}
    if model.tenant.spec.pod_security == "restricted":
        context["runAsNonRoot"] = True
        if model.release.engine == "vllm":
            context["runAsUser"] = _VLLM_USER
    return context
