"""What the options of `simulate` and `tune` say: traffic, and what breaks meanwhile."""

from pathlib import Path
from typing import TYPE_CHECKING

from stoker.cli.durations import seconds_of
from stoker.cli.memory import enough_memory, memory_bytes
from stoker.cli.output import err
from stoker.cli.progress import progress_bar
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.twin.fleet.spec import Faults
    from stoker.twin.scenario import Scenario
    from stoker.twin.workload import Trace

__all__ = ["FAULTS", "make_faults", "make_scenario", "trace_of"]

FAULTS = "Faults and changes"

_BYTES_A_REQUEST = 170  # a month of azure2023_conv on examples/guide.yaml, at the peak
_BYTES_A_BLOCK = 32  # of a request's prefix: its id, and arrays of the same length while traces are stretched


def make_scenario(
    *,
    trace: Path | None,
    duration: str | None,
    profile: str,
    rate_scale: float,
    shares: list[str],
    faults: "Faults | None" = None,
) -> "Scenario":
    """Read what the options of a simulation say about its traffic.

    Raises:
        InputError: no trace, or an option that cannot be read.
    """
    from stoker.twin.fleet.spec import Faults
    from stoker.twin.scenario import Scenario
    from stoker.twin.workload import read_profile

    if trace is None:
        raise InputError(
            [
                Problem(
                    "no trace",
                    wanted="--trace FILE",
                    fix="docs/traffic.md lists the formats and where to get one",
                )
            ]
        )
    # What is quickly read first: a slip of the pen should not cost the reading of a large trace.
    duration_s, weights = seconds_of("--duration", duration), _shares(shares)
    shape = None if profile == "trace" else read_profile(profile)
    found = trace_of(trace)
    scenario = Scenario(
        trace=found,
        duration_s=duration_s,
        profile=shape,
        rate_scale=rate_scale,
        shares=weights,
        faults=faults or Faults(),
    )
    if shape is not None and not scenario.stretched:
        err().print(
            f"--profile {profile} shapes a stretched trace: this one is not, unless --duration is longer than "
            f"{found.traffic.duration_s:.0f} s",
            markup=False,
        )
    _check_times(scenario)
    _check_size(scenario)
    return scenario


def trace_of(path: Path) -> "Trace":
    """Read a trace, and tell on stderr what was put right.

    Raises:
        InputError: no such file, or no trace.
    """
    from stoker.twin.workload import read_trace

    with enough_memory(), progress_bar(f"reading {path.name}", None) as tell:
        found = read_trace(path, lambda rows: tell(float(rows)))
    _tell(found)
    return found


def _check_times(scenario: "Scenario") -> None:
    """Refuse what would happen after the end: it would not, and nobody would know."""
    end = scenario.duration_s or scenario.trace.traffic.duration_s
    problems = [
        Problem(
            "is after the end of the run",
            path=option,
            found=f"{time:g} s",
            wanted=f"before {end:.0f} s",
            fix=f"an earlier {option}, or a longer --duration",
        )
        for option, times in (("--drain", scenario.faults.drains), ("--rollout", scenario.faults.rollouts))
        for time in times
        if time >= end
    ]
    if problems:
        raise InputError(problems)


def _tell(trace: "Trace") -> None:
    """What was put right in the trace, and what is odd about it, on stderr."""
    lines = [
        f"{count} x {kind}: {'sorted' if kind == 'unordered' else 'left out'}"
        for kind, count in trace.repairs.items()
    ]
    if trace.repeated:
        lines.append(f"{trace.repeated} rows repeat the one before them: kept")
    lines += [f"nothing between {begin:.0f} s and {end:.0f} s" for begin, end in trace.holes]
    for line in lines:
        err().print(f"{trace.name}: {line}", markup=False)


def _check_size(scenario: "Scenario") -> None:
    """Refuse more requests than this machine's memory holds, before it is full."""
    traffic = scenario.trace.traffic
    blocks = len(traffic.prefix_ids) / len(traffic) if traffic.prefix_ids is not None else 0.0
    each = _BYTES_A_REQUEST + _BYTES_A_BLOCK * blocks
    memory = memory_bytes()
    if scenario.requests * each > memory:
        raise InputError(
            [
                Problem(
                    "more requests than this machine's memory holds",
                    path="--duration, --rate-scale",
                    found=f"{scenario.requests:,.0f} requests, about {scenario.requests * each / 2**30:,.0f} GiB",
                    wanted=f"at most {memory / each:,.0f}, in {memory / 2**30:,.0f} GiB",
                    fix="a shorter --duration or a smaller --rate-scale",
                )
            ]
        )


def make_faults(
    *,
    node_mtbf: str | None,
    node_repair: str,
    spot_reclaim: str | None,
    drains: list[str],
    rollouts: list[str],
) -> "Faults":
    """Read what the options say about failures, maintenance and rolling updates.

    Raises:
        InputError: a time that cannot be read.
    """
    from stoker.twin.fleet.spec import Faults

    return Faults(
        node_mtbf_s=seconds_of("--node-mtbf", node_mtbf) or 0.0,
        node_repair_s=seconds_of("--node-repair", node_repair) or 0.0,
        spot_reclaim_s=seconds_of("--spot-reclaim", spot_reclaim) or 0.0,
        drains=tuple(sorted(seconds_of("--drain", time) or 0.0 for time in drains)),
        rollouts=tuple(sorted(seconds_of("--rollout", time) or 0.0 for time in rollouts)),
    )


def _shares(given: list[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for entry in given:
        name, equals, weight = entry.partition("=")
        try:
            value = float(weight)
        except ValueError:
            value = -1.0
        if not equals or not 0 < value < float("inf"):
            raise InputError(
                [Problem("no share", path="--share", found=entry, wanted="MODEL=WEIGHT, above 0")]
            )
        shares[name] = value
    return shares
