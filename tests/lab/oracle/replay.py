"""Plays recorded requests of a real API server to the lab's application and compares the answers.

A recording is a list of steps: a request, perhaps requests to send during a watch, and the response. Placeholders stand for
what differs from run to run: ``<uid-1>``, ``<rv-2>``, ``<time>``, ``<rand>``, ``<hash>``; equal numbered ones must stand for
equal values.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stoker.lab.http.app import Application

__all__ = ["Difference", "Replay", "compare", "send"]

_PLACEHOLDER = re.compile(r"<(time|rand|hash|continue|(?:uid|rv)-\d+)>")
_PATTERNS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    "rand": r"[a-z0-9]{5}",
    "hash": r"[0-9A-F]+",
    "continue": r"[A-Za-z0-9_-]+",
}
# Values that no two servers share, and that the recordings have as they were: addresses that were free, ages, hashes of
# documents, the build.
_ANY = tuple(
    re.compile(pattern)
    for pattern in (
        r"10\.0\.0\.\d+",
        r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?",
        r"/openapi/v3/\S+\?hash=[0-9A-F]{128}",
        r"127\.0\.0\.1(:\d+)?",
        r"-----BEGIN CERTIFICATE-----[\s\S]+",
        r"go1\.\S+|[0-9a-f]{40}",
        r"(d|rs|web)-[a-z0-9]{8,10}",
    )
)
_TOKENS = {
    "none": "",
    "bad-token": "Bearer nonsense",
    "viewer": "Bearer viewer",
    "data-scientist": "Bearer data-scientist",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an answer is not as recorded."""

    step: int
    request: str
    path: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"step {self.step} {self.request}\n    {self.path}\n    expected {_short(self.expected)}\n    actual   {_short(self.actual)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 600 else f"{text[:600]}..."


async def send(
    application: Application, method: str, path: str, *, headers: dict[str, str], body: bytes = b"",
    query: str = "", during: Callable[[], Any] | None = None, seconds: float = 0.2,
) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
    """One request to the application; a watch is read for ``seconds`` after ``during`` has run."""
    sent: list[dict[str, Any]] = []
    left = asyncio.Event()
    is_first = True

    async def receive() -> dict[str, Any]:
        nonlocal is_first
        if is_first:
            is_first = False
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def collect(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    running = asyncio.ensure_future(application(scope, receive, collect))
    if "watch=1" in query:
        await asyncio.sleep(0.05)
        if during is not None:
            await during()
        await asyncio.sleep(seconds)
        left.set()
    await running
    start = sent[0]
    text = b"".join(one.get("body", b"") for one in sent[1:])
    found: dict[str, str] = {}
    for name, value in start["headers"]:
        key = name.decode().title()
        found[key] = f"{found[key]}, {value.decode()}" if key in found else value.decode()
    return start["status"], found, text


@dataclass(slots=True)
class Replay:
    """One recording against one application. ``settle`` lets controllers come to rest between steps."""

    application: Application
    settle: Callable[[], None]
    saved: dict[str, str] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    checked: int = 0

    async def run(self, steps: list[dict[str, Any]]) -> None:
        for number, step in enumerate(steps):
            await self._step(number, step)

    async def _step(self, number: int, step: dict[str, Any]) -> None:
        request, expected = step["request"], step["response"]

        async def during() -> None:
            for one in step.get("during") or ():
                await self._step(number, one)

        status, headers, text = await self._send(request, during)
        self.settle()
        self.checked += 1
        label = f"{request['method']} {request['path']} {request.get('query', '')}"

        def differ(where: str, wanted: Any, found: Any) -> None:
            self.differences.append(Difference(number, label, where, wanted, found))

        if status != expected["status"]:
            differ("status", expected["status"], f"{status} {text[:600].decode()}")
            return
        self._headers(expected.get("headers", {}), headers, differ)
        if "events" in expected:
            self._events(expected, [json.loads(line) for line in text.splitlines() if line], differ)
        elif "text" not in expected:
            found = json.loads(text) if text.strip() else None
            self._body(expected, found, differ)
            for name, place in step.get("save", {}).items():
                header = place.removeprefix("header:")
                self.saved[name] = headers[header] if header != place else str(_dig(found, place))

    def _headers(
        self, wanted: dict[str, str], found: dict[str, str], differ: Callable[[str, Any, Any], None]
    ) -> None:
        self._compare(wanted.get("Warning"), found.get("Warning"), "header Warning", differ)
        if "Content-Type" in wanted:
            self._compare(wanted["Content-Type"], found.get("Content-Type"), "header Content-Type", differ)

    def _body(self, expected: dict[str, Any], found: Any, differ: Callable[[str, Any, Any], None]) -> None:
        """The whole body where it was kept; else what was picked from it. What was filtered by a program is passed over."""
        is_part = expected.get("picked") or expected.get("filtered")
        whole = expected.get("full", None if is_part else expected.get("body"))
        if whole is not None:
            self._full(whole, found, differ)
        if expected.get("picked"):
            for place, value in expected["body"].items():
                # What controllers write was compared above, as far as they had come.
                if whole is None or not ("managedFields" in place or place.startswith("status")):
                    self._compare(value, _dig(found, place), place, differ)

    def _full(self, wanted: Any, found: Any, differ: Callable[[str, Any, Any], None]) -> None:
        """Compare whole bodies; where they differ, without what the recorded controllers may not have done yet."""
        bound = dict(self.bound)
        strict: list[tuple[str, Any, Any]] = []
        self._compare(wanted, found, "", lambda *one: strict.append(one))
        if strict:
            self.bound = bound
            self._compare(settled(wanted), settled(found), "", differ)

    def _events(
        self, expected: dict[str, Any], found: list[Any], differ: Callable[[str, Any, Any], None]
    ) -> None:
        wanted = expected.get("events_full")
        if wanted is None:
            wanted = expected["events"]
        if len(wanted) != len(found):
            differ("events", wanted, found)
            return
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            if "object" in one:
                self._compare(one, other, f"events[{index}]", differ)
            else:
                for place, value in one.items():
                    if place == "metadata/resourceVersion":
                        continue
                    actual = other["type"] if place == "type" else _dig(other["object"], place)
                    self._compare(value, actual, f"events[{index}].{place}", differ)

    async def _send(self, request: dict[str, Any], during: Any) -> tuple[int, dict[str, str], bytes]:
        headers = {
            "User-Agent": "oracle/v1.36",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        headers |= request.get("headers", {})
        headers = {name: self._filled(value) for name, value in headers.items()}
        authorization = _TOKENS.get(request.get("as", ""), "Bearer admin")
        if authorization:
            headers["Authorization"] = authorization
        path, _, query = self._filled(request["path"]).partition("?")
        pairs = [
            f"{name}={_escaped(self._filled(str(value)))}" for name, value in request.get("query", {}).items()
        ]
        query = "&".join([*([query] if query else []), *pairs])
        body = request.get("body")
        text = (
            b""
            if body is None
            else self._filled(body if isinstance(body, str) else json.dumps(body)).encode()
        )
        return await send(
            self.application, request["method"], path, headers=headers, body=text, query=query, during=during
        )

    def _filled(self, text: str) -> str:
        for name, value in self.saved.items():
            text = text.replace("{{" + name + "}}", value)
        return text

    def _compare(self, wanted: Any, found: Any, path: str, differ: Callable[[str, Any, Any], None]) -> None:
        compare(wanted, found, path, self.bound, differ)


def _escaped(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _dig(value: Any, path: str) -> Any:
    for part in path.split("/"):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


# The recorded server's token volumes had one source more than upstream's; it was taken out of the bodies, not out of the line
# numbers of printed differences.
_LINE_NUMBERS = re.compile(r"@@ -\d+,\d+ \+\d+,\d+ @@")


def compare(
    wanted: Any, found: Any, path: str, bound: dict[str, str], differ: Callable[[str, Any, Any], None]
) -> None:
    """Tell every difference between a recorded value and a real one; numbered placeholders are bound as they are met."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        wanted = {_with_bound(key, bound): value for key, value in wanted.items()}
        for key in wanted.keys() ^ found.keys():
            differ(f"{path}/{key}", wanted.get(key, "(absent)"), found.get(key, "(absent)"))
        for key in wanted.keys() & found.keys():
            compare(wanted[key], found[key], f"{path}/{key}", bound, differ)
    elif isinstance(wanted, list) and isinstance(found, list):
        _compare_lists(wanted, found, path, bound, differ)
    elif isinstance(wanted, str) and isinstance(found, str):
        if not _alike(wanted, found, bound):
            differ(path, wanted, found)
    elif wanted != found or isinstance(wanted, bool) != isinstance(found, bool):
        differ(path, wanted, found)


_CONTROLLERS = {"kube-controller-manager", "kube-scheduler"}
_REVISION = "deployment.kubernetes.io/revision"


def settled(value: Any) -> Any:
    """An object without what controllers write: the recorded ones acted some time between two requests, the lab's at once."""
    if not isinstance(value, dict):
        return value
    if "items" in value:
        return {**value, "items": [settled(item) for item in value["items"]]}
    if not isinstance(value.get("metadata"), dict):
        return value
    if value.get("kind") in {"Table", "Scale"}:
        metadata = {key: one for key, one in value["metadata"].items() if key != "resourceVersion"}
        status = {key: one for key, one in value.get("status", {}).items() if key != "replicas"}
        return {**value, "metadata": metadata, "status": status}
    if "spec" not in value:
        # Content of a namespace that goes: when the controller came to it is chance.
        gone = {"deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"}
        return {**value, "metadata": {key: one for key, one in value["metadata"].items() if key not in gone}}
    metadata = {
        key: one for key, one in value["metadata"].items() if key not in {"resourceVersion", "annotations"}
    }
    annotations = {
        key: one for key, one in value["metadata"].get("annotations", {}).items() if key != _REVISION
    }
    if annotations:
        metadata["annotations"] = annotations
    owners = [one for one in metadata.pop("managedFields", []) if one.get("manager") not in _CONTROLLERS]
    found = {**value, "metadata": {**metadata, "managedFields": owners}}
    status = found.pop("status", {})
    if value.get("kind") not in {"Deployment", "ReplicaSet"}:
        found["status"] = {key: one for key, one in status.items() if key != "conditions"}
    return found


_PATCHED = re.compile(r'(?s).*Invalid value: "\{.*\}": ')


def _compare_lists(
    wanted: list[Any],
    found: list[Any],
    path: str,
    bound: dict[str, str],
    differ: Callable[[str, Any, Any], None],
) -> None:
    if len(wanted) != len(found):
        differ(path, wanted, found)
        return
    if path == "/resources" and all(isinstance(one, dict) and "name" in one for one in (*wanted, *found)):
        # Go reads the versions of a definition from a map: the order of custom resources is any.
        wanted, found = (sorted(side, key=lambda one: str(one["name"])) for side in (wanted, found))
    for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
        compare(one, other, f"{path}/{index}", bound, differ)


def _alike(wanted: str, found: str, bound: dict[str, str]) -> bool:
    if _PLACEHOLDER.search(wanted) and not _PATCHED.match(wanted):
        return _fits(wanted, found, bound)
    if "@@ -" in wanted:
        return _LINE_NUMBERS.sub("@@", wanted) == _LINE_NUMBERS.sub("@@", found)
    if _PATCHED.match(wanted):
        # The whole object is quoted, with what controllers had written by then.
        return _PATCHED.sub("", wanted) == _PATCHED.sub("", found)
    return wanted == found or _both_any(wanted, found)


def _with_bound(text: str, bound: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: bound.get(match[1], match[0]), text)


def _both_any(wanted: str, found: str) -> bool:
    return any(pattern.fullmatch(wanted) and pattern.fullmatch(found) for pattern in _ANY)


def _fits(wanted: str, found: str, bound: dict[str, str]) -> bool:
    pattern = ""
    names: list[str] = []
    position = 0
    for match in _PLACEHOLDER.finditer(wanted):
        pattern += re.escape(wanted[position : match.start()])
        name = match[1]
        position = match.end()
        if name in _PATTERNS:
            pattern += _PATTERNS[name]
        elif name in bound:
            pattern += re.escape(bound[name])
        else:
            names.append(name)
            pattern += "(.+?)"
    pattern += re.escape(wanted[position:])
    result = re.fullmatch(pattern, found)
    if result is None:
        return False
    for name, value in zip(names, result.groups(), strict=True):
        if value in bound.values() and name[:2] == "ui":
            return False
        bound[name] = value
    return True
