"""What a kubelet does about a running container: it kills it for its memory, probes it, restarts it, calls it ready."""

import math
from typing import Any

from stoker.lab.nodes.containers import Container
from stoker.lab.nodes.host import Host
from stoker.lab.nodes.probes import Probe, failure_text

__all__ = ["grace_of", "try_probe", "watch"]

Object = dict[str, Any]


def grace_of(pod: Object) -> float:
    """Seconds between SIGTERM and SIGKILL."""
    value = pod["spec"].get("terminationGracePeriodSeconds")
    return 30.0 if value is None else float(value)


def watch(host: Host, pod: Object, container: Container, address: str, now: float) -> float:
    """Look at memory, probes and readiness of a container; when to look again."""
    if container.state != "running":
        return math.inf
    due = math.inf
    if container.oom_s is not None:
        if now >= container.oom_s:
            container.is_oom, container.oom_s = True, None
            host.runner.stop(container.run_id, 0)
            return now
        due = container.oom_s
    if "startup" not in container.probes and not container.is_started:
        _begin(container, now)
    for probe in container.probes.values():
        if container.kill:
            break
        # The startup probe has the word until it has passed; then the others have.
        if (probe.kind == "startup") != container.is_started:
            due = min(due, try_probe(host, pod, container, probe, address=address, now=now))
    readiness = container.probes.get("readiness")
    container.is_ready = container.is_started and (readiness is None or readiness.result is True)
    return due


def _begin(container: Container, now: float) -> None:
    """It has started: liveness and readiness are probed from now on, readiness at once."""
    container.is_started = True
    for probe in container.probes.values():
        if probe.kind == "readiness":
            probe.next_s = max(now, probe.began_s + float(probe.spec.get("initialDelaySeconds") or 0))
        elif probe.kind == "liveness":
            probe.arm(now)


def try_probe(
    host: Host, pod: Object, container: Container, probe: Probe, *, address: str, now: float
) -> float:
    """Try a probe as often as it was due; when it is due again, or the container's end if it is condemned."""
    while probe.next_s <= now:
        is_healthy = container.is_healthy
        is_changed = probe.try_once(probe.next_s, is_healthy=is_healthy)
        if not is_healthy:
            text = failure_text(probe, container.spec, address, is_listening=container.is_listening)
            host.tell(pod, "Warning", "Unhealthy", text, container.path)
        if is_changed and probe.kind == "startup" and is_healthy:
            _begin(container, now)
        if is_changed and probe.kind != "readiness" and not is_healthy:
            return _condemn(host, pod, container, probe, now)
    return probe.next_s


def _condemn(host: Host, pod: Object, container: Container, probe: Probe, now: float) -> float:
    container.kill = f"Container {container.name} failed {probe.kind} probe, will be restarted"
    host.tell(pod, "Normal", "Killing", container.kill, container.path)
    own = probe.spec.get("terminationGracePeriodSeconds")
    host.runner.stop(container.run_id, grace_of(pod) if own is None else float(own))
    due = host.runner.due_s(container.run_id)
    return math.inf if due is None else now + due
