"""A server of models that is as slow, as rude and as broken as the name of the model says; run as a process of its own.

First text after 50 ms, then a token every 10 ms; `python -m tests.load.server` prints its port; two files make it speak TLS.
"""

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

FIRST_S, TOKEN_S, STALL_S, STALL_AFTER = 0.05, 0.01, 1.0, 20

Send = Callable[[dict[str, Any]], Awaitable[None]]

_seen: Counter[str] = Counter()
_until: dict[str, float] = {}


def _chunk(model: str, **more: Any) -> bytes:
    delta = more.pop("content", None)
    choices = [] if delta is None else [{"index": 0, "delta": {"content": delta}, "finish_reason": None}]
    return b"data: " + json.dumps({"model": model, "choices": choices, **more}).encode() + b"\n\n"


async def _status(send: Send, status: int, kind: str = "application/json", **headers: str) -> None:
    pairs = [(b"content-type", kind.encode()), *((name.replace("_", "-").encode(), text.encode()) for name, text in headers.items())]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _body(send: Send, body: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _stream(send: Send, model: str, tokens: int, headers: dict[str, str]) -> None:
    await asyncio.sleep(FIRST_S)
    await _status(send, 200, "text/event-stream", **headers)
    await _body(send, _chunk(model, content=""), more=True)
    for index in range(tokens):
        if index:
            await asyncio.sleep(TOKEN_S)
        await _body(send, _chunk(model, content=" one"), more=True)
        if model == "error":
            await _body(
                send, b'data: {"error": {"message": "the engine died", "code": 500}}\n\ndata: [DONE]\n\n'
            )
            return
        if model == "cut" and index:
            raise ConnectionError  # uvicorn closes the connection in the middle of the answer
        if model == "short" and index:
            await _body(send, b"")
            return
    if model != "uncounted":
        usage = {"prompt_tokens": 7, "completion_tokens": tokens}
        await _body(send, _chunk(model, usage=usage), more=True)
    await _body(send, b"data: [DONE]\n\n")


async def _stalls(model: str) -> None:
    """From a request on, nobody is served for a second."""
    _seen[model] += 1
    if _seen[model] == STALL_AFTER:
        _until[model] = time.monotonic() + STALL_S
    await asyncio.sleep(max(0.0, _until.get(model, 0.0) - time.monotonic()))


async def _answer(scope: dict[str, Any], body: dict[str, Any], send: Send) -> None:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    model = body.get("model") or scope["path"].split("/")[3]
    tokens = body.get("max_tokens", 1)
    if model.isdecimal():
        await _status(send, int(model), location="http://127.0.0.1:1/")
        await _body(
            send,
            json.dumps({"error": {"message": f"said {headers.get('authorization', 'nothing')}"}}).encode(),
        )
    elif model == "hang":
        await asyncio.sleep(60)
    elif model == "strange":
        await _status(send, 200, "text/html")
        await _body(send, b"<html>welcome to nginx</html>")
    elif model == "echo":
        await _status(send, 200, x_pod=headers.get("host", ""), x_path=scope["path"])
        text = json.dumps({"headers": headers, "path": scope["path"], "body": body})
        await _body(
            send, json.dumps({"model": text, "choices": [{"text": "x", "finish_reason": "stop"}]}).encode()
        )
    elif scope["path"].endswith("/infer"):
        output = {"name": "output-0", "shape": [1], "datatype": "BYTES", "data": ["one"]}
        await _status(send, 200)
        await _body(
            send, json.dumps({"model_name": model, "model_version": "2", "outputs": [output]}).encode()
        )
    else:
        if model.startswith("stall"):
            await _stalls(model)
        await _stream(send, model, tokens, {"x_pod": "pod-a"})


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    """The application."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await _answer(scope, json.loads(body), send)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - whoever started it reads it
    certificate, key = sys.argv[1:] or (None, None)
    config = uvicorn.Config(
        app, lifespan="off", log_level="critical", ssl_certfile=certificate, ssl_keyfile=key
    )
    uvicorn.Server(config).run([listener])
