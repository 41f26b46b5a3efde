"""`stoker canary`: a new version gets more of the traffic as it shows that it is no worse."""

from pathlib import Path
from typing import Annotated

import typer

from stoker.cli.durations import seconds_of
from stoker.cli.output import Output, OutputOption
from stoker.errors import InputError, Problem

__all__ = ["canary_app"]

canary_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Give a new version more of the traffic as it shows that it is no worse.",
)

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model of the platform file.", show_default=False)
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", help="Of the kubeconfig.  [default: the current one]", show_default=False),
]
NamespaceOption = Annotated[
    str,
    typer.Option("--namespace", "-n", help="The model's.  [default: where its run is]", show_default=False),
]


@canary_app.command(short_help="Begin a canary, or go on with one.")
def start(
    model: ModelArgument,
    *,
    file: Annotated[
        str, typer.Option("--file", "-f", help="Platform file; `-` reads standard input.", show_default=False)
    ],
    context: ContextOption = None,
    steps: Annotated[
        str, typer.Option(help="Percent of the requests, step by step; 100 is the promotion.")
    ] = "5,25,50,100",
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompt set, YAML or JSON Lines.  [default: a few prompts without right answers]",
            show_default=False,
        ),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="URL of the Prometheus that scrapes the pods.", show_default=False)
    ] = None,
    probes: Annotated[
        bool, typer.Option("--probes/--no-probes", help="Send pairs of probes to both versions.")
    ] = True,
    pairs: Annotated[int, typer.Option(min=1, max=1000, help="Pairs of probes at each look.")] = 20,
    reach: Annotated[
        str, typer.Option(help="Way to the pods: direct, proxy (through the API server), auto.")
    ] = "auto",
    margin: Annotated[
        list[str] | None,
        typer.Option(
            help="What is still acceptable, as ttft=0.2 or errors=0.01; may be repeated.", show_default=False
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Chance at most that a harmless canary is aborted on evidence.")
    ] = 0.05,
    beta: Annotated[
        float, typer.Option(help="Chance at most that a canary worse by a margin is promoted.")
    ] = 0.05,
    least: Annotated[str, typer.Option(help="Time of a step at least.")] = "60s",
    most: Annotated[str, typer.Option(help="Time of a step at most; then it is inconclusive.")] = "30m",
    ready: Annotated[str, typer.Option(help="Time that the canary's pods may take to be ready.")] = "30m",
    every: Annotated[str, typer.Option(help="Time between two looks.")] = "15s",
    on_deadline: Annotated[
        str, typer.Option(help="Inconclusive: abort, or hold the traffic as it is.")
    ] = "abort",
    force_conflicts: Annotated[
        bool,
        typer.Option("--force-conflicts", help="Take fields of routes and services that other managers own."),
    ] = False,
    coarse: Annotated[
        bool, typer.Option("--coarse", help="Without Gateway API: accept shares as coarse as replicas allow.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch/--no-watch", help="Stay until it is over, or look once.")
    ] = True,
    output: OutputOption = Output.TEXT,
) -> None:
    """Compare both versions at each step, and promote or abort. A run that was interrupted goes on where it stopped.

    Times are the cluster's: a lab's run faster. Exit codes: 0 promoted, 1 aborted, 3 unreachable, 4 somebody else runs it,
    5 inconclusive or not over yet.

    Examples:

        stoker canary start llama3-70b -f platform.yaml --prompts prompts.yaml --prometheus http://localhost:9090

        stoker canary start llama3-70b -f platform.yaml --steps 10,50,100 --margin ttft=0.2 --most 1h
    """
    from stoker.cli.canary_run import Options, carry_out
    from stoker.cli.canary_show import finish

    options = Options(
        steps=_steps(steps),
        prompts=prompts,
        prometheus=prometheus,
        probes=probes,
        pairs=pairs,
        reach=reach,
        margins=_margins(margin or []),
        alpha=alpha,
        beta=beta,
        least=seconds_of("--least", least) or 0.0,
        most=seconds_of("--most", most) or 0.0,
        ready=seconds_of("--ready", ready) or 0.0,
        every=seconds_of("--every", every) or 0.0,
        on_deadline=on_deadline,
        force=force_conflicts,
        coarse=coarse,
        watch=watch,
    )
    finish(carry_out(model, file, context, options, is_quiet=output is Output.JSON), output)


@canary_app.command(short_help="How far is it, and what was measured?")
def status(
    model: ModelArgument,
    *,
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the run of a model, step by step.

    Examples:

        stoker canary status llama3-70b

        stoker canary status llama3-70b --output json
    """
    from stoker.cli.canary_run import read_state
    from stoker.cli.canary_show import show

    show(read_state(model, namespace, context), output)


@canary_app.command(short_help="Promote it now, whatever was measured.")
def promote(
    model: ModelArgument,
    *,
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make the stable version what the canary is, without waiting for evidence. Recorded with your name.

    Examples:

        stoker canary promote llama3-70b
    """
    from stoker.canary.state import Phase
    from stoker.cli.canary_run import give_order
    from stoker.cli.canary_show import finish

    finish(give_order(model, namespace, context, Phase.PROMOTING), output)


@canary_app.command(short_help="Send all requests to the stable version now.")
def abort(
    model: ModelArgument,
    *,
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Send all requests to the stable version, also where the run is on somebody else's machine. Recorded with your name.

    Examples:

        stoker canary abort llama3-70b
    """
    from stoker.canary.state import Phase
    from stoker.cli.canary_run import give_order
    from stoker.cli.canary_show import finish

    finish(give_order(model, namespace, context, Phase.ABORTING), output)


def _steps(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError as error:
        raise InputError(
            [Problem("no steps", path="--steps", found=text, wanted="percentages", fix="--steps 5,25,50,100")]
        ) from error


def _margins(given: list[str]) -> dict[str, float]:
    found = {}
    for one in given:
        name, _, number = one.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            raise InputError(
                [
                    Problem(
                        "no margin",
                        path="--margin",
                        found=one,
                        wanted="METRIC=NUMBER",
                        fix="--margin ttft=0.2",
                    )
                ]
            ) from error
    return found
