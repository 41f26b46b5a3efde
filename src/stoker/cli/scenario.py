"""What the options of `simulate` and `tune` say: traffic, and what breaks meanwhile."""

from pathlib import Path
from typing import TYPE_CHECKING

from stoker.cli.output import err
from stoker.cli.progress import progress_bar
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.twin.fleet.spec import Faults
    from stoker.twin.scenario import Scenario

__all__ = ["FAULTS", "make_faults", "make_scenario"]

FAULTS = "Faults and changes"


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
    from stoker.twin.workload import read_profile, read_trace

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
    with progress_bar(f"reading {trace.name}", None) as tell:
        found = read_trace(trace, lambda rows: tell(float(rows)))
    for kind, count in found.repairs.items():
        err().print(f"trace: {count} x {kind}: put right or left out")
    for begin, end in found.holes:
        err().print(f"trace: nothing between {begin:.0f} s and {end:.0f} s")
    return Scenario(
        trace=found,
        duration_s=_seconds("--duration", duration),
        profile=None if profile == "trace" else read_profile(profile),
        rate_scale=rate_scale,
        shares=_shares(shares),
        faults=faults or Faults(),
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
        node_mtbf_s=_seconds("--node-mtbf", node_mtbf) or 0.0,
        node_repair_s=_seconds("--node-repair", node_repair) or 0.0,
        spot_reclaim_s=_seconds("--spot-reclaim", spot_reclaim) or 0.0,
        drains=tuple(sorted(_seconds("--drain", time) or 0.0 for time in drains)),
        rollouts=tuple(sorted(_seconds("--rollout", time) or 0.0 for time in rollouts)),
    )


def _seconds(option: str, duration: str | None) -> float | None:
    if duration is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    number, unit = duration[:-1], duration[-1:]
    try:
        seconds = float(number) * units[unit] if unit in units else float(duration)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds <= 366 * 86_400:
        raise InputError(
            [Problem("no duration", path=option, found=duration, wanted="as 90m, 12h, 30d, up to a year")]
        )
    return seconds


def _shares(given: list[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for entry in given:
        name, equals, weight = entry.partition("=")
        try:
            value = float(weight)
        except ValueError:
            value = -1.0
        if not equals or not value > 0:
            raise InputError(
                [Problem("no share", path="--share", found=entry, wanted="MODEL=WEIGHT, above 0")]
            )
        shares[name] = value
    return shares
