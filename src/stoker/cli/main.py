"""The `stoker` command: every verb is one module of this package; this one joins them and turns errors into exit codes."""

import os
import sys
from typing import Annotated

import typer

from stoker.cli.advise import advise
from stoker.cli.apply import apply, diff
from stoker.cli.audit import audit
from stoker.cli.canary import canary_app
from stoker.cli.catalog import catalog
from stoker.cli.catch import catch
from stoker.cli.check import check
from stoker.cli.components import components
from stoker.cli.demo import demo
from stoker.cli.explain import explain
from stoker.cli.init import init
from stoker.cli.lab import lab_app
from stoker.cli.load import load
from stoker.cli.plan import plan
from stoker.cli.rbac import rbac
from stoker.cli.render import render
from stoker.cli.report import report
from stoker.cli.rollout import rollout_app
from stoker.cli.rules import rules_app
from stoker.cli.schema import schema
from stoker.cli.simulate import simulate
from stoker.cli.size import size
from stoker.cli.tune import tune
from stoker.cli.undo import rollback, uninstall
from stoker.cli.validate import validate
from stoker.errors import ExitCode, InputError, Problem, StokerError

__all__ = ["app", "main"]

_EPILOG = (
    "Exit codes: 0 done or clean, 1 findings or differences, 2 bad input or usage, 3 cluster or service unreachable, "
    "4 refused as unsafe, 5 inconclusive."
)

app = typer.Typer(
    name="stoker",
    help="Turn a vanilla Kubernetes cluster into a production LLM-inference platform and keep its GPUs fed.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich help pages cost 0.2 s of imports at every --help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls option callbacks with the bare value
    if value:
        from importlib.metadata import version

        typer.echo(f"stoker {version('stoker')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command(short_help="The whole way on this machine, in four minutes.")(demo)
app.command(short_help="Write a platform file to begin with.")(init)
app.command(short_help="What a field means, and why its default.")(explain)
app.command(short_help="JSON Schema of the platform file.")(schema)
app.command(short_help="Is the file right, and what is it in sum?")(check)
app.command(short_help="What fits on which GPU, and why.")(size)
app.command(short_help="The usual questions, from your numbers.")(advise)
app.command(short_help="What Stoker knows, with sources.")(catalog)
app.command(short_help="What will fail in production, why, how to mend it.")(audit)
app.add_typer(rules_app, name="rules", short_help="What the audit knows.")
app.command(short_help="Compile to every Kubernetes object.")(render)
app.command(short_help="Pinned charts and their Helm values.")(components)
app.command(short_help="What would change in the cluster, and do the pods fit?")(plan)
app.command(short_help="Apply it, wave by wave, each ready before the next.")(apply)
app.command(short_help="Has the cluster drifted from the file?")(diff)
app.command(short_help="Back to what was before a run.")(rollback)
app.command(short_help="Leave the cluster as it was found.")(uninstall)
app.command(short_help="The rights that each command needs.")(rbac)
app.command(short_help="Replay traffic on the digital twin.")(simulate)
app.command(short_help="Search the cheapest configuration that keeps the SLO.")(tune)
app.command(short_help="Send requests to a real server and measure.")(load)
app.command(short_help="Take pages as PagerDuty, Opsgenie and Slack do.")(catch)
app.command(short_help="Validate rendered files strictly.")(validate)
app.command(short_help="What a rollout brought, measured.")(report)
app.add_typer(rollout_app, name="rollout", short_help="Phases, gates that measure, and a record of both.")
app.add_typer(canary_app, name="canary", short_help="A new version, a little traffic first.")
app.add_typer(lab_app, name="lab", short_help="An embedded cluster that kubectl believes.")


def main() -> None:
    """Run the command line. Nothing a user types ends in a traceback."""
    try:
        app()
    except StokerError as error:
        _report(error)
        sys.exit(int(error.exit_code))
    except BrokenPipeError:
        # The reader went away (`stoker … | head`): not an error, but Python would complain again at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(int(ExitCode.DONE))


def _report(error: StokerError) -> None:
    from rich.text import Text

    from stoker.cli.output import err

    console = err()
    problems = error.problems if isinstance(error, InputError) else [Problem(error.message, fix=error.fix)]
    for problem in problems:
        console.print(Text.assemble(("error: ", "bold red"), str(problem)))
