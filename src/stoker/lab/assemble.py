"""The lab put together: store, API, controllers, nodes, on one event loop."""

import asyncio
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stoker.lab.access.rbac import Authorizer
from stoker.lab.access.tokens import Tokens
from stoker.lab.admission import plugins
from stoker.lab.api.call import User
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.effects import Effects
from stoker.lab.api.standard_effects import DEFINITIONS, definition_effects, service_effects
from stoker.lab.bootstrap import bootstrap
from stoker.lab.control import Controller, LabClock, Local, Manager
from stoker.lab.controllers import controllers, prepare_namespace
from stoker.lab.controllers.namespaces import CA_FACT
from stoker.lab.http.app import Application, Hook
from stoker.lab.store import Store

__all__ = ["Lab", "assemble"]

ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))


@dataclass(slots=True)
class Lab:
    """A cluster in this process. Nothing runs until somebody runs `manager` and serves `application`."""

    store: Store
    clock: LabClock
    cluster: Cluster
    application: Application
    manager: Manager
    local: Local

    async def run(self) -> None:
        """Run the controllers until `stop`."""
        await self.manager.run()

    def stop(self) -> None:
        self.manager.stop()


def assemble(
    path: Path | None,
    *,
    admin_token: str,
    authority: str = "",
    speed: float = 1.0,
    seed: int | None = None,
    users: dict[str, User] | None = None,
    more: Sequence[Controller] = (),
    hook: Hook | None = None,
) -> Lab:
    """Open a cluster, or make one.

    Args:
        path: the database; None keeps everything in memory.
        admin_token: bearer token of the administrator.
        authority: the certificate that clients of the API trust, as PEM; pods find it in ``kube-root-ca.crt``.
        speed: how much faster than the wall the lab's clock runs.
        seed: of uids and generated names; None for what cannot be foreseen.
        users: further tokens and who they stand for.
        more: controllers beside Kubernetes' own.
        hook: looks at every request before it is answered.
    """
    store = Store(path)
    if authority:
        store.set_fact(CA_FACT, authority)
    last = store.fact("last-seen")
    clock = LabClock(speed, not_before=None if last is None else datetime.fromisoformat(last))
    rng = random.Random(secrets.randbits(64) if seed is None else seed)  # noqa: S311 - names and uids are no secrets
    authorizer = Authorizer(store)
    cluster = Cluster(store, clock=clock.now, rng=rng, plugins=plugins(authorizer))
    tokens = Tokens(store, {admin_token: ADMIN, **(users or {})})
    local = Local(cluster, "kube-controller-manager")
    cluster.effects |= {
        "services": service_effects(cluster),
        DEFINITIONS: definition_effects(cluster),
        "namespaces": Effects(after_create=lambda obj: prepare_namespace(local, obj["metadata"]["name"])),
    }
    bootstrap(Local(cluster, "kube-apiserver"), prepare_namespace)
    application = Application(cluster, tokens, hook)
    manager = Manager(store, clock, [*controllers(local), *more])
    return Lab(store, clock, cluster, application, manager, local)


async def keep_time(lab: Lab, every_s: float = 1.0) -> None:
    """Remember the lab's time, so that it goes on from there after a restart."""
    while True:
        lab.store.set_fact("last-seen", lab.clock.now().isoformat())
        await asyncio.sleep(every_s)
