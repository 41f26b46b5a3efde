"""One trial of `stoker tune`: plain data in, plain data out, so that a process pool or Ray can run it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stoker.twin.scenario import Scenario
    from stoker.twin.tuning import Promise, Value

__all__ = ["SHOWN", "Work", "changed_text", "run_trial"]

SHOWN: Final = ("goodput", "ttft_p95_s", "tpot_p95_s", "gpu_utilization")
"""Figures that are kept of each candidate, beside cost and attainment."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every trial of a search has in common.

    Attributes:
        text: the platform file.
        data: the same as plain data.
    """

    text: str
    data: Mapping[str, Any]
    scenario: "Scenario"
    seed: int
    neighbours: bool
    promises: "tuple[Promise, ...]"


def run_trial(work: Work, changes: "Mapping[str, Value]") -> dict[str, Any]:
    """Simulate the platform file with these changes.

    A candidate that the platform's own checks refuse is answered with ``refused``, and why.
    """
    from stoker.errors import StokerError
    from stoker.platform.load import load_document
    from stoker.report.simulation.document import rounded
    from stoker.sizing.resolve import resolve
    from stoker.twin.scenario import run_scenario
    from stoker.twin.tuning import attainment
    from stoker.upgrades import compile_platform

    try:
        platform = resolve(load_document(changed_text(work.text, work.data, changes)).platform)
        objects = [item.object for item in compile_platform(platform)]
        outcome = run_scenario(platform, objects, work.scenario, seed=work.seed, neighbours=work.neighbours)
    except StokerError as error:
        return {"refused": str(error).splitlines()[0]}
    figures = outcome.result.total
    return {
        "cost": rounded(figures.cost_usd),
        "attainment": rounded(attainment(figures, work.promises)),
        "figures": {name: rounded(getattr(figures, name)) for name in SHOWN},
        "calibration": outcome.calibration,
    }


def changed_text(text: str, data: Mapping[str, Any], changes: "Mapping[str, Value]") -> str:
    """The platform file with the knobs set: lines that do not change stay as they are, comments too.

    A file that cannot be edited line by line, such as one in UTF-16, is written anew.
    """
    import yaml

    from stoker.errors import StokerError
    from stoker.kube.edit import Change, edit_text
    from stoker.kube.snapshot import Source
    from stoker.twin.tuning import apply

    if not changes:
        return text
    changed = apply(data, changes)
    try:
        return edit_text(text, [Change(Source(), tuple(_steps(data, changed, changes)))])
    except StokerError:
        return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)


def _steps(data: Mapping[str, Any], changed: Mapping[str, Any], changes: "Mapping[str, Value]") -> list[Any]:
    """The patch from ``data`` to ``changed``: each field where the section around it is written out, else the section."""
    from stoker.kube.patch import Op

    steps: dict[tuple[str | int, ...], Any] = {}
    for name in changes:
        kind, entry, *path = name.split(".")
        index = next(i for i, item in enumerate(data[kind]) if item["name"] == entry)
        before, after = data[kind][index], changed[kind][index]
        for depth, step in enumerate(path, start=1):
            before, after = before.get(step), after.get(step)
            if depth == len(path) or not isinstance(before, dict):
                where: tuple[str | int, ...] = (kind, index, *path[:depth])
                if after is not None:
                    steps[where] = Op("add", where, after)
                elif before is not None:
                    steps[where] = Op("remove", where)
                break
    return list(steps.values())
