"""The rights that each command needs: no more than its requests, and every one of them (held to a lab's RBAC by the tests).

A dry run of the server asks for the right to write, although nothing is written; a plan by managedFields does not.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.apply.store import NAMESPACE
from stoker.kube.refs import Object

__all__ = ["COMMANDS", "KINDS", "Command", "rights"]

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
    wanted = [kind for kind in KINDS if not kinds or kind in kinds]
    rules = _rules(wanted, command.objects)
    if "patch" in command.objects and (roles := [KINDS[kind] for kind in _ROLES if kind in wanted]):
        # The server lets nobody grant what he has not, but by these verbs.
        rules.append(_rule(_RBAC, roles, ("bind", "escalate")))
    if command.record:
        rules.append(_rule("storage.k8s.io", ["storageclasses"], ("list",)))
        if "Namespace" not in wanted:
            rules.append(_rule("", ["namespaces"], ("get", "create", "patch", "delete")))
    if command.everything:
        rules.append(_rule("*", ["*"], ("list",)))
    slug = "stoker-" + name.replace(" --", "-")
    about = {"stoker.dev/reason": command.why}
    found = [_role("ClusterRole", slug, rules, about)]
    configs = ("get", "list", "create", "patch", "delete") if command.record else ("list",)
    record = [_rule("", ["configmaps"], configs)]
    if command.record:
        record.append(_rule("coordination.k8s.io", ["leases"], ("get", "create", "update", "delete")))
    role = _role("Role", slug, record, {"stoker.dev/reason": "the record of runs, and one run at a time"})
    role["metadata"]["namespace"] = NAMESPACE
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *found, role]


def _role(kind: str, name: str, rules: list[Any], annotations: dict[str, str]) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name, "annotations": annotations},
        "rules": rules,
    }


def _rule(group: str, resources: Iterable[str], verbs: Iterable[str]) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": sorted(resources), "verbs": list(verbs)}


def _rules(kinds: Iterable[str], verbs: tuple[str, ...]) -> list[dict[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.partition(".")[2], []).append(KINDS[kind])
    return [_rule(group, plurals, verbs) for group, plurals in sorted(groups.items())]
