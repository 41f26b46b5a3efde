"""`stoker explain FIELD`: what a field of the platform file means, its default, and why."""

from typing import Annotated

import typer

from stoker.cli.output import Output, OutputOption, out, print_json

__all__ = ["explain"]


def explain(
    field: Annotated[
        str, typer.Argument(help="Field path, such as models.autoscaling.wake; empty for the whole document.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what a field means, what it may be, its default and why that is the default.

    Examples:

        stoker explain models

        stoker explain pools.sharing.mode
    """
    from dataclasses import asdict

    from stoker.platform.explain import explain as describe

    explanation = describe(field)
    if output is Output.JSON:
        print_json(asdict(explanation))
    else:
        out().print(str(explanation), markup=False)
