"""A live cluster over HTTP on loopback: pages, refusals, broken answers, and no value of a Secret."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
import yaml

from stoker.errors import StokerError, UnreachableError
from stoker.kube.live import read_cluster, read_role
from stoker.kube.shapes import SHAPES
from stoker.kube.snapshot import Origin

Answer = tuple[int, Any]


def resource(kind: str, plural: str, group: str = "", scope: str = "Namespaced") -> dict[str, Any]:
    return {
        "resource": plural,
        "responseKind": {"group": group, "version": "v1", "kind": kind},
        "scope": scope,
        "verbs": ["get", "list"],
    }


def group(name: str, *resources: dict[str, Any], version: str = "v1") -> dict[str, Any]:
    return {"metadata": {"name": name}, "versions": [{"version": version, "resources": list(resources)}]}


def pod(n: int) -> dict[str, Any]:
    return {"metadata": {"name": f"p{n}", "namespace": "llm", "uid": f"u{n}", "managedFields": [{"manager": "x"}]},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}  # fmt: skip


CORE = group(
    "",
    resource("Pod", "pods"),
    resource("Secret", "secrets"),
    resource("Node", "nodes", scope="Cluster"),
    resource("ConfigMap", "configmaps"),
)
APPS = group("apps", resource("Deployment", "deployments", "apps"))


class Cluster:
    """What the server answers, by path; every request is recorded."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.answers: dict[str, Callable[[dict[str, list[str]]], Answer]] = {
            "/version": lambda _: (200, {"major": "1", "minor": "36+"}),
            "/api": lambda _: (200, {"kind": "APIGroupDiscoveryList", "items": [CORE]}),
            "/apis": lambda _: (200, {"kind": "APIGroupDiscoveryList", "items": [APPS]}),
            "/api/v1/pods": self.pods,
            "/api/v1/nodes": lambda _: (
                200,
                {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []},
            ),
            "/api/v1/configmaps": lambda _: (
                200,
                {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": []},
            ),
            "/api/v1/secrets": self.secrets,
            "/apis/apps/v1/deployments": lambda _: (
                403,
                {"kind": "Status", "code": 403, "message": "forbidden"},
            ),
        }

    def pods(self, query: dict[str, list[str]]) -> Answer:
        page = int(query.get("continue", ["0"])[0])
        following = {"continue": str(page + 1)} if page < 2 else {}
        return 200, {
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": following,
            "items": [pod(page * 2), pod(page * 2 + 1)],
        }

    def secrets(self, _: dict[str, list[str]]) -> Answer:
        item = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "token", "namespace": "llm", "uid": "s"},
        }
        return 200, {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {},
            "items": [item],
        }


def absent(_: dict[str, list[str]]) -> Answer:
    return 404, {}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            cluster.asked.append((self.command, url.path, self.headers.get("Accept", "")))
            code, body = cluster.answers.get(url.path, absent)(parse_qs(url.query))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield write_kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def write_kubeconfig(folder: Path, server: str) -> str:
    file = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(file)


def test_every_page_is_read_and_the_version_is_known(kubeconfig: str) -> None:
    snapshot = read_cluster("x", kubeconfig=kubeconfig)

    assert [f"p{n}" for n in range(6)] == [item.name for item in snapshot.of("Pod")]
    assert (Origin.LIVE, "1.36") == (snapshot.origin, snapshot.kubernetes)
    assert all(item.live for item in snapshot.items)


def test_only_gets_are_sent(cluster: Cluster, kubeconfig: str) -> None:
    read_cluster(None, kubeconfig=kubeconfig)

    assert {"GET"} == {method for method, _, _ in cluster.asked}


def test_a_refused_kind_is_told_and_stays_unknown(kubeconfig: str) -> None:
    """What may not be read is never taken for absent; a kind that is not served is."""
    snapshot = read_cluster("x", kubeconfig=kubeconfig)

    assert ["Deployment.apps"] == [entry.what for entry in snapshot.unread]
    assert "list deployments" in snapshot.unread[0].reason
    assert not snapshot.knows("Deployment.apps")
    assert snapshot.knows("ScaledObject.keda.sh")


def test_no_value_of_a_secret_is_asked_for(cluster: Cluster, kubeconfig: str) -> None:
    snapshot = read_cluster("x", kubeconfig=kubeconfig)

    accepts = [accept for _, path, accept in cluster.asked if path == "/api/v1/secrets"]
    assert all("PartialObjectMetadataList" in accept for accept in accepts)
    assert ["token"] == [item.name for item in snapshot.of("Secret")]


def test_namespaces_narrow_what_is_asked_and_what_is_known(cluster: Cluster, kubeconfig: str) -> None:
    cluster.answers["/api/v1/namespaces/llm/pods"] = lambda _: (
        200,
        {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod(1)]},
    )

    snapshot = read_cluster("x", kubeconfig=kubeconfig, namespaces=["llm"])

    assert ["p1"] == [item.name for item in snapshot.of("Pod")]
    assert not snapshot.knows("Pod")
    assert snapshot.knows("Node")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"items": 3}',
        b"{",
        b'{"metadata": {"continue": 5}}',
        b'{"items": [1, null, "x"]}',
    ],
)
def test_a_broken_answer_is_told_and_raises_nothing(cluster: Cluster, kubeconfig: str, body: bytes) -> None:
    cluster.answers["/api/v1/pods"] = lambda _: (200, body)

    snapshot = read_cluster("x", kubeconfig=kubeconfig)

    assert () == snapshot.of("Pod")
    assert len(snapshot.unread) > 1


def test_an_expired_list_is_begun_again_once(cluster: Cluster, kubeconfig: str) -> None:
    """410 Gone on a later page: no pod is lost, none counted twice."""
    answers = iter([(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "1"}, "items": [pod(0)]}), (410, {}),
                    (200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod(0), pod(1)]})])  # fmt: skip
    cluster.answers["/api/v1/pods"] = lambda _: next(answers)

    assert ["p0", "p1"] == [item.name for item in read_cluster("x", kubeconfig=kubeconfig).of("Pod")]


def test_no_credentials_is_unreachable(cluster: Cluster, kubeconfig: str) -> None:
    cluster.answers["/version"] = lambda _: (401, {})

    with pytest.raises(UnreachableError, match="401"):
        read_cluster("x", kubeconfig=kubeconfig)


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        read_cluster(None, kubeconfig=write_kubeconfig(tmp_path, "http://127.0.0.1:9"))


@pytest.mark.parametrize("text", ["", "x", "[]", "clusters: 3", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "k"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(StokerError):
        read_cluster(None, kubeconfig=str(file))


def test_a_context_that_is_not_there_is_told(kubeconfig: str) -> None:
    with pytest.raises(StokerError, match="nowhere"):
        read_cluster("nowhere", kubeconfig=kubeconfig)


def test_the_role_covers_every_kind_that_is_read_and_writes_nothing() -> None:
    role = read_role()
    granted = {
        f"{name}.{rule['apiGroups'][0]}".rstrip(".") for rule in role["rules"] for name in rule["resources"]
    }

    assert {"get", "list"} == {verb for rule in role["rules"] for verb in rule["verbs"]}
    assert {
        "pods",
        "networkpolicies.networking.k8s.io",
        "inferenceservices.serving.kserve.io",
        "storageclasses.storage.k8s.io",
    } <= granted
    assert len(granted) == len(
        [kind for kind in SHAPES if not kind.endswith((".prometheus", ".grafana", ".stoker.dev"))]
    )
