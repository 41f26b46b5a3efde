"""One run of a fleet in virtual time: traffic, pods, scalers, neighbours and faults on one agenda."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stoker.twin.admission import Tenancy
from stoker.twin.engine import Load, Service, make_service
from stoker.twin.engine import layout as at
from stoker.twin.engine.route import scatter_all
from stoker.twin.fleet.agenda import Agenda
from stoker.twin.fleet.faults import FaultRuns, FaultTally
from stoker.twin.fleet.machines import Machines
from stoker.twin.fleet.neighbours import NeighbourRuns
from stoker.twin.fleet.nodes import NodeScaler
from stoker.twin.fleet.scaling import make_scaler
from stoker.twin.fleet.series import Series
from stoker.twin.fleet.spec import FleetSpec, WorkloadSpec
from stoker.twin.fleet.timeslices import TimeSlices
from stoker.twin.fleet.transfers import Source
from stoker.twin.fleet.workload import WorkloadRun
from stoker.twin.scheduler import ClusterState
from stoker.twin.workload import Traffic

__all__ = ["FleetRun", "Route", "run_fleet"]

_ZONES = ("a", "b", "c")
_GRACE_S = 3600.0  # after the last arrival, the longest that the run waits for answers
_LOOK_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A workload with the requests that reached it: ``index`` into the traffic, ascending."""

    run: WorkloadRun
    index: NDArray[np.int64]

    @property
    def service(self) -> Service:
        return self.run.service

    @property
    def spec(self) -> WorkloadSpec:
        return self.run.spec


@dataclass(frozen=True, slots=True, eq=False)
class FleetRun:
    """A run that has ended: everything that `results` counts.

    Attributes:
        unrouted: requests for models that the fleet does not serve.
        end_s: when the last answer was complete, or the duration where that is later.
    """

    spec: FleetSpec
    traffic: Traffic
    routes: tuple[Route, ...]
    unrouted: NDArray[np.int64]
    machines: Machines
    neighbours: NeighbourRuns
    series: Series
    end_s: float
    seed: int
    faults: FaultTally


def run_fleet(
    spec: FleetSpec,
    traffic: Traffic,
    *,
    duration_s: float,
    seed: int,
    sample_s: float = 60.0,
    progress: Callable[[float], None] | None = None,
) -> FleetRun:
    """Run ``spec`` under ``traffic`` for ``duration_s`` seconds, and on until every request has ended.

    Args:
        spec: the fleet.
        traffic: requests; ``traffic.models`` are matched with the fleet's by name.
        duration_s: virtual seconds in which scalers, neighbours and faults are at work.
        seed: of everything random.
        sample_s: seconds between two rows of the time series.
        progress: called now and then with the virtual time.
    """
    rng = np.random.default_rng(seed)
    agenda = Agenda()
    state = ClusterState(spec.profiles)
    machines = Machines(
        agenda,
        state,
        Tenancy(spec.policies),
        lambda tied: tied[int(rng.integers(len(tied)))],
        lambda: Source(agenda, spec.sources.each["local"], spec.sources.total["local"]),
    )
    _add_nodes(spec, machines)
    shared = {
        name: Source(agenda, spec.sources.each[name], spec.sources.total[name])
        for name in spec.sources.each
        if name != "local"
    }

    def source(name: str, node: str) -> Source:
        return machines.nodes[node].disk if name == "local" else shared[name]

    routes, unrouted = _routes(spec, traffic, machines, source, seed)
    for route in routes:
        route.run.start_warm(route.spec.min_replicas)
    # What serves from the start is placed before anything else looks at the fleet.
    while agenda.next_time() <= 0:
        agenda.step()
    scalers = [scaler for route in routes if (scaler := make_scaler(spec, route.run, rng)) is not None]
    for scaler in scalers:
        scaler.start()
    neighbours = NeighbourRuns(machines)
    for neighbour in spec.neighbours:
        neighbours.add(neighbour)
    faults = FaultRuns(spec, machines, [route.run for route in routes], np.random.default_rng([seed, 3]))
    faults.start(duration_s)
    NodeScaler(spec, machines).start()
    TimeSlices(spec, machines).start()
    series = Series(agenda, routes, machines, sample_s)
    series.start()
    end = _run(agenda, routes, duration_s, progress)
    return FleetRun(spec, traffic, routes, unrouted, machines, neighbours, series, end, seed, faults.tally)


def _add_nodes(spec: FleetSpec, machines: Machines) -> None:
    for group in spec.groups:
        for number in range(group.nodes):
            machines.add_node(group, f"{group.name}-{number}", _ZONES[number % len(_ZONES)])


def _routes(
    spec: FleetSpec,
    traffic: Traffic,
    machines: Machines,
    source: Callable[[str, str], Source],
    seed: int,
) -> tuple[tuple[Route, ...], NDArray[np.int64]]:
    """Split the traffic by model and, by weight, over the versions of a model."""
    by_model: dict[str, list[WorkloadSpec]] = {}
    for workload in spec.workloads:
        by_model.setdefault(workload.model, []).append(workload)
    routes: list[Route] = []
    known = np.zeros(len(traffic.arrival_s), bool)
    for model, versions in by_model.items():
        mine = _requests_of(traffic, model, versions[0].adapters, only=len(by_model) == 1)
        mine = mine[~known[mine]]
        known[mine] = True
        lot = _lots(mine, seed) if len(versions) > 1 else np.zeros(len(mine))
        begin = 0.0
        for number, version in enumerate(versions):
            last = number == len(versions) - 1
            chosen = mine[(lot >= begin) & ((lot < begin + version.weight) | last)]
            begin += version.weight
            service = _service(version, traffic, chosen, seed)
            routes.append(Route(WorkloadRun(version, service, machines, source), chosen))
    return tuple(routes), np.flatnonzero(~known)


def _requests_of(traffic: Traffic, model: str, adapters: tuple[str, ...], *, only: bool) -> NDArray[np.int64]:
    """Requests of a model and its adapters; a trace that names no models is all for the only one."""
    if traffic.models in {(), ("",)} and only:
        return np.arange(len(traffic.arrival_s))
    wanted = [traffic.models.index(name) for name in (model, *adapters) if name in traffic.models]
    return np.flatnonzero(np.isin(traffic.model, wanted))


def _adapters_of(spec: WorkloadSpec, traffic: Traffic, index: NDArray[np.int64]) -> NDArray[np.int32] | None:
    """Adapter of each request, -1 for the model itself; None where no request names one."""
    number = [spec.adapters.index(name) if name in spec.adapters else -1 for name in traffic.models]
    if not index.size or max(number, default=-1) < 0:
        return None
    return np.array(number, np.int32)[traffic.model[index]]


def _lots(index: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """A number in [0, 100) for each request, the same in every fleet: so canary splits are paired too."""
    return scatter_all(index, seed & 0x7FFFFFFF).astype(np.float64) * (100.0 / 2**31)


def _service(spec: WorkloadSpec, traffic: Traffic, index: NDArray[np.int64], seed: int) -> Service:
    ids = offsets = None
    block = 0
    if traffic.prefix_ids is not None and traffic.prefix_offsets is not None:
        block = traffic.prefix_block_tokens
        lengths = np.diff(traffic.prefix_offsets)[index]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        start = np.repeat(traffic.prefix_offsets[:-1][index] - offsets[:-1], lengths)
        ids = traffic.prefix_ids[start + np.arange(offsets[-1])]
    load = Load(
        traffic.arrival_s[index],
        traffic.input_tokens[index],
        traffic.output_tokens[index],
        ids,
        offsets,
        block,
        _adapters_of(spec, traffic, index),
    )
    return make_service(
        spec.engine,
        load,
        # Replicas that drain keep their slot while those that take their place already serve.
        candidates=2 * spec.max_replicas + 2,
        policy=spec.policy,
        seed=seed,
        hold_timeout_s=spec.hold_timeout_s,
        in_flight_limit=spec.in_flight_limit,
    )


def _run(
    agenda: Agenda,
    routes: tuple[Route, ...],
    duration_s: float,
    progress: Callable[[float], None] | None,
) -> float:
    told = 0.0
    while agenda.next_time() <= duration_s:
        agenda.step()
        if progress is not None and agenda.now - told >= duration_s / 200:
            told = agenda.now
            progress(told)
    for route in routes:
        route.service.advance(duration_s)
    end = duration_s
    while end < duration_s + _GRACE_S and any(_open(route) for route in routes):
        end += _LOOK_S
        while agenda.next_time() <= end:
            agenda.step()
        for route in routes:
            route.service.advance(end)
    agenda.now = end
    return end


def _open(route: Route) -> bool:
    """Whether a request that has arrived has not ended."""
    service = route.service
    return route.run.held() > 0 or route.run.in_flight() > 0 or service.s[at.NEXT] < service.s[at.FILLED]
