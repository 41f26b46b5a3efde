"""Real traffic through the gateway, counted by a real Prometheus: no probes, and the same decisions."""

import itertools
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from tests.canary.running.conftest import ENDS, Shop, within
from tests.lab.running.conftest import kubectl_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]
MODE = "Deployment"
LAB = ()
_WIDE = (
    "--margin",
    "live-ttft=0.3",
    "--margin",
    "live-tpot=0.3",
    "--margin",
    "live-errors=0.1",
    "--no-probes",
)
_NAMES = ("monitoring", "prometheus")


def prepare(shop: Shop) -> None:
    """A Prometheus that scrapes every PodMonitor, and a Service in front of it."""
    kubectl = kubectl_of(shop.folder)
    kubectl("create", "namespace", "monitoring")
    spec: dict[str, object] = {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {}}
    for obj in (
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {
                "selector": {"prometheus": "prometheus"},
                "ports": [{"name": "http", "port": 80, "targetPort": "web"}],
            },
        },
    ):
        metadata = {"name": _NAMES[1], "namespace": _NAMES[0]}
        kubectl("apply", "-f", "-", text=json.dumps({**obj, "metadata": metadata}))


@pytest.fixture(scope="module")
def prometheus(shop: Shop) -> str:
    """Its URL, once it has scraped both versions."""
    kubectl = kubectl_of(shop.folder)
    service = json.loads(kubectl("get", "service", "prometheus", "-n", "monitoring", "-o", "json").stdout)
    url = f"http://{service['spec']['clusterIP']}"
    query = 'count(count by (pod) (vllm:num_requests_running{namespace="prod"}))'

    def count() -> int:
        try:
            found = httpx2.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False)
        except httpx2.TransportError:
            return 0
        result = found.json()["data"]["result"] if found.is_success else []
        return int(result[0]["value"][1]) if result else 0

    assert within(120, lambda: count() == 3)
    return url


@pytest.fixture(scope="module")
def traffic(shop: Shop) -> Iterator[None]:
    """Users, until the module ends."""
    kubectl = kubectl_of(shop.folder)
    services = json.loads(kubectl("get", "services", "-n", "kserve", "-o", "json").stdout)["items"]
    address = next(
        one["spec"]["clusterIP"] for one in services if "kserve-ingress-gateway" in one["metadata"]["name"]
    )
    stop = threading.Event()
    body = {"model": "llama", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 8}

    def use() -> None:
        with httpx2.Client(trust_env=False, timeout=30.0) as client:
            while not stop.wait(0.2):
                try:
                    client.post(
                        f"http://{address}/v1/chat/completions",
                        json=body,
                        headers={"Host": "llama.models.example.com"},
                    )
                except httpx2.TransportError:
                    continue  # a pod that went away; users try again

    threads = [threading.Thread(target=use, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join(timeout=ENDS)


@pytest.mark.usefixtures("traffic")
def test_a_canary_that_fails_users_is_aborted_and_one_that_serves_them_is_promoted(
    shop: Shop, prometheus: str
) -> None:
    assert within(120, lambda: len(shop.pods("v2")) == 1)
    options = ("--steps", "50,100", "--prometheus", prometheus, *_WIDE)
    arguments = (
        "start",
        "llama",
        "-f",
        shop.platform,
        "--least",
        "20s",
        "--every",
        "45s",
        "--most",
        "3h",
        *options,
    )
    shop.fault("errors", "--value", 0.6)

    said = shop.patiently(*arguments, expect=1)

    assert "live-errors: " in said
    assert (100, 0) == shop.weights()
    evidence = shop.state["steps"][0]["evidence"]["live-errors"]
    assert evidence["canary_bad"] > 0 == evidence["stable_bad"]

    shop.fault("errors", "--off")
    shop.patiently(*arguments, expect=0)

    evidence = shop.state["steps"][0]["evidence"]
    assert {"live-ttft", "live-tpot", "live-errors"} == evidence.keys()
    assert all(one["canary"] >= 100 for one in evidence.values())


@pytest.mark.usefixtures("prometheus")
def test_no_data_is_inconclusive_and_never_a_promotion(shop: Shop) -> None:
    kubectl_of(shop.folder)("delete", "configmap", "-n", "prod", "-l", "stoker.dev/canary=llama")
    shop.apply()
    assert within(120, lambda: len(shop.pods("stable")) == 2 and len(shop.pods("v2")) == 1)

    said = shop.run(
        "start", "llama", "-f", shop.platform, "--steps", "50,100", "--least", "20s", "--most", "3m", "--every", "45s",
        "--no-probes", "--prometheus", "http://127.0.0.1:9", expect=5,
    )  # fmt: skip

    assert "live-errors: no data" in said
    assert (100, 0) == shop.weights()


@contextmanager
def _ill(prometheus: str, *, passes: int) -> Iterator[str]:
    """A way to a Prometheus that passes ``passes`` of 16 queries on; the others fail or find nothing, by turns."""
    counted = itertools.count(1)

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            number = next(counted)
            question = self.rfile.read(int(self.headers["Content-Length"]))
            if number % 16 < passes:
                kind = {"Content-Type": self.headers["Content-Type"]}
                found = httpx2.post(
                    f"{prometheus}{self.path}", content=question, headers=kind, trust_env=False
                )
                self._answer(found.status_code, found.content)
            elif number % 2:
                self._answer(500, b'{"status": "error", "errorType": "internal", "error": "out of memory"}')
            else:
                self._answer(200, b'{"status": "success", "data": {"resultType": "vector", "result": []}}')

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=ENDS)


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(("passes", "ends"), [(0, 5), (12, 1)])
def test_a_prometheus_that_fails_or_finds_nothing_promotes_no_bad_canary(
    shop: Shop, prometheus: str, passes: int, ends: int
) -> None:
    kubectl_of(shop.folder)("delete", "configmap", "-n", "prod", "-l", "stoker.dev/canary=llama")
    shop.apply()
    assert within(120, lambda: len(shop.pods("stable")) == 2 and len(shop.pods("v2")) >= 1)
    shop.fault("errors", "--value", 0.6)
    try:
        with _ill(prometheus, passes=passes) as url:
            shop.patiently(
                "start", "llama", "-f", shop.platform, "--steps", "50,100", "--least", "20s", "--every", "45s",
                "--most", "3h" if passes else "5m", "--prometheus", url, *_WIDE, expect=ends,
            )  # fmt: skip
    finally:
        shop.fault("errors", "--off")

    assert (100, 0) == shop.weights()
    evidence = shop.state["steps"][0]["evidence"]
    assert ("live-errors" in evidence) == bool(passes)
