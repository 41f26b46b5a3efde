"""``evidence.json``: what a rollout or a demo leaves behind, read with every problem named and further keys passed over.

The contract's keys are ``gates``, ``canary``, ``audit_before`` and ``audit_after``. What is optional beside them makes the
report richer: ``figures`` and ``series`` (`measuring` writes them), ``windows``, ``incident``, ``price``, ``provenance``.
Times are ISO 8601 with a zone, or seconds since the Unix epoch; all are the cluster's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BeforeValidator,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from stoker.errors import InputError, Problem
from stoker.rollout.evidence import Verdict

__all__ = [
    "Audit",
    "AuditFinding",
    "Canary",
    "CanaryStep",
    "Evidence",
    "Figure",
    "Gate",
    "Incident",
    "Outage",
    "Price",
    "Series",
    "Spread",
    "Traffic",
    "Window",
    "parse_evidence",
    "read_evidence",
]

FILE: Final = "evidence.json"


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, in the cluster's time."""

    start: AwareDatetime
    end: AwareDatetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError("ends before it begins")

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


def _window(value: Any) -> Any:
    """``[from, to]`` and ``{"from": …, "to": …}`` alike."""
    if isinstance(value, list | tuple) and len(value) == 2:
        return {"start": value[0], "end": value[1]}
    if isinstance(value, Mapping) and "from" in value:
        return {"start": value["from"], "end": value.get("to")}
    return value


def _no_data(value: Any) -> Any:
    """NaN and infinities, which some writers put into JSON, are no data."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


_AWindow = Annotated[Window, BeforeValidator(_window)]
_Value = Annotated[float | None, BeforeValidator(_no_data)]


@dataclass(frozen=True, slots=True)
class Gate:
    """One run of one gate, as `stoker.rollout.evidence.GateResult.as_json` writes it."""

    id: str
    verdict: Verdict
    started: AwareDatetime
    ended: AwareDatetime
    source: str
    phase: str = ""
    title: str = ""
    reason: str = ""
    measured: Any = None
    threshold: Any = ""
    evidence: Any = ()
    cleaned: bool = True

    @property
    def group(self) -> str:
        """Its phase; what stands before the slash of its id where it names none."""
        return self.phase or self.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """One step of a canary.

    Attributes:
        percent: of requests that were to go to the new version.
        requests: seen in the step; ``answered`` of them by the new version; None where nobody counted.
        interval: of the share that the new version answered, 0 to 1, where the writer computed one.
        reachable: what the split really gives, where it cannot be as fine as asked.
        evidence, verdicts: by metric, as `stoker canary status --output json` prints them.
    """

    percent: float
    started: Annotated[
        AwareDatetime | None, Field(validation_alias=AliasChoices("started", "shifted", "entered"))
    ] = None
    ended: AwareDatetime | None = None
    requests: int | None = None
    answered: Annotated[
        int | None, Field(validation_alias=AliasChoices("answered", "canary_requests", "canary"))
    ] = None
    interval: tuple[float, float] | None = None
    verdict: str = ""
    reason: str = ""
    reachable: float | None = None
    evidence: Any = None
    verdicts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Canary:
    """A progressive delivery: ``promoted`` or ``aborted``, with its steps."""

    model: str = ""
    outcome: Annotated[str, Field(validation_alias=AliasChoices("outcome", "phase", "verdict"))] = ""
    started: AwareDatetime | None = None
    ended: AwareDatetime | None = None
    reason: str = ""
    steps: tuple[CanaryStep, ...] = ()
    source: Annotated[str, Field(validation_alias=AliasChoices("source", "measured_on"))] = ""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    rule: str
    upgrade: str
    severity: str
    message: str = ""
    object: Any = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What `stoker audit --output json` says."""

    source: str = ""
    date: str = ""
    objects: int = 0
    findings: tuple[AuditFinding, ...] = ()
    score: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: as in `measures.LINES`, or of the writer's own.
        points: seconds since the epoch and value, None where there was no data.
        phase: ``before``, ``after`` or another; parts of one name are drawn as one line.
        why: why there are no points.
    """

    name: str
    unit: str = ""
    source: str = ""
    query: str = ""
    window: _AWindow | None = None
    points: tuple[tuple[FiniteFloat, _Value], ...] = ()
    phase: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, or the reason that there is none.

    Attributes:
        measure: as in `measures.MEASURES`.
        phase: ``before`` or ``after``.
        value: None where there is no data; ``why`` says why.
        source: what was asked, and what it ran on.
        note: what a reader must know of the value.
    """

    measure: str
    phase: str
    value: _Value
    unit: str = ""
    source: str = ""
    query: str = ""
    window: _AWindow | None = None
    why: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one GPU and one hour, and who says so."""

    usd_per_gpu_hour: Annotated[FiniteFloat, Field(ge=0)]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """What was broken on purpose, and when it was noticed. A moment that was not seen is None.

    Attributes:
        saturated: when the watched value crossed its threshold.
        fired: when the alert was firing; ``paged`` when the receiver was told, ``resolved`` when it was told of the end.
    """

    what: str = ""
    injected: AwareDatetime | None = None
    saturated: AwareDatetime | None = None
    fired: AwareDatetime | None = None
    paged: AwareDatetime | None = None
    resolved: AwareDatetime | None = None
    alert: str = ""
    receiver: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of a latency in seconds."""

    p50: _Value = None
    p95: _Value = None
    p99: _Value = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests that were sent on purpose, as their sender saw them; whole answers, from the intended moment."""

    requests: int = 0
    answered: int = 0
    e2e_seconds: Spread = Spread()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Outage:
    """Something that was broken under load: how long until all replicas stood again, and what users got meanwhile."""

    what: str = ""
    injected: AwareDatetime | None = None
    recovered: AwareDatetime | None = None
    requests: int = 0
    answered: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The whole file."""

    gates: tuple[Gate, ...]
    canary: Canary | None = None
    audit_before: Audit | None = None
    audit_after: Audit | None = None
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()
    windows: Mapping[str, _AWindow | None] = field(default_factory=dict)
    incident: Incident | None = None
    outage: Annotated[Outage | None, Field(validation_alias=AliasChoices("outage", "incident_traffic"))] = (
        None
    )
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    price: Price | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rollout(self) -> tuple[datetime, datetime] | None:
        """From the first gate's start to the last one's end."""
        if not self.gates:
            return None
        return min(gate.started for gate in self.gates), max(gate.ended for gate in self.gates)

    @property
    def measured_on(self) -> str:
        """``live``, or the lab and its speed, as the gates say; empty where there are none or they differ."""
        sources = {gate.source for gate in self.gates}
        return sources.pop() if len(sources) == 1 else ""


_ADAPTER: Final = TypeAdapter(Evidence)


def read_evidence(path: Path) -> Evidence:
    """The evidence in a file, or in a folder's ``evidence.json``.

    Raises:
        InputError: it is not there, is no JSON, or does not hold to the contract; every problem is named.
    """
    file = path / FILE if path.is_dir() else path
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(
            [
                Problem(
                    f"cannot be read: {error.strerror}",
                    file=str(file),
                    fix="name the folder or file that a rollout or `stoker demo --out` wrote",
                )
            ]
        ) from error
    return parse_evidence(text, str(file))


def parse_evidence(text: bytes | str, file: str = FILE) -> Evidence:
    """The evidence in a document; ``file`` is its name for messages.

    Raises:
        InputError: as `read_evidence`.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise InputError(
            [
                _problem(each["loc"], each["type"], each["msg"], each.get("input"), file)
                for each in error.errors()
            ]
        ) from error


def _problem(place: tuple[str | int, ...], kind: str, message: str, found: Any, file: str) -> Problem:
    if kind == "json_invalid":
        return Problem(message, file=file, fix="the file is cut short or no JSON; write it anew")
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    shown = "" if kind == "missing" else repr(found)
    return Problem(
        message[:1].lower() + message[1:],
        path=path.lstrip("."),
        file=file,
        found=shown if len(shown) <= 80 else f"{shown[:77]}…",
        fix="docs/report.md has the contract",
    )
