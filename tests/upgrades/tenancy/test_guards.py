"""Namespaces, priorities, admission policies and rights."""

from collections.abc import Callable
from typing import Any

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.tenancy import compile_tenancy

Resolver = Callable[[str], ResolvedPlatform]
Named = Callable[..., dict[str, Any]]
_PSA = "pod-security.kubernetes.io"


def test_namespaces_enforce_a_pinned_standard_and_warn_nobody(
    resolved: Resolver, base: str, named: Named
) -> None:
    platform = resolved(base + "cluster: {version: '1.34'}\n")
    labels = named(compile_tenancy(platform), "Namespace", "prod")["metadata"]["labels"]
    assert labels[f"{_PSA}/enforce"] == "baseline"
    assert labels[f"{_PSA}/enforce-version"] == "v1.34"
    assert not [key for key in labels if key.startswith(f"{_PSA}/warn")]


def test_the_platforms_namespace_allows_host_paths_only_for_staging(
    resolved: Resolver, base: str, named: Named
) -> None:
    plain = named(compile_tenancy(resolved(base)), "Namespace", "stoker-system")
    staged = resolved(
        base.replace("nodes: 4}", "nodes: 4, localNvme: 2Ti}") + "storage: [{kind: nvme, name: disk}]\n"
    )
    assert plain["metadata"]["labels"][f"{_PSA}/enforce"] == "restricted"
    levels = named(compile_tenancy(staged), "Namespace", "stoker-system")["metadata"]["labels"]
    assert levels[f"{_PSA}/enforce"] == "privileged"


def test_production_outranks_and_only_it_preempts(resolved: Resolver, base: str, named: Named) -> None:
    objects = compile_tenancy(resolved(base))
    prod, lab = named(objects, "PriorityClass", "stoker-prod"), named(objects, "PriorityClass", "stoker-lab")
    assert prod["value"] > lab["value"]
    assert (prod["preemptionPolicy"], lab["preemptionPolicy"]) == ("PreemptLowerPriority", "Never")
    assert not prod.get("globalDefault")


def test_other_namespaces_may_not_name_the_platforms_classes(
    resolved: Resolver, base: str, named: Named
) -> None:
    policy = named(compile_tenancy(resolved(base)), "ValidatingAdmissionPolicy", "stoker-priority-outsiders")
    (selector,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert (selector["operator"], set(selector["values"])) == ("NotIn", {"stoker-system", "prod", "lab"})
    assert "'stoker-prod', 'stoker-lab'" in policy["spec"]["validations"][0]["expression"]


def test_a_namespace_may_use_its_own_class_only(resolved: Resolver, base: str, named: Named) -> None:
    policy = named(compile_tenancy(resolved(base)), "ValidatingAdmissionPolicy", "stoker-priority-lab")
    expression = policy["spec"]["validations"][0]["expression"]
    assert "stoker-lab" in expression
    assert "stoker-prod" not in expression


def test_every_policy_is_in_force(resolved: Resolver, base: str) -> None:
    objects = [item.object for item in compile_tenancy(resolved(base))]
    policies = {item["metadata"]["name"] for item in objects if item["kind"] == "ValidatingAdmissionPolicy"}
    bound = {
        item["spec"]["policyName"]: item["spec"]["validationActions"]
        for item in objects
        if item["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bound == {name: ["Deny"] for name in policies}


def test_the_cap_of_a_pod_counts_all_containers(resolved: Resolver, base: str, named: Named) -> None:
    policy = named(compile_tenancy(resolved(base)), "ValidatingAdmissionPolicy", "stoker-gpus-lab")
    assert {item["name"] for item in policy["spec"]["variables"]} == {"gpus", "initGpus", "sidecarGpus"}
    assert any("variables.gpus <= 1" in item["expression"] for item in policy["spec"]["validations"])


def test_guards_can_be_turned_off(resolved: Resolver, base: str) -> None:
    platform = resolved(base + "tenancy: {guardPriorities: false}\n")
    names = {item.object["metadata"]["name"] for item in compile_tenancy(platform)}
    assert not [name for name in names if name.startswith(("stoker-priority-", "stoker-foreign"))]


def test_groups_are_bound_in_their_namespace_only(resolved: Resolver, base: str) -> None:
    text = base.replace(
        "class: production}", "class: production, access: {editors: [ml], viewers: [support]}}"
    )
    objects = [item.object for item in compile_tenancy(resolved(text))]
    bound = {
        (item["metadata"]["namespace"], item["subjects"][0]["name"], item["roleRef"]["name"])
        for item in objects
        if item["kind"] == "RoleBinding"
    }
    assert bound == {
        ("prod", "ml", "edit"),
        ("prod", "ml", "stoker-tenant-edit"),
        ("prod", "support", "view"),
        ("prod", "support", "stoker-tenant-view"),
    }
    assert "ClusterRoleBinding" not in {item["kind"] for item in objects}
