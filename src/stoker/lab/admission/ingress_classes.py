"""DefaultIngressClass: ingresses that name no class get the default one (plugin/pkg/admission/network/defaultingressclass)."""

from stoker.lab.admission.requests import Kept, is_write_of, spec_of
from stoker.lab.admission.storage_classes import newest_default
from stoker.lab.api.cluster import Plugin, Review

__all__ = ["default_ingress_class"]

_MARKS = ("ingressclass.kubernetes.io/is-default-class",)
_OLD_ANNOTATION = "kubernetes.io/ingress.class"


def default_ingress_class() -> Plugin:
    """The plugin; it keeps the name of the default class."""
    kept: Kept[str] = Kept(
        "ingressclasses.networking.k8s.io", lambda objects: newest_default(objects, _MARKS)
    )

    def mutate(review: Review) -> None:
        if not is_write_of(review, "ingresses.networking.k8s.io", "CREATE"):
            return
        spec = spec_of(review)
        annotations = review.obj["metadata"].get("annotations") or {}
        if spec.get("ingressClassName") is not None or _OLD_ANNOTATION in annotations:
            return
        name = kept.of(review.cluster)
        if name:
            spec["ingressClassName"] = name

    return Plugin("DefaultIngressClass", mutate)
