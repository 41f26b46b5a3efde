"""Keeps the listeners that lead to pods as the cluster's objects say: Services, gateways, routes."""

import asyncio
from collections.abc import Callable

from stoker.lab.control import Local
from stoker.lab.platform import listeners
from stoker.lab.serving.contract import Listener, SetListeners

__all__ = ["follow_paths"]

_GATHER_S = 0.05
_SHELVES = (
    "services",
    "endpointslices.discovery.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "referencegrants.gateway.networking.k8s.io",
    "namespaces",
    "interceptorroutes.http.keda.sh",
    "httpscaledobjects.http.keda.sh",
    "inferencepools.inference.networking.k8s.io",
    "routes.serving.knative.dev",
    "revisions.serving.knative.dev",
    "inferenceservices.serving.kserve.io",
    "deployments.apps",
    "statefulsets.apps",
)


async def follow_paths(local: Local, send: Callable[[SetListeners], None]) -> None:
    """Send all listeners whenever something that they are made of has changed; runs until it is cancelled."""
    store = local.cluster.store
    wake = asyncio.Event()
    wake.set()
    subscriptions = [store.subscribe(shelf, store.revision, wake.set) for shelf in _SHELVES]
    sent: tuple[Listener, ...] | None = None
    try:
        while True:
            await wake.wait()
            await asyncio.sleep(_GATHER_S)
            wake.clear()
            for subscription in subscriptions:
                subscription.changes.clear()
            found = listeners(local)
            if found != sent:
                sent = found
                send(SetListeners(listeners=found))
    finally:
        for subscription in subscriptions:
            subscription.close()
