"""Where pods may run, how they spread, how long they may take to stop."""

from collections.abc import Callable

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.scheduling import PRE_STOP_SECONDS, pod_placement, rolling_update

Resolver = Callable[[str], ResolvedPlatform]

# Fields of a Knative revision's spec that are pod-spec fields (knative serving 1.23, serving.knative.dev_services CRD).
_KNATIVE_FIELDS = {
    "serviceAccountName", "automountServiceAccountToken", "priorityClassName", "schedulerName", "tolerations",
    "affinity", "topologySpreadConstraints", "securityContext",
}  # fmt: skip


def test_pods_tolerate_every_taint_of_their_pool(resolved: Resolver, base: str) -> None:
    text = base.replace(
        "nodes: 4}", "nodes: 4, taints: [{key: team, value: ai}, {key: slow, effect: NoExecute}]}"
    )
    platform = resolved(text)
    model = platform.models["chat"]
    tolerated = {(item["key"], item["effect"]) for item in pod_placement(platform, model)["tolerations"]}
    assert tolerated == {("nvidia.com/gpu", "NoSchedule"), ("team", "NoSchedule"), ("slow", "NoExecute")}


def test_pods_find_their_gpu_by_the_label_that_gfd_keeps(resolved: Resolver, base: str) -> None:
    platform = resolved(base)
    affinity = pod_placement(platform, platform.models["chat"])["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [item["key"] for item in term["matchExpressions"]] == ["nvidia.com/gpu.product"]


def test_a_spread_can_never_hold_up_a_rollout(resolved: Resolver, base: str) -> None:
    platform = resolved(base)
    (spread,) = pod_placement(platform, platform.models["chat"])["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert spread["matchLabelKeys"] == ["pod-template-hash"]
    assert spread["labelSelector"]["matchLabels"] == platform.models["chat"].pod_labels


def test_no_anti_affinity_is_required(resolved: Resolver, base: str) -> None:
    platform = resolved(base)
    assert "podAntiAffinity" not in pod_placement(platform, platform.models["chat"])["affinity"]


def test_replicas_spread_over_zones_where_the_pool_has_several(resolved: Resolver, base: str) -> None:
    platform = resolved(base.replace("nodes: 4}", "nodes: 4, zones: [eu-1a, eu-1b]}"))
    spreads = pod_placement(platform, platform.models["chat"])["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spreads] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]


def test_a_batch_tier_is_packed_by_the_bin_packing_scheduler(resolved: Resolver, base: str) -> None:
    text = base.replace("tenant: prod", "tenant: prod\n    tier: batch")
    packed = resolved(text + "cluster: {scheduler: bin-packing}\n")
    spread = resolved(text + "cluster: {scheduler: default}\n")
    assert "topologySpreadConstraints" not in pod_placement(packed, packed.models["chat"])
    assert "topologySpreadConstraints" in pod_placement(spread, spread.models["chat"])


def test_the_grace_period_outlasts_pause_and_drain(resolved: Resolver, base: str) -> None:
    platform = resolved(base.replace("tenant: prod", "tenant: prod\n    drain: 5m"))
    grace = pod_placement(platform, platform.models["chat"])["terminationGracePeriodSeconds"]
    assert grace > PRE_STOP_SECONDS + 300


def test_knative_pods_carry_only_fields_of_its_api(resolved: Resolver, base: str) -> None:
    platform = resolved(base + "serving: {mode: Knative}\n")
    assert set(pod_placement(platform, platform.models["chat"])) <= _KNATIVE_FIELDS


def test_no_token_is_mounted_and_the_tenants_priority_is_used(resolved: Resolver, base: str) -> None:
    platform = resolved(base)
    pod = pod_placement(platform, platform.models["chat"])
    assert pod["automountServiceAccountToken"] is False
    assert pod["priorityClassName"] == platform.tenants["prod"].priority_class


def test_restricted_namespaces_run_vllm_as_the_user_of_its_image(resolved: Resolver, base: str) -> None:
    platform = resolved(base.replace("class: production", "class: production, podSecurity: restricted"))
    security = pod_placement(platform, platform.models["chat"])["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 2000)


def test_the_surge_is_what_the_sizing_found_room_for(resolved: Resolver, base: str) -> None:
    model = resolved(base).models["chat"]
    rolling = rolling_update(model)["rollingUpdate"]
    assert rolling == {"maxSurge": model.max_surge, "maxUnavailable": model.max_unavailable}
    assert rolling["maxSurge"] + rolling["maxUnavailable"] > 0
