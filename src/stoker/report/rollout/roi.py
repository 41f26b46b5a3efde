"""The table: every measure before and after, what follows from others by arithmetic, and what only the twin knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from stoker.report.rollout.evidence import Evidence, Figure, Price, Window
from stoker.report.rollout.measures import MEASURES, Measure
from stoker.sizing.report import HOURS_PER_MONTH

__all__ = ["PHASES", "Row", "rows"]

PHASES: Final = ("before", "after")
# Measured once, by the rollout itself: there is no before.
_ONCE: Final = frozenset(("rollout_seconds", "page_seconds"))
_USERS: Final = frozenset(("users_answered", "users_p95"))
_MONEY: Final = ("bill_usd_month", "idle_usd_month")


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. A figure without a value says why; what is simulated is told apart from what was measured."""

    measure: Measure
    before: Figure
    after: Figure
    simulated_before: Figure | None
    simulated_after: Figure | None

    def remarks(self) -> list[str]:
        """Why there is no data, and what must be known of a value; once where it is the same for both."""
        found: dict[str, list[str]] = {}
        sides = (("before", self.before, self.simulated_before), ("after", self.after, self.simulated_after))
        for phase, figure, twin in sides:
            if figure.value is None:
                found.setdefault(f"no data: {figure.why or 'the evidence does not say why'}", []).append(
                    phase
                )
                if twin is not None and twin.value is not None:
                    found.setdefault(f"simulated: {twin.source}", []).append(phase)
            elif figure.note:
                found.setdefault(figure.note, []).append(phase)
        return [f"{' and '.join(phases).capitalize()}: {words}." for words, phases in found.items()]


def rows(evidence: Evidence, simulated: Iterable[Figure] = ()) -> tuple[Row, ...]:
    """One row for every measure, in the order of the table."""
    known: dict[tuple[str, str], Figure] = {}
    for figure in evidence.figures:
        known[figure.measure, figure.phase] = figure
    for phase in PHASES:
        for figure in _derived(known, phase, evidence.price):
            known.setdefault((figure.measure, phase), figure)
    for figure in (*_users(evidence), *_once(evidence)):
        known.setdefault((figure.measure, figure.phase), figure)
    twin = {(figure.measure, figure.phase): figure for figure in simulated}
    return tuple(
        Row(
            measure,
            known.get((measure.id, "before")) or _missing(measure, "before", evidence),
            known.get((measure.id, "after")) or _missing(measure, "after", evidence),
            twin.get((measure.id, "before")),
            twin.get((measure.id, "after")),
        )
        for measure in MEASURES.values()
    )


def _missing(measure: Measure, phase: str, evidence: Evidence) -> Figure:
    if measure.id in _USERS:
        why = f"nobody sent requests on purpose {phase} the rollout"
    elif measure.id in _ONCE:
        why = "the rollout measures it; nobody did before"
    elif evidence.figures:
        why = f"the evidence holds no such figure {phase} the rollout"
    else:
        why = "nobody asked a Prometheus: the evidence has no figures, and no --prometheus was given"
    return Figure(measure.id, phase, None, measure.unit, why=why)


def _derived(known: Mapping[tuple[str, str], Figure], phase: str, price: Price | None) -> list[Figure]:
    """Shares and money, each from the figures that it needs."""
    gpus, held, busy = (known.get((name, phase)) for name in ("gpus", "gpus_held", "gpu_busy"))
    count, taken, active = (None if each is None else each.value for each in (gpus, held, busy))
    share = taken / count if taken is not None and count else None
    found = [_computed("gpu_held", phase, share, "GPUs held / GPUs", gpus, held)]
    if price is None:
        why = "no price of a GPU: its kind is not known; --usd-per-gpu-hour gives one"
        return [*found, *(Figure(name, phase, None, MEASURES[name].unit, why=why) for name in _MONEY)]
    each = price.usd_per_gpu_hour * HOURS_PER_MONTH
    bill = None if count is None else count * each
    idle = None if bill is None or active is None else bill * (1 - active)
    told = f"${price.usd_per_gpu_hour:g} × {HOURS_PER_MONTH} h"  # the price's source stands beside the price
    return [
        *found,
        _computed("bill_usd_month", phase, bill, f"GPUs × {told}", gpus),
        _computed("idle_usd_month", phase, idle, f"GPUs × (1 - GPUs busy) × {told}", gpus, busy),
    ]


def _computed(measure: str, phase: str, value: float | None, how: str, *parts: Figure | None) -> Figure:
    """A figure from others: their source and window, or the first reason that one is missing."""
    kind = MEASURES[measure]
    there = [part for part in parts if part is not None]
    if value is None:
        whys = [f"{MEASURES[part.measure].title}: {part.why}" for part in there if part.value is None]
        return Figure(
            measure,
            phase,
            None,
            kind.unit,
            how,
            why="; ".join(whys) or "what it follows from was not measured",
        )
    notes = "; ".join(dict.fromkeys(part.note for part in there if part.note))
    window = there[0].window
    return Figure(measure, phase, value, kind.unit, f"{how}; {there[-1].source}", window=window, note=notes)


def _users(evidence: Evidence) -> list[Figure]:
    """What the senders of requests saw."""
    found = []
    for phase, traffic in evidence.traffic.items():
        source = "; ".join(filter(None, (f"stoker load, {traffic.requests:,} requests", traffic.source)))
        window = evidence.windows.get(phase)
        share = traffic.answered / traffic.requests if traffic.requests else None
        for measure, value in (("users_answered", share), ("users_p95", traffic.e2e_seconds.p95)):
            why = (
                ""
                if value is not None
                else "no request was sent"
                if share is None
                else "too few were answered"
            )
            found.append(
                Figure(measure, phase, value, MEASURES[measure].unit, source, window=window, why=why)
            )
    return found


def _once(evidence: Evidence) -> list[Figure]:
    """What the rollout measured of itself."""
    found = []
    canary = evidence.canary
    if canary is not None:
        unit, source = MEASURES["rollout_seconds"].unit, f"canary of {canary.model or 'the model'}"
        source = ", ".join(filter(None, (source, canary.source or evidence.measured_on)))
        if canary.outcome == "promoted" and canary.started and canary.ended and canary.ended > canary.started:
            window = Window(canary.started, canary.ended)
            found.append(Figure("rollout_seconds", "after", window.seconds, unit, source, window=window))
        else:
            why = f"the canary was {canary.outcome}" if canary.outcome else "the canary has no outcome"
            if canary.outcome == "promoted":
                why = "the canary does not say when it began and ended"
            found.append(Figure("rollout_seconds", "after", None, unit, source, why=why))
    incident = evidence.incident
    if incident is not None:
        unit, source = MEASURES["page_seconds"].unit, incident.source or evidence.measured_on
        if incident.saturated and incident.paged and incident.paged > incident.saturated:
            window = Window(incident.saturated, incident.paged)
            found.append(Figure("page_seconds", "after", window.seconds, unit, source, window=window))
        else:
            why = "nobody was paged" if incident.paged is None else "it was not seen when it saturated"
            found.append(Figure("page_seconds", "after", None, unit, source, why=why))
    return found
