"""Which nodes run a daemon, and which of its pods come and go. Pure.

Source: kubernetes pkg/controller/daemon/{daemon_controller.go,update.go}, pkg/controller/daemon/util/daemonset_util.go.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stoker.kube.selectors import node_fits, untolerated
from stoker.lab.controllers.objects import (
    Object,
    is_available,
    is_ready,
    is_terminal,
    pod_of_template,
    scaled_value,
)

__all__ = [
    "HASH",
    "Changes",
    "by_node",
    "daemonset_status",
    "new_daemon",
    "on_nodes",
    "roll",
    "runs_on",
    "template_generation",
]

HASH = "controller-revision-hash"
_GENERATION_LABEL = "pod-template-generation"
_GENERATION = "deprecated.daemonset.template.generation"
# A daemon stays whatever is wrong with its node: key, effect.
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
# By node the new daemon, the old one, and whether there are no two of either.
_Versions = Mapping[str, tuple[Object | None, Object | None, bool]]
_Pods = Mapping[str, Sequence[Object]]
_ON_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


@dataclass(slots=True)
class Changes:
    """Nodes that need a daemon, pods that go; failed pods among them, and those that were over."""

    create: list[str] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    failed: list[tuple[Object, str]] = field(default_factory=list)
    over: list[tuple[Object, str]] = field(default_factory=list)


# --- pods ---------------------------------------------------------------------------------------------------------


def _tolerations(spec: Object) -> list[Object]:
    """A daemon's tolerations: its own, with those of every daemon in place of the same taints."""
    found = [dict(one) for one in spec.get("tolerations") or ()]
    wanted = [*_TOLERATED, _ON_HOST_NETWORK] if spec.get("hostNetwork") else list(_TOLERATED)
    for key, effect in wanted:
        new = {"key": key, "operator": "Exists", "effect": effect}
        for index, one in enumerate(found):
            # MatchToleration: key, effect, operator and value.
            if all(one.get(name, "") == new.get(name, "") for name in ("key", "effect", "operator", "value")):
                found[index] = new
                break
        else:
            found.append(new)
    return found


def template_generation(workload: Object) -> str:
    return str((workload["metadata"].get("annotations") or {}).get(_GENERATION) or "")


def new_daemon(workload: Object, node: str, digest: str) -> Object:
    """A pod for one node (CreatePodTemplate, ReplaceDaemonSetPodNodeNameNodeAffinity)."""
    template = copy.deepcopy(workload["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    generation = template_generation(workload)
    if generation:
        labels[_GENERATION_LABEL] = generation
    labels[HASH] = digest
    spec = template["spec"]
    spec["tolerations"] = _tolerations(spec)
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    required["nodeSelectorTerms"] = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    ]
    return pod_of_template(template, workload)


def _target_of(pod: Object) -> str:
    """The node that a daemon is for, before it is bound to it too."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for one in term.get("matchFields") or ():
            if (one["key"], one["operator"]) == ("metadata.name", "In") and len(one["values"]) == 1:
                return str(one["values"][0])
    return ""


def by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """Daemons by their node; those that are over and going are left to others."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        if is_terminal(pod) and pod["metadata"].get("deletionTimestamp"):
            continue
        target = _target_of(pod)
        if target:
            found.setdefault(target, []).append(pod)
    return found


def _oldest_first(pods: Iterable[Object]) -> list[Object]:
    return sorted(
        pods,
        key=lambda pod: (
            not pod["spec"].get("nodeName"),
            pod["metadata"].get("creationTimestamp", ""),
            pod["metadata"]["name"],
        ),
    )


# --- nodes --------------------------------------------------------------------------------------------------------


def runs_on(workload: Object, node: Object) -> tuple[bool, bool]:
    """Whether a node shall get a daemon, and whether one that is there may stay (NodeShouldRunDaemonPod)."""
    spec = workload["spec"]["template"]["spec"]
    name = node["metadata"]["name"]
    if spec.get("nodeName") not in {None, "", name}:
        return False, False
    if not node_fits(spec, name, node["metadata"].get("labels") or {}):
        return False, False
    taints = untolerated(node["spec"].get("taints") or (), _tolerations(spec))
    return not taints, not any(taint["effect"] == "NoExecute" for taint in taints)


def on_nodes(workload: Object, nodes: Sequence[Object], pods: _Pods, digest: str, now: datetime) -> Changes:
    """What is missing and what is too much (podsShouldBeOnNode, getUnscheduledPodsWithoutNode)."""
    changes = Changes()
    for node in nodes:
        there = pods.get(node["metadata"]["name"], ())
        _on_node(changes, workload, node, there, (digest, now))
    known = {node["metadata"]["name"] for node in nodes}
    for name, there in pods.items():
        if name not in known:
            changes.delete += [pod for pod in there if not pod["spec"].get("nodeName")]
    return changes


def _on_node(
    changes: Changes, workload: Object, node: Object, pods: Sequence[Object], version: tuple[str, datetime]
) -> None:
    shall_run, may_stay = runs_on(workload, node)
    name = node["metadata"]["name"]
    if shall_run and not pods:
        changes.create.append(name)
        return
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if not may_stay:
        changes.delete += staying
        return
    running = []
    for pod in staying:
        phase = (pod.get("status") or {}).get("phase")
        if phase == "Failed":
            changes.failed.append((pod, name))
        elif phase == "Succeeded":
            changes.over.append((pod, name))
        else:
            running.append(pod)
    if not _limits(workload, 1)[0]:
        changes.delete += _oldest_first(running)[1:]
    elif len(running) > 1:
        changes.delete += _surplus_of_surge(workload, running, *version)
    elif not running and shall_run:
        changes.create.append(name)


def _surplus_of_surge(workload: Object, running: list[Object], digest: str, now: datetime) -> list[Object]:
    """While a new daemon takes over from an old one, one of each may be there."""
    new: Object | None = None
    old: Object | None = None
    surplus = []
    for pod in _oldest_first(running):
        if (pod["metadata"].get("labels") or {}).get(HASH) == digest:
            if new is None:
                new = pod
                continue
        elif old is None:
            old = pod
            continue
        surplus.append(pod)
    min_ready = int(workload["spec"].get("minReadySeconds") or 0)
    if new is not None and old is not None and (not is_ready(old) or is_available(new, min_ready, now)):
        surplus.append(old)
    return surplus


# --- rolling updates ----------------------------------------------------------------------------------------------


def _limits(workload: Object, desired: int) -> tuple[int, int]:
    """Surge and unavailability as counts; never both zero."""
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return 0, 0
    rules = strategy.get("rollingUpdate") or {}
    surge = scaled_value(rules.get("maxSurge"), desired, is_up=True)
    unavailable = scaled_value(rules.get("maxUnavailable"), desired, is_up=True)
    return surge, 1 if desired and not surge and not unavailable else unavailable


def _is_updated(workload: Object, pod: Object, digest: str) -> bool:
    labels = pod["metadata"].get("labels") or {}
    generation = template_generation(workload)
    return labels.get(HASH) == digest or (bool(generation) and labels.get(_GENERATION_LABEL) == generation)


def _versions(
    workload: Object, pods: Sequence[Object], digest: str
) -> tuple[Object | None, Object | None, bool]:
    """The new and the old daemon of a node; False where there are two of either."""
    new: Object | None = None
    old: Object | None = None
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        if _is_updated(workload, pod, digest):
            if new is not None:
                return None, None, False
            new = pod
        else:
            if old is not None:
                return None, None, False
            old = pod
    return new, old, True


def roll(workload: Object, nodes: Sequence[Object], pods: _Pods, digest: str, now: datetime) -> Changes:
    """One step of a rolling update."""
    wanting = {node["metadata"]["name"] for node in nodes if runs_on(workload, node)[0]}
    surge, unavailable = _limits(workload, len(wanting))
    everywhere = {**dict.fromkeys(sorted(wanting), ()), **pods}
    versions = {name: _versions(workload, there, digest) for name, there in everywhere.items()}
    min_ready = int(workload["spec"].get("minReadySeconds") or 0)

    def works(pod: Object) -> bool:
        return is_available(pod, min_ready, now)

    if surge == 0:
        return _replace(versions, unavailable, works)
    return _surge(versions, wanting, surge, works)


def _replace(versions: _Versions, most: int, works: Callable[[Object], bool]) -> Changes:
    """Old daemons go before new ones come: those that do not work at once, others as many as may be missing."""
    missing = 0
    broken: list[Object] = []
    working: list[Object] = []
    for new, old, is_clear in versions.values():
        if not is_clear or (old is None) == (new is None):
            missing += 1
        elif new is not None:
            missing += not works(new)
        elif old is not None and not works(old):
            broken.append(old)
            missing += 1
        elif old is not None and missing < most:
            working.append(old)
    return Changes(delete=[*broken, *working[: max(0, most - missing)]])


def _surge(versions: _Versions, wanting: set[str], most: int, works: Callable[[Object], bool]) -> Changes:
    """New daemons come before old ones go."""
    changes = Changes()
    candidates: list[str] = []
    misplaced: list[Object] = []
    surging = working = 0
    for name, (new, old, is_clear) in versions.items():
        if not is_clear:
            surging += 1
            continue
        present = old if old is not None else new
        working += present is not None and works(present)
        if old is None:
            continue
        if new is not None:
            if works(new):
                changes.delete.append(old)
            else:
                surging += 1
        elif not works(old):
            if name in wanting:
                changes.create.append(name)
            else:
                changes.delete.append(old)
        elif name not in wanting:
            misplaced.append(old)
        elif surging < most:
            candidates.append(name)
    changes.delete += misplaced[: max(0, working - len(wanting))]
    changes.create += candidates[: max(0, most - surging)]
    return changes


# --- status -------------------------------------------------------------------------------------------------------


def daemonset_status(
    workload: Object, nodes: Sequence[Object], pods: _Pods, digest: str, now: datetime
) -> Object:
    """The counts of a DaemonSet (updateDaemonSetStatus)."""
    min_ready = int(workload["spec"].get("minReadySeconds") or 0)
    wanting = [runs_on(workload, node)[0] for node in nodes]
    there = [_oldest_first(pods.get(node["metadata"]["name"], ())) for node in nodes]
    daemons = [some[0] for shall_run, some in zip(wanting, there, strict=True) if shall_run and some]
    available = sum(is_available(pod, min_ready, now) for pod in daemons)
    return {
        "currentNumberScheduled": len(daemons),
        "numberMisscheduled": sum(
            bool(some) and not shall for shall, some in zip(wanting, there, strict=True)
        ),
        "desiredNumberScheduled": sum(wanting),
        "numberReady": sum(is_ready(pod) for pod in daemons),
        "observedGeneration": int(workload["metadata"].get("generation") or 0),
        "updatedNumberScheduled": sum(_is_updated(workload, pod, digest) for pod in daemons),
        "numberAvailable": available,
        "numberUnavailable": sum(wanting) - available,
    }
