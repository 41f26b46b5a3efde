"""PodSecurity: the levels that a namespace's labels demand of its pods.

Source: staging/src/k8s.io/pod-security-admission/admission/admission.go, api/helpers.go. No namespace, user or runtime class
is exempt, and without labels everything is privileged, as in a server without configuration.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stoker.lab.admission.pod_security_baseline import Finding
from stoker.lab.admission.pod_security_restricted import NEWEST, findings
from stoker.lab.admission.requests import namespace_of
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, forbidden, invalid, invalid_value

__all__ = ["POD_SECURITY", "Level", "Policy", "policy_of"]

_PREFIX = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_VERSION = re.compile(r"v1\.([0-9]|[1-9][0-9]*)", re.ASCII)
_LATEST = 10**6
_MOST_PODS = 3000
_IGNORED = frozenset(("exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"))
Template = Callable[[Object], Any]

_TEMPLATES: dict[str, Template] = {
    "podtemplates": lambda obj: obj.get("template"),
    **dict.fromkeys(
        (
            "replicationcontrollers",
            "replicasets.apps",
            "deployments.apps",
            "statefulsets.apps",
            "daemonsets.apps",
            "jobs.batch",
        ),
        lambda obj: (obj.get("spec") or {}).get("template"),
    ),
    "cronjobs.batch": lambda obj: (((obj.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}).get(
        "template"
    ),
}


@dataclass(frozen=True, slots=True)
class Level:
    """How strict, and as of which version."""

    name: str = "privileged"
    minor: int = _LATEST

    def __str__(self) -> str:
        return f"{self.name}:{'latest' if self.minor == _LATEST else f'v1.{self.minor}'}"

    @property
    def rank(self) -> int:
        return _LEVELS.index(self.name)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a namespace demands, what it warns of; what it only notes in the audit log, which the lab does not keep."""

    enforce: Level = field(default_factory=Level)
    warn: Level = field(default_factory=Level)


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[Cause]]:
    """The policy that labels ask for, and what is wrong with them. A wrong level to enforce is the strictest."""
    levels: dict[str, Level] = {}
    causes: list[Cause] = []
    wrong: set[str] = set()
    for mode in ("enforce", "audit", "warn"):
        level = Level()
        name, version = labels.get(_PREFIX + mode), labels.get(f"{_PREFIX}{mode}-version")
        if name is not None:
            if name in _LEVELS:
                level = replace(level, name=name)
            else:
                level = replace(level, name="restricted" if mode == "enforce" else "privileged")
                causes.append(_wrong(mode, name, f"must be one of {', '.join(_LEVELS)}"))
                wrong.add(mode)
        if version is not None:
            match = _VERSION.fullmatch(version)
            if match is not None:
                level = replace(level, minor=int(match[1]))
            elif version != "latest":
                causes.append(_wrong(f"{mode}-version", version, 'must be "latest" or "v1.x"'))
        levels[mode] = level
    enforce, warn = levels["enforce"], levels["warn"]
    # Who enforces a level without a word on warnings is warned of it on workloads too.
    is_alone = f"{_PREFIX}enforce" in labels and "enforce" not in wrong and f"{_PREFIX}warn" not in labels
    if is_alone and enforce.rank > warn.rank:
        warn = enforce if f"{_PREFIX}warn-version" not in labels else replace(warn, name=enforce.name)
    return Policy(enforce, warn), causes


def _wrong(label: str, value: str, why: str) -> Cause:
    return invalid_value(f"metadata.labels[{_PREFIX}{label}]", value, why)


def _labels(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def _validate(review: Review) -> None:
    if review.operation not in {"CREATE", "UPDATE"}:
        return
    name = review.kind.resource.qualified
    if name == "namespaces":
        if not review.subresource:
            _validate_namespace(review)
    elif name == "pods":
        if review.subresource not in _IGNORED:
            _validate_pod(review)
    elif name in _TEMPLATES and not review.subresource:
        _warn_of_template(review, _TEMPLATES[name])


# --- pods and their templates -------------------------------------------------------------------------------------


def _policy(review: Review) -> Policy:
    namespace = namespace_of(review)
    labels = _labels(namespace) if namespace is not None else {}
    return policy_of(labels)[0] if any(key.startswith(_PREFIX) for key in labels) else Policy()


def _validate_pod(review: Review) -> None:
    policy = _policy(review)
    if policy.enforce.name == policy.warn.name == "privileged":
        return
    pod = review.obj
    if review.operation == "UPDATE" and review.old is not None and not _is_significant(pod, review.old):
        return
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    found = _find(policy.enforce, metadata, spec)
    if found:
        raise forbidden("", "pods", review.name, f'violates PodSecurity "{policy.enforce}": {_detail(found)}')
    _warn(review, policy.warn, metadata, spec)


def _warn_of_template(review: Review, template_of: Template) -> None:
    policy = _policy(review)
    template = template_of(review.obj) if policy.warn.name != "privileged" else None
    if template is not None:
        _warn(review, policy.warn, template.get("metadata") or {}, template.get("spec") or {})


def _warn(review: Review, level: Level, metadata: dict[str, Any], spec: dict[str, Any]) -> None:
    found = _find(level, metadata, spec)
    if found:
        review.warnings.append(f'would violate PodSecurity "{level}": {_detail(found)}')


def _find(level: Level, metadata: dict[str, Any], spec: dict[str, Any]) -> list[Finding]:
    return findings(level.name, min(level.minor, NEWEST), metadata, spec)


def _detail(found: Sequence[Finding]) -> str:
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)


def _is_significant(new: Object, old: Object) -> bool:
    """Whether an update changes what the checks look at: the containers there are, and their images."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    for name in ("containers", "initContainers"):
        if _images(before, name) != _images(after, name):
            return True
    known = {one.get("name"): one.get("image") for one in before.get("ephemeralContainers") or ()}
    return any(
        one.get("name") not in known or known[one.get("name")] != one.get("image")
        for one in after.get("ephemeralContainers") or ()
    )


def _images(spec: Object, name: str) -> list[Any]:
    return [one.get("image") for one in spec.get(name) or ()]


# --- namespaces ---------------------------------------------------------------------------------------------------


def _validate_namespace(review: Review) -> None:
    policy, causes = policy_of(_labels(review.obj))
    before, old_causes = policy_of(_labels(review.old)) if review.old is not None else (Policy(), [])
    if causes and (review.operation == "CREATE" or causes != old_causes):
        raise invalid("", "Namespace", review.name, causes)
    if review.operation == "CREATE" or policy.enforce == before.enforce:
        return
    is_laxer = policy.enforce.minor == before.enforce.minor and policy.enforce.rank <= before.enforce.rank
    if policy.enforce.name != "privileged" and not is_laxer:
        review.warnings += _warnings_of_pods(review, policy.enforce)


def _warnings_of_pods(review: Review, level: Level) -> list[str]:
    """Pods that are there already and would not be let in."""
    namespace = review.obj["metadata"]["name"]
    first: list[Object] = []
    more: list[Object] = []
    owners: set[str] = set()
    for pod in review.cluster.objects("pods", namespace):
        references = pod["metadata"].get("ownerReferences") or ()
        owner = next((one["uid"] for one in references if one.get("controller")), None)
        (more if owner in owners else first).append(pod)
        if owner is not None:
            owners.add(owner)
    pods = first + more
    guilty: dict[str, list[str]] = {}
    for pod in pods[:_MOST_PODS]:
        found = _find(level, pod["metadata"], pod["spec"])
        if found:
            reasons = ", ".join(reason for reason, _ in found)
            guilty.setdefault(reasons, []).append(pod["metadata"]["name"])
    warnings = []
    if len(pods) > _MOST_PODS:
        warnings.append(
            f"new PodSecurity enforce level only checked against the first {_MOST_PODS} of {len(pods)} existing pods"
        )
    if guilty:
        warnings.append(
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}"'
        )
    return warnings + sorted(f"{_pods(names)}: {reasons}" for reasons, names in guilty.items())


def _pods(names: list[str]) -> str:
    others = len(names) - 1
    if not others:
        return names[0]
    return f"{min(names)} (and {others} other pod{'s' if others > 1 else ''})"


POD_SECURITY = Plugin("PodSecurity", validate=_validate)
