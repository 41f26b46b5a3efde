"""Knative Services, Configurations and Revisions: a Deployment per revision, without its queue-proxy.

Sources: knative/serving v1.23 pkg/reconciler/{service,configuration,revision}/, pkg/apis/serving/v1/*_lifecycle.go,
pkg/reconciler/revision/resources/{meta,deploy,pa}.go. Left out: the queue-proxy (the lab's ingress counts requests itself),
digests of images, garbage collection of old revisions, ServerlessServices and image caches.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import condition_of
from stoker.lab.platform.conditions import find, set_knative, summarise
from stoker.lab.platform.knative_routes import API
from stoker.lab.platform.owned import ensure, mentions, owners_of
from stoker.lab.store import Change

__all__ = ["Configurations", "KnativeServices", "Revisions"]

Object = dict[str, Any]

_GROUP = "serving.knative.dev"
_AUTOSCALING = "autoscaling.knative.dev"
_DEFAULT_TRAFFIC = [{"latestRevision": True, "percent": 100}]


class KnativeServices:
    """A Service is a Configuration and a Route of its name."""

    name = "knative-service"
    shelves: Sequence[str] = tuple(f"{one}.{_GROUP}" for one in ("services", "configurations", "routes"))

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        return [(change.key.namespace, one) for one in owners_of(change.record.object(), "Service")]

    def reconcile(self, target: Target) -> float | None:
        service = self._local.get(API, "Service", *target)
        if service is None or service["metadata"].get("deletionTimestamp"):
            return None
        metadata = service["metadata"]
        common = {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                f"{_GROUP}/service": metadata["name"],
                f"{_GROUP}/serviceUID": metadata["uid"],
            },
            "annotations": dict(metadata.get("annotations") or {}),
        }
        configuration = ensure(
            self._local,
            service,
            {
                "apiVersion": API,
                "kind": "Configuration",
                "metadata": common,
                "spec": {"template": service["spec"].get("template") or {}},
            },
        )
        traffic = [
            {**one, "configurationName": metadata["name"]} if not one.get("revisionName") else dict(one)
            for one in service["spec"].get("traffic") or _DEFAULT_TRAFFIC
        ]
        route = ensure(
            self._local,
            service,
            {"apiVersion": API, "kind": "Route", "metadata": common, "spec": {"traffic": traffic}},
        )
        self._tell(service, configuration, route)
        return None

    def _tell(self, service: Object, configuration: Object, route: Object) -> None:
        status = service.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        now = self._local.cluster.now()
        for owned, kind in ((configuration, "ConfigurationsReady"), (route, "RoutesReady")):
            found = owned.get("status") or {}
            seen = found.get("observedGeneration") == owned["metadata"].get("generation")
            ready = find(found.get("conditions") or (), "Ready")
            word = "Configuration" if owned is configuration else "Route"
            if not seen or ready is None:
                text = f"The {word} is still working to reflect the latest desired specification."
                set_knative(conditions, kind, "Unknown", now=now, reason="OutOfDate", message=text)
            else:
                set_knative(
                    conditions, kind, ready["status"], now=now,
                    reason=ready.get("reason", "") if ready["status"] != "True" else "",
                    message=ready.get("message", "") if ready["status"] != "True" else "",
                )  # fmt: skip
        for owned, fields in (
            (configuration, ("latestCreatedRevisionName", "latestReadyRevisionName")),
            (route, ("traffic", "url", "address")),
        ):
            status |= {key: owned["status"][key] for key in fields if key in (owned.get("status") or {})}
        latest = status.get("latestReadyRevisionName")
        wants = [one for one in status.get("traffic") or () if one.get("latestRevision")]
        if wants and any(one.get("revisionName") != latest for one in wants):
            set_knative(
                conditions, "RoutesReady", "Unknown", now=now, reason="TrafficNotMigrated",
                message="Traffic is not yet migrated to the latest revision.",
            )  # fmt: skip
        summarise(conditions, ("ConfigurationsReady", "RoutesReady"), now=now)
        status["observedGeneration"] = int(service["metadata"].get("generation") or 0)
        self._local.update_status(service)


class Configurations:
    """A revision for each generation of a Configuration."""

    name = "knative-configuration"
    shelves: Sequence[str] = tuple(f"{one}.{_GROUP}" for one in ("configurations", "revisions"))

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        return [(change.key.namespace, one) for one in owners_of(change.record.object(), "Configuration")]

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get(API, "Configuration", *target)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        metadata, template = obj["metadata"], obj["spec"].get("template") or {}
        own = template.get("metadata") or {}
        generation = int(metadata.get("generation") or 1)
        name = own.get("name") or f"{metadata['name']}-{generation:05d}"
        revision = self._local.get(API, "Revision", metadata["namespace"], name)
        if revision is None:
            revision = ensure(self._local, obj, self._revision(obj, name, generation))
            record(
                self._local,
                obj,
                "Normal",
                "Created",
                f'Created Revision "{name}"',
                "configuration-controller",
            )
        status = obj.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        now = self._local.cluster.now()
        status["latestCreatedRevisionName"] = name
        ready = find((revision.get("status") or {}).get("conditions") or (), "Ready") or {}
        if ready.get("status") == "False":
            text = f'Revision "{name}" failed with message: {ready.get("message", "")}.'
            set_knative(conditions, "Ready", "False", now=now, reason="RevisionFailed", message=text)
        elif ready.get("status") == "True":
            if not status.get("latestReadyRevisionName"):
                record(
                    self._local,
                    obj,
                    "Normal",
                    "ConfigurationReady",
                    "Configuration becomes ready",
                    "configuration-controller",
                )
            if status.get("latestReadyRevisionName") != name:
                text = f'LatestReadyRevisionName updated to "{name}"'
                record(self._local, obj, "Normal", "LatestReadyUpdate", text, "configuration-controller")
            status["latestReadyRevisionName"] = name
            set_knative(conditions, "Ready", "True", now=now)
        else:
            set_knative(conditions, "Ready", "Unknown", now=now)
        status["observedGeneration"] = generation
        self._local.update_status(obj)
        return None

    def _revision(self, obj: Object, name: str, generation: int) -> Object:
        metadata, template = obj["metadata"], obj["spec"].get("template") or {}
        own, labels = template.get("metadata") or {}, metadata.get("labels") or {}
        spec = {"containerConcurrency": 0, "timeoutSeconds": 300, "enableServiceLinks": False}
        return {
            "apiVersion": API,
            "kind": "Revision",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": {
                    **(own.get("labels") or {}),
                    **{
                        key: labels[key]
                        for key in (f"{_GROUP}/service", f"{_GROUP}/serviceUID")
                        if key in labels
                    },
                    f"{_GROUP}/configuration": metadata["name"],
                    f"{_GROUP}/configurationUID": metadata["uid"],
                    f"{_GROUP}/configurationGeneration": str(generation),
                },
                "annotations": dict(own.get("annotations") or {}),
            },
            "spec": {**spec, **(template.get("spec") or {})},
        }


class Revisions:
    """A Deployment, a private Service and a PodAutoscaler for each Revision."""

    name = "knative-revision"
    shelves: Sequence[str] = (
        f"revisions.{_GROUP}",
        "deployments.apps",
        "podautoscalers.autoscaling.internal.knative.dev",
    )

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        if not mentions(change, '"Revision"'):
            return []
        return [(change.key.namespace, one) for one in owners_of(change.record.object(), "Revision")]

    def reconcile(self, target: Target) -> float | None:
        revision = self._local.get(API, "Revision", *target)
        if revision is None or revision["metadata"].get("deletionTimestamp"):
            return None
        if not revision["spec"].get("containers"):
            return None  # Knative's webhook would have refused it
        deployment = ensure(self._local, revision, _deployment(revision), keep=("replicas",))
        ensure(
            self._local,
            revision,
            _service(revision),
            keep=("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"),
        )
        autoscaler = ensure(self._local, revision, _autoscaler(revision))
        self._tell(revision, deployment, autoscaler)
        return None

    def _tell(self, revision: Object, deployment: Object, autoscaler: Object) -> None:
        status = revision.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        now = self._local.cluster.now()
        scaler = autoscaler.get("status") or {}
        initialized = (find(scaler.get("conditions") or (), "ScaleTargetInitialized") or {}).get(
            "status"
        ) == "True"
        active = find(scaler.get("conditions") or (), "Active") or {"status": "Unknown"}
        progressing = condition_of(deployment, "Progressing") or {}
        was = (find(conditions, "ResourcesAvailable") or {}).get("status")
        if initialized:
            set_knative(conditions, "ResourcesAvailable", "True", now=now)
            set_knative(conditions, "ContainerHealthy", "True", now=now)
        elif progressing.get("status") == "False":
            set_knative(
                conditions, "ResourcesAvailable", "False", now=now, reason=progressing.get("reason", ""),
                message=progressing.get("message", ""),
            )  # fmt: skip
        elif was != "False":
            for kind in ("ResourcesAvailable", "ContainerHealthy"):
                set_knative(conditions, kind, "Unknown", now=now, reason="Deploying")
        set_knative(
            conditions, "Active", active["status"], now=now, reason=active.get("reason", ""),
            message=active.get("message", ""), severity="Info",
        )  # fmt: skip
        summarise(conditions, ("ContainerHealthy", "ResourcesAvailable"), now=now)
        for own, theirs in (("actualReplicas", "actualScale"), ("desiredReplicas", "desiredScale")):
            if scaler.get(theirs, -1) >= 0:
                status[own] = scaler[theirs]
            else:
                status.pop(own, None)
        status["observedGeneration"] = int(revision["metadata"].get("generation") or 0)
        self._local.update_status(revision)


def _labels(revision: Object) -> dict[str, str]:
    """makeLabels: those of the revision but for its routing state."""
    metadata = revision["metadata"]
    labels = {
        key: value
        for key, value in (metadata.get("labels") or {}).items()
        if key not in {f"{_GROUP}/route", f"{_GROUP}/routingState"}
    }
    labels |= {f"{_GROUP}/revision": metadata["name"], f"{_GROUP}/revisionUID": metadata["uid"]}
    labels.setdefault("app", metadata["name"])
    return labels


def _annotations(revision: Object) -> dict[str, str]:
    return {
        key: value
        for key, value in (revision["metadata"].get("annotations") or {}).items()
        if not key.startswith(_AUTOSCALING)
    }


def _deployment(revision: Object) -> Object:
    metadata, spec = revision["metadata"], revision["spec"]
    labels, annotations = _labels(revision), _annotations(revision)
    own = metadata.get("annotations") or {}
    pod = {
        key: value
        for key, value in spec.items()
        if key
        not in {"containerConcurrency", "timeoutSeconds", "idleTimeoutSeconds", "responseStartTimeoutSeconds"}
    }
    first = pod["containers"][0]
    containers = [
        {**one, "name": one.get("name") or f"user-container{n or ''}"}
        for n, one in enumerate(pod["containers"])
    ]
    deadline = str(own.get(f"{_GROUP}/progress-deadline", "600s"))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{metadata['name']}-deployment",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            # config-autoscaler allows no initial scale of zero; the autoscaler takes it from there.
            "replicas": max(1, int(own.get(f"{_AUTOSCALING}/initial-scale", 1))),
            "selector": {"matchLabels": {f"{_GROUP}/revisionUID": metadata["uid"]}},
            "progressDeadlineSeconds": _seconds(deadline),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        **annotations,
                        "kubectl.kubernetes.io/default-container": first.get("name") or "user-container",
                    },
                },
                "spec": {**pod, "containers": containers},
            },
        },
    }


def _seconds(duration: str) -> int:
    """A Go duration in whole seconds; what is none is Knative's default."""
    units = {"h": 3600, "m": 60, "s": 1}
    number, unit = duration[:-1], duration[-1:]
    return int(float(number) * units[unit]) if unit in units and number.replace(".", "").isdigit() else 600


def _service(revision: Object) -> Object:
    ports = revision["spec"]["containers"][0].get("ports") or [{"containerPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"{revision['metadata']['name']}-private",
            "namespace": revision["metadata"]["namespace"],
            "labels": {**_labels(revision), "networking.internal.knative.dev/serviceType": "Private"},
            "annotations": _annotations(revision),
        },
        "spec": {
            "selector": {f"{_GROUP}/revisionUID": revision["metadata"]["uid"]},
            "ports": [
                {"name": "http", "port": 80, "targetPort": ports[0]["containerPort"], "protocol": "TCP"}
            ],
        },
    }


def _autoscaler(revision: Object) -> Object:
    metadata = revision["metadata"]
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": _labels(revision),
            "annotations": dict(metadata.get("annotations") or {}),
        },
        "spec": {
            "containerConcurrency": int(revision["spec"].get("containerConcurrency") or 0),
            "protocolType": "http1",
            "reachability": "Reachable",
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{metadata['name']}-deployment",
            },
        },
    }
