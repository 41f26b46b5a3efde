"""Services: addresses and ports that are given out, kept, refused and released; what an update may change."""

import copy
from ipaddress import IPv4Network
from typing import Any

from stoker.lab.kinds.registry import strategy
from stoker.lab.kinds.services_allocation import ServicePool, allocate_create, allocate_update, release

Object = dict[str, Any]
SERVICE = strategy("", "Service")


def _service(**spec: Any) -> Object:
    found: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "ns"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "a"}, **spec},
    }
    SERVICE.default(found)
    return found


def _stored(pool: ServicePool, **spec: Any) -> Object:
    found = _service(**spec)
    assert [] == allocate_create(found, pool)
    SERVICE.prepare_create(found)
    assert [] == SERVICE.validate(found)
    found["metadata"] |= {"resourceVersion": "1", "uid": "u"}
    return found


def _updated(pool: ServicePool, old: Object, **spec: Any) -> tuple[Object, list[Object]]:
    new = _service(**spec)
    new["metadata"] = dict(old["metadata"])
    causes = allocate_update(new, old, pool)
    if not causes:
        SERVICE.prepare_update(new, old)
        causes = SERVICE.validate_update(new, old)
    return new, [cause.document() for cause in causes]


def test_a_cluster_address_is_given_out_once_and_again_after_release() -> None:
    pool = ServicePool(IPv4Network("10.0.0.0/30"))
    first, second = _stored(pool), _stored(pool)
    third = _service()
    assert [["10.0.0.1"], ["10.0.0.2"]] == [one["spec"]["clusterIPs"] for one in (first, second)]
    assert ["failed to allocate IP: range is full"] == [
        cause.message.rpartition('": ')[2].rpartition("]: ")[2] for cause in allocate_create(third, pool)
    ]
    release(first, pool)
    assert [] == allocate_create(third, pool)
    assert "10.0.0.1" == third["spec"]["clusterIP"]


def test_a_taken_address_is_refused_and_nothing_stays_taken() -> None:
    pool = ServicePool()
    _stored(pool, clusterIP="10.0.0.9")
    before = set(pool.ports)
    causes = allocate_create(_service(type="NodePort", clusterIP="10.0.0.9"), pool)
    message = 'Invalid value: ["10.0.0.9"]: failed to allocate IP 10.0.0.9: provided IP is already allocated'
    assert [message] == [cause.message for cause in causes]
    assert before == pool.ports


def test_one_node_port_serves_every_protocol_of_a_port() -> None:
    ports = [
        {"name": "a", "port": 53, "protocol": "TCP"},
        {"name": "b", "port": 53, "protocol": "UDP"},
        {"name": "c", "port": 80, "protocol": "TCP"},
    ]
    found = _stored(ServicePool(), type="NodePort", ports=ports)
    numbers = [port["nodePort"] for port in found["spec"]["ports"]]
    assert numbers[0] == numbers[1] != numbers[2]


def test_an_update_without_numbers_keeps_them() -> None:
    pool = ServicePool()
    old = _stored(pool, type="NodePort")
    new, causes = _updated(pool, old, type="NodePort")
    assert [] == causes
    assert old["spec"] == new["spec"]


def test_a_node_port_service_that_becomes_a_cluster_service_releases_its_port() -> None:
    pool = ServicePool()
    old = _stored(pool, type="NodePort")
    spec = copy.deepcopy(old["spec"]) | {"type": "ClusterIP"}
    new, causes = _updated(pool, old, **spec)
    assert [] == causes
    assert "nodePort" not in new["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in new["spec"]
    assert set() == pool.ports


def test_a_service_that_becomes_a_name_gives_up_its_address() -> None:
    pool = ServicePool()
    old = _stored(pool)
    spec = copy.deepcopy(old["spec"]) | {"type": "ExternalName", "externalName": "a.example"}
    new, causes = _updated(pool, old, **spec)
    assert [] == causes
    assert "clusterIP" not in new["spec"]
    assert set() == pool.addresses


def test_a_changed_address_is_refused_in_the_servers_words() -> None:
    pool = ServicePool()
    old = _stored(pool, clusterIP="10.0.0.5")
    _, causes = _updated(pool, old, clusterIP="10.0.0.6", clusterIPs=["10.0.0.5"])
    assert [
        {
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: ["10.0.0.6"]: may not change once set',
            "field": "spec.clusterIPs[0]",
        }
    ] == causes


def test_mistakes_are_named_in_the_servers_order() -> None:
    ports = [{"port": 80}, {"port": 80, "name": "UP", "protocol": "ICMP", "targetPort": "no_port"}]
    found = _service(type="ClusterIP", ports=ports, sessionAffinity="Sticky", externalName="x")
    allocate_create(found, ServicePool())
    SERVICE.prepare_create(found)
    fields = [cause.field for cause in SERVICE.validate(found)]
    assert [
        "spec.ports[0].name",
        "spec.ports[1].name",
        "spec.ports[1].protocol",
        "spec.ports[1].targetPort",
        "spec.sessionAffinity",
    ] == fields
    warnings = SERVICE.warnings(found)
    assert ['spec.externalName is ignored when spec.type is not "ExternalName"'] == warnings


def test_two_entries_for_one_port_print_the_internal_port() -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 80}]
    found = _service(ports=ports)
    allocate_create(found, ServicePool())
    text = '{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'
    assert [f"Duplicate value: {text}"] == [cause.message for cause in SERVICE.validate(found)]
