"""A container that serves a model: its start, its failures, its log, its end.

Seconds: the engine's own start is `ENGINE_SECONDS` of `stoker.sizing.startup`, half of it imports before the weights are read
and half compiling and capturing after; reading takes what the nodes say. The lab's log lines are its own, in vLLM's format.
"""

import asyncio
import time
from typing import Final

from stoker.audit.view.serving import Server
from stoker.lab.serving.api import Api, Lot
from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.devices import Device
from stoker.lab.serving.engine import Engine
from stoker.lab.serving.http import HttpServer
from stoker.lab.serving.launch import Failure, Launch, launch_of
from stoker.lab.serving.metrics import ServerFacts
from stoker.lab.serving.program import Host, Program
from stoker.lab.serving.stats import EngineStats
from stoker.sizing.startup import ENGINE_SECONDS

__all__ = ["EngineProgram"]

_IMPORTS_S: Final = ENGINE_SECONDS / 2
_INIT_S: Final = ENGINE_SECONDS - _IMPORTS_S
_ARGUMENTS_S: Final = (
    0.25 * _IMPORTS_S
)  # the parser needs the configuration's classes, which import half of torch
_STATS_S: Final = 10.0  # VLLM_LOG_STATS_INTERVAL
_CONTEXT_GIB: Final = 0.5  # a CUDA context before anything is loaded
_GIB: Final = 2**30
# XIDs after which the GPU stays unusable until it is reset (NVIDIA's XID catalogue, "RESET_GPU" and "RESTART_BM").
_LASTING: Final = frozenset((48, 62, 64, 74, 79, 95, 119, 120, 136, 140, 143, 149))


class EngineProgram(Program):
    """An inference server."""

    def __init__(self, run: RunContainer, host: Host, server: Server) -> None:
        super().__init__(run, host)
        self._server = server
        self._http: HttpServer | None = None
        self._api: Api | None = None
        self._engine: Engine | None = None
        self._launch: Launch | None = None
        self._devices: list[Device] = []
        self._slow = 1.0
        self._is_hung = self._is_ending = False
        self._filled = 0.0
        self._lots = {"errors": Lot(), "garble": Lot()}
        self._before = (0, 0)

    # --- start ---

    def start(self) -> None:
        launch = self._launch = launch_of(self.container, self._server)
        self._line(
            f"{launch.engine} with vLLM {launch.version} is emulated by Stoker's lab; model {launch.root}, served as {launch.names[0]}"
        )
        for note in launch.notes:
            self._line(note, "WARNING")
        self._devices = self.host.devices.claim(self.container, self._busy)
        failure = launch.failure
        if failure is not None and failure.stage == "arguments":
            self.after(_ARGUMENTS_S, lambda: self._fail(failure))
        elif failure is not None and failure.stage == "config":
            self.after(2 * _ARGUMENTS_S, lambda: self._fail(failure))
        else:
            self.after(_IMPORTS_S, self._at_device)

    def _at_device(self) -> None:
        launch = self._launch
        assert launch is not None and launch.gpu is not None  # noqa: S101, PT018 - a failure came before
        failure = self._broken() or self._crowded(launch)
        if failure is not None:
            self._fail(failure)
            return
        if launch.is_headless:
            self._line("this rank has no API server: it works for the one with rank 0")
            self._take(launch.utilization * launch.gpu.memory_gib)
            self.host.state("ready")
            return
        self._take(_CONTEXT_GIB)
        self._line(
            f"reading weights: {launch.weights_gib:.2f} GiB on each of {max(1, self.container.gpus)} GPUs, {launch.architecture.name}"
        )
        load = self.container.load_s
        known = launch.failure
        if known is not None and known.stage == "weights":
            self.after(
                load * launch.gpu.memory_gib / max(launch.weights_gib, 1e-9), lambda: self._fail(known)
            )
            return
        self.after(load, self._at_cache)

    def _broken(self) -> Failure | None:
        for device in self._devices:
            if device.is_broken and device.xid in _LASTING:
                return Failure("device", 1, "torch.AcceleratorError", "CUDA error: uncorrectable ECC error encountered"
                               if device.xid in {48, 64, 95} else "CUDA error: unknown error")  # fmt: skip
        return None

    def _crowded(self, launch: Launch) -> Failure | None:
        """The check of a GPU that others use too that vLLM makes (vllm/v1/worker/utils.py, request_memory)."""
        for place, device in enumerate(self._devices):
            total = launch.gpu.memory_gib if launch.gpu else device.model.memory_gib
            if launch.gpu is not None and launch.gpu.memory_gib < device.model.memory_gib:
                continue  # a MIG slice is nobody else's
            free = total - sum(
                each.memory_gib for key, each in device.holders.items() if key != self.container.id
            )
            wanted = launch.utilization * total
            if free < wanted:
                return Failure(
                    "device", 1, "ValueError",
                    f"Free memory on device cuda:{place} ({free:.2f}/{total:.2f} GiB) on startup is less than desired GPU memory "
                    f"utilization ({launch.utilization:g}, {wanted:.2f} GiB). Decrease GPU memory utilization or reduce GPU memory "
                    "used by other processes.",
                )  # fmt: skip
        return None

    def _taken_meanwhile(self, launch: Launch, whole: float) -> Failure | None:
        """Two that start on one GPU both find it free; the one that allocates its cache last finds it taken."""
        for place, device in enumerate(self._devices):
            others = sum(each.memory_gib for key, each in device.holders.items() if key != self.container.id)
            total = device.model.memory_gib
            is_slice = launch.gpu is not None and launch.gpu.memory_gib < total
            if not is_slice and whole + others > total:
                return Failure(
                    "cache", 1, "torch.OutOfMemoryError",
                    f"CUDA out of memory. Tried to allocate {whole - launch.weights_gib - _CONTEXT_GIB:.2f} GiB. GPU {place} has a "
                    f"total capacity of {total:.2f} GiB of which {max(0.0, total - others - launch.weights_gib - _CONTEXT_GIB):.2f} "
                    "GiB is free.",
                )  # fmt: skip
        return None

    def _at_cache(self) -> None:
        launch = self._launch
        assert launch is not None and launch.gpu is not None  # noqa: S101, PT018 - as above
        self._line(f"weights are read: {launch.weights_gib:.2f} GiB in {self.container.load_s:.2f} s")
        self._take(launch.weights_gib + _CONTEXT_GIB)
        known = launch.failure
        if known is not None:
            self.after(0.3 * _INIT_S, lambda: self._fail(known))
            return
        whole = max(launch.utilization * launch.gpu.memory_gib, launch.weights_gib + _CONTEXT_GIB)
        failure = self._taken_meanwhile(launch, whole)
        if failure is not None:
            self._fail(failure)
            return
        self._take(whole)
        spec = launch.spec
        assert spec is not None  # noqa: S101 - no failure
        size = spec.blocks * spec.block_tokens
        self._line(
            f"KV cache: {size:,} tokens in {spec.blocks:,} blocks, {size / spec.max_model_len:.2f} requests of {spec.max_model_len:,} tokens at once"
        )
        self._line(
            f"at most {spec.max_num_seqs} sequences and {spec.max_num_batched_tokens} tokens a step; step times are {spec.cost.provenance}"
        )
        self.after(_INIT_S, lambda: self.spawn(asyncio.ensure_future(self._listen())))

    async def _listen(self) -> None:
        launch = self._launch
        assert launch is not None and launch.spec is not None and launch.gpu is not None  # noqa: S101, PT018 - as above
        stats = EngineStats(launch.spec.max_model_len)
        self._engine = Engine(launch.spec, self.host.clock, stats)
        self._engine.pace = self._slow
        self._fill()
        facts = ServerFacts(
            version=launch.version if launch.metrics else "",
            model=launch.names[0],
            created=self.host.clock.now(),
            blocks=launch.spec.blocks,
            block_tokens=launch.spec.block_tokens,
            utilization=launch.utilization,
            cache_dtype=launch.cache_dtype,
            has_prefix_cache=launch.has_prefix_cache,
            max_loras=launch.spec.max_loras,
            resident_bytes=6.0 * _GIB,  # what sizing assumes a server's process to take beside its weights
        )
        self._api = Api(launch, self._engine, self.host.clock, facts, self._access)
        self._api.fails, self._api.garbles = self._lots["errors"], self._lots["garble"]
        self._http = HttpServer(self._api.handle)
        try:
            await self._http.listen(self.container.address, launch.port)
        except OSError as error:
            self._line(f"OSError: {error}", "ERROR")
            self.host.exit(1, "Error", f"OSError: {error}")
            return
        self._http.hear(self._is_hung)
        self._line(f"answering on http://{self.container.address}:{launch.port}")
        self.host.log("INFO:     Application startup complete.")
        if not self._is_hung:
            self.host.state("ready")
        self.after(_STATS_S, self._tell_stats)

    def _fail(self, failure: Failure) -> None:
        lines = failure.message.split("\n")
        if failure.error:
            self._line("the engine failed to start", "ERROR")
            lines[0] = f"{failure.error}: {lines[0]}"
        if failure.stage in {"device", "weights", "cache"}:
            lines.append(
                "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"
            )
        self.host.log(*lines)
        self.host.exit(failure.code, "Error", "\n".join(lines))

    # --- log ---

    def _line(self, text: str, level: str = "INFO") -> None:
        stamp = time.strftime("%m-%d %H:%M:%S", time.gmtime(self.host.clock.now()))
        self.host.log(f"(APIServer pid=1) {level} {stamp} [lab] {text}")

    def _access(self, text: str) -> None:
        self.host.log(f"INFO:     {text}")

    def _tell_stats(self) -> None:
        """What vLLM says every ten seconds while there is something to say."""
        engine = self._engine
        if engine is None:
            return
        stats = engine.stats
        prompt, made = stats.prompt_tokens - self._before[0], stats.generation_tokens - self._before[1]
        self._before = (stats.prompt_tokens, stats.generation_tokens)
        if prompt or made or stats.running:
            hits = 100 * stats.hits / stats.queries if stats.queries else 0.0
            self._line(
                f"Engine 000: Avg prompt throughput: {prompt / _STATS_S:.1f} tokens/s, Avg generation throughput: "
                f"{made / _STATS_S:.1f} tokens/s, Running: {stats.running} reqs, Waiting: {stats.waiting} reqs, GPU KV cache usage: "
                f"{100 * engine.usage:.1f}%, Prefix cache hit rate: {hits:.1f}%"
            )
        del self._timers[:-4]
        self.after(_STATS_S, self._tell_stats)

    # --- GPU ---

    def _busy(self) -> float:
        return self._engine.busy_seconds() if self._engine is not None else 0.0

    def _take(self, gib: float) -> None:
        for device in self._devices:
            device.holders[self.container.id].memory_gib = gib

    # --- end ---

    def terminate(self) -> None:
        """SIGTERM: no new connections; requests under way are given what ``--shutdown-timeout`` says."""
        if self._is_ending:
            return
        self._is_ending = True
        drain = self._launch.drain_s if self._launch is not None else 0.0
        if self._is_hung:
            return  # a process that hangs does not hear it: SIGKILL ends it
        if self._http is None or self._api is None:
            self.host.exit(143, "Error")  # no handler is installed while modules are imported
            return
        self._line("shutting down")
        self._http.refuse_new()
        if drain > 0 and self._api.in_flight:
            self.after(drain, lambda: self.host.exit(0))
            self._drained()
        else:
            self.host.exit(0)

    def _drained(self) -> None:
        if self._api is not None and self._api.in_flight:
            self.after(0.2, self._drained)
        else:
            self.host.exit(0)

    def close(self) -> None:
        super().close()
        if self._engine is not None:
            self._engine.stop()
        if self._http is not None:
            self._http.close()
        self.host.devices.release(self.container.id, self._devices)

    # --- faults ---

    def fault(self, kind: str, *, on: bool, value: float) -> bool:
        if kind == "slow":
            self._slow = value if on and value > 0 else 1.0
            if self._engine is not None:
                self._engine.pace = self._slow
        elif kind in self._lots:
            self._lots[kind].share = min(1.0, max(0.0, value)) if on else 0.0
        elif kind == "fill-kv-cache":
            self._filled = min(1.0, max(0.0, value or 1.0)) if on else 0.0
            self._fill()
        elif kind == "hang":
            self._hang(on)
        elif kind == "xid":
            self._xid(int(value), on=on)
        else:
            return super().fault(kind, on=on, value=value)
        return True

    def _fill(self) -> None:
        if self._engine is not None:
            self._engine.filled = int(self._filled * self._engine.spec.blocks)

    def _hang(self, is_hung: bool) -> None:  # noqa: FBT001 - private
        self._is_hung = is_hung
        if self._engine is not None:
            self._engine.freeze(is_hung)
        if self._http is not None:
            self._http.hear(is_hung)
            self.host.state("unready" if is_hung else "ready")

    def _xid(self, number: int, *, on: bool) -> None:
        if not on:
            self.host.devices.mend(self.container.id)
        if not on or not self._devices:
            return
        self.host.devices.break_(self.container.id, self._devices[0], number or 79)
        message = "torch.AcceleratorError: CUDA error: unspecified launch failure"
        self._line(f"XID {number or 79} on GPU {self._devices[0].index}: the engine is dead", "ERROR")
        self.host.log(message)
        if self._api is not None:
            self._api.die()
        self.host.state("unready")
        self.host.exit(1, "Error", message)
