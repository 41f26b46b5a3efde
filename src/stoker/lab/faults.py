"""Fault switches: what `stoker lab fault` breaks, and mends.

They are asked for over the API at ``/lab/faults``, by members of ``system:masters`` only: the path is no part of Kubernetes.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stoker.lab.control import Local
from stoker.lab.fault_kinds import KINDS
from stoker.lab.http.app import Scope
from stoker.lab.nodes import kubelets_of
from stoker.lab.serving.contract import Fault
from stoker.lab.status import ApiError, bad_request, not_found, too_many_requests

__all__ = ["FaultRequest", "Faults"]

_VALUES = {"kv-cache": 0.95, "xid": 79.0, "crash": 1.0, "slow": 3.0, "errors": 0.5, "garble": 1.0, "storage": 10.0, "backlog": 1.0, "api-429": 0.2, "api-500": 0.2,
           "api-timeout": 0.2}  # fmt: skip
_OF_PODS = {
    "kv-cache": "fill-kv-cache",
    **{kind: kind for kind in ("xid", "hang", "crash", "slow", "errors", "garble")},
}
_DOWN = "lab.stoker.dev/fault"
_HANG_S = 3600.0


class FaultRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One switch.

    Attributes:
        kind: one of `KINDS`.
        target: node, or ``namespace/pod``; empty where there is none.
        value: how much; None for the kind's own.
        on: False mends it.
        seconds: after so many of the lab's seconds it mends itself; 0 for never.
    """

    kind: str
    target: str = ""
    value: float | None = None
    on: bool = True
    seconds: float = 0.0


@dataclass(slots=True)
class Faults:
    """The switches of one lab.

    Attributes:
        local: a client of the cluster.
        wall: how long the lab's seconds are on the wall.
        partition: cuts Prometheus off, or ends that; None where there is none.
        refuse: makes receivers of pages refuse, or ends that; None where there are none.
        backlogs: of emulated brokers (`stoker.lab.signals.LateSignals`); no fault, but a switch as the others are.
    """

    local: Local
    wall: Callable[[float], float]
    partition: Callable[[bool], None] | None = None
    refuse: Callable[[bool], None] | None = None
    backlogs: dict[str, float] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311
    _on: dict[tuple[str, str], float] = field(default_factory=dict)

    def listed(self) -> dict[str, Any]:
        """What is broken now."""
        return {
            "faults": [
                {"kind": kind, "target": target, "value": value} for (kind, target), value in self._on.items()
            ]
        }

    def switch(self, body: bytes) -> dict[str, Any]:
        """Carry out a request; answers with everything that is broken then.

        Raises:
            ApiError: a kind or target that is not there.
        """
        try:
            asked = msgspec.json.decode(body, type=FaultRequest)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise bad_request(str(error)) from error
        if asked.kind not in KINDS:
            raise bad_request(f"unknown fault {asked.kind!r}: {', '.join(KINDS)}")
        value = _VALUES.get(asked.kind, 0.0) if asked.value is None else asked.value
        self._apply(asked, value)
        place = (asked.kind, asked.target)
        if asked.on:
            self._on[place] = value
            if asked.seconds > 0:
                mend = FaultRequest(asked.kind, asked.target, asked.value, on=False)
                asyncio.get_running_loop().call_later(self.wall(asked.seconds), self._mend, mend)
        else:
            self._on.pop(place, None)
        return self.listed()

    def _mend(self, asked: FaultRequest) -> None:
        if self._on.pop((asked.kind, asked.target), None) is not None:
            try:
                self._apply(asked, 0.0)
            except ApiError:
                return  # the target is gone, and the fault with it

    def _apply(self, asked: FaultRequest, value: float) -> None:
        if asked.kind == "node":
            self._node(asked)
        elif asked.kind in _OF_PODS:
            self._pod(asked, value)
        elif asked.kind == "storage":
            kubelets_of(self.local.cluster).host.storage_factor = value if asked.on else 1.0
        elif asked.kind == "backlog":
            self._backlog(asked, value)
        elif asked.kind in {"prometheus", "receiver"}:
            switch = self.partition if asked.kind == "prometheus" else self.refuse
            if switch is None:
                raise bad_request("no Prometheus runs in this lab")
            switch(asked.on)

    def _node(self, asked: FaultRequest) -> None:
        node = self.local.get("v1", "Node", "", asked.target)
        if node is None:
            raise not_found("", "nodes", asked.target)
        annotations = node["metadata"].setdefault("annotations", {})
        if asked.on:
            annotations[_DOWN] = "down"
        else:
            annotations.pop(_DOWN, None)
        self.local.update(node)

    def _backlog(self, asked: FaultRequest, value: float) -> None:
        broker, _, queue = asked.target.partition("/")
        if not broker or not queue:
            raise bad_request(f"{asked.target!r} is no queue: name it as kafka/TOPIC")
        if asked.on:
            self.backlogs[asked.target] = value
        else:
            self.backlogs.pop(asked.target, None)

    def _pod(self, asked: FaultRequest, value: float) -> None:
        namespace, _, name = asked.target.rpartition("/")
        pod = self.local.get("v1", "Pod", namespace or "default", name)
        if pod is None:
            raise not_found("", "pods", asked.target)
        runner = kubelets_of(self.local.cluster).host.runner
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            run = f"{pod['metadata']['uid']}/{status['name']}/{status.get('restartCount', 0)}"
            runner.fault(Fault(id=run, kind=_OF_PODS[asked.kind], on=asked.on, value=value))

    async def hook(self, scope: Scope) -> ApiError | None:
        """Refuses, fails or delays requests to the API, but none that would mend it."""
        if scope["path"].startswith("/lab/"):
            return None
        for kind in ("api-429", "api-500", "api-timeout"):
            share = self._on.get((kind, ""))
            if share is None or self.rng.random() >= share:
                continue
            if kind == "api-429":
                return too_many_requests(
                    "the server has received too many requests and has asked us to try again later", 1
                )
            if kind == "api-500":
                return ApiError(500, "InternalError", "Internal error occurred: stoker lab fault")
            await asyncio.sleep(_HANG_S)
        return None
