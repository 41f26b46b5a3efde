"""The lab put together: store, API, controllers, nodes, the platform's systems, on one event loop."""

import asyncio
import random
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path

from stoker.lab.access.rbac import Authorizer
from stoker.lab.access.tokens import Tokens
from stoker.lab.admission import plugins
from stoker.lab.api.call import User
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.effects import Effects
from stoker.lab.api.standard_effects import DEFINITIONS, definition_effects, service_effects
from stoker.lab.bootstrap import bootstrap, bootstrap_platform
from stoker.lab.component_statuses import serve_component_statuses
from stoker.lab.control import Controller, LabClock, Local, Manager
from stoker.lab.controllers import MetricsSource, controllers, prepare_namespace
from stoker.lab.controllers.namespaces import CA_FACT
from stoker.lab.crds import install
from stoker.lab.http.app import Application, Hook
from stoker.lab.metrics_api import serve_metrics
from stoker.lab.monitoring.hpa_source import ResourceMetrics
from stoker.lab.monitoring.operated import OperatedServers, Servers
from stoker.lab.nodes import NodeOptions, attach, kubelet_log, nodes
from stoker.lab.platform import ExternalMetrics, KedaSeries, Signals, Silence
from stoker.lab.platform import controllers as platform_controllers
from stoker.lab.platform import plugins as platform_plugins
from stoker.lab.store import Store

__all__ = ["Assembly", "Lab", "assemble", "keep_time"]

_SERVICES = IPv4Network("127.128.0.0/16")
ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a cluster is made of beside the API and Kubernetes' own controllers.

    Attributes:
        speed: how much faster than the wall the lab's clock runs.
        seed: of uids and generated names; None for what cannot be foreseen.
        users: further tokens and who they stand for.
        nodes: scheduler and kubelets; None leaves pods unscheduled, as on a control plane alone.
        platform: whether KEDA, KServe, Knative and Gateway API are at work.
        signals: what KEDA's triggers hear.
        series: takes what KEDA's operator tells Prometheus.
        servers: where Prometheus and Alertmanager answer, as soon as somebody knows; None for a cluster without them.
        metrics: what autoscalers ask.
        services: where Services get their addresses from, where there are nodes.
        hook: looks at every request before it is answered.
    """

    speed: float = 1.0
    seed: int | None = None
    users: dict[str, User] = field(default_factory=dict)
    nodes: NodeOptions | None = None
    platform: bool = False
    signals: Signals | None = None
    series: KedaSeries | None = None
    servers: Servers | None = None
    metrics: MetricsSource | None = None
    services: IPv4Network = _SERVICES
    hook: Hook | None = None


@dataclass(slots=True)
class Lab:
    """A cluster in this process. Nothing runs until somebody runs `manager` and serves `application`."""

    store: Store
    clock: LabClock
    cluster: Cluster
    application: Application
    manager: Manager
    local: Local


def assemble(
    path: Path | None, *, admin_token: str, authority: str = "", parts: Assembly | None = None
) -> Lab:
    """Open a cluster, or make one.

    Args:
        path: the database; None keeps everything in memory.
        admin_token: bearer token of the administrator.
        authority: the certificate that clients of the API trust, as PEM; pods find it in ``kube-root-ca.crt``.
        parts: what else it is made of.
    """
    parts = parts or Assembly()
    store = Store(path)
    if authority:
        store.set_fact(CA_FACT, authority)
    last = store.fact("last-seen")
    clock = LabClock(parts.speed, not_before=None if last is None else datetime.fromisoformat(last))
    # Names and uids are no secrets.
    rng = random.Random(secrets.randbits(64) if parts.seed is None else parts.seed)  # noqa: S311
    admission = plugins(Authorizer(store))
    cluster = Cluster(
        store,
        clock=clock.now,
        rng=rng,
        plugins=(*admission, *(platform_plugins() if parts.platform else ())),
    )
    local = Local(cluster, "kube-controller-manager")
    # Where pods have addresses on loopback, Services have too, and something listens there.
    network = None if parts.nodes is None else parts.services
    cluster.effects |= {
        "services": service_effects(cluster, network),
        DEFINITIONS: definition_effects(cluster),
        "namespaces": Effects(after_create=lambda obj: prepare_namespace(local, obj["metadata"]["name"])),
    }
    bootstrap(Local(cluster, "kube-apiserver"), prepare_namespace)
    tokens = Tokens(store, {admin_token: ADMIN, **parts.users})
    metrics = parts.metrics
    if parts.platform:
        install(local)
        bootstrap_platform(Local(cluster, "kube-apiserver"))
        signals = parts.signals or Silence()
        metrics = ExternalMetrics(local, signals, metrics or ResourceMetrics(local))
    serve_component_statuses(cluster)
    work: list[Controller] = [*controllers(local, metrics)]
    if parts.nodes is not None:
        work += nodes(cluster, parts.nodes)
        cluster.logs = lambda namespace, pod, container, previous: kubelet_log(
            cluster, namespace, pod, container, previous=previous
        )
        serve_metrics(cluster)
    if parts.platform:
        work += platform_controllers(local, parts.signals, parts.series)
        if parts.servers is not None:
            work.append(OperatedServers(Local(cluster, "PrometheusOperator"), parts.servers))
    manager = Manager(store, clock, work)
    attach(work, manager)
    return Lab(store, clock, cluster, Application(cluster, tokens, parts.hook), manager, local)


async def keep_time(lab: Lab, every_s: float = 1.0) -> None:
    """Remember the lab's time, so that it goes on from there after a restart."""
    while True:
        lab.store.set_fact("last-seen", lab.clock.now().isoformat())
        await asyncio.sleep(every_s)
