"""The kubelets' end of the socket: what goes over it, what comes back, what happens when it breaks."""

import asyncio
from pathlib import Path
from typing import Any

from stoker.lab.nodes.serving_client import ServingClient
from stoker.lab.serving.contract import (
    ContainerLog,
    ContainerState,
    RunContainer,
    SetClock,
    StopContainer,
    ToServing,
    decode_to,
    encode,
)


def run(name: str, **container: Any) -> RunContainer:
    found = {"name": "c", "image": "vllm/vllm-openai:v0.11.0", **container}
    pod = {"metadata": {}, "spec": {"containers": [found]}}
    return RunContainer(id=f"{name}/c/0", address="127.64.0.1", container=found, pod=pod, load_s=5.0)


class Process:
    """Plays the process that runs containers."""

    def __init__(self) -> None:
        self.heard: list[ToServing] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        async for line in reader:
            self.heard.append(decode_to(line))

    def end(self) -> None:
        for writer in self.writers:
            writer.close()

    def say(self, *messages: Any) -> None:
        for message in messages:
            self.writers[-1].write(encode(message))


async def eventually(is_so: Any) -> None:
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def test_engines_are_run_beside_and_plain_programs_here(tmp_path: Path) -> None:
    async def scenario() -> None:
        process, woken = Process(), list[str]()
        server = await asyncio.start_unix_server(process.serve, tmp_path / "s")
        client = ServingClient(lambda: 7.0, 2.0, woken=woken.append)
        task = asyncio.ensure_future(client.run(tmp_path / "s"))
        client.start(run("engine"))
        client.start(run("plain", image="busybox", command=["sleep", "60"]))
        await eventually(lambda: len(process.heard) >= 2)
        assert [SetClock(now=7.0, speed=2.0), run("engine")] == process.heard
        assert ["running", "ready"] == [one.state for one in client.states("plain/c/0")]
        process.say(
            ContainerState(id="engine/c/0", state="running"),
            ContainerLog(id="engine/c/0", lines=((7.5, "loading"),)),
        )
        await eventually(lambda: woken == ["engine/c/0"] and client.log("engine/c/0"))
        assert ["running"] == [one.state for one in client.states("engine/c/0")]
        assert [] == list(client.states("engine/c/0"))
        assert [(7.5, "loading")] == list(client.log("engine/c/0"))
        client.stop("engine/c/0", 30)
        await eventually(lambda: len(process.heard) == 3)
        assert StopContainer(id="engine/c/0", grace_s=30) == process.heard[2]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        process.end()
        server.close()
        await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_after_a_break_engines_are_not_ready_and_are_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process()
        server = await asyncio.start_unix_server(process.serve, tmp_path / "s")
        client = ServingClient(lambda: 7.0)
        task = asyncio.ensure_future(client.run(tmp_path / "s"))
        client.start(run("engine"))
        await eventually(lambda: len(process.heard) == 2)
        process.writers[-1].close()
        await eventually(lambda: len(process.heard) == 4)
        assert ["unready"] == [one.state for one in client.states("engine/c/0")]
        assert run("engine") == process.heard[3]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        process.end()
        server.close()
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
