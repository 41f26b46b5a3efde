"""Services: slices and Endpoints from the pods that they select."""

from typing import Any

from tests.lab.controllers.world import Object, World

SLICE = "discovery.k8s.io/v1/EndpointSlice"


def _service(ports: list[Object] | None = None, **spec: Any) -> Object:
    ports = [{"port": 80, "targetPort": 8000, "protocol": "TCP"}] if ports is None else ports
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "s"},
            "ports": ports,
            **spec,
        },
    }


def _pod(world: World, name: str, *, ready: bool = True, **spec: Any) -> None:
    container = {"name": "c", "image": "x", "ports": [{"name": "http", "containerPort": 9000}]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "s"}},
        "spec": {"containers": [container], **spec},
    }
    if world.get("Node", "n1", "") is None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z"}},
        }
        world.user.create(node)
    created = world.create(pod)
    world.run_pod(created, ready=ready, node="n1")
    number = int(name[-1])

    def address(obj: Object) -> None:
        obj["status"].update(podIP=f"10.0.0.{number}", podIPs=[{"ip": f"10.0.0.{number}"}])

    world.change("Pod", name, address, part="status")


def _endpoints(world: World) -> dict[str, tuple[bool, bool, bool]]:
    return {
        one["addresses"][0]: tuple(one["conditions"][name] for name in ("ready", "serving", "terminating"))
        for slice_ in world.all(SLICE)
        for one in slice_.get("endpoints") or ()
    }


def test_a_service_without_pods_has_an_empty_slice(world: World) -> None:
    world.create(_service())
    (slice_,) = world.all(SLICE)
    assert slice_["metadata"]["name"].startswith("s-")
    assert {
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": "s",
        "team": "a",
    } == slice_["metadata"]["labels"]
    assert "Service" == slice_["metadata"]["ownerReferences"][0]["kind"]
    assert not slice_.get("endpoints")
    assert "endpoint-controller" in world.fetch("Endpoints", "s")["metadata"]["labels"].values()


def test_ready_pods_are_endpoints_with_node_zone_and_reference(world: World) -> None:
    world.create(_service())
    _pod(world, "p1")
    (slice_,) = world.all(SLICE)
    (endpoint,) = slice_["endpoints"]
    uid = world.fetch("Pod", "p1")["metadata"]["uid"]
    assert {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "p1", "uid": uid},
        "nodeName": "n1",
        "zone": "z",
    } == endpoint
    assert [{"name": "", "port": 8000, "protocol": "TCP"}] == slice_["ports"]


def test_a_pod_that_is_not_ready_is_listed_as_such(world: World) -> None:
    world.create(_service())
    _pod(world, "p1")
    _pod(world, "p2", ready=False)
    assert {"10.0.0.1": (True, True, False), "10.0.0.2": (False, False, False)} == _endpoints(world)
    (subset,) = world.fetch("Endpoints", "s")["subsets"]
    assert (["10.0.0.1"], ["10.0.0.2"]) == tuple(
        [one["ip"] for one in subset[state]] for state in ("addresses", "notReadyAddresses")
    )


def test_a_service_may_publish_pods_that_are_not_ready(world: World) -> None:
    world.create(_service(publishNotReadyAddresses=True))
    _pod(world, "p1", ready=False)
    assert {"10.0.0.1": (True, False, False)} == _endpoints(world)


def test_a_pod_on_its_way_out_still_serves_but_is_not_ready(world: World) -> None:
    world.create(_service())
    _pod(world, "p1")
    world.delete("Pod", "p1")
    assert {"10.0.0.1": (False, True, True)} == _endpoints(world)
    assert "subsets" not in world.fetch("Endpoints", "s")


def test_a_port_by_name_is_the_pods_own(world: World) -> None:
    world.create(_service([{"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}]))
    _pod(world, "p1")
    assert [[{"name": "web", "port": 9000, "protocol": "TCP"}]] == [one["ports"] for one in world.all(SLICE)]


def test_the_slice_is_kept_when_pods_come_and_go(world: World) -> None:
    world.create(_service())
    before = world.names(SLICE)
    _pod(world, "p1")
    _pod(world, "p2")
    world.user.delete(world.fetch("Pod", "p1"), gracePeriodSeconds=0)
    world.settle()
    assert {"10.0.0.2": (True, True, False)} == _endpoints(world)
    assert before == world.names(SLICE)


def test_a_headless_service_names_its_pods(world: World) -> None:
    world.create(_service([], clusterIP="None"))
    _pod(world, "p1", hostname="one", subdomain="s")
    (slice_,) = world.all(SLICE)
    assert "service.kubernetes.io/headless" in slice_["metadata"]["labels"]
    assert "one" == slice_["endpoints"][0]["hostname"]


def test_a_service_without_selector_is_left_to_others(world: World) -> None:
    service = _service()
    service["spec"].pop("selector")
    world.create(service)
    assert [] == world.all(SLICE)


def test_slices_and_endpoints_go_with_their_service(world: World) -> None:
    world.create(_service())
    world.delete("Service", "s")
    assert [] == world.all(SLICE)
    assert world.get("Endpoints", "s") is None


def test_a_slice_that_somebody_deletes_comes_back(world: World) -> None:
    world.create(_service())
    world.delete(SLICE, world.names(SLICE)[0])
    assert 1 == len(world.all(SLICE))


def test_more_than_a_hundred_pods_need_a_second_slice(world: World) -> None:
    from stoker.lab.controllers.endpoint_rules import plan_slices

    pods = [
        {
            "metadata": {"name": f"p{number}", "namespace": "default", "uid": f"u{number}"},
            "spec": {"containers": [], "nodeName": "n1"},
            "status": {"podIPs": [{"ip": f"10.0.{number // 250}.{number % 250}"}], "phase": "Running"},
        }
        for number in range(150)
    ]
    service = world.create(_service())
    plan = plan_slices(service, pods, [], lambda _: {"metadata": {}})
    assert [50, 100] == sorted(len(one["endpoints"]) for one in plan.create)
