"""LimitRange: what it injects into pods that asked for nothing."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.audit.view.workloads import gpu_resource
from stoker.kube.paths import Path
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

_RANGER: Final = "kubernetes 1.36 plugin/pkg/admission/limitranger/admission.go:216-292,342-357"
_DEFAULTS: Final = "kubernetes 1.36 pkg/apis/core/v1/defaults.go:360-390"

Limit = tuple[Item, int, Mapping[str, Any]]


def _limits(view: View) -> Iterator[Limit]:
    for item in view.of("LimitRange"):
        for index, limit in enumerate(item.spec.get("limits") or []):
            yield item, index, limit


def _gpu_limits(view: View) -> Iterator[Limit]:
    for item, index, limit in _limits(view):
        if any(
            gpu_resource(name)
            for field in ("max", "min", "default", "defaultRequest")
            for name in limit.get(field) or {}
        ):
            yield item, index, limit


@rule(
    "limit-range-injects-gpu",
    Area.TENANCY,
    Severity.ERROR,
    title="LimitRange gives every container of the namespace a GPU",
    why=(
        "A container that asks for no GPU gets one: notebooks, sidecars and init containers hold GPUs they never touch, and the "
        "team's quota is gone after two pods. A `max` alone does the same, for the API copies it into the defaults."
    ),
    fix='Set default and defaultRequest of the GPU resource to "0", and keep max as the cap.',
    references=(_RANGER, _DEFAULTS, "observed on a real 1.36 API server"),
    on=lambda view: (limit for limit in _gpu_limits(view) if limit[2].get("type") == "Container"),
)
def _limit_range_injects_gpu(subject: Limit, view: View) -> Iterator[Hit]:
    item, index, limit = subject
    default, request, cap = (limit.get(field) or {} for field in ("default", "defaultRequest", "max"))
    for name in sorted({*default, *request, *cap}):
        if not gpu_resource(name):
            continue
        amount = default.get(name, request.get(name, cap.get(name, "0")))
        if (parse(amount) or 0) <= 0:
            continue
        base: Path = ("spec", "limits", index)
        field = "default" if name in default else "defaultRequest" if name in request else "max"
        copied = ", which the API copies into default and defaultRequest" if field == "max" else ""
        yield Hit(
            item, (*base, field, name), f"{field} {name}: {amount}{copied} puts {amount} into every container that asks for none", amount,
            Fix("Default to 0", (add((*base, "default", name), "0"), add((*base, "defaultRequest", name), "0"))),
        )  # fmt: skip


@rule(
    "limit-range-pod-refuses-cpu-pods",
    Area.TENANCY,
    Severity.ERROR,
    title="LimitRange of type Pod refuses every pod without a GPU",
    why="A Pod maximum on an extended resource demands that the pod states it: `maximum nvidia.com/gpu usage per Pod is 1. No limit is specified`.",
    fix="Cap GPUs per container here, per pod by a ValidatingAdmissionPolicy, and per team by the quota.",
    references=(_RANGER,),
    on=lambda view: (limit for limit in _limits(view) if limit[2].get("type") == "Pod"),
)
def _limit_range_pod_refuses_cpu_pods(subject: Limit, view: View) -> Iterator[Hit]:
    item, index, limit = subject
    for name, amount in (limit.get("max") or {}).items():
        if gpu_resource(name):
            yield Hit(
                item,
                ("spec", "limits", index, "max", name),
                f"pods that ask for no {name} are refused",
                amount,
            )


@rule(
    "limit-range-defaults-differ",
    Area.TENANCY,
    Severity.ERROR,
    title="LimitRange defaults a GPU's request and limit to different numbers",
    why="An extended resource cannot be overcommitted: the API server refuses the LimitRange.",
    fix="Give default and defaultRequest the same number.",
    references=("kubernetes 1.36 pkg/apis/core/validation/validation.go:7740",),
    on=_gpu_limits,
)
def _limit_range_defaults_differ(subject: Limit, view: View) -> Iterator[Hit]:
    item, index, limit = subject
    default, request = limit.get("default") or {}, limit.get("defaultRequest") or {}
    for name in default.keys() & request.keys():
        if gpu_resource(name) and parse(default[name]) != parse(request[name]):
            yield Hit(
                item, ("spec", "limits", index, "default", name),
                f"default {default[name]} must equal defaultRequest {request[name]} in {name}", default[name],
            )  # fmt: skip


@rule(
    "limit-range-caps-containers-only",
    Area.TENANCY,
    Severity.INFO,
    title="GPU maximum holds for each container, not for the pod or the team",
    why="Eight containers of one GPU each pass a maximum of one: only the quota bounds what a pod or a team takes.",
    fix="Keep a quota beside it; cap pods with a ValidatingAdmissionPolicy that adds the containers up.",
    references=(_RANGER, "observed on a real 1.36 API server"),
    on=lambda view: (limit for limit in _gpu_limits(view) if limit[2].get("type") == "Container"),
)
def _limit_range_caps_containers_only(subject: Limit, view: View) -> Iterator[Hit]:
    item, index, limit = subject
    policies = view.of("ValidatingAdmissionPolicy.admissionregistration.k8s.io")
    capped = any("gpu" in str(policy.obj.get("spec")).lower() for policy in policies)
    for name, amount in (limit.get("max") or {}).items():
        if gpu_resource(name) and not capped:
            yield Hit(
                item,
                ("spec", "limits", index, "max", name),
                f"a pod of several containers passes a maximum of {amount}",
                amount,
            )


def _judged(view: View) -> Iterator[tuple[Item, Mapping[str, Any], int]]:
    for item, index, limit in _limits(view):
        if limit.get("type") == "Container" and any(
            not w.template for w in view.workloads_in(item.namespace)
        ):
            yield item, limit, index


@rule(
    "limit-range-refuses-workload",
    Area.TENANCY,
    Severity.ERROR,
    title="LimitRange refuses a workload of its namespace",
    why="The pods are refused at admission; the Deployment exists, nothing runs, and the reason stands in a ReplicaSet's events.",
    fix="Raise the maximum, or give the container both request and limit within it.",
    references=(_RANGER,),
    on=_judged,
)
def _limit_range_refuses_workload(subject: tuple[Item, Mapping[str, Any], int], view: View) -> Iterator[Hit]:
    item, limit, _ = subject
    for workload in view.workloads_in(item.namespace):
        if workload.template:
            continue
        for container in workload.containers:
            for name, most in (limit.get("max") or {}).items():
                amount, cap = parse(container.limits.get(name, "0")), parse(most)
                if amount is not None and cap is not None and amount > cap:
                    path = (*container.path, "resources", "limits", name)
                    yield Hit(
                        workload.item,
                        path,
                        f"{name} {container.limits[name]} exceeds the maximum {most} of LimitRange {item.name}",
                        container.limits[name],
                    )
            for name, default in (limit.get("default") or {}).items():
                asked, given = parse(container.requests.get(name, "")), parse(default)
                if name not in container.limits and asked is not None and given is not None and asked > given:
                    path = (*container.path, "resources", "requests", name)
                    yield Hit(
                        workload.item, path,
                        f"{name} request {container.requests[name]} exceeds the limit {default} that LimitRange {item.name} fills in",
                        container.requests[name],
                    )  # fmt: skip
