"""A platform under a trace: what one `stoker simulate` runs. Pure: the trace is read already, the seed is given."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stoker.errors import InputError, Problem, nearest
from stoker.sizing.resolved import ResolvedPlatform
from stoker.twin.fleet.build import ALL_UPGRADES, Upgrade, build_fleet
from stoker.twin.fleet.population import population
from stoker.twin.fleet.results import Result, summarise
from stoker.twin.fleet.simulation import FleetRun, run_fleet
from stoker.twin.fleet.spec import Faults, FleetSpec, Object
from stoker.twin.workload import Trace, Traffic, assign, is_stretched, replay
from stoker.twin.workload.profile import RateProfile

__all__ = ["Outcome", "Scenario", "run_scenario", "traffic_of"]

_MOST_LISTED = 5

# A long run is sampled so that its series stays around ten thousand rows a workload.
_MOST_SAMPLES = 10_000
_LEAST_SAMPLE_S = 15.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What platforms are put under.

    Attributes:
        trace: as read.
        duration_s: virtual seconds; None for the trace's own span.
        profile: shape of a stretched trace; None for the trace's own, which one shorter than a day has not.
        rate_scale: times the requests of the trace.
        shares: weight by model for a trace that names no models; empty: by the rates that the platform declares.
        faults: what breaks and what is changed while it runs.
    """

    trace: Trace
    duration_s: float | None
    profile: RateProfile | None
    rate_scale: float
    shares: Mapping[str, float]
    faults: Faults = field(default_factory=Faults)

    @property
    def stretched(self) -> bool:
        """Whether the run is longer than the trace."""
        return is_stretched(self.trace.traffic, self.duration_s)

    @property
    def requests(self) -> float:
        """How many there will be, about."""
        traffic = self.trace.traffic
        if self.stretched:
            return len(traffic) / traffic.duration_s * (self.duration_s or 0.0) * self.rate_scale
        duration = self.duration_s or traffic.duration_s
        return float(np.searchsorted(traffic.arrival_s, duration, side="right")) * self.rate_scale


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One simulated fleet.

    Attributes:
        how: what became of the trace: ``as recorded``, ``cut`` or ``stretched``, and what of models it names in vain.
    """

    label: str
    upgrades: tuple[str, ...]
    result: Result
    run: FleetRun
    how: str

    @property
    def calibration(self) -> dict[str, str]:
        """By workload, how the step times are known."""
        return {workload.name: workload.engine.cost.provenance for workload in self.run.spec.workloads}


def traffic_of(scenario: Scenario, platform: ResolvedPlatform, seed: int) -> tuple[Traffic, float, str]:
    """The requests that the platform's models get, how long they last in seconds, and how they came from the trace.

    Raises:
        InputError: a share names a model or adapter that the platform does not have, or the trace names them itself.
    """
    rng = np.random.default_rng([seed, 1])
    traffic, how = replay(
        scenario.trace.traffic,
        rng,
        duration_s=scenario.duration_s,
        rate_scale=scenario.rate_scale,
        profile=scenario.profile,
    )
    duration = scenario.duration_s or scenario.trace.traffic.duration_s
    routed, spread = _for_models(traffic, scenario, platform, rng)
    return routed, duration, how + spread


def _for_models(
    traffic: Traffic, scenario: Scenario, platform: ResolvedPlatform, rng: np.random.Generator
) -> tuple[Traffic, str]:
    """The requests with models of the platform, and what is to be said about it."""
    names = tuple(_declared(platform))
    if set(traffic.models) & set(names):
        if scenario.shares:
            raise InputError(
                [
                    Problem(
                        "the trace names models of the platform itself",
                        path="--share",
                        found=_listed(traffic.models),
                        fix="leave --share out, or the trace's column of models",
                    )
                ]
            )
        return traffic, ""
    _check_shares(scenario.shares, names)
    shares = dict(scenario.shares) or _declared(platform)
    strange = (
        ""
        if traffic.models in {(), ("",)}
        else f", for {_listed(shares)} instead of {_listed(traffic.models)}"
    )
    return assign(traffic, shares, rng), strange


def _listed(names: Iterable[str]) -> str:
    """The names, a few of them where they are many."""
    found = [name for name in names if name]
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return ", ".join(found[:_MOST_LISTED]) + more


def _check_shares(shares: Iterable[str], names: Sequence[str]) -> None:
    for name in shares:
        if name not in names:
            known = nearest(name, names)
            raise InputError(
                [
                    Problem(
                        "a share names a model that the platform does not have",
                        path="--share",
                        found=name,
                        wanted=", ".join(names),
                        fix=f"--share {known[0]}=…" if known else "",
                    )
                ]
            )


def _declared(platform: ResolvedPlatform) -> dict[str, float]:
    """Declared requests per second by model and adapter; models that declare none get the mean of those that do.

    A model and its adapters share what is declared evenly.
    """
    rates = {name: model.spec.traffic.requests_per_second for name, model in platform.models.items()}
    known = [rate for rate in rates.values() if rate]
    usual = sum(known) / len(known) if known else 1.0
    shares: dict[str, float] = {}
    for name, model in platform.models.items():
        each = (name, *(adapter.name for adapter in model.spec.lora))
        shares |= dict.fromkeys(each, (rates[name] or usual) / len(each))
    return shares


def run_scenario(
    platform: ResolvedPlatform,
    objects: Sequence[Object],
    scenario: Scenario,
    *,
    seed: int,
    upgrades: frozenset[Upgrade] = ALL_UPGRADES,
    neighbours: bool = True,
    label: str = "",
    change: Callable[[FleetSpec], FleetSpec] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Simulate a platform under the scenario's traffic.

    Fleets that are compared get the same traffic and the same neighbours for the same seed, whatever upgrades they have.

    Args:
        platform: resolved.
        objects: compiled from it.
        scenario: traffic.
        seed: of traffic, neighbours, routing, ties and faults.
        upgrades: those in place.
        neighbours: whether other tenants' pods run beside.
        label: name of the fleet in tables.
        change: last change to the fleet before it runs.
        progress: called with the share of the duration that has passed, 0 to 1.
    """
    traffic, duration, how = traffic_of(scenario, platform, seed)
    beside = population(platform, duration, np.random.default_rng([seed, 2]), upgrades) if neighbours else ()
    spec = build_fleet(platform, objects, upgrades=upgrades, neighbours=beside, label=label)
    spec = replace(spec, faults=scenario.faults)
    if change is not None:
        spec = change(spec)
    run = run_fleet(
        spec,
        traffic,
        duration_s=duration,
        seed=seed,
        sample_s=max(_LEAST_SAMPLE_S, duration / _MOST_SAMPLES),
        progress=None if progress is None else lambda now: progress(now / duration),
    )
    return Outcome(spec.label, tuple(sorted(upgrades)), summarise(run, duration), run, how)
