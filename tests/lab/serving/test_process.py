"""The process as the nodes see it: containers that start, answer, fail, stop; listeners; nothing left behind."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stoker.lab.serving.contract import (
    Backend,
    ContainerLog,
    ContainerState,
    Fault,
    FromServing,
    Held,
    Listener,
    Rule,
    RunContainer,
    SetClock,
    SetListeners,
    StopContainer,
    ToServing,
    decode_from,
    encode,
)

VLLM = "vllm/vllm-openai:v0.33.0"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
PATIENCE = 60.0


class Serving:
    """The process, and what it said."""

    def __init__(self, folder: Path, speed: float = 400.0) -> None:
        self.path = folder / "serving.sock"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stoker.lab.serving", "--socket", str(self.path)], env=environment
        )
        self.said: list[FromServing] = []
        self._condition = threading.Condition()
        self._sock = self.connect()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._speed = speed
        self._ran: set[str] = set()
        self.send(SetClock(now=1e9, speed=speed))

    def reset(self) -> None:
        """Nothing runs, nothing listens."""
        self.send(SetListeners(listeners=()), *(StopContainer(id=name, grace_s=0) for name in self._ran))
        for name in self._ran:
            self.state(name, "exited")
        with self._condition:
            self.said.clear()
        self._ran.clear()
        self.send(SetClock(now=1e9, speed=self._speed))

    def connect(self) -> socket.socket:
        end = time.monotonic() + PATIENCE
        while True:
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(str(self.path))
            except OSError:
                found.close()
                assert time.monotonic() < end
                time.sleep(0.01)
            else:
                return found

    def _read(self) -> None:
        with self._sock.makefile("rb") as lines:
            for line in lines:
                with self._condition:
                    self.said.append(decode_from(line))
                    self._condition.notify_all()

    def send(self, *messages: ToServing) -> None:
        self._ran |= {message.id for message in messages if isinstance(message, RunContainer)}
        self._sock.sendall(b"".join(encode(message) for message in messages))

    def until(self, test: Callable[[FromServing], bool]) -> FromServing:
        """The first message that is wanted, once it is there."""

        def found() -> FromServing | None:
            return next((message for message in self.said if test(message)), None)

        with self._condition:
            assert self._condition.wait_for(lambda: found() is not None, PATIENCE), self.said
        message = found()
        assert message is not None
        return message

    def state(self, name: str, state: str) -> ContainerState:
        message = self.until(
            lambda each: isinstance(each, ContainerState) and (each.id, each.state) == (name, state)
        )
        assert isinstance(message, ContainerState)
        return message

    def logs(self, name: str) -> str:
        return "\n".join(
            line
            for each in self.said
            if isinstance(each, ContainerLog) and each.id == name
            for _, line in each.lines
        )

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(tmp_path_factory.mktemp("serving"))
    yield made
    made.close()


@pytest.fixture
def serving(process: Serving) -> Iterator[Serving]:
    """One process for all tests; each leaves it empty."""
    yield process
    process.reset()


@pytest.fixture(scope="module")
def addresses() -> Iterator[str]:
    """Addresses that no other worker uses."""
    second, third = os.getpid() // 250 % 200 + 20, os.getpid() % 250 + 1
    return iter(f"127.{second}.{third}.{last}" for last in range(1, 255))


def container(
    name: str,
    address: str,
    image: str,
    *args: str,
    command: list[str] | None = None,
    gpus: int = 0,
    **more: Any,
) -> RunContainer:
    made = {"name": "main", "image": image, "args": list(args), "env": {}, **more}
    if command:
        made["command"] = command
    pod = {"metadata": {"name": name, "namespace": "ml"}, "spec": {"nodeName": "n1", "containers": [made]}}
    return RunContainer(
        id=name,
        address=address,
        container=made,
        pod=pod,
        gpu="A100-SXM-80GB" if gpus else "",
        gpus=gpus,
        load_s=10.0,
    )


def llama(name: str, address: str, *args: str) -> RunContainer:
    return container(
        name, address, VLLM, LLAMA, "--served-model-name=llama", "--max-model-len=8192", *args, gpus=1
    )


def call(
    address: str, port: int, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)
    with contextlib.closing(connection):
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **headers} if data else headers
        connection.request(method, path, data, given)
        answer = connection.getresponse()
        return answer.status, answer.read()


def chat(address: str, port: int = 8000, path: str = "/v1/chat/completions", **more: Any) -> tuple[int, Any]:
    status, body = call(
        address, port, "POST", path, {"messages": [{"role": "user", "content": "hi"}], **more}
    )
    return status, json.loads(body)


def test_an_engine_starts_answers_and_counts(serving: Serving, addresses: Iterator[str]) -> None:
    address = next(addresses)
    serving.send(llama("a", address))
    serving.state("a", "ready")

    assert (200, b"") == call(address, 8000, "GET", "/health")
    assert {"version": "0.33.0"} == json.loads(call(address, 8000, "GET", "/version")[1])
    assert "llama" == json.loads(call(address, 8000, "GET", "/v1/models")[1])["data"][0]["id"]
    status, answer = chat(address, max_tokens=20, ignore_eos=True)
    assert (200, 20, "length") == (
        status,
        answer["usage"]["completion_tokens"],
        answer["choices"][0]["finish_reason"],
    )
    text = answer["choices"][0]["message"]["content"]
    assert 20 == json.loads(call(address, 8000, "POST", "/tokenize", {"prompt": text})[1])["count"]
    assert 404 == chat(address, model="other")[0]
    assert 404 == call(address, 8000, "GET", "/nothing")[0]
    assert 405 == call(address, 8000, "GET", "/v1/chat/completions")[0]
    page = call(address, 8000, "GET", "/metrics")[1].decode()
    assert 'vllm:generation_tokens_total{engine="0",model_name="llama"} 20.0' in page
    assert 'http_requests_total{handler="/v1/chat/completions",method="POST",status="4xx"} 1.0' in page


def test_a_stream_has_a_chunk_a_token_and_its_usage(serving: Serving, addresses: Iterator[str]) -> None:
    address = next(addresses)
    serving.send(llama("a", address))
    serving.state("a", "ready")
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 7, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}  # fmt: skip

    _, data = call(address, 8000, "POST", "/v1/chat/completions", body)
    _, whole = call(
        address, 8000, "POST", "/v1/chat/completions", {**body, "stream": False, "stream_options": None}
    )

    events = [line.removeprefix("data: ") for line in data.decode().split("\n\n") if line]
    assert "[DONE]" == events[-1]
    chunks = [json.loads(event) for event in events[:-1]]
    assert {"role": "assistant", "content": ""} == chunks[0]["choices"][0]["delta"]
    assert 7 == len(chunks[1:-1])
    assert ["length"] == [
        chunk["choices"][0]["finish_reason"] for chunk in chunks[1:-1] if chunk["choices"][0]["finish_reason"]
    ]
    assert 7 == chunks[-1]["usage"]["completion_tokens"]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks[:-1])
    assert text == json.loads(whole)["choices"][0]["message"]["content"]


def test_the_inference_protocol_and_kserves_paths_answer(serving: Serving, addresses: Iterator[str]) -> None:
    address = next(addresses)
    serving.send(container("q", address, "kserve/huggingfaceserver:v0.15.0", "--model_name=qwen",
                           "--model_id=Qwen/Qwen2.5-7B-Instruct", gpus=1))  # fmt: skip
    serving.state("q", "ready")

    assert {"ready": True} == json.loads(call(address, 8080, "GET", "/v2/health/ready")[1])
    assert {"name": "qwen", "ready": True} == json.loads(
        call(address, 8080, "GET", "/v2/models/qwen/ready")[1]
    )
    assert 404 == call(address, 8080, "GET", "/v2/models/other/ready")[0]
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["hello", "world"]}
    _, answer = call(
        address, 8080, "POST", "/v2/models/qwen/infer", {"inputs": [tensor], "parameters": {"max_tokens": 5}}
    )
    assert [2] == json.loads(answer)["outputs"][0]["shape"]
    assert 200 == chat(address, 8080, "/openai/v1/chat/completions", max_tokens=3)[0]


def test_an_engine_that_does_not_fit_exits_with_the_known_error(
    serving: Serving, addresses: Iterator[str]
) -> None:
    serving.send(container("big", next(addresses), VLLM, "meta-llama/Llama-3.1-70B-Instruct", gpus=1))
    serving.send(container("typo", next(addresses), VLLM, LLAMA, "--no-such-flag", gpus=1))

    state = serving.state("big", "exited")

    assert (1, "Error") == (state.exit_code, state.reason)
    assert "torch.OutOfMemoryError: CUDA out of memory" in state.message
    assert 2 == serving.state("typo", "exited").exit_code


def test_two_engines_do_not_fit_one_gpu(serving: Serving, addresses: Iterator[str]) -> None:
    first, second = llama("a", next(addresses)), llama("b", next(addresses))
    for each in (first, second):
        each.container["env"]["NVIDIA_VISIBLE_DEVICES"] = "0"
    serving.send(first)
    serving.state("a", "ready")
    serving.send(second)

    assert "is less than desired GPU memory utilization" in serving.state("b", "exited").message


def test_helpers_run_end_and_are_killed(serving: Serving, addresses: Iterator[str]) -> None:
    serving.send(
        container("three", next(addresses), "busybox", command=["sh", "-c", "echo bye; sleep 20; exit 3"]),
        container("load", next(addresses), "kserve/storage-initializer:v0.20.0", "hf://a/b", "/mnt/models"),
        container("sleeper", next(addresses), "busybox", command=["sleep", "infinity"]),
        container("pause", next(addresses), "registry.k8s.io/pause:3.10"),
    )
    serving.state("pause", "ready")
    serving.state("sleeper", "ready")
    serving.send(StopContainer(id="pause", grace_s=30), StopContainer(id="sleeper", grace_s=30))

    assert (3, "Error", "bye") == (
        (state := serving.state("three", "exited")).exit_code,
        state.reason,
        state.message,
    )
    assert (0, "Completed") == ((state := serving.state("load", "exited")).exit_code, state.reason)
    assert 0 == serving.state("pause", "exited").exit_code
    assert 137 == serving.state("sleeper", "exited").exit_code


def test_an_unknown_image_answers_on_its_ports_and_says_what_it_is(
    serving: Serving, addresses: Iterator[str]
) -> None:
    address = next(addresses)
    serving.send(container("x", address, "acme/thing:1", ports=[{"containerPort": 9999}]))
    serving.state("x", "ready")

    assert 200 == call(address, 9999, "GET", "/anything")[0]
    serving.until(lambda each: isinstance(each, ContainerLog) and each.id == "x")
    assert "is not emulated" in serving.logs("x")


def test_an_address_is_free_again_when_its_engine_has_stopped(
    serving: Serving, addresses: Iterator[str]
) -> None:
    address = next(addresses)
    serving.send(llama("a", address))
    serving.state("a", "ready")
    serving.send(StopContainer(id="a", grace_s=30))
    assert 0 == serving.state("a", "exited").exit_code

    with pytest.raises(ConnectionRefusedError):
        call(address, 8000, "GET", "/health")
    serving.send(llama("b", address))
    serving.state("b", "ready")


def test_faults_break_and_mend(serving: Serving, addresses: Iterator[str]) -> None:
    address = next(addresses)
    serving.send(
        llama("a", address), container("dcgm", next(addresses), "nvcr.io/nvidia/k8s/dcgm-exporter:4.5")
    )
    serving.state("a", "ready")
    serving.send(Fault(id="a", kind="hang"))
    serving.state("a", "unready")
    serving.send(Fault(id="a", kind="hang", on=False))
    assert 200 == chat(address, max_tokens=3)[0]
    serving.send(Fault(id="a", kind="fill-kv-cache", value=0.5))
    serving.send(Fault(id="a", kind="nonsense"))
    serving.until(
        lambda each: isinstance(each, ContainerLog) and any("nonsense" in line for _, line in each.lines)
    )
    page = call(address, 8000, "GET", "/metrics")[1].decode()
    assert 'vllm:kv_cache_usage_perc{engine="0",model_name="llama"} 0.5' in page

    serving.send(Fault(id="a", kind="xid", value=79))

    assert (1, "Error") == ((state := serving.state("a", "exited")).exit_code, state.reason)
    serving.send(llama("again", address))
    assert "CUDA error" in serving.state("again", "exited").message
    serving.send(Fault(id="a", kind="xid", on=False), llama("mended", address))
    serving.state("mended", "ready")


def test_a_service_and_a_gateway_lead_to_pods(serving: Serving, addresses: Iterator[str]) -> None:
    pods = [next(addresses) for _ in range(3)]
    service, gateway = next(addresses), next(addresses)
    for index, pod in enumerate(pods):
        serving.send(
            container(f"w{index}", pod, "python:3.12", command=["python", "-m", "http.server", "8080"])
        )
        serving.state(f"w{index}", "ready")
    tcp = Listener(service, 80, "tcp", (Rule(backends=tuple(Backend(pod, 8080) for pod in pods)),))
    rules = (
        Rule(path="/held", holds=True, name="held"),
        Rule(path="/none"),
        Rule(
            backends=(Backend(pods[0], 8080, 3, "stable"), Backend(pods[1], 8080, 1, "canary")),
            rewrite_path="/",
        ),
    )
    serving.send(SetListeners(listeners=(tcp, Listener(gateway, 80, "http", rules))))
    serving.until(lambda each: isinstance(each, Held) and each.counts == {"held": 0})

    named = sorted(call(service, 80, "GET", "/")[1] for _ in range(6))
    assert [b"w0", b"w0", b"w1", b"w1", b"w2", b"w2"] == [each.split()[0] for each in named]
    split = [call(gateway, 80, "GET", "/x")[1].split()[0] for _ in range(400)]
    # Five standard deviations around one in four.
    assert abs(split.count(b"w1") - 100) < 5 * (400 * 0.25 * 0.75) ** 0.5
    assert 400 == split.count(b"w0") + split.count(b"w1")
    assert 503 == call(gateway, 80, "GET", "/none/x")[0]

    answers: list[tuple[int, bytes]] = []
    waiting = threading.Thread(target=lambda: answers.append(call(gateway, 80, "GET", "/held/x")))
    waiting.start()
    serving.until(lambda each: isinstance(each, Held) and each.counts == {"held": 1})
    filled = (Rule(path="/held", holds=True, name="held", backends=(Backend(pods[2], 8080),)), *rules[1:])
    serving.send(SetListeners(listeners=(Listener(gateway, 80, "http", filled),)))
    waiting.join(PATIENCE)

    assert [(200, b"w2")] == [(status, body.split()[0]) for status, body in answers]
    with pytest.raises(ConnectionRefusedError):
        call(service, 80, "GET", "/")


def test_thousands_of_connections_that_both_sides_end_at_once_harm_nobody(
    serving: Serving, addresses: Iterator[str]
) -> None:
    pod, service = next(addresses), next(addresses)
    serving.send(llama("many", pod))
    serving.state("many", "ready")
    serving.send(
        SetListeners(listeners=(Listener(service, 80, "tcp", (Rule(backends=(Backend(pod, 8000),)),)),))
    )
    while call(pod, 8000, "GET", "/health")[0] != 200 or not _listens(service):
        time.sleep(0.05)
    body = {"model": "llama", "prompt": "Say yes.", "max_tokens": 2}

    def ask(_: int) -> int:
        return call(service, 80, "POST", "/v1/completions", body, Connection="close")[0]

    with ThreadPoolExecutor(8) as pool:
        assert [200] * 2500 == list(pool.map(ask, range(2500)))
    assert serving.process.poll() is None


def _listens(address: str) -> bool:
    with socket.socket() as found:
        return found.connect_ex((address, 80)) == 0


def test_a_listener_whose_address_was_taken_is_tried_again(
    serving: Serving, addresses: Iterator[str]
) -> None:
    pod, gateway = next(addresses), next(addresses)
    serving.send(container("w", pod, "python:3.12", command=["python", "-m", "http.server", "8080"]))
    serving.send(container("squatter", gateway, "nginx:1.27"))
    serving.state("squatter", "ready")
    rule = Rule(name="g", holds=True, backends=(Backend(pod, 8080),))
    wish = SetListeners(listeners=(Listener(gateway, 80, "http", (rule,)),))
    serving.send(wish, StopContainer(id="squatter", grace_s=30))
    serving.state("squatter", "exited")
    serving.state("w", "ready")
    serving.send(wish)
    serving.until(lambda each: isinstance(each, Held) and each.counts == {"g": 0})

    assert b"w" == call(gateway, 80, "GET", "/")[1].split()[0]


def test_a_stream_passes_a_gateway_piece_by_piece(serving: Serving, addresses: Iterator[str]) -> None:
    pod, gateway = next(addresses), next(addresses)
    serving.send(llama("a", pod))
    serving.state("a", "ready")
    rule = Rule(name="g", holds=True, backends=(Backend(pod, 8000),))
    serving.send(SetListeners(listeners=(Listener(gateway, 80, "http", (rule,)),)))
    serving.until(lambda each: isinstance(each, Held) and each.counts == {"g": 0})
    serving.send(SetClock(now=2e9, speed=5.0))
    body = json.dumps({"prompt": "x", "max_tokens": 300, "ignore_eos": True, "stream": True})

    connection = http.client.HTTPConnection(gateway, 80, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        first = answer.readline()
        running = call(pod, 8000, "GET", "/metrics")[1].decode()
        rest = answer.read()

    assert b"data: {" == first[:7]
    assert 'vllm:num_requests_running{engine="0",model_name="llama"} 1.0' in running
    assert 300 == 1 + rest.count(b"data: {")
    assert rest.endswith(b"data: [DONE]\n\n")


def test_a_client_that_leaves_ends_its_request(serving: Serving, addresses: Iterator[str]) -> None:
    address = next(addresses)
    serving.send(llama("a", address))
    serving.state("a", "ready")
    serving.send(SetClock(now=2e9, speed=1.0))
    body = json.dumps({"prompt": "x", "max_tokens": 8000, "ignore_eos": True, "stream": True})
    connection = http.client.HTTPConnection(address, 8000, timeout=PATIENCE)
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    connection.getresponse().readline()
    connection.close()

    wanted = 'vllm:request_success_total{engine="0",finished_reason="abort",model_name="llama"} 1.0'
    end = time.monotonic() + PATIENCE
    while wanted not in call(address, 8000, "GET", "/metrics")[1].decode():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_hostile_clients_harm_nobody(serving: Serving, addresses: Iterator[str]) -> None:
    address = next(addresses)
    serving.send(llama("a", address))
    serving.state("a", "ready")
    for data in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
                 b"POST /v1/completions HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"GET / HTTP/1.1\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"):  # fmt: skip
        with socket.create_connection((address, 8000), timeout=PATIENCE) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                sock.recv(65536)
    for body in (
        b"{",
        b"null",
        b'{"prompt": 5}',
        b'{"prompt": [[]]}',
        b'{"prompt": "x", "max_tokens": 1e400}',
    ):
        connection = http.client.HTTPConnection(address, 8000, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            assert 400 == connection.getresponse().status

    assert 200 == call(address, 8000, "GET", "/health")[0]


def test_only_one_controller_is_served_and_a_new_one_is_told_everything(
    serving: Serving, addresses: Iterator[str]
) -> None:
    serving.send(container("p", next(addresses), "registry.k8s.io/pause:3.10"))
    serving.state("p", "ready")
    with serving.connect() as second:
        second.settimeout(PATIENCE)
        assert b"" == second.recv(100)
    serving._sock.shutdown(socket.SHUT_RDWR)
    serving._reader.join(PATIENCE)

    third = serving.connect()
    serving._sock.close()
    serving._sock, serving.said = third, []
    serving._reader = threading.Thread(target=serving._read, daemon=True)
    serving._reader.start()

    serving.state("p", "ready")


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "serving.sock"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-m', 'stoker.lab.serving', '--socket', {str(path)!r}]); print(child.pid, flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        end = time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.01)

        parent.send_signal(signal.SIGKILL)

        while path.exists() or Path(f"/proc/{child}").exists():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_numba_is_not_needed() -> None:
    script = "import runpy, sys; sys.argv = ['x', '--help']\ntry: runpy.run_module('stoker.lab.serving', run_name='__main__')\nexcept SystemExit: pass\nimport stoker.lab.serving.process, stoker.lab.serving.engine_program; print('numba' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )

    assert "False" == done.stdout.splitlines()[-1]


def test_an_engine_fails_a_share_of_requests_or_answers_something_else_on_command(
    serving: Serving, addresses: Iterator[str]
) -> None:
    address = next(addresses)
    serving.send(llama("a", address))
    serving.state("a", "ready")
    right = chat(address, max_tokens=8)[1]["choices"][0]["message"]["content"]

    serving.send(Fault(id="a", kind="errors", value=0.5))
    assert [200, 500, 200, 500] == [chat(address, max_tokens=3)[0] for _ in range(4)]
    serving.send(Fault(id="a", kind="errors", on=False), Fault(id="a", kind="garble", value=1.0))
    assert right != chat(address, max_tokens=8)[1]["choices"][0]["message"]["content"]
    serving.send(Fault(id="a", kind="garble", on=False))

    assert right == chat(address, max_tokens=8)[1]["choices"][0]["message"]["content"]
    page = call(address, 8000, "GET", "/metrics")[1].decode()
    assert 'vllm:request_success_total{engine="0",finished_reason="error",model_name="llama"} 2' in page
