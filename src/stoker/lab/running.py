"""A lab that runs: the cluster, the process that runs its containers, monitoring, and the tasks between them."""

import asyncio
import importlib
import os
import sys
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from stoker.errors import StokerError
from stoker.lab.assemble import Assembly, Lab, assemble, keep_time
from stoker.lab.bootstrap import tell_services, tell_time
from stoker.lab.faults import Faults
from stoker.lab.http.certificates import ensure_certificates
from stoker.lab.http.server import ApiServer
from stoker.lab.kinds.strategy import Object
from stoker.lab.monitoring import Monitoring
from stoker.lab.monitoring.exposition import ApiMetrics
from stoker.lab.monitoring.operated import Servers
from stoker.lab.monitoring.signals import PrometheusSignals
from stoker.lab.nodes import NodeOptions, create_nodes, nodes_of_platform, parse_nodes
from stoker.lab.nodes.serving_client import ServingClient
from stoker.lab.options import LabOptions
from stoker.lab.paths import follow_paths
from stoker.lab.place import PODS, Place, claim
from stoker.lab.platform import KedaSeries
from stoker.lab.signals import LateSignals
from stoker.lab.sockets import listen
from stoker.lab.state import LabState
from stoker.sizing.resolved import ResolvedPlatform

__all__ = ["RunningLab"]

_SERVING_ENDS_S = 3.0
# Labs on one machine share its loopback addresses: each folder has a block of pods in 127.64.0.0/10 and a network of Services
# from 127.128.0.0 on.
_FIRST_POD = 0x7F400000


class RunningLab:
    """Everything that `stoker lab up` starts. Made by `start`; `stop` ends all of it."""

    def __init__(self, state: LabState, options: LabOptions) -> None:
        self.state = state
        self.options = options
        self._lab: Lab | None = None
        self._place: Place | None = None
        self._server: ApiServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._monitoring: Monitoring | None = None
        self._serving: asyncio.subprocess.Process | None = None

    @property
    def lab(self) -> Lab:
        """The cluster; there once it has started."""
        if self._lab is None:
            raise RuntimeError("the lab has not started")
        return self._lab

    @property
    def port(self) -> int:
        """Of the API; 0 before it has started."""
        return 0 if self._server is None else self._server.port

    async def start(self) -> None:
        """Begin; returns when the API answers, the nodes are there and the controllers have come to rest.

        Raises:
            StokerError: the port is taken, a shape of nodes cannot be read, another lab has the folder.
        """
        options, state = self.options, self.state
        objects = _node_objects(options)
        authority, certificate, key = ensure_certificates(state.folder)
        sock = listen("127.0.0.1", options.port, "another --port, or 0 for any")
        place = self._place = claim(state.folder)
        signals = LateSignals()
        series, servers = KedaSeries(), Servers()
        client = ServingClient(
            lambda: self.lab.clock.seconds(),  # noqa: PLW0108  # the lab comes later
            options.speed,
            held=signals.set_open,
        )
        lab = self._lab = assemble(
            state.database,
            admin_token=state.admin_token(),
            authority=authority.read_text(encoding="ascii"),
            parts=Assembly(
                speed=options.speed,
                nodes=NodeOptions(runner=client, first_address=place.first_pod),
                services=place.services,
                platform=options.crds,
                signals=signals,
                series=series,
                servers=servers,
            ),
        )
        counted = ApiMetrics()
        server = self._server = ApiServer(counted.wrap(lab.application), sock, certificate, key)
        lab.application.documents.address = f"127.0.0.1:{server.port}"
        faults = Faults(lab.local, lab.clock.wall, self._partition, self._refuse, signals.backlogs)
        lab.application.hook = faults.hook
        lab.application.control = lambda body: faults.switch(body) if body else faults.listed()
        create_nodes(lab.cluster, objects)
        tell_time(lab.local, wall=datetime.now(UTC), lab=lab.clock.now(), speed=options.speed)
        lab.manager.settle()
        await self._start_serving(client)
        self._begin("api", server.run())
        self._begin("controllers", lab.manager.run())
        self._begin("time", keep_time(lab))
        self._begin("paths", follow_paths(lab.local, client.send))
        await server.ready()
        state.write_kubeconfig(server.port, authority)
        # The first rule of a custom resource would wait half a second for its evaluator.
        asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "cel")
        self._begin("metrics", self._monitor(signals, counted, series if options.crds else None, servers))

    def _begin(self, name: str, work: object) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))  # type: ignore[arg-type]

    async def _start_serving(self, client: ServingClient) -> None:
        socket = self.state.folder / "serving.sock"
        socket.unlink(missing_ok=True)
        with (self.state.folder / "serving.log").open("ab") as log:
            self._serving = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "stoker.lab.serving", "--socket", str(socket), "--parent", str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._begin("containers", client.run(socket))

    async def _monitor(
        self, signals: LateSignals, counted: ApiMetrics, series: KedaSeries | None, servers: Servers
    ) -> None:
        """Start monitoring beside the API, which does not wait for it, and keep it. Its servers have a pod's address."""
        lab = self.lab
        first = 0 if self._place is None else self._place.first_pod
        host = str(IPv4Address(_FIRST_POD + first + PODS - 1))
        self._monitoring = await Monitoring.start(
            lab.local, self.state.folder, lab.clock, api_metrics=counted, binaries=self.options.metrics, host=host,
            prometheus_port=_free(host, 9090), alertmanager_port=_free(host, 9093),
            keda=None if series is None else series.text,
        )  # fmt: skip
        status = self._monitoring.status()
        servers.prometheus = status.prometheus_url.removeprefix("http://")
        servers.alertmanager = status.alertmanager_url.removeprefix("http://")
        servers.is_known = True
        signals.monitoring = PrometheusSignals(self._monitoring.readings)
        tell_services(
            lab.local,
            {
                "prometheus": status.prometheus_url,
                "alertmanager": status.alertmanager_url,
                "catcher": status.catcher_url,
            },
        )
        await asyncio.Event().wait()

    def _partition(self, on: bool) -> None:  # noqa: FBT001  # a switch
        if self._monitoring is not None:
            self._monitoring.partition(on=on)

    def _refuse(self, on: bool) -> None:  # noqa: FBT001  # a switch
        if self._monitoring is not None:
            self._monitoring.catcher.refuse = 503 if on else None

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait for ``stop``.

        Raises:
            StokerError: a part of the lab ended by itself.
        """
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait((waiting, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in done - {waiting}:
            error = task.exception()
            raise StokerError(f"{task.get_name()} of the lab ended: {error}") from error

    async def stop(self) -> None:
        """End everything, the youngest first; what is stored is closed last."""
        if self._lab is not None:
            self._lab.manager.stop()
        if self._server is not None:
            self._server.stop()
        if self._serving is not None and self._serving.returncode is None:
            self._serving.terminate()
            try:
                await asyncio.wait_for(self._serving.wait(), _SERVING_ENDS_S)
            except TimeoutError:
                self._serving.kill()
                await self._serving.wait()
        if self._monitoring is not None:
            await self._monitoring.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._lab is not None:
            self._lab.store.close()
        if self._place is not None:
            self._place.close()


def _free(host: str, port: int) -> int:
    """A port if nobody has it, 0 for any otherwise."""
    try:
        listen(host, port, "").close()
    except StokerError:
        return 0
    return port


def _node_objects(options: LabOptions) -> list[Object]:
    pools = (
        nodes_of_platform(_resolved(Path(options.platform)), device_plugin=options.device_plugin)
        if options.platform
        else []
    )
    return [
        *pools,
        *(parse_nodes(options.nodes, device_plugin=options.device_plugin) if options.nodes else ()),
    ]


def _resolved(path: Path) -> ResolvedPlatform:
    from stoker.platform.load import load_document
    from stoker.sizing.resolve import resolve

    return resolve(load_document(path).platform)
