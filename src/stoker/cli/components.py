"""`stoker components`: the charts a platform stands on, pinned, with their Helm values."""

from typing import Annotated

import typer

from stoker.cli.output import Output, OutputOption, out, print_json, table
from stoker.cli.platform_file import FileArgument, read_platform
from stoker.errors import ExitCode

__all__ = ["components"]


def components(
    file: FileArgument,
    *,
    values: Annotated[str, typer.Option("--values", help="Print the Helm values of one component.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """List the cluster components that a platform needs: pinned versions, Helm values, compatibility with the cluster.

    Exits with 1 where a pinned version is outside the range its project states for the target cluster version.

    Examples:

        stoker components platform.yaml

        stoker components platform.yaml --values keda > keda.values
    """
    from dataclasses import asdict

    from stoker.errors import UnknownNameError
    from stoker.render.yaml_text import dump
    from stoker.upgrades.components import compile_components

    platform = read_platform(file)
    plans = compile_components(platform)
    if values:
        chosen = [plan for plan in plans if plan.name == values]
        if not chosen:
            raise UnknownNameError("component of this platform", values, [plan.name for plan in plans])
        out().file.write(dump(chosen[0].values))
        return
    if output is Output.JSON:
        print_json(
            {"kubernetes": platform.spec.cluster.version, "components": [asdict(plan) for plan in plans]}
        )
    else:
        table(
            ("component", "version", "namespace", f"with Kubernetes {platform.spec.cluster.version}", "why"),
            [
                (plan.name, plan.version, plan.namespace, plan.compatibility or "no bound exceeded", plan.why)
                for plan in plans
            ],
        )
    if any(plan.compatibility for plan in plans):
        raise typer.Exit(int(ExitCode.FINDINGS))
