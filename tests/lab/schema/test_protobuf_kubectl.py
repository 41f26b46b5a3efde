"""Bodies in protobuf that the real kubectl sends, against the objects that it prints."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stoker.lab.schema.protobuf import decode_protobuf

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


_KINDS = {"pods": "Pod", "configmaps": "ConfigMap"}
_ANSWERS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
            for name, kind in _KINDS.items()
        ],
    },
}
_EXISTS = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409, "reason": "AlreadyExists"}


class _Recorder(BaseHTTPRequestHandler):
    bodies: list[tuple[str, bytes]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self._answer(200 if path in _ANSWERS else 404, _ANSWERS.get(path, {**_EXISTS, "code": 404}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.headers["Content-Type"], body))
        self._answer(409, _EXISTS)

    def _answer(self, code: int, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


class _Kubectl:
    """Runs kubectl against a server that refuses every write and keeps its body."""

    def __init__(self, port: int, home: Path, bodies: list[tuple[str, bytes]]) -> None:
        self._lead = ["kubectl", "--kubeconfig", "/dev/null", "--server", f"http://127.0.0.1:{port}"]
        self._environment = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        self._bodies = bodies

    def sent(self, command: list[str]) -> bytes:
        self._bodies.clear()
        done = self._run(command)
        assert len(self._bodies) == 1, done.stderr
        content_type, body = self._bodies[0]
        assert content_type == "application/vnd.kubernetes.protobuf"
        return body

    def printed(self, command: list[str]) -> Any:
        end = command.index("--") if "--" in command else len(command)
        done = self._run([*command[:end], "--dry-run=client", "-o", "json", *command[end:]])
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self._lead, *command],
            check=False,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=60,
        )


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Kubectl]:
    bodies: list[tuple[str, bytes]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Recorder", (_Recorder,), {"bodies": bodies}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield _Kubectl(server.server_port, tmp_path_factory.mktemp("home"), bodies)
    server.shutdown()
    thread.join()
    server.server_close()


@needs_kubectl
@pytest.mark.parametrize(
    "command",
    [
        "namespace x",
        "deployment d --image=a:1 --replicas=0 --port=80",
        "configmap c --from-literal=a=b --from-literal=empty=",
        "secret generic s --from-literal=a=b --from-literal=c=",
        "quota q --hard=cpu=1,memory=2Gi,pods=2k --scopes=BestEffort",
        "role r --verb=get,list --resource=pods,configmaps",
        "clusterrole cr --verb=get --non-resource-url=/x",
        "rolebinding rb --role=r --user=u --group=g --serviceaccount=n:s",
        "serviceaccount sa",
        "job j --image=a -- sh -c x",
        "cronjob cj --image=a --schedule=@hourly -- date",
        "pdb p --selector=a=b --min-available=50%",
        "pdb p --selector=a=b --max-unavailable=0",
        "priorityclass pc --value=0 --preemption-policy=Never --description=none",
        "service clusterip svc --tcp=80:http",
        "ingress i --class=c --rule=a.b/x*=svc:80,tls=t",
    ],
)
def test_what_kubectl_sends_is_the_object_that_it_prints(kubectl: _Kubectl, command: str) -> None:
    words = ["create", *command.split()]
    expected = _without_nulls(kubectl.printed(words))
    assert expected == decode_protobuf(kubectl.sent(words))


@needs_kubectl
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "create token sa --duration=10m --audience=a",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "metadata": {},
                "spec": {"audiences": ["a"], "expirationSeconds": 600},
                "status": {"token": ""},
            },
        ),
        (
            "auth can-i get pods",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "metadata": {},
                "spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}},
                "status": {"allowed": False},
            },
        ),
        (
            "auth whoami",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "SelfSubjectReview",
                "metadata": {},
                "status": {"userInfo": {}},
            },
        ),
    ],
)
def test_reviews_and_tokens_of_kubectl_are_read(
    kubectl: _Kubectl, command: str, expected: dict[str, Any]
) -> None:
    assert expected == decode_protobuf(kubectl.sent(command.split()))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
