"""LLMInferenceServices, as far as requests and replicas need them.

Sources: kserve/kserve v0.20.0 pkg/controller/v1alpha2/llmisvc/{workload_single_node,workload_multi_node,workload,router,
router_group_routing,scheduler}.go, config/llmisvcconfig/. A Deployment, or a LeaderWorkerSet where there are workers; a Service, an
InferencePool and an HTTPRoute. Left out: presets (the template must be whole, but for the names and the parallelism that an engine
without a command is started with), the endpoint picker's own Deployment (its pool is served in turn), prefill workers, artifacts and
adapters of models, scaling by variants, TLS between the parts.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.objects import condition_of
from stoker.lab.platform.conditions import set_knative, summarise
from stoker.lab.platform.kserve_config import read_config
from stoker.lab.platform.owned import drop, ensure, mentions, owners_of
from stoker.lab.platform.scales import Place
from stoker.lab.store import Change

__all__ = ["LlmInferenceServices"]

Object = dict[str, Any]

_API, _KIND = "serving.kserve.io/v1alpha2", "LLMInferenceService"
_POOL = "inference.networking.k8s.io/v1"
_ENGINE = "main"
_ROUTE = "gateway.networking.k8s.io/v1"
_PATHS = ("/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages")
_PORT = 8000
_HEADER = "X-Gateway-Model-Name"


class LlmInferenceServices:
    """Keeps the objects of LLMInferenceServices."""

    name = "kserve-llminferenceservice"
    shelves: Sequence[str] = (
        "llminferenceservices.serving.kserve.io",
        "deployments.apps",
        "leaderworkersets.leaderworkerset.x-k8s.io",
        "httproutes.gateway.networking.k8s.io",
    )

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        space = change.key.namespace
        if change.key.resource != self.shelves[0]:
            if not mentions(change, f'"{_KIND}"'):
                return []
            return [(space, name) for name in owners_of(change.record.object(), _KIND)]
        group = _group(change.record.object())
        # A group's members share their weights: each looks again when one changes.
        return [
            (space, change.key.name),
            *(
                (space, one["metadata"]["name"])
                for one in (self._local.list(_API, _KIND, space) if group else ())
                if _group(one) == group
            ),
        ]

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get(_API, _KIND, *target)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        workload = self._workload(obj)
        name, space = obj["metadata"]["name"], obj["metadata"]["namespace"]
        ensure(
            self._local, obj, _service(obj), keep=("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        )
        router = obj["spec"].get("router") or {}
        has_pool = (
            router.get("scheduler") is not None and self._local.kind(_POOL, "InferencePool") is not None
        )
        if has_pool and not ((router["scheduler"].get("pool") or {}).get("ref")):
            ensure(self._local, obj, _pool(obj))
        route = None
        if (router.get("route") or {}).get("http") is not None and self._local.kind(_ROUTE, "HTTPRoute"):
            route = ensure(self._local, obj, self._route(obj, has_pool=has_pool))
        else:
            drop(self._local, obj, Place(_ROUTE, "HTTPRoute", space, f"{name}-kserve-route"))
        self._tell(obj, workload, route)
        return None

    def _workload(self, obj: Object) -> Object:
        spec = obj["spec"]
        name, space = obj["metadata"]["name"], obj["metadata"]["namespace"]
        keep = () if spec.get("replicas") is not None else ("replicas",)
        single = Place("apps/v1", "Deployment", space, f"{name}-kserve")
        group = Place("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", space, f"{name}-kserve-mn")
        if spec.get("worker") is None:
            if self._local.kind(group.api_version, group.kind) is not None:
                drop(self._local, obj, group)
            return ensure(self._local, obj, _deployment(obj), keep=keep)
        drop(self._local, obj, single)
        return ensure(self._local, obj, _group_of_pods(obj), keep=keep)

    def _route(self, obj: Object, *, has_pool: bool) -> Object:
        """Paths under the service's own prefix to itself; by the model's name to every member of its group, by weight.

        In the order of config-llm-router-route.yaml.
        """
        metadata, spec = obj["metadata"], obj["spec"]
        space, name, router = metadata["namespace"], metadata["name"], spec["router"]
        prefix = f"/{space}/{name}"
        published = f"publishers/{space}/models/{(spec.get('model') or {}).get('name') or name}"
        own, plain = ([_backend(name, has_pool=one, weight=1)] for one in (has_pool, False))
        members = [
            one for one in self._local.list(_API, _KIND, space) if _group(obj) and _group(one) == _group(obj)
        ]
        shared = [
            _backend(one["metadata"]["name"], has_pool=has_pool, weight=_weight(one)) for one in members
        ]
        header = {"type": "Exact", "name": _HEADER, "value": published}
        exact = [
            {"path": {"type": "Exact", "value": f"{path}{slash}"}, "headers": [header]}
            for path in _PATHS
            for slash in ("", "/")
        ]
        rules = [
            *(_rule(f"{prefix}{path}", path, own) for path in _PATHS),
            _matched(exact, shared or own),
            *(_rule(f"/{published}{path}", path, shared or own) for path in _PATHS),
            _rule(f"/{published}", "/", shared or plain),
            _rule(prefix, "/", plain),
            _matched([{"headers": [header]}], shared or plain),
        ]
        gateways = (router.get("gateway") or {}).get("refs") or ()
        default_space, default = read_config(self._local.cluster).gateway.split("/", 1)
        return {
            "apiVersion": _ROUTE,
            "kind": "HTTPRoute",
            "metadata": {"name": f"{name}-kserve-route", "namespace": space, "labels": _labels(obj)},
            "spec": {
                "parentRefs": [
                    {
                        "group": "gateway.networking.k8s.io",
                        "kind": "Gateway",
                        "name": one.get("name") or default,
                        "namespace": one.get("namespace") or space,
                    }
                    for one in gateways or ({"name": default, "namespace": default_space},)
                ],
                "rules": rules,
            },
        }

    def _tell(self, obj: Object, workload: Object, route: Object | None) -> None:
        status = obj.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        now = self._local.cluster.now()
        available = condition_of(workload, "Available") or {}
        value = available.get("status", "Unknown")
        why = {"reason": available.get("reason", ""), "message": available.get("message", "")}
        why = why if value != "True" else {"reason": "", "message": ""}
        set_knative(conditions, "PresetsCombined", "True", now=now, severity="Info")
        set_knative(conditions, "MainWorkloadReady", value, now=now, severity="Info", **why)
        set_knative(conditions, "WorkloadsReady", value, now=now, **why)
        parents = ((route or {}).get("status") or {}).get("parents") or ()
        wrong = next(
            (one for parent in parents for one in parent["conditions"] if one["status"] == "False"), None
        )
        if route is None or (parents and wrong is None):
            set_knative(conditions, "RouterReady", "True", now=now)
        elif wrong is not None:
            set_knative(
                conditions, "RouterReady", "False", now=now, reason=wrong["reason"], message=wrong["message"]
            )
        else:
            set_knative(conditions, "RouterReady", "Unknown", now=now, reason="HTTPRoutesNotReady")
        summarise(conditions, ("RouterReady", "WorkloadsReady"), now=now)
        status["observedGeneration"] = int(obj["metadata"].get("generation") or 0)
        self._address(obj, route)
        self._local.update_status(obj)

    def _address(self, obj: Object, route: Object | None) -> None:
        """The first address of the route's Gateway, under the service's prefix."""
        for parent in (route or {}).get("spec", {}).get("parentRefs") or ():
            gateway = self._local.get(_ROUTE, "Gateway", parent["namespace"], parent["name"]) or {}
            for address in (gateway.get("status") or {}).get("addresses") or ():
                space, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
                url = f"http://{address['value']}/{space}/{name}"
                obj["status"] |= {"url": url, "addresses": [{"url": url}]}
                return


def _group(obj: Object) -> str:
    return str(((((obj.get("spec") or {}).get("router") or {}).get("route")) or {}).get("group") or "")


def _weight(obj: Object) -> int:
    weight = obj["spec"]["router"]["route"].get("weight")
    return 1 if weight is None else int(weight)


def _labels(obj: Object) -> dict[str, str]:
    return {
        "app.kubernetes.io/component": "llminferenceservice-workload",
        "app.kubernetes.io/name": obj["metadata"]["name"],
        "app.kubernetes.io/part-of": "llminferenceservice",
    }


def _served(obj: Object) -> dict[str, str]:
    """Labels of pods that answer requests."""
    role = "both" if obj["spec"].get("prefill") is None else "decode"
    return {**_labels(obj), "kserve.io/component": "workload", "llm-d.ai/role": role}


def _deployment(obj: Object) -> Object:
    spec, labels = obj["spec"], _served(obj)
    found: Object = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {
                "labels": {**(spec.get("labels") or {}), **labels},
                "annotations": dict(spec.get("annotations") or {}),
            },
            "spec": _started(obj),
        },
    }
    if spec.get("replicas") is not None:
        found["replicas"] = spec["replicas"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{obj['metadata']['name']}-kserve",
            "namespace": obj["metadata"]["namespace"],
            "labels": {**(spec.get("labels") or {}), **labels},
        },
        "spec": found,
    }


def _started(obj: Object) -> Object:
    """The pod; an engine without a command is started by the preset's script (config-llm-template.yaml)."""
    template: Object = obj["spec"].get("template") or {}
    metadata = obj["metadata"]
    name = (obj["spec"].get("model") or {}).get("name") or metadata["name"]
    given = ["--served-model-name", name, f"publishers/{metadata['namespace']}/models/{name}"]
    tensor = (obj["spec"].get("parallelism") or {}).get("tensor")
    if tensor:
        given += ["--tensor-parallel-size", str(tensor)]
    containers = [
        {**one, "args": [*given, *(one.get("args") or ())]}
        if one["name"] == _ENGINE and not one.get("command")
        else one
        for one in template.get("containers") or ()
    ]
    return {**template, "containers": containers} if containers else template


def _group_of_pods(obj: Object) -> Object:
    spec = obj["spec"]
    own, shape = spec.get("labels") or {}, spec.get("parallelism") or {}
    working = {**_labels(obj), "app.kubernetes.io/component": "llminferenceservice-workload-worker"}
    leading = {**_served(obj), "app.kubernetes.io/component": "llminferenceservice-workload-leader"}
    size = int(shape.get("pipeline") or 1)
    if shape.get("data"):
        size = max(1, int(shape["data"]) // int(shape.get("dataLocal") or 1))
    template: Object = {
        "size": size,
        "restartPolicy": "RecreateGroupOnPodRestart",
        "workerTemplate": {"metadata": {"labels": {**own, **working}}, "spec": spec["worker"]},
    }
    if spec.get("template"):
        template["leaderTemplate"] = {"metadata": {"labels": {**own, **leading}}, "spec": spec["template"]}
    found: Object = {
        "leaderWorkerTemplate": template,
        "rolloutStrategy": {"type": "RollingUpdate"},
        "startupPolicy": "LeaderCreated",
    }
    if spec.get("replicas") is not None:
        found["replicas"] = spec["replicas"]
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {
            "name": f"{obj['metadata']['name']}-kserve-mn",
            "namespace": obj["metadata"]["namespace"],
            "labels": {**own, **working},
        },
        "spec": found,
    }


def _selector(obj: Object) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": obj["metadata"]["name"],
        "app.kubernetes.io/part-of": "llminferenceservice",
        "kserve.io/component": "workload",
    }


def _service(obj: Object) -> Object:
    name = obj["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"{name}-kserve-workload-svc",
            "namespace": obj["metadata"]["namespace"],
            "labels": _labels(obj),
        },
        "spec": {
            "selector": _selector(obj),
            "ports": [{"name": "https", "port": _PORT, "targetPort": _PORT, "protocol": "TCP"}],
        },
    }


def _pool(obj: Object) -> Object:
    name = obj["metadata"]["name"]
    return {
        "apiVersion": _POOL,
        "kind": "InferencePool",
        "metadata": {
            "name": f"{name}-inference-pool",
            "namespace": obj["metadata"]["namespace"],
            "labels": _labels(obj),
        },
        "spec": {
            "selector": {"matchLabels": _selector(obj)},
            "targetPorts": [{"number": _PORT}],
            "endpointPickerRef": {
                "name": f"{name}-epp-service",
                "port": {"number": 9002},
                "failureMode": "FailOpen",
            },
        },
    }


def _backend(name: str, *, has_pool: bool, weight: int) -> Object:
    if has_pool:
        return {
            "group": "inference.networking.k8s.io",
            "kind": "InferencePool",
            "name": f"{name}-inference-pool",
            "port": _PORT,
            "weight": weight,
        }
    return {
        "group": "",
        "kind": "Service",
        "name": f"{name}-kserve-workload-svc",
        "port": _PORT,
        "weight": weight,
    }


def _matched(matches: list[Object], backends: list[Object]) -> Object:
    return {
        "matches": matches,
        "backendRefs": backends,
        "timeouts": {"request": "0s", "backendRequest": "0s"},
    }


def _rule(path: str, rewritten: str, backends: list[Object]) -> Object:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "filters": [
            {
                "type": "URLRewrite",
                "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": rewritten}},
            }
        ],
        "backendRefs": backends,
        "timeouts": {"request": "0s", "backendRequest": "0s"},
    }
