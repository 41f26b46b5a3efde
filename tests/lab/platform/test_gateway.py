"""Gateways and routes: what they say of themselves, and where requests go."""

from typing import Any

import pytest
from tests.lab.controllers.world import workload
from tests.lab.platform.world import Platform, make_platform

from stoker.lab.platform import listeners
from stoker.lab.serving.contract import Backend, Listener, Rule

Object = dict[str, Any]

API = "gateway.networking.k8s.io/v1"


@pytest.fixture
def platform() -> Platform:
    made = make_platform("gateway", "keda", "knative")
    made.local.create(
        {
            "apiVersion": API,
            "kind": "GatewayClass",
            "metadata": {"name": "envoy"},
            "spec": {"controllerName": "x.io/y"},
        }
    )
    made.settle()
    return made


def gateway(**listener: Any) -> Object:
    return {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"name": "web"},
        "spec": {
            "gatewayClassName": "envoy",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", **listener}],
        },
    }


def route(*backends: Object, **spec: Any) -> Object:
    return {
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"name": "llm"},
        "spec": {
            "parentRefs": [{"name": "web"}],
            "hostnames": ["llm.example.com"],
            "rules": [{"backendRefs": list(backends)}],
            **spec,
        },
    }


def service(name: str, port: int = 80) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": 8000}]},
    }


def run(platform: Platform, name: str) -> None:
    """A Deployment of one pod behind a Service of the same name."""
    platform.create(workload("Deployment", name, replicas=1))
    platform.create(service(name))
    platform.run_pods()
    platform.settle()


def conditions(obj: Object) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in obj["conditions"]}


def at_gateway(platform: Platform) -> Listener:
    address = platform.fetch(f"{API}/Gateway", "web")["status"]["addresses"][0]["value"]
    return next(one for one in listeners(platform.local) if one.address == address)


def test_a_gateway_is_programmed_and_has_an_address_of_its_own(platform: Platform) -> None:
    platform.create(gateway())
    found = platform.fetch(f"{API}/Gateway", "web")["status"]
    assert conditions(found) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
    address = platform.fetch("v1/Service", "web-envoy")["spec"]["clusterIP"]
    assert found["addresses"] == [{"type": "IPAddress", "value": address}]
    assert found["listeners"][0]["attachedRoutes"] == 0


def test_a_gateway_of_an_unknown_class_waits_for_its_controller(platform: Platform) -> None:
    made = gateway()
    made["spec"]["gatewayClassName"] = "other"
    platform.create(made)
    found = platform.fetch(f"{API}/Gateway", "web").get("status") or {}
    assert "addresses" not in found


def test_a_route_says_that_it_is_accepted_and_that_its_backend_is_missing(platform: Platform) -> None:
    platform.create(gateway())
    platform.create(route({"name": "a", "port": 80}))
    parent = platform.fetch(f"{API}/HTTPRoute", "llm")["status"]["parents"][0]
    assert conditions(parent) == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("False", "BackendNotFound"),
    }
    assert parent["controllerName"] == "x.io/y"
    platform.create(service("a"))
    parent = platform.fetch(f"{API}/HTTPRoute", "llm")["status"]["parents"][0]
    assert conditions(parent)["ResolvedRefs"] == ("True", "ResolvedRefs")
    assert platform.fetch(f"{API}/Gateway", "web")["status"]["listeners"][0]["attachedRoutes"] == 1


def test_a_route_whose_host_no_listener_takes_is_not_accepted(platform: Platform) -> None:
    platform.create(gateway(hostname="*.other.org"))
    platform.create(route({"name": "a", "port": 80}))
    parent = platform.fetch(f"{API}/HTTPRoute", "llm")["status"]["parents"][0]
    assert conditions(parent)["Accepted"] == ("False", "NoMatchingListenerHostname")


def test_a_backend_in_another_namespace_needs_a_grant(platform: Platform) -> None:
    platform.local.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}})
    there = service("a")
    there["metadata"]["namespace"] = "models"
    platform.user.create(there)
    platform.create(gateway())
    platform.create(route({"name": "a", "namespace": "models", "port": 80}))
    parent = platform.fetch(f"{API}/HTTPRoute", "llm")["status"]["parents"][0]
    assert conditions(parent)["ResolvedRefs"] == ("False", "RefNotPermitted")
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "models"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    }
    platform.user.create(grant)
    platform.settle()
    parent = platform.fetch(f"{API}/HTTPRoute", "llm")["status"]["parents"][0]
    assert conditions(parent)["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_requests_go_to_ready_pods_by_the_weights_of_the_route(platform: Platform) -> None:
    run(platform, "a")
    run(platform, "b")
    platform.create(gateway())
    platform.create(route({"name": "a", "port": 80, "weight": 90}, {"name": "b", "port": 80, "weight": 10}))
    (rule,) = at_gateway(platform).rules
    assert rule.hosts == ("llm.example.com",)
    assert rule.backends == (
        Backend("10.0.0.1", 8000, 90, "default/a"),
        Backend("10.0.0.1", 8000, 10, "default/b"),
    )


def test_a_service_forwards_to_its_endpoints(platform: Platform) -> None:
    run(platform, "a")
    address = platform.fetch("v1/Service", "a")["spec"]["clusterIP"]
    found = next(one for one in listeners(platform.local) if one.address == address)
    assert (found.kind, found.port) == ("tcp", 80)
    assert [(one.address, one.port) for one in found.rules[0].backends] == [("10.0.0.1", 8000)]


def test_a_route_through_the_interceptor_holds_requests(platform: Platform) -> None:
    run(platform, "a")
    platform.create(service("keda-add-ons-http-interceptor-proxy", 8080))
    platform.create(gateway())
    platform.create(route({"name": "keda-add-ons-http-interceptor-proxy", "port": 8080}))
    platform.create(
        {
            "apiVersion": "http.keda.sh/v1beta1",
            "kind": "InterceptorRoute",
            "metadata": {"name": "a"},
            "spec": {
                "target": {"service": "a", "port": 80},
                "rules": [{"hosts": ["llm.example.com"]}],
                "scalingMetric": {"concurrency": {"targetValue": 1}},
            },
        }
    )
    (rule,) = at_gateway(platform).rules
    assert (rule.holds, rule.name, rule.hosts) == (True, "http.keda.sh/default/a", ("llm.example.com",))
    assert [one.address for one in rule.backends] == ["10.0.0.1"]


def test_an_exact_host_goes_before_a_wildcard_and_a_long_path_before_a_short_one(platform: Platform) -> None:
    platform.create(service("a"))
    platform.create(gateway())
    wide = route({"name": "a", "port": 80}, hostnames=["*.example.com"])
    wide["metadata"]["name"] = "wide"
    platform.create(wide)
    paths = [{"path": {"type": "PathPrefix", "value": one}} for one in ("/", "/v1/models")]
    platform.create(route(rules=[{"matches": paths, "backendRefs": [{"name": "a", "port": 80}]}]))
    assert [(one.hosts[0], one.path) for one in at_gateway(platform).rules] == [
        ("llm.example.com", "/v1/models"),
        ("llm.example.com", "/"),
        ("*.example.com", "/"),
    ]


def shares(rule: Rule) -> dict[str, tuple[int, int]]:
    """By group its weight, and what its requests are answered with where nobody serves; 200 where somebody does."""
    found = {one.group: (one.weight, 200) for one in rule.backends}
    return found | {one.group: (one.weight, one.status) for one in rule.absent}


def test_a_reference_that_leads_nowhere_keeps_its_share(platform: Platform) -> None:
    run(platform, "a")
    platform.create(service("idle"))
    platform.create(gateway())
    platform.local.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    elsewhere = service("secret")
    elsewhere["metadata"]["namespace"] = "other"
    platform.local.create(elsewhere)
    platform.create(
        route(
            {"name": "a", "port": 80, "weight": 5},
            {"name": "idle", "port": 80, "weight": 4},
            {"name": "missing", "port": 80, "weight": 3},
            {"name": "a", "port": 81, "weight": 2},
            {"name": "secret", "namespace": "other", "port": 80, "weight": 1},
            {"name": "nothing", "port": 80, "weight": 0},
            {"name": "a", "port": 80, "weight": 6},
        )
    )
    (rule,) = at_gateway(platform).rules
    assert shares(rule) == {
        "default/a": (11, 200),
        "default/idle": (4, 503),
        "default/missing": (3, 500),
        "default/a:81": (2, 500),
        "other/secret": (1, 500),
    }
    assert rule.empty_status == 500
