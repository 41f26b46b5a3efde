"""Where requests go, and what they look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from stoker.errors import InputError, Problem
from stoker.load.plan import Planned

__all__ = ["Api", "Target", "body_of", "check_target", "headers_of", "shown_url", "url_of"]

_SECRET: Final = frozenset(("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"))
_encode: Final = msgspec.json.Encoder().encode


class Api(StrEnum):
    """Protocols."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    INFER = "infer"


_PATHS: Final = {Api.CHAT: "/chat/completions", Api.COMPLETIONS: "/completions"}


@dataclass(frozen=True, slots=True)
class Target:
    """A server of models.

    Attributes:
        url: its root, or the root of its API (``…/v1``), or the very route.
        api: the protocol.
        streams: answers are asked for as events; the Open Inference Protocol has none.
        host: the Host header, where the server is reached by another name or address.
        key_env: name of the environment variable that holds the bearer token; empty for none.
        headers: further ones; nothing secret.
        answered_by: name of the response header that tells who answered; empty to take the answer's own word.
        exact: answers are asked to be as long as planned (``ignore_eos``, which vLLM, SGLang and the lab know).
        keep_alive: requests share connections. Without it each has its own, as independent users have, and a Service spreads them
            over its pods.
        ca: file of the certificate authority for https; None for the system's.
        extra: further fields of every body.
    """

    url: str
    api: Api = Api.CHAT
    streams: bool = True
    host: str = ""
    key_env: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    answered_by: str = ""
    exact: bool = True
    keep_alive: bool = False
    ca: Path | None = None
    extra: tuple[tuple[str, Any], ...] = ()

    @property
    def is_streamed(self) -> bool:
        return self.streams and self.api is not Api.INFER


def check_target(target: Target, environment: Mapping[str, str]) -> None:
    """Refuse a target that cannot be reached as it is written, or that holds a secret where others see it.

    Raises:
        InputError: of everything that is wrong.
    """
    problems = []
    parts = urlsplit(target.url)
    try:
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port = False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port:
        problems.append(
            Problem(
                "no URL", path="URL", found=shown_url(target.url), wanted="http://HOST:PORT or https://HOST"
            )
        )
    if parts.username or parts.password:
        problems.append(
            Problem(
                "a URL with a secret in it is seen by everybody on this machine",
                path="URL",
                found=shown_url(target.url),
                fix="put a token into an environment variable and name it: --key-env NAME",
            )
        )
    problems += [
        Problem(
            "a secret on the command line is seen by everybody on this machine",
            path="--header",
            found=name,
            fix="put the token into an environment variable and name it: --key-env NAME",
        )
        for name, _ in target.headers
        if name.lower() in _SECRET
    ]
    problems += [
        Problem("no header", path="--header", found=repr(name), wanted="NAME: VALUE in printable letters")
        for name, value in target.headers
        if not name.strip() or not name.isascii() or not (name + value).isprintable() or ":" in name
    ]
    if target.key_env and not environment.get(target.key_env):
        problems.append(
            Problem(
                "the environment variable is empty",
                path="--key-env",
                found=target.key_env,
                wanted="the name of one that holds a token",
                fix=f"export {target.key_env}=…",
            )
        )
    if problems:
        raise InputError(problems)


def shown_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def url_of(target: Target, model: str) -> str:
    """The very route of a model's requests."""
    parts = urlsplit(target.url)
    path = parts.path.rstrip("/")
    if target.api is Api.INFER:
        if not path.endswith("/infer"):
            path = f"{path.removesuffix('/v2')}/v2/models/{quote(model, safe='')}/infer"
    elif not path.endswith("/completions"):
        path = f"{path.removesuffix('/v1')}/v1{_PATHS[target.api]}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def headers_of(target: Target, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers of every request; the token is read from the environment here and kept nowhere else."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **dict(target.headers)}
    if target.host:
        headers["Host"] = target.host
    if target.key_env:
        headers["Authorization"] = f"Bearer {environment.get(target.key_env, '')}"
    return headers


def body_of(target: Target, request: Planned, prompt: str) -> bytes:
    """The body of a request."""
    length: dict[str, Any] = {"max_tokens": request.output_tokens}
    if target.exact:
        length["ignore_eos"] = True
    if target.api is Api.INFER:
        given = {"name": "input-0", "shape": [1], "datatype": "BYTES", "data": [prompt]}
        return _encode({"inputs": [given], "parameters": {**length, **dict(target.extra)}})
    body: dict[str, Any] = {"model": request.model, **length, "temperature": 0.0}
    if target.api is Api.CHAT:
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        body["prompt"] = prompt
    if target.streams:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _encode({**body, **dict(target.extra)})
