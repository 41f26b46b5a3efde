"""The lab's API against its own OpenAPI: objects made from it with mistakes, and requests no client sends. No 5xx, no hang."""

import json
import random
import socket
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lab.running.conftest import stoker
from tests.lab.running.wire import Wire

_REQUESTS = 1500
_PATCHES = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
)
# The real server's own: server-side apply and strategic merge answer 500 to bodies that do not fit the schema.
_REAL_500 = (b"failed to create typed patch object", b"does not contain declared merge key")
_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    1e308,
    "",
    "a",
    "ä\u0000",
    "0.0.0.0/0",
    [],
    [None],
    {},
    {"": {}},
    [[[]]],
    "9" * 40,
    "-1Gi",
)
# Thirty lists, each of the one before twice: a billion values.
_LAUGHS = b"l0: &l0 [x]\n" + b"".join(b"l%d: &l%d [*l%d,*l%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 30))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab that nobody else needs whole."""
    folder = tmp_path_factory.mktemp("fuzzed")
    stoker("lab", "up", "--state", folder, "--nodes", "1x8xA100-80GB", "--speed", 50, "--no-metrics")
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture(scope="module")
def wire(lab: Path) -> Iterator[Wire]:
    found = Wire(lab / "kubeconfig")
    yield found
    found.close()


class Objects:
    """Objects after the API's own schemas, most of them wrong somewhere."""

    def __init__(self, definitions: dict[str, Any], rng: random.Random) -> None:
        self._definitions, self._rng = definitions, rng

    def of(self, name: str) -> Any:
        return self._value({"$ref": f"#/definitions/{name}"}, 0)

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        rng = self._rng
        if rng.random() < 0.03:
            return rng.choice(_ODD)
        reference = schema.get("$ref")
        if reference:
            return self._value(self._definitions[reference.rpartition("/")[2]], depth)
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                items = schema.get("items") or {}
                return [self._value(items, depth + 1) for _ in range(rng.randint(0, 2 if depth < 6 else 0))]
            case "string":
                return rng.choice(
                    [
                        *schema.get("enum", ()),
                        "x",
                        "name-1",
                        "100m",
                        "2026-01-01T00:00:00Z",
                        rng.choice(string.printable),
                    ]
                )
            case "integer":
                return rng.choice([0, 1, 8, 80, 65536, -3])
            case "number":
                return rng.choice([0, 0.5, -1e9])
            case "boolean":
                return rng.random() < 0.5
            case _:
                return rng.choice(_ODD)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        rng = self._rng
        chance = 0.6 if depth < 2 else 0.25 if depth < 6 else 0.0
        needed = set(schema.get("required") or ())
        found = {
            name: self._value(value, depth + 1)
            for name, value in (schema.get("properties") or {}).items()
            if (name in needed and rng.random() < 0.95) or rng.random() < chance
        }
        if isinstance(schema.get("additionalProperties"), dict) and rng.random() < 0.5:
            found[rng.choice(["a", "app.kubernetes.io/name", ""])] = self._value(
                schema["additionalProperties"], depth + 1
            )
        return found


def _targets(wire: Wire) -> tuple[list[tuple[str, str, str, str]], dict[str, Any]]:
    """Path, apiVersion, kind and definition of everything that can be created; and all definitions."""
    api = json.loads(wire.send("GET", "/openapi/v2")[1])
    found = []
    for path, verbs in api["paths"].items():
        post = verbs.get("post")
        if not post or "{name}" in path or "x-kubernetes-group-version-kind" not in post:
            continue
        body = next((one for one in post.get("parameters", ()) if one.get("in") == "body"), None)
        reference = ((body or {}).get("schema") or {}).get("$ref")
        if reference:
            what = post["x-kubernetes-group-version-kind"]
            version = f"{what['group']}/{what['version']}".lstrip("/")
            found.append(
                (path.replace("{namespace}", "default"), version, what["kind"], reference.rpartition("/")[2])
            )
    return found, api["definitions"]


def _is_whole(lab: Path) -> None:
    """It still runs, and its log has no trace of a defect."""
    stoker("lab", "status", "--state", lab)
    log = (lab / "lab.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") :][:4000]


def test_no_object_made_from_the_schemas_breaks_the_server(lab: Path, wire: Wire) -> None:
    targets, definitions = _targets(wire)
    assert len(targets) > 50
    rng = random.Random(5)  # noqa: S311  # the same objects every time
    objects = Objects(definitions, rng)
    answered: dict[int, int] = {}
    for number in range(_REQUESTS):
        path, version, kind, definition = targets[number % len(targets)]
        obj = objects.of(definition)
        if isinstance(obj, dict) and rng.random() < 0.95:
            obj.update(apiVersion=version, kind=kind)
            metadata = obj["metadata"] if isinstance(obj.get("metadata"), dict) else {}
            obj["metadata"] = {
                **{key: value for key, value in metadata.items() if rng.random() < 0.3},
                "name": f"f{number % 7}",
            }
        verb = rng.choice(("POST", "POST", "POST", "PUT", "PATCH"))
        where = path if verb == "POST" else f"{path}/f{number % 7}{rng.choice(('', '', '/status', '/scale'))}"
        content = rng.choice(_PATCHES) if verb == "PATCH" else "application/json"
        more = "?fieldManager=fuzz&force=true" if content.startswith("application/apply") else ""
        status, body = wire.send(verb, where + more, obj, content=content)

        is_as_real = any(text in body for text in _REAL_500)
        assert status < 500 or is_as_real, (
            f"{verb} {where} {content}: {status} {body[:600]!r}\n{json.dumps(obj)}"
        )
        answered[status] = answered.get(status, 0) + 1
    assert answered.keys() & {200, 201}
    assert answered.keys() & {400, 422}
    time.sleep(2)
    _is_whole(lab)


@pytest.mark.parametrize(
    ("method", "path", "body", "content", "statuses"),
    [
        ("POST", "/api/v1/namespaces/default/pods", b"{", "application/json", {400}),
        ("POST", "/api/v1/namespaces/default/pods", b"\xff\xfe", "application/json", {400}),
        ("POST", "/api/v1/namespaces/default/pods", b"[" * 100_000, "application/json", {400}),
        ("POST", "/api/v1/namespaces/default/pods", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "application/json", {400}),
        ("POST", "/api/v1/namespaces/default/pods", b"a: &a [*a]", "application/yaml", {400, 415}),
        ("POST", "/api/v1/namespaces/default/pods", _LAUGHS, "application/yaml", {400}),
        ("POST", "/api/v1/namespaces/default/pods", b"<pod/>", "application/xml", {415}),
        ("POST", "/api/v1/namespaces/default/pods", b"k8s\x00\xff\xff\xff", "application/vnd.kubernetes.protobuf", {400}),
        ("POST", "/api/v1/namespaces/default/configmaps", b'{"x":"' + b"x" * 4_000_000 + b'"}', "application/json", {413}),
        ("PATCH", "/api/v1/namespaces/default", b"[]", "text/plain", {415}),
        ("PATCH", "/api/v1/namespaces/default", b'[{"op":"copy","from":"","path":"/a"}]', "application/json-patch+json", {400, 422}),
        ("GET", "/api/v1/namespaces/../../etc/passwd", None, "", {301, 400, 404}),
        ("GET", "/api/v1/namespaces/%2e%2e/pods/%2e%2e%2f", None, "", {301, 400, 404}),
        ("GET", "/api/v1/namespaces/default/pods/%00", None, "", {400, 404}),
        ("GET", "/api/v1/pods?limit=-1", None, "", {200, 400}),
        ("GET", "/api/v1/pods?labelSelector=((", None, "", {400}),
        ("GET", "/api/v1/pods?fieldSelector=nothing%3D1", None, "", {400}),
        ("GET", "/api/v1/pods?continue=AAAA", None, "", {400, 410}),
        ("GET", "/api/v1/pods?resourceVersion=x", None, "", {400}),
        ("GET", "/api/v1/pods?watch=1&resourceVersion=99999999999", None, "", {200, 400, 410, 504}),
        ("DELETE", "/api/v1/namespaces/default/pods/x", b"7", "application/json", {400}),
        ("NONSENSE", "/api/v1/pods", None, "", {405, 403, 400}),
    ],
)  # fmt: skip
def test_hostile_requests_are_refused(
    wire: Wire, method: str, path: str, body: bytes | None, content: str, statuses: set[int]
) -> None:
    if "watch=1" in path:
        path += "&timeoutSeconds=1"

    status, answer = wire.send(method, path, body, content=content)

    assert status in statuses, answer[:400]
    assert 200 == wire.send("GET", "/readyz")[0]


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "x" * 20_000]
)
def test_nothing_is_told_without_the_token(wire: Wire, token: str) -> None:
    status, answer = wire.send("GET", "/api/v1/secrets", token=token)

    assert status in {400, 401, 403, 431}
    assert b'"items"' not in answer


def test_it_listens_on_loopback_only_and_speaks_no_plain_http(wire: Wire) -> None:
    port = wire.address[1]
    listening = {
        line.split()[1].split(":")[0]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    assert {"0100007F"} == listening

    with socket.create_connection(wire.address, timeout=5) as plain:
        plain.sendall(b"GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            answer = plain.recv(4096)
        except ConnectionResetError:
            answer = b""
    assert b"items" not in answer


def test_clients_that_send_slowly_or_not_at_all_hold_nobody_up(wire: Wire) -> None:
    slow = []
    for _ in range(60):
        connection = wire.context.wrap_socket(
            socket.create_connection(wire.address, timeout=10), server_hostname="127.0.0.1"
        )
        connection.sendall(
            f"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {wire.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".encode()
        )
        slow.append(connection)
    silent = [socket.create_connection(wire.address, timeout=10) for _ in range(60)]

    assert 200 == wire.send("GET", "/api/v1/namespaces/default")[0]
    for one in (*slow, *silent):
        one.close()
    assert 200 == wire.send("GET", "/readyz")[0]
