"""PodDisruptionBudgets: how many pods may be evicted now.

Source: kubernetes pkg/controller/disruption/disruption.go, k8s.io/component-helpers apps/poddisruptionbudget/helpers.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from stoker.kube.selectors import matches
from stoker.lab.api.call import Call, User
from stoker.lab.api.subresources import get_scale
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object, controller_of, is_ready, moment, scaled_value
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["DisruptionBudgets", "budget_status", "disrupted_pods", "set_standard_condition"]

_COMPONENT = "controllermanager"
# DeletionTimeout: an eviction that was granted counts for so long, unless the pod goes before.
_TIMEOUT = timedelta(minutes=2)
_COUNTS = ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed", "observedGeneration")
_CONDITION = "DisruptionAllowed"
_ROOT = User("system:kube-controller-manager", ("system:masters", "system:authenticated"))


# --- decisions ----------------------------------------------------------------------------------------------------


def set_standard_condition(conditions: list[Object], new: Object) -> None:
    """Put a metav1.Condition in its place; its time is kept while its status is (apimeta.SetStatusCondition)."""
    for index, old in enumerate(conditions):
        if old["type"] == new["type"]:
            if old["status"] == new["status"]:
                new["lastTransitionTime"] = old["lastTransitionTime"]
            conditions[index] = new
            return
    conditions.append(new)


def disrupted_pods(
    pods: Iterable[Object], disrupted: Mapping[str, str], now: datetime
) -> tuple[dict[str, str], list[Object], float | None]:
    """Evictions that still count, pods that should be gone and are not, and seconds until the next one expires."""
    found: dict[str, str] = {}
    overdue: list[Object] = []
    wait: float | None = None
    for pod in pods:
        since = disrupted.get(pod["metadata"]["name"])
        if since is None or pod["metadata"].get("deletionTimestamp"):
            continue
        left = (moment(since) + _TIMEOUT - now).total_seconds()
        if left < 0:
            overdue.append(pod)
            continue
        found[pod["metadata"]["name"]] = since
        wait = left if wait is None else min(wait, left)
    return found, overdue, wait


def budget_status(
    budget: Object,
    pods: Sequence[Object],
    expected: int,
    desired: int,
    disrupted: Mapping[str, str],
    *,
    at: str,
) -> Object:
    """The status of a budget."""
    healthy = sum(
        is_ready(pod)
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp") and pod["metadata"]["name"] not in disrupted
    )
    allowed = max(0, healthy - desired) if expected > 0 else 0
    generation = int(budget["metadata"].get("generation") or 0)
    conditions = [dict(one) for one in (budget.get("status") or {}).get("conditions") or ()]
    found = {
        "type": _CONDITION,
        "status": "True" if allowed else "False",
        "observedGeneration": generation,
        "lastTransitionTime": at,
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
    }
    set_standard_condition(conditions, found)
    status: Object = {
        "observedGeneration": generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": conditions,
    }
    if disrupted:
        status["disruptedPods"] = dict(disrupted)
    return status


def _is_same(before: Object, after: Object) -> bool:
    def brief(status: Object) -> list[tuple[object, ...]]:
        return [(one["status"], one["reason"]) for one in status.get("conditions") or ()]

    return (
        all(int(before.get(name) or 0) == after[name] for name in _COUNTS)
        and (before.get("disruptedPods") or {}) == after.get("disruptedPods", {})
        and brief(before) == brief(after)
    )


# --- the controller -----------------------------------------------------------------------------------------------


class DisruptionBudgets:
    """The disruption controller."""

    name = "disruption"
    shelves: Sequence[str] = (
        "poddisruptionbudgets.policy",
        "pods",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "replicationcontrollers",
    )

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._budgets = caches("policy/v1", "PodDisruptionBudget")
        self._pods = caches.pods

    def targets(self, change: Change) -> Iterable[Target]:
        namespace = change.key.namespace
        if change.key.resource == "poddisruptionbudgets.policy":
            return [(namespace, change.key.name)]
        if change.key.resource == "pods":
            return self._caches.selecting(change, self._budgets)
        now_and_before = self._caches.now_and_before(change)
        sizes = {one["spec"].get("replicas") for one in now_and_before}
        if len(now_and_before) == 2 and len(sizes) == 1:
            return ()
        return [(namespace, one["metadata"]["name"]) for one in self._budgets.all(namespace)]

    def reconcile(self, target: Target) -> float | None:
        budget = self._local.get("policy/v1", "PodDisruptionBudget", *target)
        if budget is None:
            return None
        selector = budget["spec"].get("selector")
        pods = [
            pod for pod in self._pods.all(target[0]) if matches(selector, pod["metadata"].get("labels") or {})
        ]
        if not pods:
            self._tell(budget, "Normal", "NoPods", "No matching pods found")
        try:
            expected, desired = self._expect(budget, pods)
        except (ApiError, ValueError) as error:
            text = error.message if isinstance(error, ApiError) else str(error)
            self._fail(budget, text)
            return None
        now = self._local.cluster.clock()
        before = budget.get("status") or {}
        disrupted, overdue, wait = disrupted_pods(pods, before.get("disruptedPods") or {}, now)
        for pod in overdue:
            # Upstream names the namespace twice, and so do we.
            text = f"Pod was expected by PDB {target[0]}/{target[0]} to be deleted but it wasn't"
            record(
                self._local, {**pod, "apiVersion": "v1", "kind": "Pod"}, "Warning", "NotDeleted", text, _COMPONENT
            )  # fmt: skip
        status = budget_status(budget, pods, expected, desired, disrupted, at=self._local.cluster.now())
        if not _is_same(before, status):
            budget["status"] = status
            self._local.update_status(budget)
        return wait

    def _tell(self, budget: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, budget, kind, reason, message, _COMPONENT)

    def _expect(self, budget: Object, pods: Sequence[Object]) -> tuple[int, int]:
        """How many pods there should be, and how many of them must be healthy."""
        spec = budget["spec"]
        if spec.get("maxUnavailable") is not None:
            expected = self._scale(budget, pods)
            return expected, max(0, expected - scaled_value(spec["maxUnavailable"], expected, is_up=True))
        least = spec.get("minAvailable")
        if least is None:
            return 0, 0
        if isinstance(least, int):
            return len(pods), least
        expected = self._scale(budget, pods)
        return expected, scaled_value(least, expected, is_up=True)

    def _scale(self, budget: Object, pods: Iterable[Object]) -> int:
        """Replicas that the pods' workloads ask for together."""
        scales: dict[str, int] = {}
        has_unmanaged = False
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                has_unmanaged = True
            elif owner["uid"] not in scales:
                uid, count = self._scale_of(owner, pod)
                scales[uid] = count
                scales.setdefault(owner["uid"], 0)
        if has_unmanaged:
            self._warn_of_unmanaged(budget)
        return sum(scales.values())

    def _warn_of_unmanaged(self, budget: Object) -> None:
        text = (
            f"Pods selected by this PodDisruptionBudget (selector: {selector_text(budget['spec'].get('selector'))}) "
            "were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
            'result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB '
            "to an integer value."
        )
        self._tell(budget, "Warning", "UnmanagedPods", text)

    def _scale_of(self, owner: Object, pod: Object) -> tuple[str, int]:
        """The uid of the workload that decides, and its replicas: of a ReplicaSet, its Deployment.

        Raises:
            ApiError, ValueError: nobody knows.
        """
        namespace = pod["metadata"]["namespace"]
        kind = self._local.kind(owner["apiVersion"], owner["kind"])
        if kind is None:
            raise ValueError(f'no matches for kind "{owner["kind"]}" in version "{owner["apiVersion"]}"')
        obj = self._local.get(owner["apiVersion"], owner["kind"], namespace, owner["name"])
        if obj is None or obj["metadata"]["uid"] != owner["uid"]:
            raise ValueError(f'found no controllers for pod "{pod["metadata"]["name"]}"')
        above = controller_of(obj)
        if owner["kind"] == "ReplicaSet" and above is not None and above["kind"] == "Deployment":
            return self._scale_of(above, pod)
        part = kind.resource.subresource("scale")
        if part is None:
            raise ValueError(f"{kind.resource.qualified} does not implement the scale subresource")
        call = Call("get", kind.resource, namespace, owner["name"], part, {}, "", "", b"", _ROOT)
        scale = get_scale(self._local.cluster, kind, call).document
        return owner["uid"], int(scale["spec"].get("replicas") or 0)

    def _fail(self, budget: Object, text: str) -> None:
        """No evictions while nobody knows how many pods there should be (failSafe)."""
        message = f"Failed to calculate the number of expected pods: {text}"
        self._tell(budget, "Warning", "CalculateExpectedPodCountFailed", message)
        status = budget.setdefault("status", {})
        before = (status.get("disruptionsAllowed"), list(status.get("conditions") or ()))
        conditions = [dict(one) for one in before[1]]
        found = {
            "type": _CONDITION,
            "status": "False",
            "observedGeneration": int(status.get("observedGeneration") or 0),
            "lastTransitionTime": self._local.cluster.now(),
            "reason": "SyncFailed",
            "message": text,
        }
        set_standard_condition(conditions, found)
        status.update(disruptionsAllowed=0, conditions=conditions)
        for name in ("currentHealthy", "desiredHealthy", "expectedPods"):
            status.setdefault(name, 0)
        if before != (0, conditions):
            self._local.update_status(budget)


def selector_text(selector: Object | None) -> str:
    """A LabelSelector as Go prints it with ``%v``."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},Values:[{' '.join(one.get('values') or ())}],}},"
        for one in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
