"""Probes of one container: when each is due and what it comes to. Pure but for the state that it keeps.

Source: kubernetes pkg/kubelet/prober/worker.go (doProbe), prober.go, pkg/probe/{http,tcp,grpc}.

While a container answers and its probes agree, nothing is due: only a change can alter the outcome. While it does not, every
period counts, and says so.
"""

import math
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Probe", "Verdict", "failure_text", "probes_of"]

Object = dict[str, Any]

_KINDS = (("startup", "startupProbe"), ("liveness", "livenessProbe"), ("readiness", "readinessProbe"))


@dataclass(slots=True)
class Verdict:
    """What a look at the probes has brought: messages of failed probes, and the probe that condemns the container."""

    failures: list[tuple[str, str]] = field(default_factory=list)
    condemned: str = ""


@dataclass(slots=True)
class Probe:
    """One probe of a running container.

    Attributes:
        result: None while it has not come to any.
        run: how many alike outcomes in a row; ``last`` is the newest.
        on_hold: nothing more is tried for this container.
    """

    kind: str
    spec: Object
    began_s: float
    result: bool | None = None
    last: bool | None = None
    run: int = 0
    on_hold: bool = False
    next_s: float = math.inf

    @property
    def period_s(self) -> float:
        return float(self.spec.get("periodSeconds") or 10)

    def arm(self, now: float) -> None:
        """Have it tried at the next tick from ``now`` on."""
        first = self.began_s + float(self.spec.get("initialDelaySeconds") or 0)
        ticks = max(0, math.ceil((now - first) / self.period_s - 1e-9))
        self.next_s = first + ticks * self.period_s

    def try_once(self, now: float, *, is_healthy: bool) -> bool:
        """One try at its time; whether the result has changed."""
        self.run = self.run + 1 if self.last is is_healthy else 1
        self.last = is_healthy
        self.next_s = now + self.period_s
        needed = (
            int(self.spec.get("successThreshold") or 1)
            if is_healthy
            else int(self.spec.get("failureThreshold") or 3)
        )
        if self.run < needed:
            return False
        is_changed = self.result is not is_healthy
        self.result = is_healthy
        if self.kind == "startup" or (self.kind == "liveness" and not is_healthy):
            self.on_hold = True
        if is_healthy or self.on_hold:
            self.next_s = math.inf
        return is_changed


def probes_of(container: Object, now: float) -> dict[str, Probe]:
    """The probes of a container that has just started."""
    return {kind: Probe(kind, container[name], now) for kind, name in _KINDS if container.get(name)}


def failure_text(probe: Probe, container: Object, address: str, *, is_listening: bool) -> str:
    """What the kubelet says of a probe that failed: nobody listens yet, or the answer is no."""
    spec = probe.spec
    kind = probe.kind.capitalize()
    if "httpGet" in spec:
        port = _port(spec["httpGet"].get("port"), container)
        if is_listening:
            return f"{kind} probe failed: HTTP probe failed with statuscode: 503"
        scheme = str(spec["httpGet"].get("scheme") or "HTTP").lower()
        url = f"{scheme}://{address}:{port}{spec['httpGet'].get('path') or '/'}"
        return f'{kind} probe failed: Get "{url}": dial tcp {address}:{port}: connect: connection refused'
    if "tcpSocket" in spec:
        port = _port(spec["tcpSocket"].get("port"), container)
        return f"{kind} probe failed: dial tcp {address}:{port}: connect: connection refused"
    if "grpc" in spec:
        port, limit = spec["grpc"].get("port"), spec.get("timeoutSeconds") or 1
        return (
            f'{kind} probe failed: timeout: failed to connect service "{address}:{port}" within {limit}s: '
            "context deadline exceeded"
        )
    return f"{kind} probe failed: "


def _port(port: Any, container: Object) -> Any:
    if isinstance(port, int):
        return port
    return next(
        (one["containerPort"] for one in container.get("ports") or () if one.get("name") == port), port
    )
