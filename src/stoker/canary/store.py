"""A canary's record in the cluster: a ConfigMap in the model's namespace, written only over the version that was read.

Whoever holds the lease of the same name writes. Orders (promote, abort) come from anybody in a ConfigMap of their own, so that
they reach a run on somebody else's laptop.
"""

from dataclasses import replace
from typing import Final

import msgspec

from stoker.canary.scene import Scene
from stoker.canary.state import CanaryState, Phase, decode, encode
from stoker.errors import StokerError, UnsafeError
from stoker.kube.api_errors import AlreadyExistsError, ConflictError
from stoker.kube.cluster import Cluster
from stoker.kube.records import write_over
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import MANAGED_BY

__all__ = ["ARCHIVE_LABEL", "LABEL", "Order", "Store", "find"]

LABEL: Final = "stoker.dev/canary"
ARCHIVE_LABEL: Final = "stoker.dev/canary-archive"
_PREFIX: Final = "stoker-canary-"
_MOST_BYTES: Final = 900_000  # a ConfigMap holds 1 MiB
_MOST_NOTES: Final = 300


class Order(msgspec.Struct, frozen=True):
    """What somebody wants of a run: ``promoting`` or ``aborting``, and who wants it. ``run`` is the run they saw."""

    phase: Phase
    who: str
    run: str


class Store:
    """Reads and writes the record of one model's canary."""

    def __init__(self, cluster: Cluster, namespace: str, model: str) -> None:
        self.cluster, self.namespace, self.model = cluster, namespace, model
        self.name = _PREFIX + model
        self._ref = Ref("v1", "ConfigMap", namespace, self.name)
        self._order = Ref("v1", "ConfigMap", namespace, f"{self.name}-order")
        self._version = ""

    def load(self) -> tuple[CanaryState, Scene] | None:
        """The state and its scene; None where the model never had a canary run.

        Raises:
            StokerError: what is there cannot be read.
        """
        found = self.cluster.get(self._ref)
        if found is None:
            self._version = ""
            return None
        self._version = found["metadata"]["resourceVersion"]
        data = found.get("data") or {}
        state = decode(data.get("state.json", ""), where=str(self._ref))
        try:
            return state, msgspec.json.decode(data.get("scene.json", ""), type=Scene)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise StokerError(
                f"{self._ref} holds no scene that this Stoker reads: {error}",
                fix="use the Stoker that wrote it, or delete the ConfigMap once the traffic is where you want it",
            ) from error

    def save(self, state: CanaryState, scene: Scene) -> CanaryState:
        """Write over what was loaded or saved last; the oldest raw measurements go where it would be too large.

        Raises:
            UnsafeError: somebody else wrote meanwhile.
        """
        state = _fitting(state)
        data = {"state.json": encode(state), "scene.json": msgspec.json.encode(scene).decode()}
        labels = {"app.kubernetes.io/managed-by": MANAGED_BY, LABEL: self.model}
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "data": data,
        }
        try:
            self._version = write_over(self.cluster, body, self._version)
        except (ConflictError, AlreadyExistsError):
            raise UnsafeError(
                f"{self._ref} was written by somebody else meanwhile",
                fix="run the same command again: it goes on from what stands there",
            ) from None
        return state

    def archive(self, state: CanaryState, scene: Scene) -> None:
        """Keep a run that is over beside, before the next takes its place."""
        name = f"{self.name}-{state.run}"
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": MANAGED_BY, ARCHIVE_LABEL: self.model},
            },
            "data": {"state.json": encode(state), "scene.json": msgspec.json.encode(scene).decode()},
        }
        try:
            self.cluster.create(body)
        except AlreadyExistsError:
            return  # kept already, by a start that was killed then

    def order(self) -> Order | None:
        """What somebody wants of the run."""
        found = self.cluster.get(self._order)
        data = (found or {}).get("data") or {}
        try:
            return msgspec.json.decode(data["order.json"], type=Order)
        except (KeyError, msgspec.ValidationError, msgspec.DecodeError):
            return None  # nothing that one could obey

    def give_order(self, order: Order) -> None:
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": self._order.name,
                    "namespace": self.namespace,
                    "labels": {"app.kubernetes.io/managed-by": MANAGED_BY},
                },
                "data": {"order.json": msgspec.json.encode(order).decode()},
            }
        )

    def clear_order(self) -> None:
        self.cluster.delete(self._order)


def find(cluster: Cluster, model: str, namespace: str = "") -> Store:
    """The record of a model's canary, in whichever namespace it is.

    Raises:
        StokerError: there is none, or there are several and no namespace is named.
    """
    if namespace:
        return Store(cluster, namespace, model)
    found = cluster.objects("v1", "ConfigMap", labels=f"{LABEL}={model}")
    spaces = sorted(str(one["metadata"]["namespace"]) for one in found)
    if len(spaces) == 1:
        return Store(cluster, spaces[0], model)
    if spaces:
        raise StokerError(
            f"canaries of {model} in several namespaces: {', '.join(spaces)}", fix=f"--namespace {spaces[0]}"
        )
    raise StokerError(
        f"no canary of {model} was ever run here", fix=f"stoker canary start {model} -f platform.yaml"
    )


def _fitting(state: CanaryState) -> CanaryState:
    state = replace(state, notes=state.notes[-_MOST_NOTES:])
    while len(encode(state)) > _MOST_BYTES:
        place = max(range(len(state.steps)), key=lambda index: len(state.steps[index].raw), default=-1)
        if place < 0 or not state.steps[place].raw:
            break
        step = state.steps[place]
        half = -(-len(step.raw) // 2)
        cut = replace(step, raw=step.raw[half:], dropped=step.dropped + half)
        state = replace(state, steps=(*state.steps[:place], cut, *state.steps[place + 1 :]))
    return state
