"""Names that lead nowhere: a pod waits for ever for a claim, a secret or a config map that is not there."""

from collections.abc import Callable, Iterator
from typing import Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.references import Reference, references_of
from stoker.audit.view.view import View
from stoker.errors import nearest

_KUBELET: Final = ("kubernetes 1.36 pkg/kubelet/kubelet_pods.go (CreateContainerConfigError, FailedMount)",)


def _to(*resources: str) -> Callable[[View], Iterator[Reference]]:
    """References to these kinds where absence can be known."""

    def subjects(view: View) -> Iterator[Reference]:
        for workload in view.workloads:
            if workload.template:
                continue
            for reference in references_of(workload):
                known = view.knows(reference.resource, reference.namespace)
                if reference.resource in resources and (known or reference.found(view.snapshot)):
                    yield reference

    return subjects


def _missing(reference: Reference, view: View) -> Iterator[Hit]:
    if reference.found(view.snapshot):
        return
    kind = reference.resource.partition(".")[0]
    there = [item.name for item in view.snapshot.within(reference.resource, reference.namespace)]
    near = nearest(reference.name, there)
    place = f" in namespace {reference.namespace}" if reference.namespace else ""
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    yield Hit(
        reference.item, reference.path, f"there is no {kind} {reference.name}{place}{hint}", reference.name
    )


@rule(
    "reference-config-missing",
    Area.SERVING,
    Severity.ERROR,
    title="Pod reads a ConfigMap or Secret that does not exist",
    why=(
        "The container is never created: the pod stays in CreateContainerConfigError or ContainerCreating while it holds its "
        "GPUs, and a rollout that needs it stops half way."
    ),
    fix="Create the object, correct the name, or mark the reference optional.",
    references=_KUBELET,
    on=_to("ConfigMap", "Secret"),
)
def _config_missing(reference: Reference, view: View) -> Iterator[Hit]:
    yield from _missing(reference, view)


@rule(
    "reference-claim-missing",
    Area.STORAGE,
    Severity.ERROR,
    title="Pod mounts a PersistentVolumeClaim that does not exist",
    why="The scheduler refuses the pod until the claim exists: the model server never starts and nothing but an event says why.",
    fix="Create the claim in the pod's namespace, or correct its name.",
    references=("kubernetes 1.36 pkg/scheduler/framework/plugins/volumebinding",),
    on=_to("PersistentVolumeClaim"),
)
def _claim_missing(reference: Reference, view: View) -> Iterator[Hit]:
    yield from _missing(reference, view)


@rule(
    "reference-priority-class-missing",
    Area.TENANCY,
    Severity.ERROR,
    title="Pod names a PriorityClass that does not exist",
    why="The API server refuses every pod of it: the Deployment exists, no pod does, and the next rollout or reschedule is an outage.",
    fix="Create the PriorityClass, or name one that exists.",
    references=("kubernetes 1.36 plugin/pkg/admission/priority/admission.go",),
    on=_to("PriorityClass.scheduling.k8s.io"),
)
def _priority_class_missing(reference: Reference, view: View) -> Iterator[Hit]:
    yield from _missing(reference, view)


@rule(
    "reference-account-missing",
    Area.SECURITY,
    Severity.ERROR,
    title="Pod runs as a ServiceAccount or RuntimeClass that does not exist",
    why="The API server refuses the pod at admission: no replica comes up, and only the ReplicaSet's events say so.",
    fix="Create the object, or correct its name.",
    references=("kubernetes 1.36 plugin/pkg/admission/serviceaccount/admission.go",),
    on=_to("ServiceAccount", "RuntimeClass.node.k8s.io"),
)
def _account_missing(reference: Reference, view: View) -> Iterator[Hit]:
    yield from _missing(reference, view)
