"""Knative Routes: which revisions take which share, under which hosts; and the rules by which requests get there.

Sources: knative/serving v1.23 pkg/reconciler/route/{route.go,traffic/traffic.go}, pkg/apis/serving/v1/route_lifecycle.go,
pkg/reconciler/route/config/domain.go. Certificates, gradual rollout and cluster-local visibility are left out; the ingress is
the Service ``kourier`` in ``kourier-system``, at which the lab answers itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.platform.conditions import find, set_knative, summarise
from stoker.lab.platform.owned import ensure
from stoker.lab.serving.contract import Absent, Backend, Rule
from stoker.lab.store import Change

__all__ = ["API", "INGRESS", "KnativeRoutes", "knative_rules", "revision_rule", "routes_to", "rule_of"]

Object = dict[str, Any]

API = "serving.knative.dev/v1"
INGRESS = ("kourier-system", "kourier")
_GROUP = "serving.knative.dev"
_DOMAIN = "svc.cluster.local"
_READY = ("AllTrafficAssigned", "CertificateProvisioned", "IngressReady")


def rule_of(namespace: str, route: str) -> str:
    """Name of the rule under which the activator holds a route's requests."""
    return f"{_GROUP}/{namespace}/{route}"


def revision_rule(namespace: str, route: str, revision: str) -> str:
    """Under which name open requests of one revision of a route are counted."""
    return f"{rule_of(namespace, route)}/{revision}"


def routes_to(local: Local, namespace: str, revision: str) -> Iterator[str]:
    """Routes that lead to a revision, whatever share of their requests it gets."""
    for route in local.list(API, "Route", namespace):
        if any(
            one.get("revisionName") == revision for one in (route.get("status") or {}).get("traffic") or ()
        ):
            yield route["metadata"]["name"]


class KnativeRoutes:
    """Resolves the traffic of a Route to revisions."""

    name = "knative-route"
    shelves: Sequence[str] = (
        "routes.serving.knative.dev",
        "configurations.serving.knative.dev",
        "revisions.serving.knative.dev",
    )

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        return [
            (change.key.namespace, one["metadata"]["name"])
            for one in self._local.list(API, "Route", change.key.namespace)
        ]

    def reconcile(self, target: Target) -> float | None:
        route = self._local.get(API, "Route", *target)
        if route is None or route["metadata"].get("deletionTimestamp"):
            return None
        space, name = target
        self._keep_ingress()
        status = route.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        now = self._local.cluster.now()
        domain = self._domain()
        traffic, wrong = self._traffic(route, domain)
        if wrong is not None:
            set_knative(
                conditions, "AllTrafficAssigned", wrong[0], now=now, reason=wrong[1], message=wrong[2]
            )
        else:
            set_knative(conditions, "AllTrafficAssigned", "True", now=now)
            status["traffic"] = traffic
        set_knative(
            conditions, "CertificateProvisioned", "True", now=now, reason="TLSNotEnabled",
            message="autoTLS is not enabled",
        )  # fmt: skip
        if wrong is None or find(conditions, "IngressReady"):
            set_knative(conditions, "IngressReady", "True", now=now)
        else:
            set_knative(
                conditions, "IngressReady", "Unknown", now=now, reason="IngressNotConfigured",
                message="Ingress has not yet been reconciled.",
            )  # fmt: skip
        summarise(conditions, _READY, now=now)
        status["url"] = f"http://{name}.{space}.{domain}"
        status["address"] = {"url": f"http://{name}.{space}.svc.cluster.local"}
        status["observedGeneration"] = int(route["metadata"].get("generation") or 0)
        self._local.update_status(route)
        ensure(self._local, route, _placeholder(route))
        return None

    def _traffic(self, route: Object, domain: str) -> tuple[list[Object], tuple[str, str, str] | None]:
        """Targets with their revisions; why that cannot be said, as status, reason and message."""
        space, name = route["metadata"]["namespace"], route["metadata"]["name"]
        found = []
        for one in route["spec"].get("traffic") or ():
            revision, wrong = self._revision(space, one)
            if wrong is not None:
                return [], wrong
            entry = {"latestRevision": not one.get("revisionName"), "revisionName": revision}
            if one.get("percent") is not None:
                entry["percent"] = one["percent"]
            if one.get("tag"):
                entry |= {"tag": one["tag"], "url": f"http://{one['tag']}-{name}.{space}.{domain}"}
            found.append(entry)
        return found, None

    def _revision(self, space: str, one: Object) -> tuple[str, tuple[str, str, str] | None]:
        wanted = one.get("revisionName")
        if not wanted:
            name = one.get("configurationName") or ""
            configuration = self._local.get(API, "Configuration", space, name)
            if configuration is None:
                text = f'Configuration "{name}" referenced in traffic not found.'
                return "", ("False", "ConfigurationMissing", text)
            status = configuration.get("status") or {}
            ready = status.get("latestReadyRevisionName")
            if ready:
                return ready, None
            failed = (find(status.get("conditions") or (), "Ready") or {}).get("status") == "False"
            if failed:
                return "", (
                    "False",
                    "RevisionMissing",
                    f'Configuration "{name}" does not have any ready Revision.',
                )
            return "", (
                "Unknown",
                "RevisionMissing",
                f'Configuration "{name}" is waiting for a Revision to become ready.',
            )
        revision = self._local.get(API, "Revision", space, wanted)
        if revision is None:
            return "", ("False", "RevisionMissing", f'Revision "{wanted}" referenced in traffic not found.')
        ready_is = (find((revision.get("status") or {}).get("conditions") or (), "Ready") or {}).get("status")
        if ready_is == "False":
            return "", ("False", "RevisionMissing", f'Revision "{wanted}" failed to become ready.')
        if ready_is != "True":
            return "", ("Unknown", "RevisionMissing", f'Revision "{wanted}" is not yet ready.')
        return wanted, None

    def _domain(self) -> str:
        """The first domain of config-domain."""
        found = self._local.get("v1", "ConfigMap", "knative-serving", "config-domain")
        names = [one for one in ((found or {}).get("data") or {}) if not one.startswith("_")]
        return min(names, default=_DOMAIN)

    def _keep_ingress(self) -> None:
        space, name = INGRESS
        if self._local.get("v1", "Service", space, name) is not None:
            return
        if self._local.get("v1", "Namespace", "", space) is None:
            self._local.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        self._local.create(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": space},
                "spec": {"ports": [{"name": "http2", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
            }
        )


def _placeholder(route: Object) -> Object:
    metadata = route["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {f"{_GROUP}/route": metadata["name"]},
        },
        "spec": {
            "type": "ExternalName",
            "externalName": f"{INGRESS[1]}.{INGRESS[0]}.svc.cluster.local",
            "sessionAffinity": "None",
            "ports": [{"name": "http2", "port": 80, "targetPort": 80, "protocol": "TCP"}],
        },
    }


def knative_rules(local: Local, endpoints: Callable[..., Iterable[Backend]]) -> Iterator[Rule]:
    """A rule for each Route, and for each tag of it.

    A split is by percent. Requests wait while nobody of their revision is ready: the activator holds them for that one alone.
    """

    def members(space: str, revision: str, percent: int) -> tuple[Backend, ...]:
        return tuple(endpoints(space, f"{revision}-private", None, percent, revision))

    for route in local.list(API, "Route"):
        space, name = route["metadata"]["namespace"], route["metadata"]["name"]
        status = route.get("status") or {}
        traffic = status.get("traffic") or ()
        host = str(status.get("url") or "").partition("://")[2]
        for one in traffic:
            if one.get("url"):
                tagged = members(space, one["revisionName"], 1)
                yield Rule(
                    backends=tagged,
                    absent=() if tagged else (Absent(1, one["revisionName"]),),
                    hosts=(one["url"].partition("://")[2],),
                    holds=True,
                    name=rule_of(space, name),
                )
        shares: dict[str, int] = {}
        for one in traffic:
            if one.get("percent"):
                shares[one["revisionName"]] = shares.get(one["revisionName"], 0) + int(one["percent"])
        ready = {revision: members(space, revision, percent) for revision, percent in shares.items()}
        local_hosts = (f"{name}.{space}.svc.cluster.local", f"{name}.{space}.svc", f"{name}.{space}")
        yield Rule(
            backends=tuple(backend for found in ready.values() for backend in found),
            absent=tuple(
                Absent(shares[revision], revision) for revision, found in ready.items() if not found
            ),
            hosts=tuple(dict.fromkeys((host, *local_hosts))) if host else local_hosts,
            holds=True,
            name=rule_of(space, name),
        )
