"""The controllers of nodes, put together for one cluster."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary

from stoker.lab.api.cluster import Cluster
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Controller, Manager
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.objects import Object
from stoker.lab.nodes.eviction import TaintEviction
from stoker.lab.nodes.heartbeats import ready_conditions
from stoker.lab.nodes.images import Registry
from stoker.lab.nodes.kubelet import Kubelets
from stoker.lab.nodes.lifecycle import NodeLifecycle
from stoker.lab.nodes.programs import Programs, Runner
from stoker.lab.nodes.scheduler import Scheduler
from stoker.lab.nodes.volumes import Volumes
from stoker.twin.scheduler import Profile

__all__ = ["NodeOptions", "attach", "create_nodes", "kubelet_log", "kubelets_of", "nodes"]

_KUBELETS: WeakKeyDictionary[Cluster, Kubelets] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How the nodes behave.

    Attributes:
        runner: what runs containers; plain programs in this process where None.
        registry: bandwidths and sizes of images; the twin's where None.
        profiles: schedulers beside the default one that are there without a pod.
        missing: which images are nowhere to be had.
        sandbox_s: from mounted volumes to an address.
        lease_s: between two heartbeats.
        first_address: how far into 127.64.0.0/10 pods' addresses begin: another one for each lab on a machine.
    """

    runner: Runner | None = None
    registry: Registry | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    missing: Callable[[str], bool] = lambda _: False
    sandbox_s: float = 1.0
    lease_s: float = 10.0
    first_address: int = 0


def nodes(cluster: Cluster, options: NodeOptions | None = None) -> list[Controller]:
    """Scheduler, kubelets, and the controllers that look after nodes and volumes; give them to a manager and `attach` it."""
    options = options or NodeOptions()
    manager_caches = Caches(Local(cluster, "kube-controller-manager"))
    runner = options.runner or Programs(lambda: cluster.clock().timestamp())
    kubelets = Kubelets(
        Local(cluster, "kubelet"),
        manager_caches,
        runner,
        registry=options.registry,
        missing=options.missing,
        sandbox_s=options.sandbox_s,
        lease_s=options.lease_s,
        first_address=options.first_address,
    )
    runner.woken = kubelets.woken
    _KUBELETS[cluster] = kubelets
    manager = Local(cluster, "kube-controller-manager")
    return [
        NodeLifecycle(manager, manager_caches),
        TaintEviction(manager, manager_caches),
        Volumes(manager, manager_caches),
        Scheduler(Local(cluster, "kube-scheduler"), manager_caches, options.profiles),
        kubelets,
    ]


def attach(controllers: Iterable[Controller], manager: Manager) -> None:
    """Let those controllers that need it have targets looked at when nothing in the store has changed."""
    for controller in controllers:
        if isinstance(controller, Kubelets):
            controller.poke = partial(manager.poke, controller)


def create_nodes(cluster: Cluster, objects: Iterable[Object]) -> None:
    """Register nodes, Ready, as their kubelets would; nodes that are there stay as they are."""
    local = Local(cluster, "kubelet")
    now = cluster.now()
    for obj in objects:
        if local.get("v1", "Node", "", obj["metadata"]["name"]) is None:
            status = {**obj["status"], "conditions": ready_conditions(now)}
            local.create({**obj, "status": status})


def kubelets_of(cluster: Cluster) -> Kubelets:
    """The kubelets of a cluster: its ``host`` has the runner to break programs, and how slow storage is."""
    return _KUBELETS[cluster]


def kubelet_log(
    cluster: Cluster, namespace: str, pod: str, container: str, *, previous: bool = False
) -> Sequence[tuple[float, str]]:
    """Lines that a container wrote, with their times in seconds since the epoch: for ``pods/log``.

    Raises:
        ApiError: there is no such pod, or the container has not run; in the kubelet's words.
    """
    return _KUBELETS[cluster].log(namespace, pod, container, previous=previous)
