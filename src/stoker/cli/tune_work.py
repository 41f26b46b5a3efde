"""One trial of `stoker tune`, in a process of its own: plain data in, plain data out, so that a pool or Ray can run it."""

from collections.abc import Mapping
from typing import Any

__all__ = ["run_trial"]


def run_trial(task: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate the platform document with the task's knobs set.

    ``task`` has ``document``, ``values``, ``scenario`` (a `Scenario`), ``seed``, ``neighbours`` and ``promises``. A
    candidate that the platform's own checks refuse is answered with ``refused``.
    """
    import yaml

    from stoker.errors import StokerError
    from stoker.platform.load import load_document
    from stoker.sizing.resolve import resolve
    from stoker.twin.scenario import run_scenario
    from stoker.twin.tuning import apply, attainment
    from stoker.upgrades import compile_platform

    changed = apply(task["document"], task["values"])
    try:
        platform = resolve(load_document(yaml.safe_dump(changed).encode(), file="candidate").platform)
        objects = [item.object for item in compile_platform(platform)]
        outcome = run_scenario(
            platform, objects, task["scenario"], seed=task["seed"], neighbours=task["neighbours"]
        )
    except StokerError as error:
        return {"refused": str(error).splitlines()[0]}
    figures = outcome.result.total
    return {
        "cost": figures.cost_usd,
        "attainment": attainment(figures, task["promises"]),
        "figures": {name: getattr(figures, name) for name in figures.__slots__},
    }
