"""A model is reached by the first way that answers, which is recorded; no way is an error that says what was tried."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.lab.running.conftest import stoker
from tests.rollout.proof import apply, lab_up, platform

from stoker.kube.cluster import Cluster
from stoker.kube.refs import Ref
from stoker.kube.transport import Sender, Tries
from stoker.rollout.endpoints import Way, find_alertmanager, find_model, find_prometheus, find_service
from stoker.rollout.gate import CannotMeasureError

_PROOF = platform()
_MODEL = _PROOF.models["llama"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("endpoints")
    with lab_up(folder) as cluster:
        apply(cluster, _PROOF)
        yield cluster
    stoker("lab", "down", "--state", folder)


def _waits_for_model(cluster: Cluster) -> None:
    where = Ref("serving.kserve.io/v1beta1", "InferenceService", "ai-production", "llama")
    for _ in range(300):
        conditions = ((cluster.get(where) or {}).get("status") or {}).get("conditions") or ()
        if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            return
        cluster.clock.sleep(10)
    raise AssertionError(conditions)


def test_users_reach_a_model_by_its_gateway_which_splits(lab: Cluster) -> None:
    _waits_for_model(lab)

    found = find_model(lab, _PROOF, _MODEL, {}, front=True)

    assert found.way is Way.GATEWAY
    assert found.headers == {"Host": "llama.models.example.com"}
    assert found.through.startswith("HTTPRoute ai-production/stoker-llama by Gateway kserve/")
    with found.client() as client:
        assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["llama"]


def test_what_the_user_named_comes_first_and_its_credentials_are_not_recorded(lab: Cluster) -> None:
    found = find_model(lab, _PROOF, _MODEL, {"llama": "https://me:secret@models.test/x/"})

    assert (found.way, found.url) == (Way.NAMED, "https://me:secret@models.test/x")
    assert found.as_json()["url"] == "https://models.test/x"
    named = {"prometheus": "http://p.test/", "alertmanager": "http://a.test"}
    assert find_prometheus(lab, _PROOF, named).url == "http://p.test"
    assert find_alertmanager(lab, _PROOF, named).url == "http://a.test"


def test_a_version_is_reached_by_its_service(lab: Cluster) -> None:
    _waits_for_model(lab)

    found = find_service(lab, "ai-production", "llama-v2-predictor", 80)

    assert found.way is Way.SERVICE
    with found.client() as client:
        assert client.get("/health").status_code == 200


def test_without_a_gateway_the_service_answers_but_splits_nothing(lab: Cluster) -> None:
    _waits_for_model(lab)
    gateway = Ref("gateway.networking.k8s.io/v1", "Gateway", "kserve", "kserve-ingress-gateway")
    made = lab.get(gateway)
    assert made is not None
    lab.delete(gateway)
    elsewhere = platform("Deployment").models["llama"]  # its Service is not there
    try:
        with pytest.raises(CannotMeasureError, match="no gateway with an address leads to it"):
            find_model(lab, _PROOF, _MODEL, {}, front=True)
        assert find_model(lab, _PROOF, _MODEL, {}).through == "Service ai-production/llama-predictor"
        with pytest.raises(CannotMeasureError, match=r"there is no Service ai-production/llama.*proxy"):
            find_model(lab, _PROOF, elsewhere, {})
    finally:
        metadata = {"name": gateway.name, "namespace": gateway.namespace}
        lab.create(
            {"apiVersion": gateway.api_version, "kind": "Gateway", "metadata": metadata, "spec": made["spec"]}
        )


def test_no_prometheus_is_said_so(lab: Cluster) -> None:
    with pytest.raises(CannotMeasureError, match=r"no prometheus answers.*prometheus-operated") as caught:
        find_prometheus(lab, _PROOF, {})

    assert "name a URL" in caught.value.fix


def _by_proxy(answer: Callable[[httpx2.Request], httpx2.Response]) -> Cluster:
    """A cluster of which only the API server answers: Services have addresses that nobody reaches."""
    seen = {"api": "/api", "service": "/api/v1/namespaces/ns/services/s"}

    def handle(request: httpx2.Request) -> httpx2.Response:
        if "/proxy" in request.url.path:
            return answer(request)
        if request.url.path == seen["service"]:
            return httpx2.Response(200, json={"metadata": {"name": "s"}, "spec": {"clusterIP": "None"}})
        resources = [{"resource": "services", "responseKind": {"kind": "Service"}, "scope": "Namespaced"}]
        groups = [{"metadata": {}, "versions": [{"version": "v1", "resources": resources}]}]
        return httpx2.Response(200, json={"items": groups if request.url.path == seen["api"] else []})

    transport = httpx2.MockTransport(handle)

    def opener() -> httpx2.Client:
        return httpx2.Client(
            base_url="https://door.test", transport=transport, headers={"Authorization": "Bearer t"}
        )

    return Cluster(Sender(opener(), "https://door.test", Tries()), "", opener)


def test_the_api_server_s_proxy_is_the_last_way_and_takes_no_load() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"path": request.url.path, "by": request.headers["authorization"]})

    found = find_service(_by_proxy(answer), "ns", "s", 80, health="/health")

    assert (found.way, found.takes_load) == (Way.PROXY, False)
    with found.client() as client:
        assert client.post("/v1/completions", json={}).json() == {
            "path": "/api/v1/namespaces/ns/services/s:80/proxy/v1/completions",
            "by": "Bearer t",
        }


def test_a_proxy_that_refuses_is_no_way() -> None:
    with pytest.raises(CannotMeasureError, match="proxy of Service ns/s: 403"):
        find_service(_by_proxy(lambda _: httpx2.Response(403)), "ns", "s", 80)
