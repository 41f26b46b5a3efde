"""Start, probes and stop of a model server: minutes to load, streams to finish."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add
from stoker.audit.rule import rule
from stoker.audit.view.gpus import stored_weights
from stoker.audit.view.scaling import deployment_mode
from stoker.audit.view.serving import Server, stored_format
from stoker.audit.view.view import View
from stoker.catalog.engines import FlagState, flag_status, release

_PROBES: Final = (
    "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/"
)
_HEALTH: Final = "vllm 0.33.0 vllm/entrypoints/serve/instrumentator/health.py"
_SHUTDOWN: Final = "vllm 0.33.0 vllm/config/vllm.py:454 (shutdown_timeout, default 0)"
_TERMINATION: Final = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"
_DEFAULT_GRACE: Final = 30


def _complete(view: View) -> Iterator[Server]:
    """GPU servers whose pod is written out in full: no runtime or operator adds probes and ports later."""
    for server in view.running_servers:
        if (
            server.workload.complete
            and server.workload.serves
            and server.container.gpus
            and server.workload.part != "worker"
        ):
            yield server


def _port(server: Server) -> int:
    number = server.number("--port", "-p")
    return int(number) if number else release(server.engine, server.version).port


def _probe(server: Server, kind: str) -> Mapping[str, Any]:
    return server.container.spec.get(f"{kind}Probe") or {}


@rule(
    "server-without-readiness",
    Area.SERVING,
    Severity.WARNING,
    title="Model server without a readiness probe",
    why=(
        "A pod without one is Ready as soon as it runs: requests are sent to a server that loads for minutes, and a rollout stops "
        "the old replicas before the new ones answer. Every deploy is an outage as long as the load."
    ),
    fix="Probe the engine's health path: it answers once the model is loaded.",
    references=(_PROBES, _HEALTH),
    on=_complete,
)
def _server_without_readiness(server: Server, view: View) -> Iterator[Hit]:
    if _probe(server, "readiness") or _probe(server, "startup"):
        return  # a startup probe holds readiness back until it has passed
    path = (*server.container.path, "readinessProbe")
    health = release(server.engine, server.version).readiness_path
    value = {"httpGet": {"path": health, "port": _port(server)}, "periodSeconds": 10}
    ops = (add(path, value),) if health else ()
    yield Hit(
        server.workload.item,
        path,
        f"{server} is Ready before the model is loaded",
        None,
        Fix(f"Probe {health}", ops),
    )


@rule(
    "server-without-startup-probe",
    Area.SERVING,
    Severity.WARNING,
    title="Model server without a startup probe",
    why=(
        "Loading takes minutes and nothing tells it from hanging: a liveness probe that is right for a running server kills a "
        "loading one, and one that is right for loading leaves a dead one standing for half an hour."
    ),
    fix="Add a startupProbe on the health path with enough failures for the load: 180 times 10 s.",
    references=(_PROBES, _HEALTH),
    on=_complete,
)
def _server_without_startup_probe(server: Server, view: View) -> Iterator[Hit]:
    if _probe(server, "startup"):
        return
    path = (*server.container.path, "startupProbe")
    health = release(server.engine, server.version).health_path
    value = {"httpGet": {"path": health, "port": _port(server)}, "periodSeconds": 10, "failureThreshold": 180}
    yield Hit(
        server.workload.item,
        path,
        f"{server} has no startup probe",
        None,
        Fix("Allow half an hour to load", (add(path, value),) if health else ()),
    )


def _budget(probe: Mapping[str, Any]) -> int:
    """Seconds until a probe that always fails restarts the container."""
    return int(probe.get("initialDelaySeconds", 0)) + int(probe.get("periodSeconds", 10)) * int(
        probe.get("failureThreshold", 3)
    )


def load_seconds(server: Server) -> float | None:
    """The least that loading can take: weights at 2 GB/s, which local NVMe gives, without the engine's own start."""
    if server.architecture is None:
        return None
    return stored_weights(server.architecture, stored_format(server)) / 2e9


@rule(
    "probe-kills-loading-server",
    Area.SERVING,
    Severity.ERROR,
    title="Probe restarts the server while it still loads",
    why="The container is killed before the model is loaded and begins again: it restarts for ever and never serves.",
    fix="Raise failureThreshold of the startup probe until threshold × period exceeds the slowest load.",
    references=(_PROBES, "load at 2 GB/s and more (docs/sizing.md)"),
    on=lambda view: (s for s in _complete(view) if _probe(s, "startup") or _probe(s, "liveness")),
)
def _probe_kills_loading_server(server: Server, view: View) -> Iterator[Hit]:
    kind = "startup" if _probe(server, "startup") else "liveness"
    budget, least = _budget(_probe(server, kind)), load_seconds(server)
    if least is None:
        return
    if budget < least + 20:  # the engine's own start is at the very least imports and graph capture
        path = (*server.container.path, f"{kind}Probe")
        told = f"loading {server.architecture.name if server.architecture else ''} takes {least:.0f} s at 2 GB/s before the engine starts"
        fix = Fix(
            "Allow half an hour",
            (
                add(
                    (*path, "failureThreshold"),
                    max(3, 1800 // int(_probe(server, kind).get("periodSeconds", 10) or 10)),
                ),
            ),
        )
        yield Hit(
            server.workload.item,
            path,
            f"the {kind} probe gives up after {budget} s; {told}",
            budget,
            fix if kind == "startup" else None,
        )


@rule(
    "probe-wrong-port",
    Area.SERVING,
    Severity.ERROR,
    title="Probe asks a port on which the engine does not listen",
    why="The probe fails for ever: the pod is never Ready, or is restarted for ever.",
    fix="Probe the engine's port.",
    references=(_HEALTH,),
    on=lambda view: (
        s
        for s in _complete(view)
        if s.engine in {"vllm", "sglang"}
        and any(_probe(s, k).get("httpGet") for k in ("startup", "readiness", "liveness"))
    ),
)
def _probe_wrong_port(server: Server, view: View) -> Iterator[Hit]:
    names = {
        str(p.get("name")): p.get("containerPort")
        for p in server.container.spec.get("ports") or []
        if p.get("name")
    }
    others = {
        p.get("containerPort")
        for c in server.workload.containers
        if c is not server.container
        for p in c.spec.get("ports") or []
    }
    for kind in ("startup", "readiness", "liveness"):
        port = str((_probe(server, kind).get("httpGet") or {}).get("port") or "")
        number = int(port) if port.isdigit() else names.get(port)
        path = (*server.container.path, f"{kind}Probe", "httpGet", "port")
        if port and number is None:
            yield Hit(server.workload.item, path, f"the container has no port named {port}", port)
        elif number is not None and number != _port(server) and number not in others and not _unsure(server):
            yield Hit(
                server.workload.item,
                path,
                f"the {kind} probe asks port {number}, the engine listens on {_port(server)}",
                port,
            )


def _unsure(server: Server) -> bool:
    """The port may come from somewhere that is not read: a variable, a file, an image of one's own."""
    flag = server.flag("--port")
    if flag is not None:
        return flag.number() is None
    named = any(
        e.get("name") in {"PORT", "VLLM_PORT", "HTTP_PORT"} for e in server.container.spec.get("env") or []
    )
    return named or server.flag("--config") is not None or not (server.official or server.command.words)


@rule(
    "server-without-port",
    Area.SERVING,
    Severity.INFO,
    title="Model server declares no port",
    why="Services, monitors and probes refer to ports by name: a PodMonitor finds none and scrapes nothing, and nobody sees on which port to call it.",
    fix="Declare the engine's port with a name: {name: http, containerPort: 8000}.",
    references=("https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",),
    on=_complete,
)
def _server_without_port(server: Server, view: View) -> Iterator[Hit]:
    if not server.container.spec.get("ports"):
        path = (*server.container.path, "ports")
        yield Hit(
            server.workload.item,
            path,
            f"{server} declares no port",
            None,
            Fix("Declare it", (add(path, [{"name": "http", "containerPort": _port(server)}]),)),
        )


def _pre_stop(server: Server) -> int:
    hook = (server.container.spec.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return int(hook["sleep"].get("seconds", 0))
    words = " ".join((hook.get("exec") or {}).get("command") or []).split()
    for left, right in itertools.pairwise(words):
        if left.endswith("sleep") and right.strip('"').isdigit():
            return int(right.strip('"'))
    return 0


def _grace(server: Server) -> int:
    return int(server.workload.pod.get("terminationGracePeriodSeconds", _DEFAULT_GRACE))


@rule(
    "shutdown-cuts-streams",
    Area.SERVING,
    Severity.WARNING,
    title="Stopping the server aborts the answers that it is giving",
    why=(
        "vLLM's --shutdown-timeout is 0 unless set: at SIGTERM every stream is cut. Each rollout, drain and scale-in breaks the "
        "requests of that replica, at random and all day with an autoscaler."
    ),
    fix="Set --shutdown-timeout to the longest answer, and terminationGracePeriodSeconds above it.",
    references=(_SHUTDOWN, _TERMINATION),
    on=lambda view: (
        s for s in view.running_servers
        if s.engine == "vllm" and s.workload.serves and s.release and s.container.gpus
        and flag_status("vllm", s.release, "--shutdown-timeout").state is FlagState.KNOWN
    ),
)  # fmt: skip
def _shutdown_cuts_streams(server: Server, view: View) -> Iterator[Hit]:
    timeout = server.number("--shutdown-timeout")
    if not timeout and _pre_stop(server) < 10:  # a hook that waits is another way to drain
        yield Hit(
            server.workload.item,
            server.container.path,
            "no --shutdown-timeout and no preStop: streams are cut at SIGTERM",
        )


@rule(
    "grace-shorter-than-drain",
    Area.SERVING,
    Severity.WARNING,
    title="Pod is killed before its server has drained",
    why="The kubelet sends SIGKILL after terminationGracePeriodSeconds, 30 unless set: the drain that was configured never finishes.",
    fix="Set terminationGracePeriodSeconds above preStop plus --shutdown-timeout.",
    references=(_TERMINATION, _SHUTDOWN),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.workload.serves and (s.number("--shutdown-timeout") or _pre_stop(s))
    ),
)
def _grace_shorter_than_drain(server: Server, view: View) -> Iterator[Hit]:
    if (
        server.workload.item.resource == "Service.serving.knative.dev"
        or deployment_mode(server.workload.item, view.snapshot) == "Knative"
    ):
        return  # Knative sets the grace period to the revision's timeout
    drain = int(server.number("--shutdown-timeout") or 0) + _pre_stop(server)
    if _grace(server) <= drain:
        path = (*server.workload.path, "terminationGracePeriodSeconds")
        yield Hit(
            server.workload.item,
            path,
            f"{_grace(server)} s of grace, {drain} s of drain",
            _grace(server),
            Fix("Leave half a minute more", (add(path, drain + 30),)),
        )


@rule(
    "grace-default-for-streams",
    Area.SERVING,
    Severity.INFO,
    title="Model server is given 30 seconds to finish its streams",
    why="A long answer takes minutes: what is not done after the default of 30 s is killed with the pod, at every rollout and scale-in.",
    fix="Set terminationGracePeriodSeconds to the longest answer plus a margin.",
    references=(_TERMINATION,),
    on=lambda view: (s for s in _complete(view) if not (s.number("--shutdown-timeout") or _pre_stop(s))),
)
def _grace_default_for_streams(server: Server, view: View) -> Iterator[Hit]:
    if "terminationGracePeriodSeconds" not in server.workload.pod:
        path = (*server.workload.path, "terminationGracePeriodSeconds")
        yield Hit(
            server.workload.item,
            path,
            "terminationGracePeriodSeconds is not set: 30 s",
            None,
            Fix("Allow three minutes", (add(path, 180),)),
        )


@rule(
    "shm-too-small",
    Area.SERVING,
    Severity.WARNING,
    title="Tensor-parallel server with the container's 64 MiB of /dev/shm",
    why="NCCL and vLLM's workers talk through shared memory: with 64 MiB the server hangs or dies with a bus error under load.",
    fix="Mount an emptyDir of medium Memory at /dev/shm, with a sizeLimit that the memory limit covers.",
    references=(
        "kserve 0.20.0 config/runtimes/kserve-vllmserver.yaml (devshm)",
        "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html#shared-memory",
    ),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.workload.complete and s.gpus_per_pod > 1 and s.tensor_parallel > 1
    ),
)
def _shm_too_small(server: Server, view: View) -> Iterator[Hit]:
    if server.container.mount("/dev/shm") is not None or server.workload.pod.get("hostIPC"):  # noqa: S108  # a mount, no file of ours
        return
    volumes, mounts = (
        len(server.workload.pod.get("volumes") or []),
        len(server.container.spec.get("volumeMounts") or []),
    )
    gib = min(16, 2 * server.gpus_per_pod + 6)
    ops = (
        add(
            (*server.workload.path, "volumes", volumes),
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{gib}Gi"}},
        ),
        add((*server.container.path, "volumeMounts", mounts), {"name": "shm", "mountPath": "/dev/shm"}),  # noqa: S108
    )
    yield Hit(
        server.workload.item,
        server.container.path,
        f"TP{server.tensor_parallel} and nothing mounted at /dev/shm",
        None,
        Fix(f"Mount {gib}Gi of memory", ops),
    )


@rule(
    "server-without-requests",
    Area.SERVING,
    Severity.WARNING,
    title="GPU server reserves no CPU or memory",
    why=(
        "The scheduler counts nothing for it: its neighbours fill the node, the tokenizer starves and the GPU waits; under memory "
        "pressure a pod above its requests is evicted first."
    ),
    fix="Request CPU (a core for each GPU and some for the server) and memory, with limits equal to requests.",
    references=("kubernetes 1.36 pkg/kubelet/eviction/helpers.go:816-832",),
    on=_complete,
)
def _server_without_requests(server: Server, view: View) -> Iterator[Hit]:
    given = {**server.container.limits, **server.container.requests}
    missing = [name for name in ("cpu", "memory") if name not in given]
    if missing and not (server.workload.pod.get("resources") or {}):
        yield Hit(
            server.workload.item,
            (*server.container.path, "resources"),
            f"{server} requests no {' and no '.join(missing)}",
            missing,
        )
