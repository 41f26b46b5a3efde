"""What a gate leaves behind: what was measured, against which threshold, on what, and every raw observation.

A gate that could not measure is inconclusive, never passed, and never failed either: nothing was shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

__all__ = ["GateResult", "Judgement", "Observation", "Verdict", "moment"]


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


def moment(when: datetime) -> str:
    """ISO 8601 in UTC to the millisecond, as in every record."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Observation:
    """One raw thing that was seen or done: a request and its answer, a query and its samples, an object's state.

    Attributes:
        at: the cluster's time.
        what: one line, such as ``pod probe-untolerated is Pending``.
        data: plain JSON: figures, names, the server's own words.
    """

    at: datetime
    what: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"at": moment(self.at), "what": self.what, **({"data": dict(self.data)} if self.data else {})}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason and figures.

    Attributes:
        reason: one sentence, with the figures that decide.
        measured: figures by name, units in the names (``seconds_to_4_replicas``); None where there was no data.
    """

    verdict: Verdict
    reason: str
    measured: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def passed(reason: str, **measured: Any) -> "Judgement":
        return Judgement(Verdict.PASSED, reason, measured)

    @staticmethod
    def failed(reason: str, **measured: Any) -> "Judgement":
        return Judgement(Verdict.FAILED, reason, measured)

    @staticmethod
    def inconclusive(reason: str, **measured: Any) -> "Judgement":
        return Judgement(Verdict.INCONCLUSIVE, reason, measured)


@dataclass(frozen=True, slots=True)
class GateResult:
    """One run of one gate.

    Attributes:
        id: such as ``week-1/taint``.
        phase: such as ``week-1``.
        threshold: what was wanted, in words with figures.
        source: ``live``, or ``lab`` with its speed.
        started, ended: the cluster's time.
        cleaned: whether every probe object is gone and every change put back; a gate that leaves something behind says so.
    """

    id: str
    phase: str
    title: str
    judgement: Judgement
    threshold: str
    evidence: tuple[Observation, ...]
    started: datetime
    ended: datetime
    source: str
    cleaned: bool = True

    @property
    def verdict(self) -> Verdict:
        return self.judgement.verdict

    def as_json(self) -> dict[str, Any]:
        """The entry of ``gates`` in evidence.json."""
        return {
            "id": self.id,
            "phase": self.phase,
            "title": self.title,
            "verdict": self.verdict.value,
            "reason": self.judgement.reason,
            "measured": dict(self.judgement.measured),
            "threshold": self.threshold,
            "evidence": [seen.as_json() for seen in self.evidence],
            "started": moment(self.started),
            "ended": moment(self.ended),
            "source": self.source,
            "cleaned": self.cleaned,
        }
