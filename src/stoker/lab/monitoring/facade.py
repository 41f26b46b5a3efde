"""The lab's monitoring as one thing: servers, their files, what they scrape, what is asked of them, where pages arrive."""

import asyncio
import contextlib
import json
import logging
import os
import time as wall_time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from stoker.errors import StokerError
from stoker.lab.control import LabClock, Local
from stoker.lab.monitoring.config import Compiled, Places, compile_monitoring
from stoker.lab.monitoring.exposition import ApiMetrics, TextServer
from stoker.lab.monitoring.processes import (
    ALERTMANAGER,
    PROMETHEUS,
    Child,
    LogFile,
    alertmanager_arguments,
    find_binary,
    free_port,
    prometheus_arguments,
)
from stoker.lab.monitoring.proxy import PrometheusProxy
from stoker.lab.monitoring.query import (
    PrometheusClient,
    QueryError,
    Readings,
    is_in_cluster_prometheus,
    loopback_client,
)
from stoker.lab.monitoring.reading import Mirror
from stoker.lab.monitoring.speed import LabTime
from stoker.lab.monitoring.state_metrics import StateMetrics
from stoker.lab.monitoring.validation import bad_alertmanager_config, bad_rule_files
from stoker.pages import Catcher

__all__ = ["Monitoring", "MonitoringStatus"]

# Changes are gathered for so long, of the wall: a rollout of a thousand pods writes files a few times, not a thousand.
_GATHER_S: Final = 0.5
_LOG: Final = logging.getLogger("stoker.lab")


@dataclass(frozen=True, slots=True)
class MonitoringStatus:
    """How it stands.

    Attributes:
        prometheus, alertmanager: ``running``, ``starting``, ``waiting`` (for its next start after a failure), ``stopped`` or
            ``unavailable`` (not installed).
        prometheus_url: where to ask Prometheus in the lab's time (`proxy`); empty where it is unavailable.
        alertmanager_url: of Alertmanager; empty where it is unavailable.
        server_url: of Prometheus itself, in the wall's time.
        catcher_url: where pages arrive; empty where they really go out.
        speed, useful_speed: see `speed`.
        problems: what was left out of the configuration, what a server refused, what is not installed.
    """

    prometheus: str
    alertmanager: str
    prometheus_url: str
    alertmanager_url: str
    server_url: str
    catcher_url: str
    speed: float
    useful_speed: float
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Server:
    """One of the two, or what is known of its absence."""

    url: str = ""
    child: Child | None = None
    absent: str = ""
    refused: str = ""
    needs_reload: bool = False

    @property
    def state(self) -> str:
        return "unavailable" if self.child is None else self.child.state


@dataclass(slots=True)
class Monitoring:
    """Made by `start`; everything of it ends with `stop`.

    Attributes:
        readings: what controllers ask Prometheus.
        client: the same Prometheus, asked directly; None where it is unavailable.
        proxy: its HTTP API in the lab's time.
        catcher: where pages arrive.
        api_metrics: wraps the API server's application to count its requests.
    """

    local: Local
    folder: Path
    time: LabTime
    host: str
    catches: bool
    catcher: Catcher
    api_metrics: ApiMetrics
    texts: TextServer
    readings: Readings
    client: PrometheusClient | None = None
    proxy: PrometheusProxy | None = None
    compiled: Compiled | None = None
    _mirror: Mirror | None = None
    _prometheus: _Server = field(default_factory=_Server)
    _alertmanager: _Server = field(default_factory=_Server)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _written: dict[Path, str] = field(default_factory=dict)
    _rejected: dict[str, str] = field(default_factory=dict)
    _checked: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def start(
        cls,
        local: Local,
        state_folder: Path,
        clock: LabClock,
        *,
        host: str = "127.0.0.1",
        prometheus_port: int = 0,
        alertmanager_port: int = 0,
        catch: bool = True,
        api_metrics: ApiMetrics | None = None,
        keda: Callable[[], str] | None = None,
        binaries: bool = True,
    ) -> "Monitoring":
        """Start everything that is installed. It returns at once: servers get ready on their own (`ready`).

        Args:
            local: a client of the cluster.
            state_folder: the lab's; files go into ``monitoring`` below it, readable by the owner only.
            clock: the lab's.
            host: an address in 127.0.0.0/8 for all servers.
            prometheus_port: of its API in the lab's time; 0 for any that is free.
            alertmanager_port: the same.
            catch: pages go to the catcher, whatever their objects say: a rehearsal wakes nobody. False sends them out.
            api_metrics: of the API server, where its application was wrapped.
            keda: metrics of KEDA's operator; None where there is none.
            binaries: False runs neither server, as where they are not installed.
        """
        time = LabTime(clock.speed, wall_time.time(), clock.seconds())
        folder = state_folder / "monitoring"
        for path in (folder, *(folder / part for part in ("prometheus", "alertmanager"))):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in ("targets", "rules"):
            (folder / "prometheus" / part).mkdir(exist_ok=True, mode=0o700)
        catcher = Catcher(clock.seconds, wall_time.time)
        store = local.cluster.store
        state = StateMetrics(
            lambda shelf: ((place, record.revision, record.object) for place, record in store.scan(shelf))
        )
        counted = api_metrics or ApiMetrics()
        pages = {"/metrics": state.text, "/apiserver": counted.text, **({"/keda": keda} if keda else {})}
        texts = TextServer(pages)
        readings = Readings(None, lambda _: True, time)
        found = cls(local, folder, time, host, catch, catcher, counted, texts, readings)
        readings.resolve = found._resolve
        await catcher.start(host)
        await texts.start(host)
        if binaries:
            await found._prepare(prometheus_port, alertmanager_port)
        else:
            for server in (found._prometheus, found._alertmanager):
                server.absent = "the lab was started without metrics"
        found._mirror = Mirror(local, found._wake.set)
        found._tasks = [asyncio.ensure_future(one) for one in (found._follow(), found.readings.run())]
        return found

    async def _prepare(self, prometheus_port: int, alertmanager_port: int) -> None:
        for server, names, port in (
            (self._prometheus, PROMETHEUS, prometheus_port),
            (self._alertmanager, ALERTMANAGER, alertmanager_port),
        ):
            try:
                binary = find_binary(names)
            except StokerError as error:
                server.absent = f"{error.message}: {error.fix}"
                _LOG.warning("%s", server.absent)
                continue
            own = 0 if server is self._prometheus else port
            listen = f"{self.host}:{own or free_port(self.host)}"
            server.url = f"http://{listen}"
            name = names[0]
            log = LogFile(self.folder / f"{name}.log")
            if server is self._prometheus:
                arguments = prometheus_arguments(binary, self.folder / "prometheus", listen, self.time)
            else:
                arguments = alertmanager_arguments(binary, self.folder / "alertmanager", listen)
            server.child = Child(name, lambda arguments=arguments: arguments, log)  # type: ignore[misc]
        if self._prometheus.url:
            self.client = self.readings.client = PrometheusClient(self._prometheus.url, self.time)
            self.proxy = PrometheusProxy(self._prometheus.url, self.time)
            await self.proxy.start(self.host, prometheus_port)

    def _start_children(self) -> None:
        for server in (self._prometheus, self._alertmanager):
            if server.child is not None:
                server.child.start()

    async def stop(self) -> None:
        """End servers and tasks; nothing is left running."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        children = [one.child for one in (self._prometheus, self._alertmanager) if one.child is not None]
        await asyncio.gather(*(child.stop() for child in children))
        if self._mirror is not None:
            self._mirror.close()
        if self.client is not None:
            await self.client.close()
        if self.proxy is not None:
            await self.proxy.stop()
        await self.texts.stop()
        await self.catcher.stop()

    async def ready(self, timeout_s: float = 20.0) -> bool:
        """Wait until the servers that there are answer; whether they do."""
        deadline = wall_time.monotonic() + timeout_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), timeout_s)
        urls = [one.url for one in (self._prometheus, self._alertmanager) if one.child is not None]
        async with loopback_client(timeout_s=2.0) as client:
            while urls and wall_time.monotonic() < deadline:
                with contextlib.suppress(httpx2.HTTPError):
                    if (await client.get(f"{urls[0]}/-/ready")).is_success:
                        urls.pop(0)
                        continue
                await asyncio.sleep(0.05)
        return not urls

    def status(self) -> MonitoringStatus:
        compiled = self.compiled
        problems = [one.absent for one in (self._prometheus, self._alertmanager) if one.absent]
        problems += [one.refused for one in (self._prometheus, self._alertmanager) if one.refused]
        problems += [] if compiled is None else compiled.problems
        problems += [f"rule file {name}: {why}" for name, why in sorted(self._rejected.items())]
        useful = float("inf") if compiled is None else compiled.useful_speed
        if self.time.speed > useful:
            problems.append(
                f"at speed {self.time.speed:g} scrapes are too far apart for short windows: {useful:g} is useful"
            )
        return MonitoringStatus(
            self._prometheus.state,
            self._alertmanager.state,
            "" if self.proxy is None else self.proxy.url,
            self._alertmanager.url,
            self._prometheus.url,
            f"http://{self.catcher.host}:{self.catcher.port}" if self.catches else "",
            self.time.speed,
            useful,
            tuple(problems),
        )

    def partition(self, *, on: bool) -> None:
        """Cut Prometheus off from everybody, or end that: it neither scrapes nor answers."""
        if self._prometheus.child is not None:
            self._prometheus.child.pause(on=on)

    # --- names in the cluster ---------------------------------------------------------------------------------------

    def _resolve(self, address: str) -> bool | str:
        host = urlsplit(address).hostname or ""
        own = {
            urlsplit(url).netloc
            for url in (self._prometheus.url, self.proxy.url if self.proxy else "")
            if url
        }
        if urlsplit(address).netloc in own:
            return True
        store = self.local.cluster.store
        name = host.partition(".")[0]
        services = [record.object() for (_, own), record in store.scan("services") if own == name]
        prometheuses = [record.object() for _, record in store.scan("prometheuses.monitoring.coreos.com")]
        return is_in_cluster_prometheus(address, services, prometheuses)

    # --- files ------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self._begin()
        while True:
            pending = self._prometheus.needs_reload or self._alertmanager.needs_reload
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 0.3 if pending else None)
            await asyncio.sleep(_GATHER_S)
            self._wake.clear()
            try:
                await self._write()
                await self._reload()
            except Exception:  # noqa: BLE001 - logged whole
                # A defect here must not end monitoring for good; the next change tries again.
                _LOG.exception("monitoring configuration")

    async def _begin(self) -> None:
        """The first configuration, and the servers upon it. The lab is up meanwhile: tools that check files take a second."""
        try:
            await self._write()
        except Exception:  # noqa: BLE001 - logged whole
            _LOG.exception("monitoring configuration")
        self._prometheus.needs_reload = self._alertmanager.needs_reload = False
        self._start_children()
        self._begun.set()

    async def _write(self) -> None:
        mirror = self._mirror
        assert mirror is not None  # noqa: S101 - made by `start`
        mirror.follow()
        dirty: set[str] | None = set(mirror.dirty)
        mirror.dirty.clear()
        if mirror.is_stale or self.compiled is None:
            mirror.is_stale = False
            self.compiled = compile_monitoring(mirror.objects(), self._places(), self.time)
            for server in (self._prometheus, self._alertmanager):
                if server.child is not None:
                    server.child.log.secrets = self.compiled.receivers.secrets
            await self._write_configuration(self.compiled)
            dirty = None
        if dirty is None or dirty:
            self._write_targets(self.compiled, dirty)

    def _places(self) -> Places:
        root = self.folder / "prometheus"
        alertmanager = self._alertmanager.url.removeprefix("http://")
        return Places(
            str(root / "targets"), str(root / "rules"), alertmanager, self.texts.address, self.texts.address,
            self.catcher.overrides() if self.catches else {}, self.texts.address if "/keda" in self.texts.pages else "",
        )  # fmt: skip

    async def _write_configuration(self, compiled: Compiled) -> None:
        rules = compiled.rule_texts()
        self._rejected = await bad_rule_files(rules, self._checked)
        folder = self.folder / "prometheus"
        changed = self._put(folder / "prometheus.yml", compiled.prometheus_text())
        wanted = {folder / "rules" / name: text for name, text in rules.items() if name not in self._rejected}
        for path, text in wanted.items():
            changed |= self._put(path, text)
        for path in (folder / "rules").glob("*.yaml"):
            if path not in wanted:
                path.unlink()
                self._written.pop(path, None)
                changed = True
        self._prometheus.needs_reload |= changed
        text, path = compiled.alertmanager_text(), self.folder / "alertmanager" / "alertmanager.yml"
        if text != self._written.get(path):
            why = await bad_alertmanager_config(text, self.folder / "alertmanager")
            self._alertmanager.refused = f"Alertmanager's configuration: {why}" if why else ""
            if why and not path.exists():
                text = '{"route": {"receiver": "null"}, "receivers": [{"name": "null"}]}\n'
            if not why or not path.exists():
                self._alertmanager.needs_reload |= self._put(path, text)

    def _write_targets(self, compiled: Compiled, namespaces: set[str] | None) -> None:
        mirror = self._mirror
        assert mirror is not None  # noqa: S101 - made by `start`
        folder = self.folder / "prometheus" / "targets"
        for job, targets in mirror.targets(compiled, namespaces):
            self._put(folder / job.file, json.dumps(targets))
        if namespaces is None:
            self._remove_others(folder, {job.file for job in compiled.jobs})

    def _remove_others(self, folder: Path, names: Iterable[str]) -> None:
        kept = set(names)
        for path in folder.glob("*.json"):
            if path.name not in kept:
                path.unlink()
                self._written.pop(path, None)

    def _put(self, path: Path, text: str) -> bool:
        """Replace a file at once where it is to be another; whether it was."""
        if self._written.get(path) == text:
            return False
        part = path.with_name(f".{path.name}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
        self._written[path] = text
        return True

    async def _reload(self) -> None:
        async with loopback_client(timeout_s=10.0) as client:
            for server in (self._prometheus, self._alertmanager):
                if server.child is None or not server.needs_reload:
                    continue
                try:
                    response = await client.post(f"{server.url}/-/reload")
                except httpx2.HTTPError:
                    continue  # not up yet, or cut off: tried again
                if response.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
                    continue
                server.needs_reload = False
                name = server.child.name
                server.refused = (
                    ""
                    if response.is_success
                    else f"{name} refused its configuration: {response.text.strip()}"
                )

    async def firing(self) -> list[dict[str, Any]] | QueryError:
        """Alerts that are pending or firing now."""
        if self.client is None:
            return QueryError(self._prometheus.absent)
        return await self.client.alerts()
