"""The lab under test: started by the command, killed by its number, and reached over the address of its kubeconfig."""

import asyncio
import base64
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

__all__ = ["Lab", "LostError", "UnsentError"]

_STOKER = Path(sys.executable).parent / "stoker"
# A server that takes longer to answer hangs.
_HANGS_S = 60.0


class LostError(Exception):
    """The connection broke after the request may have been read: nobody knows what became of it."""


class UnsentError(Exception):
    """There was no connection: the request reached nobody."""


class Lab:
    """A lab on a folder of its own, up or down.

    Args:
        folder: its state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_up = asyncio.Event()
        self._client: httpx2.AsyncClient | None = None
        self._old: list[httpx2.AsyncClient] = []

    # --- the process ----------------------------------------------------------------------------------------------

    async def up(self) -> None:
        """Start it; returns when it is ready."""
        code, output = await (await self._launch())()
        assert code == 0, f"lab up failed: {output}\n{self.log()[-4000:]}"
        await self._connect()

    async def up_until(self, seconds: float) -> None:
        """Start it and kill it on the way, after so many seconds at most."""
        finish = await self._launch()
        await asyncio.sleep(seconds)
        for pid in self._processes():
            _kill(pid)
        await finish()
        for pid in self._processes():
            _kill(pid)
        await self._ended()

    async def _launch(self) -> Any:
        process = await asyncio.create_subprocess_exec(
            str(_STOKER), "lab", "up", "--state", str(self.folder), "--nodes", "1xcpu", "--speed", "20", "--no-metrics",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

        async def finish() -> tuple[int | None, str]:
            output, _ = await asyncio.wait_for(process.communicate(), 120)
            return process.returncode, output.decode(errors="replace")

        return finish

    def _processes(self) -> list[int]:
        """Numbers of the processes that serve this folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"stoker.lab.process" in words and str(self.folder).encode() in words:
                found.append(int(path.parent.name))
        return found

    async def kill(self) -> None:
        """`kill -9`: no word to anybody."""
        self.is_up.clear()
        pids = self._processes()
        assert len(pids) == 1, f"one process should serve {self.folder}, found {pids}"
        _kill(pids[0])
        await self._ended()

    async def _ended(self) -> None:
        for _ in range(3000):
            if not self._processes():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("a killed process goes on")

    async def down(self) -> None:
        """Stop it as a user does."""
        self.is_up.clear()
        process = await asyncio.create_subprocess_exec(
            str(_STOKER), "lab", "down", "--state", str(self.folder), stdout=asyncio.subprocess.DEVNULL
        )
        assert await asyncio.wait_for(process.wait(), 60) == 0
        await self.close()

    def log(self) -> str:
        path = self.folder / "lab.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- the connection -------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        if self._client is not None:
            # Requests on it may still be about to learn that nobody answers.
            self._old.append(self._client)
        found = json.loads((self.folder / "kubeconfig").read_text())
        cluster = found["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._client = httpx2.AsyncClient(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {found['users'][0]['user']['token']}"},
            verify=ssl.create_default_context(cadata=authority),
            timeout=_HANGS_S,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=50),
            trust_env=False,
        )
        self.is_up.set()

    async def close(self) -> None:
        """Let go of all connections; nobody may be using them."""
        for client in (*self._old, *([] if self._client is None else [self._client])):
            await client.aclose()
        self._old.clear()
        self._client = None

    def _connection(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise UnsentError
        return self._client

    async def send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Any = None,
        content: str = "application/json",
    ) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            LostError: the connection broke.
            UnsentError: there was none.
        """
        client = self._connection()
        text = None if body is None else json.dumps(body).encode()
        headers = {} if text is None else {"Content-Type": content}
        try:
            answer = await client.request(method, path, params=query, content=text, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UnsentError from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise LostError from error
        return answer.status_code, answer.content

    @asynccontextmanager
    async def watch(self, path: str, query: dict[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Chunks of a watch, until it ends.

        Raises:
            LostError, UnsentError: as of `send`; before the first chunk or after it.
        """
        client = self._connection()
        try:
            async with client.stream("GET", path, params={**query, "watch": "1"}) as answer:
                assert answer.status_code == 200, (path, query, answer.status_code, await answer.aread())
                yield answer.aiter_bytes()
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UnsentError from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise LostError from error


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended by itself
