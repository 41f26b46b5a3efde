"""Services of Prometheus and Alertmanager objects, and the API server's proxy to what is behind a Service or a pod."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from kubernetes import client
from kubernetes.client.rest import ApiException
from tests.lab.running.conftest import Kubectl, kubectl_of, stoker
from tests.lab.running.python_client import api_of, until

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
    reason="prometheus and prometheus-alertmanager are not both installed",
)
_OPERATED = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("operated")
    stoker("lab", "up", "--state", folder, "--nodes", "1xcpu", "--speed", 30)
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture(scope="module")
def kubectl(lab: Path) -> Kubectl:
    found = kubectl_of(lab)
    found("create", "namespace", "monitoring")
    for kind, name in (("Prometheus", "k8s"), ("Alertmanager", "main")):
        found("apply", "-f", "-", text={
            "apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": name, "namespace": "monitoring"},
            "spec": {},
        })  # fmt: skip
    found("apply", "-f", "-", text={
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mine", "namespace": "monitoring"},
        "spec": {"selector": {"prometheus": "k8s"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
    })  # fmt: skip
    return found


@needs_prometheus
def test_the_operators_services_lead_to_the_real_servers(kubectl: Kubectl) -> None:
    def value(query: str) -> Any:
        done = kubectl("get", "--raw", f"{_OPERATED}/api/v1/query?query={query}", check=False)
        return json.loads(done.stdout)["data"]["result"] if done.returncode == 0 else None

    assert until(lambda: value("up%7Bjob%3D%22apiserver%22%7D%3D%3D1"), 60)
    done = kubectl(
        "get",
        "--raw",
        "/api/v1/namespaces/monitoring/services/alertmanager-operated:web/proxy/-/ready",
        check=False,
    )
    assert (0, "OK") == (done.returncode, done.stdout.strip())
    kubectl("-n", "monitoring", "wait", "prometheus/k8s", "--for=condition=Available", "--timeout=30s")
    service = json.loads(kubectl("-n", "monitoring", "get", "service", "mine", "-o", "json").stdout)
    direct = f"http://{service['spec']['clusterIP']}/api/v1/query"
    answer = until(lambda: _get(direct), 30)
    assert "1" == answer.json()["data"]["result"][1]
    headless = json.loads(
        kubectl("-n", "monitoring", "get", "service", "prometheus-operated", "-o", "json").stdout
    )
    assert ("None", "k8s") == (
        headless["spec"]["clusterIP"],
        headless["metadata"]["ownerReferences"][0]["name"],
    )


def _get(url: str) -> httpx2.Response | None:
    try:
        found = httpx2.get(url, params={"query": "scalar(vector(1))"}, trust_env=False)
    except httpx2.ConnectError:
        return None
    return found if found.is_success else None


@needs_prometheus
@pytest.mark.usefixtures("kubectl")
def test_what_an_object_leaves_goes_with_it(lab: Path) -> None:
    with api_of(lab) as api:
        core, custom = client.CoreV1Api(api), client.CustomObjectsApi(api)
        core.create_namespace({"metadata": {"name": "gone"}})
        place = ("monitoring.coreos.com", "v1", "gone", "prometheuses")
        body = {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "Prometheus",
            "metadata": {"name": "p"},
            "spec": {},
        }
        custom.create_namespaced_custom_object(*place, body)
        slices = client.DiscoveryV1Api(api).list_namespaced_endpoint_slice
        assert until(lambda: [one for one in slices("gone").items if one.endpoints], 60)

        custom.delete_namespaced_custom_object(*place, "p")

        assert until(lambda: not core.list_namespaced_service("gone").items)
        assert until(lambda: not slices("gone").items)


def test_a_pod_is_proxied_with_path_query_and_method_and_refused_without_right(
    lab: Path, kubectl: Kubectl
) -> None:
    container = {
        "name": "c", "image": "python:3.12", "command": ["python", "-m", "http.server", "8080"],
        "ports": [{"containerPort": 8080}], "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }  # fmt: skip
    with api_of(lab) as api:
        core = client.CoreV1Api(api)
        core.create_namespaced_pod(
            "default", {"metadata": {"name": "web"}, "spec": {"containers": [container]}}
        )

        def is_ready() -> bool:
            """A pod that runs does not listen yet."""
            conditions = core.read_namespaced_pod("web", "default").status.conditions or ()
            return any(one.type == "Ready" and one.status == "True" for one in conditions)

        assert until(is_ready, 60)

        assert core.connect_get_namespaced_pod_proxy_with_path("web:8080", "default", "x").startswith("web")
        assert core.connect_get_namespaced_pod_proxy("web", "default").startswith("web")
        with pytest.raises(ApiException) as caught:
            core.connect_get_namespaced_pod_proxy("web:9", "default")
        assert 503 == caught.value.status
        with pytest.raises(ApiException) as caught:
            core.connect_get_namespaced_service_proxy("nothing:80", "default")
        assert 404 == caught.value.status
    denied = kubectl(
        "get", "--raw", "/api/v1/namespaces/default/pods/web:8080/proxy/", "--as=nobody", check=False
    )
    assert 'cannot get resource "pods/proxy"' in denied.stderr
