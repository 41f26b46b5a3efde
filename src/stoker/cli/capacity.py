"""Do the pods fit: the twin's answer as a table, for `stoker plan`."""

from typing import TYPE_CHECKING, Any

from stoker.cli.output import out, table

if TYPE_CHECKING:
    from stoker.sizing.resolved import ResolvedPlatform
    from stoker.twin.fleet.capacity import Capacity

__all__ = ["capacity_of", "print_capacity"]


def capacity_of(platform: "ResolvedPlatform", objects: list[dict[str, Any]], at: str) -> "Capacity":
    """Place every pod with the scheduler's own rules, at ``max`` or ``min`` replicas."""
    from stoker.twin.fleet.build import build_fleet
    from stoker.twin.fleet.capacity import place

    return place(build_fleet(platform, objects), at_most=at == "max")


def print_capacity(found: "Capacity", at: str, *, whole: bool = True) -> None:
    """Every workload, or only a line and those that do not fit."""
    if whole:
        table(
            ["workload", "tenant", "pods", "bound", "GPUs a pod", "nodes"],
            [
                [p.workload, p.tenant, p.wanted, p.bound, f"{p.gpus_per_pod:g}", len(p.nodes)]
                for p in found.workloads
            ],
        )
    console = out()
    for placed in found.workloads:
        if placed.message:
            # The message is the scheduler's own: a bracket in it is no markup.
            console.print(f"{placed.workload}: {placed.message}", style="bold red", markup=False)
    console.print(
        f"{found.gpus_taken:g} of {found.gpus} GPUs on {found.nodes} nodes; the emptiest node has "
        f"{found.largest_free} free. Decided by the twin's scheduler, all at {at} replicas"
    )
