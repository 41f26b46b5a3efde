"""InferenceServices, in Standard and in Knative mode.

Source: kserve/kserve v0.20.0 pkg/controller/v1beta1/inferenceservice/{controller.go,components/,reconcilers/}.

Standard: a Deployment, a Service and an autoscaler for each component and each canary, and HTTPRoutes that lead **all** requests to
the first predictor: this release makes canaries but splits nothing between them. Knative: a Knative Service for each component,
split by ``canaryTrafficPercent``. Left out: multi-node predictors, transformers inside the predictor's pod as a proxy of their
own, loggers and batchers (their sidecars), several storage URIs, Istio's VirtualServices, Ingresses.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.events import record
from stoker.lab.platform import kserve_objects as objects
from stoker.lab.platform import kserve_status as told
from stoker.lab.platform.kserve_admission import MODE
from stoker.lab.platform.kserve_config import KServeConfig, read_config
from stoker.lab.platform.kserve_pods import RuntimeRefusedError, pod_spec, runtime_of
from stoker.lab.platform.owned import drop, ensure, mentions, owners_of
from stoker.lab.platform.scales import Place
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["InferenceServices"]

Object = dict[str, Any]

_API, _KIND = "serving.kserve.io/v1beta1", "InferenceService"
_LABEL = "serving.kserve.io/inferenceservice"
_FINALIZER = "inferenceservice.finalizers"
_COMPONENT = "v1beta1Controllers"
_ROUTE = "gateway.networking.k8s.io/v1"
_KEPT = (
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "sessionAffinity",
    "internalTrafficPolicy",
    "type",
)
_KINDS = ("predictor", "transformer", "explainer")


class InferenceServices:
    """Keeps the objects of InferenceServices and says how far they are."""

    name = "kserve-inferenceservice"
    shelves: Sequence[str] = (
        "inferenceservices.serving.kserve.io",
        "servingruntimes.serving.kserve.io",
        "clusterservingruntimes.serving.kserve.io",
        "deployments.apps",
        "services.serving.knative.dev",
        "httproutes.gateway.networking.k8s.io",
        "pods",
    )

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        space, shelf = change.key.namespace, change.key.resource
        if shelf == self.shelves[0]:
            return [(space, change.key.name)]
        if shelf in self.shelves[1:3]:
            return [
                (one["metadata"]["namespace"], one["metadata"]["name"])
                for one in self._local.list(_API, _KIND, space)
            ]
        if not mentions(change, _LABEL if shelf == "pods" else f'"{_KIND}"'):
            return []
        obj = change.record.object()
        if shelf == "pods":
            name = (obj["metadata"].get("labels") or {}).get(_LABEL)
            return [(space, name)] if name else []
        return [(space, name) for name in owners_of(obj, _KIND)]

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get(_API, _KIND, *target)
        if obj is None:
            return None
        metadata = obj["metadata"]
        finalizers = metadata.get("finalizers") or []
        if metadata.get("deletionTimestamp"):
            if _FINALIZER in finalizers:
                metadata["finalizers"] = [one for one in finalizers if one != _FINALIZER]
                self._local.update(obj)
            return None
        if _FINALIZER not in finalizers:
            metadata["finalizers"] = [*finalizers, _FINALIZER]
            obj = self._local.update(obj)
        _Reconciliation(self._local, obj, read_config(self._local.cluster)).run()
        return None


class _Reconciliation:
    """One look at one InferenceService."""

    def __init__(self, local: Local, obj: Object, config: KServeConfig) -> None:
        self._local = local
        self._obj = obj
        self._config = config
        self._name: str = obj["metadata"]["name"]
        self._namespace: str = obj["metadata"]["namespace"]
        self._status: Object = obj.setdefault("status", {})
        self._was_ready = told.is_true(self._status, "Ready")
        self._now = local.cluster.now()
        annotations = obj["metadata"].get("annotations") or {}
        self._mode = self._status.get("deploymentMode") or annotations.get(MODE) or config.mode
        self._is_stopped = annotations.get("serving.kserve.io/stop") == "true"

    def run(self) -> None:
        told.initialize(self._status, self._now)
        self._status["deploymentMode"] = self._mode
        try:
            if self._is_stopped:
                self._stop()
            else:
                self._serve()
        except RuntimeRefusedError as refusal:
            told.refuse(self._status, refusal.reason, refusal.message)
            self._say("Warning", "InternalError", str(refusal))
        except ApiError as error:
            why = f"fails to reconcile predictor: {error.message}"
            told.set_one(self._status, "PredictorReady", "False", self._now, "ReconcileFailed", why)
            self._say("Warning", "InternalError", why)
        self._local.update_status(self._obj)
        is_ready = told.is_true(self._status, "Ready")
        if is_ready and not self._was_ready:
            self._say("Normal", "InferenceServiceReady", f"InferenceService [{self._name}] is Ready")
        elif self._was_ready and not is_ready:
            failed = ", ".join(
                one["type"]
                for one in self._status["conditions"]
                if one["status"] == "False" and one["type"] != "Stopped"
            )
            text = f"InferenceService [{self._name}] is no longer Ready because of: {failed}"
            self._say("Warning", "InferenceServiceNotReady", text)

    def _serve(self) -> None:
        told.set_one(self._status, "Stopped", "False", self._now)
        for kind in self._kinds():
            component = self._obj["spec"][kind]
            if self._mode == "Standard":
                self._standard(kind, component)
            else:
                self._knative(kind, component)
        if self._mode == "Standard":
            self._canaries()
            self._routes()
        else:
            self._cross(
                "RoutesReady", ("PredictorRouteReady", "TransformerRouteReady", "ExplainerRoutesReady")
            )
            self._cross(
                "LatestDeploymentReady",
                (
                    "PredictorConfigurationReady",
                    "TransformerConfigurationReady",
                    "ExplainerConfigurationReady",
                ),
            )
            self._knative_ingress()
        told.model_state(self._status, self._pods(), is_current=self._is_current())

    def _kinds(self) -> Iterator[str]:
        return (kind for kind in _KINDS if self._obj["spec"].get(kind))

    # --- Standard -----------------------------------------------------------------------------------------------------

    def _standard(self, kind: str, component: Object, *, is_canary: bool = False) -> None:
        runtime = self._runtime(component, is_canary=is_canary)
        meta = objects.component_meta(self._obj, kind, component, runtime)
        pod = pod_spec(self._obj, component, runtime)
        self._ensure(objects.service(meta, pod), keep=_KEPT)
        scaled_by = objects.autoscaler_class(meta)
        keep = () if scaled_by == "none" else ("replicas",)
        scaled = self._scaled(component, is_canary=is_canary)
        deployment = self._ensure(objects.deployment(meta, pod, scaled), keep=keep)
        place = (self._namespace, meta["name"])
        hpa = Place("autoscaling/v2", "HorizontalPodAutoscaler", *place)
        keda = Place("keda.sh/v1alpha1", "ScaledObject", *place)
        if scaled_by == "hpa":
            self._ensure(objects.horizontal(meta, scaled))
        else:
            drop(self._local, self._obj, hpa)
        if scaled_by == "keda":
            self._ensure(objects.scaled_object(meta, scaled))
        else:
            drop(self._local, self._obj, keda)
        if not is_canary:
            url = f"http://{self._config.host(meta['name'], self._namespace)}"
            told.propagate_raw(self._status, kind, deployment, url, self._now)

    def _scaled(self, component: Object, *, is_canary: bool) -> Object:
        """The stable predictor leaves the replicas of its canaries to them, but for one of its own."""
        canaries = self._obj["spec"].get("canary") or ()
        if is_canary or not canaries or component.get("minReplicas") is None:
            return component
        taken = sum(objects.canary_replicas(component, one) for one in canaries)
        return {**component, "minReplicas": max(1, int(component["minReplicas"]) - taken)}

    def _runtime(self, component: Object, *, is_canary: bool) -> Object | None:
        model = component.get("model")
        if not model:
            return None
        found, is_cluster = runtime_of(self._local, model, self._namespace)
        if not is_canary:
            mine, other = ("clusterServingRuntimeName", "servingRuntimeName")[:: 1 if is_cluster else -1]
            self._status[mine] = found["metadata"]["name"]
            self._status.pop(other, None)
        return found

    def _canaries(self) -> None:
        canaries = self._obj["spec"].get("canary") or ()
        stable = self._obj["spec"]["predictor"]
        expected = {objects.component_name(self._name, "predictor", stable.get("name") or "")}
        statuses = []
        for canary in canaries:
            component = objects.canary_predictor(stable, canary)
            self._standard("predictor", component, is_canary=True)
            name = objects.component_name(self._name, "predictor", component.get("name") or "")
            expected.add(name)
            deployment = self._local.get("apps/v1", "Deployment", self._namespace, name) or {}
            ready = int((deployment.get("status") or {}).get("availableReplicas") or 0) > 0
            statuses.append(
                {
                    "name": canary["predictor"]["name"],
                    "ready": ready,
                    "trafficPercent": canary["trafficPercent"],
                }
            )
        if statuses:
            self._status["canaryStatuses"] = statuses
            all_ready = all(one["ready"] for one in statuses)
            reason = "AllCanariesReady" if all_ready else "CanariesNotReady"
            told.set_one(
                self._status, "CanaryPredictorReady", "True" if all_ready else "False", self._now, reason
            )
        else:
            self._status.pop("canaryStatuses", None)
            conditions = self._status["conditions"]
            conditions[:] = [one for one in conditions if one["type"] != "CanaryPredictorReady"]
        self._drop_orphans(expected)

    def _drop_orphans(self, expected: set[str]) -> None:
        for api_version, kind in (("apps/v1", "Deployment"), ("v1", "Service")):
            for one in list(self._local.list(api_version, kind, self._namespace)):
                labels = one["metadata"].get("labels") or {}
                if (
                    labels.get(_LABEL) == self._name
                    and labels.get("component") == "predictor"
                    and one["metadata"]["name"] not in expected
                ):
                    drop(
                        self._local,
                        self._obj,
                        Place(api_version, kind, self._namespace, one["metadata"]["name"]),
                    )

    def _routes(self) -> None:
        """The HTTPRoutes, one a component and one in front, and IngressReady as they say."""
        labels = self._obj["metadata"].get("labels") or {}
        config = self._config
        is_internal = (
            labels.get("networking.kserve.io/visibility") == "cluster-local"
            or config.domain == "svc.cluster.local"
        )
        front = "transformer" if "transformer" in self._kinds() else "predictor"
        predictor = self._obj["spec"]["predictor"]
        names = {
            kind: objects.component_name(
                self._name, kind, (predictor.get("name") or "") if kind == "predictor" else ""
            )
            for kind in self._kinds()
        }
        self._status["url"] = f"{config.scheme}://{config.host(self._name, self._namespace)}"
        if is_internal or not config.creates_ingress or not config.has_gateway_api:
            told.set_one(self._status, "IngressReady", "True", self._now)
        else:
            for kind, name in names.items():
                if not told.is_true(self._status, f"{kind.title()}Ready"):
                    reason = f"{kind.title()} ingress not created"
                    told.set_one(self._status, "IngressReady", "False", self._now, reason)
                    break
                self._route(name, [("^/.*$", name)], kind)
            else:
                ways = [("^/.*$", names[front])]
                if "explainer" in names:
                    ways.insert(0, (r"^/v1/models/[\w-]+:explain$", names["explainer"]))
                self._route(self._name, ways, front)
                self._tell_routes([*names.items(), ("InferenceService", self._name)])
        if not told.is_true(self._status, "IngressReady"):
            self._status.pop("url", None)
            return
        self._status["address"] = {"url": f"http://{names[front]}.{self._namespace}.svc.cluster.local"}

    def _route(self, name: str, ways: list[tuple[str, str]], kind: str) -> None:
        seconds = self._obj["spec"][kind].get("timeout")
        self._ensure(objects.http_route(self._obj, name, ways, self._config, seconds))

    def _tell_routes(self, checks: Sequence[tuple[str, str]]) -> None:
        for kind, name in checks:
            word = kind if kind == "InferenceService" else kind.title()
            route = self._local.get(_ROUTE, "HTTPRoute", self._namespace, name)
            if route is None:
                told.set_one(
                    self._status, "IngressReady", "False", self._now, f"{word} Deployment NotReady",
                    f"{word} HTTPRoute not created",
                )  # fmt: skip
                return
            parents = (route.get("status") or {}).get("parents") or ()
            wrong = next(
                (
                    (one["reason"], one["message"])
                    for parent in parents
                    for one in parent["conditions"]
                    if one["status"] == "False"
                ),
                None if parents else ("ParentStatusNotAvailable", "HttpRouteNotReady"),
            )
            if wrong is not None:
                told.set_one(self._status, "IngressReady", "False", self._now, wrong[0], f"{word} {wrong[1]}")
                return
        told.set_one(self._status, "IngressReady", "True", self._now)

    # --- Knative ------------------------------------------------------------------------------------------------------

    def _knative(self, kind: str, component: Object) -> None:
        if self._local.kind("serving.knative.dev/v1", "Service") is None:
            text = "It is not possible to use Knative deployment mode when Knative Services are not available"
            self._say("Warning", "ServerlessModeRejected", text)
            return
        runtime = self._runtime(component, is_canary=False)
        meta = objects.component_meta(self._obj, kind, component, runtime)
        entry = (self._status.get("components") or {}).get(kind) or {}
        pod = pod_spec(self._obj, component, runtime)
        wanted = objects.knative_service(meta, pod, component, entry.get("latestRolledoutRevision") or "")
        service = self._ensure(wanted)
        generation = service["metadata"].get("generation")
        found = service.get("status") or {}
        if found and found.get("observedGeneration") == generation:
            told.propagate_knative(self._status, kind, found, self._now)

    def _cross(self, kind: str, each: Sequence[str]) -> None:
        """PropagateCrossComponentStatus."""
        conditions = {one["type"]: one["status"] for one in self._status["conditions"]}
        status, reason = "True", ""
        for one in each[: len(list(self._kinds()))]:
            if conditions.get(one) != "True":
                status = conditions.get(one) or "Unknown"
                reason = f"{one} not ready"
        told.set_one(self._status, kind, status, self._now, reason)

    def _knative_ingress(self) -> None:
        components = self._status.get("components") or {}
        front = "transformer" if "transformer" in self._kinds() else "predictor"
        url = (components.get(front) or {}).get("url")
        if not url:
            return
        if self._config.is_istio:
            url = url.replace(f"-{front}", "", 1)
        name = self._name if self._config.is_istio else objects.component_name(self._name, front)
        self._status["url"] = url.replace("http://", f"{self._config.scheme}://", 1)
        self._status["address"] = {"url": f"http://{name}.{self._namespace}.svc.cluster.local"}
        told.set_one(self._status, "IngressReady", "True", self._now)

    # --- all modes ----------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """The annotation ``stop``: everything that serves goes, the InferenceService stays."""
        for kind in self._kinds():
            predictor = self._obj["spec"][kind].get("name") or ""
            name = objects.component_name(self._name, kind, predictor if kind == "predictor" else "")
            for api_version, word in (
                ("apps/v1", "Deployment"), ("v1", "Service"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
                ("keda.sh/v1alpha1", "ScaledObject"), (_ROUTE, "HTTPRoute"), ("serving.knative.dev/v1", "Service"),
            ):  # fmt: skip
                drop(self._local, self._obj, Place(api_version, word, self._namespace, name))
        drop(self._local, self._obj, Place(_ROUTE, "HTTPRoute", self._namespace, self._name))
        self._status.clear()
        self._status["deploymentMode"] = self._mode
        told.initialize(self._status, self._now)
        for kind, value, reason in (
            ("PredictorReady", "False", "Stopped"),
            ("IngressReady", "False", "Stopped"),
            ("Stopped", "True", ""),
        ):
            told.set_one(self._status, kind, value, self._now, reason)

    def _pods(self) -> list[Object]:
        return [
            one
            for one in self._local.list("v1", "Pod", self._namespace)
            if (one["metadata"].get("labels") or {}).get(_LABEL) == self._name
            and (one["metadata"].get("labels") or {}).get("component") == "predictor"
            and not one["metadata"].get("deletionTimestamp")
        ]

    def _is_current(self) -> bool:
        entry = (self._status.get("components") or {}).get("predictor") or {}
        return self._mode == "Standard" or entry.get("latestCreatedRevision") == entry.get(
            "latestReadyRevision"
        )

    def _ensure(self, wanted: Object, keep: tuple[str, ...] = ()) -> Object:
        return ensure(self._local, self._obj, wanted, keep=keep)

    def _say(self, kind: str, reason: str, message: str) -> None:
        record(self._local, self._obj, kind, reason, message, _COMPONENT)
