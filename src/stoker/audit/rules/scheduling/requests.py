"""GPUs as pods ask for them: what the API server refuses, in its own words."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Container, Workload, gpu_resource
from stoker.kube.paths import Path
from stoker.kube.quantities import parse
from stoker.kube.selectors import matches

_VALIDATION: Final = (
    "kubernetes 1.36 pkg/apis/core/validation/validation.go; observed on a real 1.36 API server"
)


def _asking(view: View) -> Iterator[tuple[Workload, Container]]:
    for workload in view.workloads:
        for container in workload.containers:
            if any(gpu_resource(name) for name in {**container.requests, **container.limits}):
                yield workload, container


@rule(
    "gpu-request-refused",
    Area.SCHEDULING,
    Severity.ERROR,
    title="GPU request that the API server refuses",
    why="GPUs are whole and cannot be overcommitted: the pod is refused with 422, and the Deployment that makes it has no pods and an event nobody reads.",
    fix="Ask for whole GPUs, as a limit, or as request and limit of the same number; share a GPU with MIG or MPS.",
    references=(_VALIDATION,),
    on=_asking,
)
def _gpu_request_refused(subject: tuple[Workload, Container], view: View) -> Iterator[Hit]:
    workload, container = subject
    base: Path = (*container.path, "resources")
    for name in sorted({*container.requests, *container.limits}):
        if not gpu_resource(name):
            continue
        request, limit = container.requests.get(name), container.limits.get(name)
        amounts = [parse(amount) for amount in (request, limit) if amount is not None]
        where = (*base, "limits" if limit is not None else "requests", name)
        if any(amount is not None and amount != int(amount) for amount in amounts):
            yield Hit(
                workload.item, where, f"{name} {limit or request}: must be an integer", limit or request
            )
        elif request is not None and limit is None and workload.complete:
            fix = Fix("Set the limit to the same number", (add((*base, "limits", name), request),))
            yield Hit(
                workload.item,
                where,
                f"{name} {request}: Limit must be set for non overcommitable resources",
                request,
                fix,
            )
        elif request is not None and limit is not None and parse(request) != parse(limit):
            path = (*base, "requests", name)
            fix = Fix("Request what the limit says", (add(path, limit),))
            yield Hit(
                workload.item,
                path,
                f"{name} {request}: must be equal to {name} limit of {limit}",
                request,
                fix,
            )


def _meant_to_last(view: View) -> Iterator[Workload]:
    """GPU servers with several replicas whose owner cares where they stand, or that are known in whole."""
    servers = {id(s.workload) for s in view.running_servers}
    for workload in view.gpu_workloads:
        if id(workload) not in servers or workload.item.kind not in {"Deployment", "StatefulSet", "Rollout"}:
            continue
        affinity = (workload.pod.get("affinity") or {}).get("podAntiAffinity") or workload.pod.get(
            "topologySpreadConstraints"
        )
        known = view.knows("PodDisruptionBudget.policy", workload.namespace) or view.snapshot.within(
            "PodDisruptionBudget.policy", workload.namespace
        )
        if (affinity or known) and (view.replicas(workload)[0] > 1 or workload.minimum > 1):
            yield workload


@rule(
    "server-without-budget",
    Area.SCHEDULING,
    Severity.INFO,
    title="Replicas of a model server have no PodDisruptionBudget",
    why="A node upgrade may take every replica at once: spread over nodes helps against one node's loss, and not against a drain of two.",
    fix="Add a PodDisruptionBudget with maxUnavailable 1 that selects the pods.",
    references=("https://kubernetes.io/docs/tasks/run-application/configure-pdb/",),
    on=_meant_to_last,
)
def _server_without_budget(workload: Workload, view: View) -> Iterator[Hit]:
    budgets = view.snapshot.within("PodDisruptionBudget.policy", workload.namespace)
    if any(matches(budget.spec.get("selector"), workload.labels) for budget in budgets):
        return
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": workload.item.name,
            **({"namespace": workload.namespace} if workload.namespace else {}),
        },
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(workload.labels)}},
    }
    yield Hit(workload.item, (), f"no PodDisruptionBudget here selects the pods of {workload}", None,
              Fix("Let a drain take one at a time", objects=(budget,)))  # fmt: skip
