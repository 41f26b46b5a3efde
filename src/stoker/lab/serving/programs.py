"""Which program a container runs, and all programs but the engines."""

import asyncio
import re
from collections.abc import Iterator
from typing import Final

from stoker.audit.view.images import parse_image
from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.dcgm import Exporter
from stoker.lab.serving.devices import environment_of, node_of
from stoker.lab.serving.exposition import CONTENT_TYPE
from stoker.lab.serving.http import Exchange, Handler, HttpServer
from stoker.lab.serving.launch import server_of
from stoker.lab.serving.program import Host, Program
from stoker.lab.serving.shell import Step, script_of, steps_of
from stoker.lab.serving.staging import Weights, weights_command

__all__ = ["program_of"]

_PAUSE: Final = re.compile(r"(^|/)pause(-amd64)?$")
_DCGM: Final = re.compile(r"(^|/)dcgm-exporter$")
_LOADERS: Final = re.compile(r"storage-initializer|model-(loader|downloader|puller)|local-model-agent")
_LOADING: Final = re.compile(
    r"\b(huggingface-cli|hf)\s+download\b|snapshot_download|\bs5cmd\b|\baws\s+s3\s+(cp|sync)\b|\bgsutil\b"
)
_HTTP_COMMAND: Final = re.compile(r"\bhttp\.server\b|\bSimpleHTTPServer\b|\bhttpd\b|\bnginx\b")
_WEB_IMAGES: Final = {"nginx": 80, "httpd": 80, "http-echo": 5678, "traefik": 80, "caddy": 80, "whoami": 80, "kuard": 8080,
                      "prometheus": 9090, "alertmanager": 9093, "grafana": 3000, "hello-app": 8080, "echo-server": 8080}  # fmt: skip
_DCGM_PORT: Final = 9400
_DCGM_INTERVAL_S: Final = 30.0  # DCGM_EXPORTER_INTERVAL


def program_of(run: RunContainer, host: Host) -> Program:
    """The program of a container."""
    image = parse_image(str(run.container.get("image") or ""))
    words = [str(word) for field in ("command", "args") for word in run.container.get(field) or []]
    line = " ".join(words)
    if _DCGM.search(image.repository):
        return DcgmProgram(run, host)
    command = weights_command(words)
    if command:
        return Weights(run, host, command)
    if _LOADERS.search(image.repository) or (_LOADING.search(line) and not script_has_more(line)):
        return Loading(run, host)
    server = server_of(run)
    if server is not None:
        from stoker.lab.serving.engine_program import EngineProgram

        return EngineProgram(run, host, server)
    port = _web_port(run, image.name, words, line)
    if port is not None:
        return Web(run, host, (port,), is_known=True)
    script = script_of(words)
    if script is not None:
        return Script(run, host, steps_of(script))
    if _PAUSE.search(image.repository):
        return Program(run, host)
    return Web(run, host, tuple(_declared(run)), is_known=False)


def script_has_more(line: str) -> bool:
    """Whether a script that loads a model starts a server afterwards."""
    return bool(re.search(r"vllm|sglang|api_server|text-generation-launcher", line))


def _declared(run: RunContainer) -> Iterator[int]:
    for port in run.container.get("ports") or []:
        number = port.get("containerPort")
        if isinstance(number, int) and str(port.get("protocol") or "TCP") == "TCP":
            yield number


def _web_port(run: RunContainer, image: str, words: list[str], line: str) -> int | None:
    if _HTTP_COMMAND.search(line):
        given = re.search(r"http\.server\s+(\d+)|-p\s*(?:[\d.]+:)?(\d+)|--port[= ](\d+)", line)
        fallback = 8000 if "http.server" in line else 80
        return int(next(filter(None, given.groups()))) if given else next(_declared(run), fallback)
    if image in _WEB_IMAGES and (not words or words[0].startswith("-")):
        given = re.search(r"-listen[= ]:?(\d+)|--port[= ](\d+)|--web\.listen-address[= ]\S*?:(\d+)", line)
        return int(next(filter(None, given.groups()))) if given else next(_declared(run), _WEB_IMAGES[image])
    return None


class Script(Program):
    """Commands one after the other. As a container's first process they do not hear SIGTERM, as real ones do not."""

    def __init__(self, run: RunContainer, host: Host, steps: Iterator[Step]) -> None:
        super().__init__(run, host)
        self._steps = steps
        self._code = 0

    def start(self) -> None:
        super().start()
        self._next()

    def terminate(self) -> None:
        """Nothing: a process with number 1 and no handler ignores it, and the grace period passes."""

    def _next(self) -> None:
        for step in self._steps:
            if step.says:
                self.host.log(*step.says)
            if step.seconds == float("inf"):
                return
            if step.seconds:
                self.after(step.seconds, lambda step=step: self._after(step))  # type: ignore[misc]
                return
            self._code = step.code
            if step.ends:
                break
        self.host.exit(self._code)

    def _after(self, step: Step) -> None:
        self._code = step.code
        if step.ends:
            self.host.exit(step.code)
        else:
            self._next()


class Loading(Program):
    """Something that fetches weights and ends."""

    def start(self) -> None:
        super().start()
        self.host.log(f"[lab] fetching takes {self.container.load_s:.1f} s")
        self.after(self.container.load_s, lambda: self.host.exit(0))


class Web(Program):
    """Answers 200 to everything on its ports; an image that is not known runs forever so, and its log says it."""

    def __init__(self, run: RunContainer, host: Host, ports: tuple[int, ...], *, is_known: bool) -> None:
        super().__init__(run, host)
        self._ports, self._is_known = ports, is_known
        self._servers: list[HttpServer] = []

    def start(self) -> None:
        if not self._is_known:
            where = f", answering 200 on port {', '.join(map(str, self._ports))}" if self._ports else ""
            self.host.log(
                f"[lab] the image {self.container.container.get('image')} is not emulated: it runs forever{where}"
            )
        if self._ports:
            self.spawn(asyncio.ensure_future(self._listen()))
        else:
            super().start()

    async def _listen(self) -> None:
        handler: Handler = self.answer
        for port in self._ports:
            server = HttpServer(handler)
            try:
                await server.listen(self.container.address, port)
            except OSError as error:
                self.host.log(f"[lab] port {port} cannot be had: {error}")
                if self._is_known:
                    self.host.exit(1, "Error", str(error))
                    return
                continue
            self._servers.append(server)
        self.host.state("ready")

    def answer(self, exchange: Exchange) -> None:
        name = (self.container.pod.get("metadata") or {}).get("name") or ""
        exchange.respond(200, f"{name} in Stoker's lab\n".encode(), "text/plain; charset=utf-8")

    def fault(self, kind: str, *, on: bool, value: float) -> bool:
        if kind != "hang":
            return super().fault(kind, on=on, value=value)
        for server in self._servers:
            server.hear(on)
        self.host.state("unready" if on else "ready")
        return True

    def close(self) -> None:
        super().close()
        for server in self._servers:
            server.close()


class DcgmProgram(Web):
    """The exporter of its node's GPUs."""

    def __init__(self, run: RunContainer, host: Host) -> None:
        environment = environment_of(run.container)
        listen = environment.get("DCGM_EXPORTER_LISTEN", "")
        port = listen.rpartition(":")[2]
        super().__init__(run, host, (int(port) if port.isdecimal() else _DCGM_PORT,), is_known=True)
        interval = environment.get("DCGM_EXPORTER_INTERVAL", "")
        node = node_of(run)
        self._exporter = Exporter(
            node,
            lambda: host.devices.of_node(node, run.gpu),
            host.clock.now,
            float(interval) / 1000 if interval.isdecimal() else _DCGM_INTERVAL_S,
        )

    def answer(self, exchange: Exchange) -> None:
        if exchange.path == "/metrics":
            exchange.respond(200, self._exporter.page(), CONTENT_TYPE)
        else:
            exchange.respond(200 if exchange.path in {"/", "/health"} else 404, b"OK", "text/plain")
