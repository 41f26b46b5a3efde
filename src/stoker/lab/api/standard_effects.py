"""The effects that every cluster has: Services take addresses, CustomResourceDefinitions add kinds."""

from ipaddress import IPv4Network

import msgspec

from stoker.lab.api.cluster import Cluster
from stoker.lab.api.effects import Effects
from stoker.lab.kinds.custom_definitions_names import established_status, is_established
from stoker.lab.kinds.services_allocation import ServicePool, allocate_create, allocate_update, release
from stoker.lab.kinds.strategy import Object
from stoker.lab.store import Key, Record

__all__ = ["DEFINITIONS", "definition_effects", "service_effects"]

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


def service_effects(cluster: Cluster, network: IPv4Network | None = None) -> Effects:
    """Addresses and node ports of Services; what is stored already holds its own."""
    pool = ServicePool() if network is None else ServicePool(network)
    pool.adopt(cluster.objects("services"))
    return Effects(
        before_create=lambda new: allocate_create(new, pool),
        before_update=lambda new, old: allocate_update(new, old, pool),
        undo=pool.undo,
        after_delete=lambda last: release(last, pool),
    )


def definition_effects(cluster: Cluster) -> Effects:
    """A definition is established as soon as it is stored: its kinds are served before the client has its answer."""
    # Of the other definitions only the names matter, and decoding every schema for them would cost a second.
    known = {key[1]: _stored_names(record) for key, record in cluster.store.scan(DEFINITIONS)}

    def stored(obj: Object) -> None:
        name = obj["metadata"]["name"]
        others = [one for other, one in known.items() if other != name]
        done = {**obj, "status": established_status(obj, others, cluster.now())}
        known[name] = _names(done)
        if done != obj:
            cluster.store.put(Key(DEFINITIONS, "", name), done)
        if is_established(done):
            cluster.served.define(done)

    def changed(new: Object, _: Object) -> None:
        stored(new)

    def gone(last: Object) -> None:
        known.pop(last["metadata"]["name"], None)
        cluster.served.undefine(last["metadata"]["name"])

    return Effects(after_create=stored, after_update=changed, after_delete=gone)


class _Spec(msgspec.Struct):
    group: str
    names: Object


class _Metadata(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    spec: _Spec
    metadata: _Metadata
    status: Object = {}


_named = msgspec.json.Decoder(_Named).decode


def _stored_names(record: Record) -> Object:
    found = _named(record.text)
    return {
        "metadata": {"name": found.metadata.name},
        "spec": {"group": found.spec.group, "names": found.spec.names},
        "status": found.status,
    }


def _names(obj: Object) -> Object:
    spec = obj["spec"]
    return {
        "metadata": {"name": obj["metadata"]["name"]},
        "spec": {"group": spec["group"], "names": spec["names"]},
        "status": obj.get("status", {}),
    }
