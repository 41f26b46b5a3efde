"""Who refused a pod at admission, told by the server's words."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from stoker.kube.api_errors import ApiError, ForbiddenError, InvalidError
from stoker.kube.refs import Object
from stoker.rollout.gate import CannotMeasureError, Context

__all__ = ["Refusal", "Refuser", "refusal_of", "try_pod"]


class Refuser(StrEnum):
    NOBODY = "nobody"
    QUOTA = "ResourceQuota"
    STALE_QUOTA = "ResourceQuota whose status is not known yet"
    LIMIT_RANGE = "LimitRange"
    POLICY = "ValidatingAdmissionPolicy"
    POD_SECURITY = "Pod Security"
    PRIORITY = "Priority"
    NOT_ASKED = "nobody was asked"
    OTHER = "another admission plugin"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a create.

    Attributes:
        by: who refused; nobody where it was created.
        name: of the quota or the policy, where the message says it.
        message: the server's.
    """

    by: Refuser
    name: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.by.value} {self.name}".strip()

    def as_json(self) -> dict[str, Any]:
        return {"by": self.by.value, "name": self.name, "message": self.message}


# kubernetes: staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go,
# plugin/pkg/admission/limitranger/admission.go, apiserver/pkg/admission/plugin/policy/validating, pod-security-admission,
# plugin/pkg/admission/priority/admission.go.
_WORDS: Final = (
    (Refuser.QUOTA, re.compile(r"exceeded quota: ([^,\s]+)")),
    (Refuser.STALE_QUOTA, re.compile(r"status unknown for quota: ([^,\s]+)")),
    (Refuser.POLICY, re.compile(r"ValidatingAdmissionPolicy '([^']+)'")),
    (Refuser.POD_SECURITY, re.compile(r"violates PodSecurity \"([^\"]+)\"")),
    (Refuser.PRIORITY, re.compile(r"no PriorityClass with name (\S+) was found")),
    (
        Refuser.LIMIT_RANGE,
        re.compile(r"(?:maximum|minimum) \S+ usage per \w+ is|\S+ max limit to request ratio per"),
    ),
)
_NO_RIGHT: Final = re.compile(r"cannot \w+ resource")


def refusal_of(error: ApiError) -> Refusal:
    """Who refused.

    Raises:
        ApiError: no admission plugin did: the user has no right, the namespace is missing, the server is broken.
    """
    if not isinstance(error, ForbiddenError | InvalidError) or _NO_RIGHT.search(error.message):
        raise error
    for by, pattern in _WORDS:
        found = pattern.search(error.message)
        if found:
            return Refusal(by, found[1] if pattern.groups else "", error.message)
    return Refusal(Refuser.OTHER, "", error.message)


def try_pod(context: Context, pod: Object, *, within: float = 20.0) -> tuple[Refusal, Object | None]:
    """Create a probe pod and say who refused it; the pod where nobody did.

    A quota that was just made has no figures yet and refuses everything: that is waited for.

    Raises:
        CannotMeasureError: the quota's figures do not come.
        StokerError: the pod could not even be asked for.
    """
    what = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"

    def ask() -> tuple[Refusal, Object | None] | None:
        try:
            return Refusal(Refuser.NOBODY), context.probes.create(pod)
        except ApiError as error:
            refusal = refusal_of(error)
            return None if refusal.by is Refuser.STALE_QUOTA else (refusal, None)

    found = context.until(ask, within=within)
    if found is None:
        raise CannotMeasureError(
            f"the quotas of {pod['metadata']['namespace']} have no figures",
            fix="is the controller manager alive?",
        )
    refusal, made = found
    context.note(f"{what}: " + (f"refused by {refusal}" if made is None else "admitted"), **refusal.as_json())
    return refusal, made
