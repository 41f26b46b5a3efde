"""What the user allowed by name: fields to take from their owners, objects to delete and create anew."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stoker.errors import InputError, Problem
from stoker.kube.refs import Ref

__all__ = ["Allowed", "Take", "owner_hint", "parse_takes", "target"]


def target(ref: Ref) -> str:
    """How an object is named on the command line: ``Deployment/ns/name``, ``PriorityClass/name``."""
    return "/".join(part for part in (ref.kind, ref.namespace, ref.name) if part)


@dataclass(frozen=True, slots=True)
class Take:
    """One field of one object, with everything below it."""

    object: str
    field: str

    def covers(self, ref: Ref, field: str) -> bool:
        if self.object != target(ref):
            return False
        return field == self.field or (
            field.startswith(self.field) and field[len(self.field) : len(self.field) + 1] in {".", "["}
        )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be done beyond what is safe.

    Attributes:
        takes: fields that may be taken from their owners.
        replace: patterns of objects that may be deleted and created anew, such as ``Job/*/weights-*``.
    """

    takes: tuple[Take, ...] = ()
    replace: tuple[str, ...] = ()

    def may_take(self, ref: Ref, field: str) -> bool:
        return any(take.covers(ref, field) for take in self.takes)

    def may_replace(self, ref: Ref) -> bool:
        return any(fnmatch.fnmatchcase(target(ref), pattern) for pattern in self.replace)


def parse_takes(texts: Iterable[str]) -> tuple[Take, ...]:
    """``KIND/NAMESPACE/NAME:.spec.replicas``, the namespace left out for a cluster-wide object.

    Raises:
        InputError: no object, or no field that begins with a dot.
    """
    found, problems = [], []
    for text in texts:
        name, _, field = text.partition(":")
        if name.count("/") not in {1, 2} or not all(name.split("/")) or len(field) < 2 or field[0] != ".":
            wanted = "KIND/NAMESPACE/NAME:.field"
            problems.append(
                Problem("names no field of an object", path="--take", found=text, wanted=wanted,
                        fix="--take Deployment/serving/llama:.spec.replicas")
            )  # fmt: skip
        found.append(Take(name, field))
    if problems:
        raise InputError(problems)
    return tuple(found)


_HINTS: Final = (
    ("kubectl-client-side-apply", "`kubectl apply` of that file sets it back: take it out of the file first"),
    ("kubectl", "somebody set it by hand with kubectl"),
    ("helm", "a Helm release sets it at its next upgrade: set it in the release's values"),
    ("argocd", "Argo CD sets it back: change it in its repository, or let it ignore the field"),
    ("kustomize-controller", "Flux sets it back: change it in its repository"),
    ("helm-controller", "Flux sets it back: change it in its repository"),
    ("kube-controller-manager", "a controller of Kubernetes owns it, such as an autoscaler"),
    ("keda", "KEDA scales it"),
)


def owner_hint(manager: str) -> str:
    """What is known of an owner; empty where nothing is."""
    return next((hint for prefix, hint in _HINTS if manager.startswith(prefix)), "")
