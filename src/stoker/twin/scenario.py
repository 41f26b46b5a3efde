"""A platform under a trace: what one `stoker simulate` runs. Pure: the trace is read already, the seed is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stoker.errors import InputError, Problem, nearest
from stoker.sizing.resolved import ResolvedPlatform
from stoker.twin.fleet.build import ALL_UPGRADES, Upgrade, build_fleet
from stoker.twin.fleet.population import population
from stoker.twin.fleet.results import Result, summarise
from stoker.twin.fleet.simulation import FleetRun, run_fleet
from stoker.twin.fleet.spec import Faults, FleetSpec, Object
from stoker.twin.workload import Trace, Traffic, assign, cut, fit, scale_rate, stretch
from stoker.twin.workload.profile import RateProfile

__all__ = ["Outcome", "Scenario", "run_scenario", "traffic_of"]

_DAY_S = 86_400.0
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


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One simulated fleet.

    Attributes:
        how: what became of the trace: ``as recorded``, ``cut`` or ``stretched``.
    """

    label: str
    upgrades: tuple[str, ...]
    result: Result
    run: FleetRun
    how: str


def traffic_of(scenario: Scenario, platform: ResolvedPlatform, seed: int) -> tuple[Traffic, float, str]:
    """The requests that the platform's models get, how long they last in seconds, and how they came from the trace.

    Raises:
        InputError: the trace, or a share, names a model or adapter that the platform does not have.
    """
    rng = np.random.default_rng([seed, 1])
    traffic, how = scenario.trace.traffic, "as recorded"
    duration = scenario.duration_s or traffic.duration_s
    if duration > traffic.duration_s * 1.001:
        model = fit(traffic)
        traffic = stretch(
            model, duration, rng, rate_scale=scenario.rate_scale, profile=scenario.profile or model.profile
        )
        how = f"stretched from {scenario.trace.traffic.duration_s:.0f} s"
    else:
        if duration < traffic.duration_s:
            traffic, how = cut(traffic, duration), f"cut from {traffic.duration_s:.0f} s"
        if scenario.rate_scale != 1.0:
            traffic = scale_rate(traffic, scenario.rate_scale, rng)
            how += f", rate x {scenario.rate_scale:g}"
    return _for_models(traffic, scenario, platform, rng), duration, how


def _for_models(
    traffic: Traffic, scenario: Scenario, platform: ResolvedPlatform, rng: np.random.Generator
) -> Traffic:
    names = tuple(_declared(platform))
    if traffic.models not in {(), ("",)} and set(traffic.models) & set(names):
        return traffic
    for name in scenario.shares:
        if name not in names:
            known = nearest(name, names)
            raise InputError(
                [
                    Problem(
                        "a share names a model that the platform does not have",
                        found=name,
                        wanted=", ".join(names),
                        fix=f"--share {known[0]}=…" if known else "",
                    )
                ]
            )
    shares = dict(scenario.shares) or _declared(platform)
    return assign(traffic, shares, rng)


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
