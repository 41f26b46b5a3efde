"""Speed of the load generator: event streams that it takes in on one core; reference: `hey` on the same core, which looks at nothing.

Both are counted by the second of CPU that they used: whatever else runs on the machine at that time does not count.

The server is a process on the other core that answers at once with the same bytes whatever it is asked: 20 events of a chat.
"""

import asyncio
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stoker.load import Target, poisson_plan, run_sync, summarise

_TOKENS = 20
_IN_FLIGHT = 64
_REQUESTS = 8000
_REPEATS = 3
_QUIET_RATE = 200.0


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _answer() -> bytes:
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
             "choices": [{"index": 0, "delta": {"content": " one"}, "logprobs": None, "finish_reason": None}]}  # fmt: skip
    events = [_chunk(b"data: " + json.dumps(event).encode() + b"\n\n")] * _TOKENS
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(events) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Server(asyncio.Protocol):
    """Answers each request, of which the head and the body come whole, with the same bytes."""

    answer = _answer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if not end or len(body) < int(length.group(1) if length else 0):
            return
        self._seen = b""
        self._transport.write(self.answer)  # type: ignore[attr-defined]
        if b"connection: close" in head.lower():
            self._transport.close()


async def serve() -> None:
    """Print the port and serve until killed."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def _server(core: int) -> Iterator[str]:
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is piped
        os.sched_setaffinity(process.pid, {core})
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _ours(url: str, *, keep_alive: bool) -> float:
    """Streams a second of CPU: all requests are due at once, and only the bound on those in flight holds them back."""
    plan = poisson_plan(_REQUESTS * 10.0, 0.1, model="m", prompt_tokens=64, output_tokens=_TOKENS)
    begin = time.process_time()
    done = run_sync(plan, Target(url, keep_alive=keep_alive), max_in_flight=_IN_FLIGHT)
    seconds = time.process_time() - begin
    if (outcomes := summarise(done).total.outcomes) != {"ok": _REQUESTS}:
        raise RuntimeError(f"the streams did not end well: {outcomes}")
    return _REQUESTS / seconds


def _hey(url: str, body: str, *, keep_alive: bool) -> float:
    """Requests a second of CPU."""
    command = [
        "hey",
        "-n",
        str(_REQUESTS),
        "-c",
        str(_IN_FLIGHT),
        "-cpus",
        "1",
        "-m",
        "POST",
        "-T",
        "application/json",
        "-d",
        body,
    ]
    begin = _of_children()
    done = subprocess.run([*command, *([] if keep_alive else ["-disable-keepalive"]), f"{url}/v1/chat/completions"],
                          check=True, capture_output=True, text=True)  # fmt: skip
    seconds = _of_children() - begin
    if f"[200]\t{_REQUESTS} responses" not in done.stdout:
        raise RuntimeError(done.stdout + done.stderr)
    return _REQUESTS / seconds


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bench_load() -> None:
    """8,000 streams of 20 events on one core, with a connection each and with shared ones; reference: hey."""
    if shutil.which("hey") is None:
        print("load: hey is not installed (apt-get install hey); nothing to compare with")
        return
    cores = sorted(os.sched_getaffinity(0))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "one " * 64}], "stream": True})
    with _server(cores[-1]) as url:
        os.sched_setaffinity(0, {cores[0]})
        try:
            for keep_alive, words in ((False, "a connection each"), (True, "shared connections")):
                ours = [_ours(url, keep_alive=keep_alive) for _ in range(_REPEATS)]
                theirs = [_hey(url, body, keep_alive=keep_alive) for _ in range(_REPEATS)]
                mine, reference = statistics.median(ours), statistics.median(theirs)
                print(f"load, {words}: {mine:,.0f} streams, {mine * _TOKENS:,.0f} events a second of one core; reference, hey: "
                      f"{reference:,.0f} requests; stoker / hey = {mine / reference:.2f}")  # fmt: skip
            plan = poisson_plan(_QUIET_RATE, 5.0, model="m", prompt_tokens=64, output_tokens=_TOKENS)
            quiet = summarise(run_sync(plan, Target(url)))
            figures = (quiet.lag.p50, quiet.lag.p99, quiet.total.ttft.p50, quiet.total.ttft.p99)
            lag50, lag99, first50, first99 = (1000 * (figure or 0.0) for figure in figures)
            print(f"  at {_QUIET_RATE:.0f} requests/s, of a server that answers at once: sent {lag50:.2f} ms late (P99 {lag99:.2f}), "
                  f"TTFT {first50:.2f} ms (P99 {first99:.2f})")  # fmt: skip
        finally:
            os.sched_setaffinity(0, set(cores))


if __name__ == "__main__":
    asyncio.run(serve())
