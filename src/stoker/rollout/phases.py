"""Which objects each phase applies and which gates it must pass; pure.

The guide wires metrics into Prometheus in week 4, after the autoscaler that queries them in week 3. Here the monitors come
with the autoscaler: a ScaledObject whose query has no data scales nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from stoker.errors import InputError, Problem, nearest
from stoker.platform.rollout import Phase, Rollout
from stoker.rollout.gate import Gate
from stoker.upgrades.objects import Emitted

__all__ = ["GUIDE_PHASES", "PlannedGate", "PlannedPhase", "plan_phases"]

_SCRAPED: Final = ("PodMonitor", "ServiceMonitor", "ScrapeConfig")
GUIDE_PHASES: Final = (
    Phase(name="week-1", include=("components", "scheduling", "tenancy"), gates=("week-1/*",)),
    # A route to a tier that goes to zero leads through KEDA's interceptor, which answers 404 to hosts that it does not know.
    Phase(name="week-2", include=("storage", "serving", "autoscaling/InterceptorRoute"), gates=("week-2/*",)),
    Phase(
        name="week-3",
        include=("autoscaling", *(f"observability/{kind}" for kind in _SCRAPED)),
        gates=("week-3/*",),
    ),
    Phase(name="week-4", include=("observability",), gates=("week-4/*",)),
)


@dataclass(frozen=True, slots=True)
class PlannedGate:
    """A gate with its figures, the user's over its own."""

    gate: Gate
    settings: Mapping[str, Any]

    @property
    def threshold(self) -> str:
        return self.gate.threshold.format(**self.settings)

    @property
    def procedure(self) -> str:
        return self.gate.procedure.format(**self.settings)


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """What a phase applies, wave by wave, and what it has to prove."""

    name: str
    objects: tuple[Emitted, ...]
    gates: tuple[PlannedGate, ...]


def plan_phases(
    rollout: Rollout, emitted: Sequence[Emitted], gates: Sequence[Gate]
) -> tuple[PlannedPhase, ...]:
    """Divide a compiled platform and the known gates among the phases.

    Raises:
        InputError: a gate or a setting that is not known, or an object that no phase includes.
    """
    phases = rollout.phases or GUIDE_PHASES
    problems = [*_unknown_gates(rollout.phases, gates), *_unknown_settings(rollout, gates), *_doubles(phases)]
    shares: dict[str, list[Emitted]] = {phase.name: [] for phase in phases}
    for item in emitted:
        phase = _phase_of(item, phases)
        if phase is None:
            part = f"{item.upgrade.value}/{item.object['kind']}"
            problems.append(
                Problem(
                    f"no phase includes {part}",
                    path="rollout.phases",
                    fix=f"add {item.upgrade.value} to a phase",
                )
            )
        else:
            shares[phase.name].append(item)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return tuple(
        PlannedPhase(
            phase.name,
            tuple(shares[phase.name]),
            tuple(
                PlannedGate(gate, {**gate.settings, **rollout.settings.get(gate.id, {})})
                for gate in gates
                if any(fnmatchcase(gate.id, pattern) for pattern in phase.gates)
            ),
        )
        for phase in phases
    )


def _phase_of(item: Emitted, phases: Sequence[Phase]) -> Phase | None:
    """The phase that names this very kind, or else the first that includes its upgrade."""
    part = f"{item.upgrade.value}/{item.object['kind']}"
    for wanted in (part, item.upgrade.value):
        for phase in phases:
            if wanted in phase.include:
                return phase
    return None


def _unknown_gates(phases: Sequence[Phase], gates: Sequence[Gate]) -> Iterable[Problem]:
    known = [gate.id for gate in gates]
    for index, phase in enumerate(phases):
        for number, pattern in enumerate(phase.gates):
            if not any(fnmatchcase(name, pattern) for name in known):
                yield _unknown(f"rollout.phases[{index}].gates[{number}]", "gate", pattern, known)


def _unknown_settings(rollout: Rollout, gates: Sequence[Gate]) -> Iterable[Problem]:
    by_id = {gate.id: gate for gate in gates}
    for name, settings in rollout.settings.items():
        if name not in by_id:
            yield _unknown(f"rollout.settings.{name}", "gate", name, list(by_id))
            continue
        own = by_id[name].settings
        for key, value in settings.items():
            path = f"rollout.settings.{name}.{key}"
            if key not in own:
                yield _unknown(path, f"setting of {name}", key, list(own))
            elif isinstance(own[key], str) != isinstance(value, str):
                wanted = "a text" if isinstance(own[key], str) else "a number"
                yield Problem(
                    "has the wrong type", path=path, found=repr(value), wanted=wanted, fix=f"{own[key]}"
                )


def _doubles(phases: Sequence[Phase]) -> Iterable[Problem]:
    seen: set[str] = set()
    for index, phase in enumerate(phases):
        if phase.name in seen:
            yield Problem(
                "two phases have this name",
                path=f"rollout.phases[{index}].name",
                found=phase.name,
                fix="name it otherwise",
            )
        seen.add(phase.name)


def _unknown(path: str, kind: str, name: str, known: list[str]) -> Problem:
    near = nearest(name, known)
    fix = f"did you mean `{near[0]}`?" if near else "`stoker rollout plan` lists what there is"
    return Problem(f"is no {kind}", path=path, found=name, wanted=", ".join(known) or "nothing", fix=fix)
