"""Budgets, identities, the contract of the nodes and the bin-packing scheduler."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.scheduling import compile_scheduling, node_plan, pod_placement

Resolver = Callable[[str], ResolvedPlatform]
Named = Callable[..., dict[str, Any]]


def test_a_drain_is_never_blocked_for_ever(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base.replace("tenant: prod", "tenant: prod\n    replicas: 1"))
    budget = named(compile_scheduling(platform), "PodDisruptionBudget", "chat")
    assert budget["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in budget["spec"]
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_every_pod_names_an_account_that_is_emitted(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base)
    name = pod_placement(platform, platform.models["chat"])["serviceAccountName"]
    account = named(compile_scheduling(platform), "ServiceAccount", name, "prod")
    assert account["automountServiceAccountToken"] is False


def test_an_account_of_the_user_is_used_and_not_emitted(resolved: Resolver, base: str) -> None:
    platform = resolved(base.replace("tenant: prod", "tenant: prod\n    serviceAccount: irsa"))
    assert pod_placement(platform, platform.models["chat"])["serviceAccountName"] == "irsa"
    kinds = [
        (item.object["kind"], item.object["metadata"].get("namespace"))
        for item in compile_scheduling(platform)
    ]
    assert ("ServiceAccount", "prod") not in kinds


def test_nodes_are_tainted_with_the_one_key_that_the_device_plugin_tolerates(
    resolved: Resolver, base: str
) -> None:
    (plan,) = node_plan(resolved(base))
    assert plan.taints == ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},)
    assert plan.resources == {"nvidia.com/gpu": 8}


def test_the_node_contract_in_the_cluster_is_the_printed_one(
    resolved: Resolver, base: str, named: Named
) -> None:
    platform = resolved(base)
    (plan,) = node_plan(platform)
    contract = json.loads(
        named(compile_scheduling(platform), "ConfigMap", "stoker-node-pools")["data"]["a100"]
    )
    assert (contract["labels"], contract["taints"]) == (plan.labels, list(plan.taints))
    assert contract["selector"] == plan.selector


def test_no_second_scheduler_unless_it_is_wanted(resolved: Resolver, base: str) -> None:
    platform = resolved(base + "cluster: {scheduler: default}\n")
    assert "Deployment" not in {item.object["kind"] for item in compile_scheduling(platform)}


def test_the_second_scheduler_answers_to_the_name_that_pods_use(
    resolved: Resolver, base: str, named: Named
) -> None:
    platform = resolved(base + "cluster: {scheduler: bin-packing}\n")
    config = json.loads(
        named(compile_scheduling(platform), "ConfigMap", "stoker-scheduler")["data"]["config.json"]
    )
    used = {pod_placement(platform, model)["schedulerName"] for model in platform.models.values()}
    assert {profile["schedulerName"] for profile in config["profiles"]} == used


def test_the_profile_is_the_one_that_was_recorded_packing_gpus(
    resolved: Resolver, base: str, named: Named, shared: Path
) -> None:
    recorded = yaml.safe_load((shared / "oracle/scheduler/scheduler-config.yaml").read_text())
    profile = next(item for item in recorded["profiles"] if item["schedulerName"] == "gpu-most-allocated")
    wanted = profile["pluginConfig"][0]["args"]["scoringStrategy"]
    platform = resolved(base + "cluster: {scheduler: bin-packing}\n")
    config = json.loads(
        named(compile_scheduling(platform), "ConfigMap", "stoker-scheduler")["data"]["config.json"]
    )
    assert config["profiles"][0]["pluginConfig"][0]["args"]["scoringStrategy"] == wanted


def test_the_second_scheduler_is_of_the_clusters_minor(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base + "cluster: {version: '1.34', scheduler: bin-packing}\n")
    deployment = named(compile_scheduling(platform), "Deployment", "stoker-scheduler")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.k8s.io/kube-scheduler:v1.34.")
    assert deployment["spec"]["replicas"] == 2


def test_a_changed_profile_restarts_the_scheduler(resolved: Resolver, base: str, named: Named) -> None:
    text = base + "cluster: {scheduler: bin-packing}\n"
    shared_gpu = text.replace(
        "nodes: 4}", "nodes: 4}\n  - {name: t4, gpu: T4, nodes: 1, sharing: {mode: mps}}"
    )

    def template(source: str) -> object:
        found = named(compile_scheduling(resolved(source)), "Deployment", "stoker-scheduler")
        return found["spec"]["template"]["metadata"]["annotations"]

    assert template(text) == template(text)
    assert template(text) != template(shared_gpu)
