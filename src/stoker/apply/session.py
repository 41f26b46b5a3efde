"""One run at a time that changes a cluster: it holds the Lease, and writes down what it does before it does it."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Final

from stoker.apply.events import Progress, Said
from stoker.apply.inventory import Entry, Run, Touched, created_by
from stoker.apply.look import look
from stoker.apply.store import LEASE, NAMESPACE, Store
from stoker.kube.cluster import FIELD_MANAGER, Cluster
from stoker.kube.lease import Held, Holder, hold
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import MANAGED_BY, Upgrade, Wave

__all__ = ["CONTROLLERS", "Session", "own_namespace", "session"]

# Controllers that write into objects which others made, without a user behind them.
CONTROLLERS: Final = frozenset(
    ("kube-controller-manager", "kube-scheduler", "kubelet", "cluster-autoscaler", "keda", "keda-operator", "manager",
     "controller", "webhook", "autoscaler", "envoy-gateway", "PrometheusOperator", "cert-manager-cainjector", "kueue",
     "kube-apiserver", "llmisvc-controller-manager", "kserve-controller-manager")
)  # fmt: skip


class Session:
    """One run that holds the Lease, with its record."""

    def __init__(self, cluster: Cluster, held: Held, store: Store, run: Run, progress: Progress) -> None:
        self.cluster, self.held, self.store, self.run, self.progress = cluster, held, store, run, progress
        self.steps = 0
        self.counts: Counter[str] = Counter()
        self.erased = False  # nothing is written down any more

    def write_down(self, touched: Collection[Touched]) -> None:
        """Record what the next step changes."""
        self.steps += 1
        self.held.check()
        self.store.put_touched(self.run, self.steps, list(touched))

    def count(self, action: str) -> None:
        self.counts[action] += 1

    def settle(self) -> None:
        """Learn what a run that was killed has done: its entries are pending."""
        pending = [entry for entry in self.store.entries.values() if entry.pending]
        if not pending:
            return
        self.progress(Said(f"an earlier run was cut off: {len(pending)} objects are looked at again"))
        live = look(self.cluster, [entry.ref for entry in pending])
        known, gone = [], []
        for entry in pending:
            found = live.get(entry.ref)
            if found is None:
                gone.append(entry.ref) if entry.original is None else known.append(entry)
                continue
            known.append(_settled(entry, found))
        self.store.put(known, gone)


def _settled(entry: Entry, found: Object) -> Entry:
    uid = str(found["metadata"]["uid"])
    if entry.original is not None and entry.original["metadata"].get("uid") == uid:
        return replace(entry, created=False, pending=False, uid=uid, original=None)  # it was never replaced
    if not entry.created:
        return replace(entry, pending=False, uid=uid)
    ours = created_by(found, FIELD_MANAGER, controllers=CONTROLLERS)
    return replace(entry, pending=False, uid=uid, unsure=not ours)


@contextmanager
def session(
    cluster: Cluster,
    command: str,
    platform: str,
    progress: Progress,
    *,
    undoes: int = 0,
    only: Sequence[int] = (),
) -> Iterator[Session]:
    """Hold the Lease and keep a record while the block runs; ``undoes`` and ``only`` are the record's own.

    Raises:
        UnsafeError: another run is going on.
    """
    own_namespace(cluster)
    holder = Holder.this_process()
    told = lambda text: progress(Said(text))  # noqa: E731  # one line, used once
    with hold(cluster, NAMESPACE, LEASE, what="a run of stoker", holder=holder, told=told) as held:
        store = Store(cluster)
        now = cluster.clock.now
        run = Run(
            store.next_number(), command, platform, f"{holder.user}@{holder.host}", now().isoformat(timespec="seconds"),
            version=version("stoker"), undoes=undoes, only=tuple(only),
        )  # fmt: skip
        found = Session(cluster, held, store, run, progress)
        store.put_run(run)
        found.settle()
        state = "stopped"
        try:
            yield found
            state = "done"
        finally:
            ended = now().isoformat(timespec="seconds")
            if not held.lost.is_set() and not found.erased:
                store.put_run(
                    replace(run, state=state, ended=ended, counts=dict(sorted(found.counts.items())))
                )
        if not found.erased:
            store.forget_old()


def own_namespace(cluster: Cluster) -> None:
    """Make the namespace in which records live, where there is none; it is in the inventory like any other object."""
    ref = Ref("v1", "Namespace", "", NAMESPACE)
    if cluster.get(ref) is not None:
        return
    # A label, so that managedFields say who made it: an empty configuration owns nothing.
    labels = {"app.kubernetes.io/managed-by": MANAGED_BY}
    made = cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    )
    ours = created_by(made, FIELD_MANAGER, controllers=CONTROLLERS)
    entry = Entry(ref, "", Upgrade.COMPONENTS, Wave.NAMESPACES, ours, str(made["metadata"]["uid"]))
    if ours:
        Store(cluster).put([entry])
