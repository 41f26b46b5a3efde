"""The rights that each command of a rollout needs: no more than its requests, and every one of them (held to recorded requests).

Gates make probes and remove them, in the namespaces of tenants and models, and look at what stands; what they make is listed
in `stoker.rollout.probes.KINDS`. A lab's own switches, which some gates of weeks 3 and 4 turn, are its administrator's alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from stoker.apply.rights import Rule, object_rules, roles_of, rule
from stoker.apply.store import NAMESPACE
from stoker.kube.refs import Object

__all__ = ["COMMANDS", "RolloutCommand", "rollout_rights"]

_STATE: Final = "stoker-rollout"
_PAUSE: Final = "stoker-rollout-pause"
_PROBE: Final = ("get", "list", "create", "delete")
_SERVING: Final = "serving.kserve.io"
_GATEWAY: Final = "gateway.networking.k8s.io"

# What gates make, and with it what sweeps remove; patch is for the split of traffic, and for putting it back.
_PROBES: Final = (
    rule("", ["pods"], (*_PROBE, "watch")),
    rule("", ["services"], _PROBE),
    rule("apps", ["deployments"], (*_PROBE, "watch")),
    rule(_SERVING, ["inferenceservices", "llminferenceservices"], (*_PROBE, "patch")),
    rule(_GATEWAY, ["httproutes"], (*_PROBE, "patch")),
    rule("keda.sh", ["scaledobjects"], _PROBE),
    rule("monitoring.coreos.com", ["podmonitors"], _PROBE),
)
# What they look at. A proxy is the way to what has no address here: requests (create) and metrics (get).
_LOOKS: Final = (
    rule("", ["events", "nodes", "resourcequotas"], ("list",)),
    rule("", ["configmaps"], ("get",)),
    rule("", ["pods/proxy", "services/proxy"], ("get", "create")),
    rule("autoscaling", ["horizontalpodautoscalers"], ("get",)),
    rule("leaderworkerset.x-k8s.io", ["leaderworkersets"], ("get", "list", "watch")),
    rule(_GATEWAY, ["gateways"], ("get",)),
    rule("monitoring.coreos.com", ["alertmanagerconfigs", "prometheuses", "prometheusrules"], ("list",)),
    rule("scheduling.k8s.io", ["priorityclasses"], ("get",)),
)
_SWEEP: Final = (
    rule("", ["pods", "services"], ("get", "list", "delete")),
    rule("apps", ["deployments"], ("get", "list", "delete")),
    rule(_SERVING, ["inferenceservices", "llminferenceservices"], ("get", "list", "delete", "patch")),
    rule(_GATEWAY, ["httproutes"], ("get", "list", "delete", "patch")),
    rule("keda.sh", ["scaledobjects"], ("get", "list", "delete")),
    rule("monitoring.coreos.com", ["podmonitors"], ("get", "list", "delete")),
)
_HOME: Final = rule("", ["namespaces"], ("get",), [NAMESPACE])
_LEASE: Final = rule("coordination.k8s.io", ["leases"], ("get", "create", "update"))
_NODES: Final = rule("", ["nodes"], ("get", "list", "update"))


@dataclass(frozen=True, slots=True)
class RolloutCommand:
    """A command's rights.

    Attributes:
        objects: verbs on what it applies.
        why: what they are for.
        rules: on the cluster, beside those on what it applies.
        record: on the record in ``stoker-system``.
    """

    objects: tuple[str, ...]
    why: str
    rules: tuple[Rule, ...]
    record: tuple[Rule, ...]


_APPLY: Final = ("get", "list", "create", "patch")
_RUNS: Final = rule("", ["configmaps"], ("get", "list", "create", "update", "patch", "delete"))
COMMANDS: Final[Mapping[str, RolloutCommand]] = {
    "rollout run": RolloutCommand(
        _APPLY, "applies; its gates make probes and remove them", (*_PROBES, *_LOOKS), (_RUNS, _LEASE)
    ),
    "rollout run --set-nodes": RolloutCommand(
        _APPLY,
        "applies, sets labels and taints of nodes; its gates make probes and remove them",
        (*_PROBES, *_LOOKS, _NODES),
        (_RUNS, _LEASE),
    ),
    "rollout gate": RolloutCommand(
        (),
        "gates make probes and remove them",
        (_HOME, *_PROBES, *_LOOKS),
        (rule("", ["configmaps"], ("get", "list", "create", "update")), _LEASE),
    ),
    "rollout status": RolloutCommand(
        (), "reads the record only", (), (rule("", ["configmaps"], ("get", "list")),)
    ),
    "rollout pause": RolloutCommand(
        (),
        "leaves a mark in the record",
        (),
        (
            rule("", ["configmaps"], ("get",), [_STATE]),
            rule("", ["configmaps"], ("create",)),
            rule("", ["configmaps"], ("patch",), [_PAUSE]),
        ),
    ),
    "rollout resume": RolloutCommand(
        (), "takes the mark away", (), (rule("", ["configmaps"], ("delete",), [_PAUSE]),)
    ),
    "rollout rollback": RolloutCommand(
        ("get", "list", "create", "patch", "update", "delete"),
        "puts back, deletes and makes anew; lists everything, to leave namespaces in which others have objects",
        (*_SWEEP, _NODES, rule("*", ["*"], ("list",))),
        (_RUNS, _LEASE),
    ),
}


def rollout_rights(name: str, kinds: Collection[str] = ()) -> list[Object]:
    """The namespace of the record, the ClusterRole of a command where it needs one, and its Role in that namespace.

    Args:
        name: one of `COMMANDS`.
        kinds: as for `stoker.apply.rights.rights`.
    """
    command = COMMANDS[name]
    rules = object_rules(kinds, command.objects, applies=True) if command.objects else []
    return roles_of(name, [*rules, *command.rules], command.record, command.why)
