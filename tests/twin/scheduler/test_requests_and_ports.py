"""What pods ask for and which host ports they take (component-helpers resource/helpers.go, plugins/nodeports)."""

from typing import Any

import pytest
from tests.twin.scheduler.cluster import Cluster, no_help, no_victims, node, pod


def container(cpu: str, **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "millicores"),
    [
        ({"containers": [container("2")], "initContainers": [container("3")]}, 3000),
        # resource/helpers.go: a sidecar runs on beside what starts after it.
        (
            {
                "containers": [container("2")],
                "initContainers": [container("1", restartPolicy="Always"), container("3")],
            },
            4000,
        ),
        (
            {
                "containers": [container("2")],
                "initContainers": [container("3"), container("1", restartPolicy="Always")],
            },
            3000,
        ),
        ({"containers": [container("2")], "overhead": {"cpu": "250m"}}, 2250),
        ({"containers": [container("2")], "resources": {"requests": {"cpu": "5"}}}, 5000),
        # pkg/apis/core/v1/defaults.go defaultPodRequests.
        ({"containers": [container("2")], "resources": {"limits": {"cpu": "8"}}}, 2000),
        ({"containers": [{"name": "c"}], "resources": {"limits": {"cpu": "8"}}}, 8000),
        (
            {
                "containers": [container("2")],
                "resources": {"requests": {"cpu": "5"}},
                "overhead": {"cpu": "1"},
            },
            6000,
        ),
    ],
)
def test_a_pod_asks_for_what_its_containers_need_at_once(spec: dict[str, Any], millicores: int) -> None:
    fits = Cluster(node("n", cpu=f"{millicores}m"))
    short = Cluster(node("n", cpu=f"{millicores - 1}m"))
    assert fits.decide(pod("p", spec)).node == "n"
    assert (
        short.decide(pod("p", spec)).message == f"0/1 nodes are available: 1 Insufficient cpu. {no_help(1)}"
    )


def test_ephemeral_storage_and_the_number_of_pods_run_short_too() -> None:
    cluster = Cluster(node("n", ephemeral_storage="10Gi", pods="1"))
    cluster.run(pod("a", ephemeral_storage="8Gi"))
    assert cluster.decide(pod("b", ephemeral_storage="8Gi")).message == (
        f"0/1 nodes are available: 1 Insufficient ephemeral-storage, 1 Too many pods. {no_victims(1)}"
    )


PORTS = (
    f"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. {no_victims(1)}"
)


@pytest.mark.parametrize(
    ("second", "conflict"),
    [
        ({"hostPort": 8000, "containerPort": 8000}, True),
        ({"hostPort": 8000, "containerPort": 8000, "protocol": "UDP"}, False),
        ({"hostPort": 8001, "containerPort": 8000}, False),
        ({"hostPort": 8000, "containerPort": 8000, "hostIP": "10.0.0.1"}, True),
        ({"containerPort": 8000}, False),
    ],
)
def test_a_host_port_is_taken_once_an_address_and_protocol(second: dict[str, Any], *, conflict: bool) -> None:
    def with_port(name: str, port: dict[str, Any]) -> dict[str, Any]:
        return pod(name, {"containers": [{"name": "c", "ports": [port]}]})

    cluster = Cluster(node("n"))
    cluster.run(with_port("a", {"hostPort": 8000, "containerPort": 8000}))
    assert cluster.decide(with_port("b", second)).message == (PORTS if conflict else "")


def test_ports_on_different_addresses_do_not_meet() -> None:
    def at(name: str, address: str) -> dict[str, Any]:
        port = {"hostPort": 80, "containerPort": 80, "hostIP": address}
        return pod(name, {"containers": [{"name": "c", "ports": [port]}]})

    cluster = Cluster(node("n"))
    cluster.run(at("a", "10.0.0.1"))
    assert cluster.decide(at("b", "10.0.0.2")).node == "n"
    assert cluster.decide(at("c", "0.0.0.0")).message == PORTS  # noqa: S104


def test_on_the_hosts_network_every_port_is_a_host_port_and_sidecars_count() -> None:
    # pkg/apis/core/v1/defaults.go defaultHostNetworkPorts; scheduler/util/utils.go GetHostPorts.
    shared = {"hostNetwork": True, "containers": [{"name": "c", "ports": [{"containerPort": 9100}]}]}
    sidecar = {"name": "s", "restartPolicy": "Always", "ports": [{"hostPort": 9100, "containerPort": 1}]}
    once = {"name": "s", "ports": [{"hostPort": 9100, "containerPort": 1}]}
    cluster = Cluster(node("n"))
    cluster.run(pod("a", shared))
    assert cluster.decide(pod("b", {"initContainers": [sidecar]})).message == PORTS
    assert cluster.decide(pod("c", {"initContainers": [once]})).node == "n"
