"""NamespaceLifecycle: nothing is created in a namespace that is not there or is going.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go. The namespaces that may not be
deleted are known to the deletion itself (`lab.api.deleting`).
"""

from stoker.lab.admission.requests import namespace_of, refusal
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.status import not_found

__all__ = ["NAMESPACE_LIFECYCLE"]


def _mutate(review: Review) -> None:
    if not review.namespace or review.operation == "DELETE" or review.kind.resource.qualified == "namespaces":
        return
    namespace = namespace_of(review)
    if namespace is None:
        raise not_found("", "namespaces", review.namespace)
    # A binding is created, though the lab has it change the pod.
    is_new = review.operation == "CREATE" or review.subresource == "binding"
    if not is_new or (namespace.get("status") or {}).get("phase") != "Terminating":
        return
    error = refusal(
        review, f"unable to create new content in namespace {review.namespace} because it is being terminated"
    )
    error.details = (error.details or {}) | {
        "causes": [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {review.namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]
    }
    raise error


NAMESPACE_LIFECYCLE = Plugin("NamespaceLifecycle", mutate=_mutate)
