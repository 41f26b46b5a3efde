"""`stoker plan --capacity`: do the pods fit on the nodes, and if not, why, in the scheduler's own words."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated

import typer

from stoker.cli.output import Output, OutputOption, out, print_json, table
from stoker.cli.platform_file import FileArgument, print_notes, read_platform
from stoker.errors import ExitCode, InputError, Problem

__all__ = ["plan"]


def plan(
    file: FileArgument,
    *,
    capacity: Annotated[
        bool, typer.Option("--capacity", help="Place every pod with the scheduler's own rules.")
    ] = False,
    at: Annotated[str, typer.Option(help="Replicas to place: max or min.")] = "max",
    output: OutputOption = Output.TEXT,
) -> None:
    """Place the platform's pods on its nodes as kube-scheduler would, quotas included; nothing is applied.

    Exits with 1 where a pod does not fit.

    Examples:

        stoker plan platform.yaml --capacity

        stoker plan platform.yaml --capacity --at min --output json
    """
    from stoker.twin.fleet.build import build_fleet
    from stoker.twin.fleet.capacity import place
    from stoker.upgrades import compile_platform

    if not capacity:
        raise InputError(
            [Problem("nothing to plan", wanted="--capacity", fix=f"stoker plan {file} --capacity")]
        )
    if at not in {"max", "min"}:
        raise InputError(
            [Problem("unknown replicas", path="--at", found=at, wanted="max or min", fix="--at max")]
        )
    platform = read_platform(file)
    print_notes(platform.notes)
    objects = [item.object for item in compile_platform(platform)]
    found = place(build_fleet(platform, objects), at_most=at == "max")
    if output is Output.JSON:
        source = {"measured_on": "twin", "version": version("stoker")}
        print_json(asdict(found) | {"fits": found.fits, "at": at, "provenance": source})
    else:
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
    if not found.fits:
        raise typer.Exit(ExitCode.FINDINGS)
