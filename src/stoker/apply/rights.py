"""The rights that each command needs: no more than its requests, and every one of them (held to a lab's RBAC by the tests).

A dry run of the server asks for the right to write, although nothing is written; a plan by managedFields does not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.apply.store import NAMESPACE
from stoker.kube.refs import Object

__all__ = ["COMMANDS", "KINDS", "Command", "Rule", "object_rules", "rights", "roles_of", "rule"]

Rule = dict[str, list[str]]

# Every kind that the compilers emit, with its plural: `tests/apply` holds it to them and to a server's discovery.
KINDS: Final[Mapping[str, str]] = {
    "ConfigMap": "configmaps",
    "LimitRange": "limitranges",
    "Namespace": "namespaces",
    "PersistentVolume": "persistentvolumes",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ResourceQuota": "resourcequotas",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ValidatingAdmissionPolicy.admissionregistration.k8s.io": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": "validatingadmissionpolicybindings",
    "DaemonSet.apps": "daemonsets",
    "Deployment.apps": "deployments",
    "Job.batch": "jobs",
    "Gateway.gateway.networking.k8s.io": "gateways",
    "HTTPRoute.gateway.networking.k8s.io": "httproutes",
    "ReferenceGrant.gateway.networking.k8s.io": "referencegrants",
    "InterceptorRoute.http.keda.sh": "interceptorroutes",
    "ClusterTriggerAuthentication.keda.sh": "clustertriggerauthentications",
    "ScaledObject.keda.sh": "scaledobjects",
    "TriggerAuthentication.keda.sh": "triggerauthentications",
    "ClusterQueue.kueue.x-k8s.io": "clusterqueues",
    "LocalQueue.kueue.x-k8s.io": "localqueues",
    "ResourceFlavor.kueue.x-k8s.io": "resourceflavors",
    "WorkloadPriorityClass.kueue.x-k8s.io": "workloadpriorityclasses",
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": "leaderworkersets",
    "AlertmanagerConfig.monitoring.coreos.com": "alertmanagerconfigs",
    "PodMonitor.monitoring.coreos.com": "podmonitors",
    "PrometheusRule.monitoring.coreos.com": "prometheusrules",
    "NetworkPolicy.networking.k8s.io": "networkpolicies",
    "PodDisruptionBudget.policy": "poddisruptionbudgets",
    "ClusterRole.rbac.authorization.k8s.io": "clusterroles",
    "ClusterRoleBinding.rbac.authorization.k8s.io": "clusterrolebindings",
    "Role.rbac.authorization.k8s.io": "roles",
    "RoleBinding.rbac.authorization.k8s.io": "rolebindings",
    "ResourceClaimTemplate.resource.k8s.io": "resourceclaimtemplates",
    "PriorityClass.scheduling.k8s.io": "priorityclasses",
    "InferenceGraph.serving.kserve.io": "inferencegraphs",
    "InferenceService.serving.kserve.io": "inferenceservices",
    "LLMInferenceService.serving.kserve.io": "llminferenceservices",
    "LLMInferenceServiceConfig.serving.kserve.io": "llminferenceserviceconfigs",
    "LocalModelCache.serving.kserve.io": "localmodelcaches",
    "LocalModelNodeGroup.serving.kserve.io": "localmodelnodegroups",
    "ServingRuntime.serving.kserve.io": "servingruntimes",
}
_ROLES: Final = ("Role.rbac.authorization.k8s.io", "ClusterRole.rbac.authorization.k8s.io")
_RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Command:
    """A command's rights.

    Attributes:
        objects: verbs on what it applies.
        record: whether it writes the record and holds the Lease.
        everything: whether it lists every kind, to tell whether others live in a namespace.
        why: what each verb is for.
    """

    objects: tuple[str, ...]
    why: str
    record: bool = False
    everything: bool = False


_DRY: Final = ("get", "list", "create", "patch")
_ALL: Final = ("get", "list", "create", "patch", "update", "delete")
COMMANDS: Final[Mapping[str, Command]] = {
    "plan": Command(_DRY, "create and patch are for the server's dry run: nothing is written"),
    "plan --offline-diff": Command(("get", "list"), "reads only"),
    "diff": Command(_DRY, "create and patch are for the server's dry run: nothing is written"),
    "diff --offline-diff": Command(("get", "list"), "reads only"),
    "apply": Command(
        _ALL,
        "delete is for --replace and --prune, update for giving fields back to their owners",
        record=True,
    ),
    "rollback": Command(_ALL, "puts back, deletes and makes anew", record=True, everything=True),
    "uninstall": Command(
        _ALL,
        "lists everything, to leave namespaces in which others have objects",
        record=True,
        everything=True,
    ),
}


def rights(name: str, kinds: Collection[str] = ()) -> list[Object]:
    """The ClusterRole of a command, and the Role in ``stoker-system``, where the record is kept, with that namespace.

    Args:
        name: one of `COMMANDS`.
        kinds: as ``Deployment.apps``: only these; every kind that a platform can have where empty.
    """
    command = COMMANDS[name]
    rules = object_rules(kinds, command.objects, applies=command.record)
    if command.everything:
        rules.append(rule("*", ["*"], ("list",)))
    configs = ("get", "list", "create", "patch", "delete") if command.record else ("list",)
    record = [rule("", ["configmaps"], configs)]
    if command.record:
        record.append(rule("coordination.k8s.io", ["leases"], ("get", "create", "update", "delete")))
    return roles_of(name, rules, record, command.why)


def object_rules(kinds: Collection[str], verbs: Sequence[str], *, applies: bool) -> list[Rule]:
    """Rules for what a platform is compiled to.

    Args:
        kinds: only these; all of `KINDS` where empty.
        verbs: on each.
        applies: it writes, and waits until things are ready: with what that needs beside the objects.
    """
    wanted = [kind for kind in KINDS if not kinds or kind in kinds]
    groups: dict[str, list[str]] = {}
    for kind in wanted:
        groups.setdefault(kind.partition(".")[2], []).append(KINDS[kind])
    rules = [rule(group, plurals, verbs) for group, plurals in sorted(groups.items())]
    if "patch" in verbs and (roles := [KINDS[kind] for kind in _ROLES if kind in wanted]):
        # The server lets nobody grant what he has not, but by these verbs.
        rules.append(rule(_RBAC, roles, ("bind", "escalate")))
    if applies:
        rules.append(rule("storage.k8s.io", ["storageclasses"], ("list",)))
        if "Namespace" not in wanted:
            rules.append(rule("", ["namespaces"], ("get", "create", "patch", "delete")))
    return rules


def roles_of(name: str, rules: Sequence[Rule], record: Sequence[Rule], why: str) -> list[Object]:
    """The namespace of the record, the ClusterRole of ``rules`` where there are any, and the Role of ``record`` in that namespace."""
    slug = "stoker-" + name.replace("--", "").replace("  ", " ").replace(" ", "-")
    found: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    if rules:
        found.append(_role("ClusterRole", slug, rules, why))
    role = _role("Role", slug, record, "the record of runs, and one run at a time" if rules else why)
    role["metadata"]["namespace"] = NAMESPACE
    return [*found, role]


def _role(kind: str, name: str, rules: Sequence[Rule], why: str) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name, "annotations": {"stoker.dev/reason": why}},
        "rules": list(rules),
    }


def rule(group: str, resources: Iterable[str], verbs: Iterable[str], names: Sequence[str] = ()) -> Rule:
    """One rule; with ``names`` for objects of these names alone."""
    found: Rule = {"apiGroups": [group], "resources": sorted(resources), "verbs": list(verbs)}
    return found | {"resourceNames": list(names)} if names else found
