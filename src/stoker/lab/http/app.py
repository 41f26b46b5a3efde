"""The API as an ASGI application: who asks, what for, and the answer in bytes.

It speaks HTTP through whatever ASGI server runs it; uvicorn does in `server`.
"""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from stoker.lab.access.rbac import Attributes, Authorizer, subject_text
from stoker.lab.access.tokens import Tokens, impersonated
from stoker.lab.api.bodies import LARGEST_BODY
from stoker.lab.api.call import Answer, Call, Route, User, no_such_resource, split_path
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.dispatch import dispatch
from stoker.lab.api.served import Kind
from stoker.lab.api.watching import open_watch
from stoker.lab.http.documents import Documents
from stoker.lab.http.relay import relay
from stoker.lab.status import ApiError, forbidden, internal, method_not_allowed

__all__ = ["Application", "Hook", "Scope"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Looks at every request before it is answered: fault switches refuse or delay through it.
Hook = Callable[[Scope], Awaitable[ApiError | None]]

log = logging.getLogger("stoker.lab")
_encode = msgspec.json.Encoder().encode
_CONTROL = "/lab/faults"
_TRUE = frozenset(("1", "true", "True"))
_COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_ONE = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Application:
    """ASGI callable of one cluster.

    Args:
        cluster: what is served.
        tokens: who is who.
        hook: see `Hook`.
    """

    def __init__(self, cluster: Cluster, tokens: Tokens, hook: Hook | None = None) -> None:
        self.cluster = cluster
        self.tokens = tokens
        self.authorizer = Authorizer(cluster.store)
        self.documents = Documents(cluster)
        self.hook = hook
        # Answers the path of the switches: what is broken, after what a body asks for.
        self.control: Callable[[bytes], dict[str, Any]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except ApiError as error:
            await _send(send, _error(error), scope["method"])
        except Exception as error:
            # A defect of ours: the client hears of it in the server's form, the log has the whole of it.
            log.exception("%s %s", scope["method"], scope["path"])
            await _send(send, _error(internal(f"{type(error).__name__}: {error}")), scope["method"])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        path = (
            unquote(scope["raw_path"].partition(b"?")[0].decode("latin-1"))
            if scope.get("raw_path")
            else scope["path"]
        )
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        user = self._user(headers, scope["method"], path, query)
        if self.hook is not None:
            refusal = await self.hook(scope)
            if refusal is not None:
                raise refusal
        route = split_path(path)
        method = scope["method"]
        if path == _CONTROL:
            await _send(send, await self._controlled(user, method, receive, headers), method)
            return
        if route is None:
            self._authorize_path(user, method, path)
            answer = self.documents.answer(path, method, query, headers)
            await _send(send, answer, method)
            return
        kind = self._kind(route)
        call = self._call(route, kind, method, query, headers, user)
        self._authorize(call)
        if call.verb == "watch":
            watch = Answer(stream=open_watch(self.cluster, kind, call).lines())
            await _stream(send, receive, watch)
            return
        if method in {"POST", "PUT", "PATCH", "DELETE"}:
            call = _with_body(call, await _body(receive, headers))
        if call.subresource_name == "proxy" and kind.resource.plural in {"pods", "services"}:
            raw = scope.get("raw_path") or path.encode()
            where = (raw.partition(b"?")[0].decode("latin-1"), scope["query_string"].decode("latin-1"))
            await _stream(send, receive, await relay(self.cluster, call, method, *where, headers))
            return
        try:
            answer = dispatch(self.cluster, kind, call, self.authorizer, self.tokens)
        except RecursionError as error:
            raise ApiError(400, "BadRequest", "the body is nested too deeply") from error
        if answer.stream is not None:
            await _stream(send, receive, answer)
        else:
            await _send(send, answer, method)

    async def _controlled(self, user: User, method: str, receive: Receive, headers: dict[str, str]) -> Answer:
        """The lab's own switches, which are no part of Kubernetes."""
        if self.control is None or "system:masters" not in user.groups:
            raise ApiError(
                403, "Forbidden", f'forbidden: User "{user.name}" cannot use the switches of the lab', {}
            )
        body = await _body(receive, headers) if method == "POST" else b""
        return Answer(self.control(body))

    def _user(self, headers: dict[str, str], method: str, path: str, query: dict[str, str]) -> User:
        user = self.tokens.user(headers.get("authorization", ""), self.cluster.clock())
        other = impersonated(headers, user)
        if other is None:
            return user
        asked = Attributes("impersonate", "", "users", name=other.name)
        if not self.authorizer.allows(user, asked)[0]:
            raise _no_impersonation(user, method, path, query)
        for group in headers.get("impersonate-group", "").split(","):
            wanted = Attributes("impersonate", "", "groups", name=group.strip())
            if group.strip() and not self.authorizer.allows(user, wanted)[0]:
                raise forbidden("", "groups", group.strip(), subject_text(wanted, user))
        return other

    def _kind(self, route: Route) -> Kind:
        kind = self.cluster.served.find(route.group, route.version, route.plural)
        if kind is not None:
            return kind
        if self.cluster.served.serves(route.group, route.version):
            raise no_such_resource()
        raise ApiError(404, "", "404 page not found")

    def _call(  # noqa: PLR0917  # everything that a request says
        self,
        route: Route,
        kind: Kind,
        method: str,
        query: dict[str, str],
        headers: dict[str, str],
        user: User,
    ) -> Call:
        resource = kind.resource
        subresource = resource.subresource(route.subresource) if route.subresource else None
        if route.subresource and subresource is None:
            raise no_such_resource()
        if route.namespace and not resource.namespaced and resource.plural != "namespaces":
            raise no_such_resource()
        if route.name and resource.namespaced and not route.namespace:
            raise no_such_resource()
        verb = (_ONE if route.name else _COLLECTION).get(method)
        if verb is None or (route.name and method == "POST" and subresource is None):
            raise method_not_allowed(resource.group, resource.plural, _verb_name(method, verb))
        is_relayed = route.subresource == "proxy"
        if method in {"GET", "HEAD"} and not is_relayed and (query.get("watch") in _TRUE or route.is_watch):
            verb = "watch"
        verbs = resource.verbs if subresource is None else subresource.verbs
        if verb not in verbs and not (subresource is not None and verb == "watch"):
            raise method_not_allowed(resource.group, resource.plural, verb)
        namespace = route.namespace if resource.namespaced else ""
        if verb == "create" and resource.namespaced and not namespace and resource.is_stored:
            raise ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
            )
        return Call(
            verb, resource, namespace, route.name, subresource, query, headers.get("accept", ""),
            headers.get("content-type", ""), b"", user, headers.get("user-agent", ""), route.rest,
        )  # fmt: skip

    def _authorize(self, call: Call) -> None:
        resource = call.resource
        asked = Attributes(
            call.verb, resource.group, resource.plural, call.subresource_name,
            call.name if resource.plural == "namespaces" else call.namespace, call.name,
        )  # fmt: skip
        if not self.authorizer.allows(call.user, asked)[0]:
            full = asked.full_resource
            raise forbidden(resource.group, full, call.name, subject_text(asked, call.user))

    def _authorize_path(self, user: User, method: str, path: str) -> None:
        verb = {
            "GET": "get",
            "HEAD": "head",
            "POST": "post",
            "PUT": "put",
            "PATCH": "patch",
            "DELETE": "delete",
        }.get(method, method.lower())
        asked = Attributes("get" if verb == "head" else verb, path=path)
        if not self.authorizer.allows(user, asked)[0]:
            raise ApiError(403, "Forbidden", f"forbidden: {subject_text(asked, user)}", {})


def _verb_name(method: str, verb: str | None) -> str:
    return verb or method.lower()


def _no_impersonation(user: User, method: str, path: str, query: dict[str, str]) -> ApiError:
    """1.36 names the constrained impersonation that was tried last, on the request's own resource."""
    route = split_path(path)
    if route is None:
        return ApiError(403, "Forbidden", f'forbidden: User "{user.name}" cannot impersonate', {})
    verb = (_ONE if route.name else _COLLECTION).get(method, method.lower())
    if query.get("watch") in _TRUE:
        verb = "watch"
    asked = Attributes(
        f"impersonate-on:user-info:{verb}", route.group, route.plural, route.subresource, route.namespace, route.name
    )  # fmt: skip
    return forbidden(route.group, asked.full_resource, route.name, subject_text(asked, user))


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


async def _body(receive: Receive, headers: dict[str, str]) -> bytes:
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "BadRequest", "the client went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LARGEST_BODY:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _too_large() -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}", {})


def _with_body(call: Call, body: bytes) -> Call:
    return dataclasses.replace(call, body=body)


def _error(error: ApiError) -> Answer:
    if error.code == 404 and not error.reason:
        return Answer(text=error.message.encode() + b"\n", code=404, content_type="text/plain; charset=utf-8")
    return Answer(error.document(), error.code, headers=list(error.headers.items()))


async def _send(send: Send, answer: Answer, method: str) -> None:
    text = answer.text if answer.text is not None else _encode(answer.document)
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-cache, private"),
        *((name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in answer.headers),
    ]
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else text})


async def _stream(send: Send, receive: Receive, answer: Answer) -> None:
    """Send what comes until it or its reader ends."""
    chunks: AsyncIterator[bytes] | None = answer.stream
    assert chunks is not None  # noqa: S101 - what is no stream is sent whole
    headers = [
        (b"content-type", answer.content_type.encode("latin-1")),
        (b"cache-control", b"no-cache, private"),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers),
    ]
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    # The first bytes tell the client that it stands, such as a watch.
    await send({"type": "http.response.body", "body": b"", "more_body": True})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def copy() -> None:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    copying, leaving = asyncio.ensure_future(copy()), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((copying, leaving), return_when=asyncio.FIRST_COMPLETED)
        if copying.done():
            copying.result()
            await send({"type": "http.response.body", "body": b""})
    finally:
        for task in (copying, leaving):
            task.cancel()
        await asyncio.gather(copying, leaving, return_exceptions=True)
