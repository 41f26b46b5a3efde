"""`stoker apply` and `stoker diff`: carry out what was shown, and tell whether the cluster has drifted."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.cluster import ContextOption, KubeconfigOption, the_cluster
from stoker.cli.durations import seconds_of
from stoker.cli.output import Output, OutputOption, err, out, print_json
from stoker.cli.plan import (
    OfflineOption,
    PruneOption,
    ReplaceOption,
    TakeOption,
    UpgradeOption,
    make_plan,
    wanted,
)
from stoker.cli.platform_file import FileArgument
from stoker.cli.progress import narration
from stoker.errors import ExitCode, UnsafeError

if TYPE_CHECKING:
    from stoker.apply.changes import Plan
    from stoker.apply.run import Applied

__all__ = ["YesOption", "apply", "confirm", "diff"]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal.

    Raises:
        UnsafeError: the answer was no, or there is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UnsafeError(
            f"{question} Nobody is there to ask: nothing was changed", fix="--yes, once it was looked at"
        )
    if not typer.confirm(question, err=True):
        raise UnsafeError("nothing was changed", fix="")


def apply(
    file: FileArgument,
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    yes: YesOption = False,
    take: TakeOption = None,
    replace: ReplaceOption = None,
    upgrade: UpgradeOption = None,
    prune: PruneOption = False,
    delete_claims: Annotated[
        bool, typer.Option("--delete-claims", help="--prune may delete PVCs and their data.")
    ] = False,
    delete_namespaces: Annotated[
        bool,
        typer.Option(
            "--delete-namespaces", help="--prune may delete namespaces in which others have objects."
        ),
    ] = False,
    delete_crds: Annotated[bool, typer.Option("--delete-crds", help="--prune may delete CRDs.")] = False,
    delete_changed: Annotated[
        bool, typer.Option("--delete-changed", help="--prune may delete objects that others have changed.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Each wave stands before the next begins.")
    ] = True,
    timeout: Annotated[
        str, typer.Option(help="How long a wave may take to become ready, in the cluster's time.")
    ] = "30m",
    output: OutputOption = Output.TEXT,
) -> None:
    """Apply a platform: server-side apply, wave by wave, each ready before the next begins.

    Fields that others own are never taken unless named with --take. A run that is stopped at any point is gone on with by
    running the same command again; `stoker rollback` undoes it. Exits with 0 where everything stands, 1 where something did
    not become ready, 4 where something is not safe to do.

    Examples:

        stoker apply platform.yaml

        stoker apply platform.yaml --upgrade scheduling --upgrade tenancy

        stoker apply platform.yaml --take Deployment/serving/llama:.spec.replicas
    """
    from stoker.apply.document import applied_document, plan_document
    from stoker.apply.run import apply_plan
    from stoker.apply.undo import Spared
    from stoker.cli.apply_told import narrate
    from stoker.cli.plan_text import print_plan

    seconds = seconds_of("--timeout", timeout) or 0.0
    platform, objects = wanted(file)
    with the_cluster(context, kubeconfig) as cluster:
        spared = Spared(delete_claims, delete_crds, delete_namespaces, delete_changed)
        plan = make_plan(
            cluster,
            platform,
            objects,
            take=take,
            replace=replace,
            upgrade=upgrade,
            prune=prune,
            spared=spared,
        )
        if output is Output.TEXT:
            print_plan(out(), plan)
        if dry_run:
            if output is Output.JSON:
                print_json({"plan": plan_document(plan), "applied": None})
            raise typer.Exit(ExitCode.UNSAFE if plan.blocked else ExitCode.DONE)
        _ask(plan, yes=yes)
        with narration(len(plan.changed)) as lines:
            applied = apply_plan(
                cluster, plan, progress=narrate(lines), timeout=seconds, wait=wait, spared=spared
            )
    if output is Output.JSON:
        print_json({"plan": plan_document(plan), "applied": applied_document(applied)})
    else:
        _print_applied(applied)
    if not applied.is_complete:
        raise typer.Exit(ExitCode.FINDINGS)


def _ask(plan: "Plan", *, yes: bool) -> None:
    from stoker.apply.changes import RiskKind

    kinds = [kind.value for kind in RiskKind if plan.has(kind)]
    if kinds and not plan.blocked:
        confirm(f"This is {' and '.join(kinds)}. Apply it?", yes=yes)


def _print_applied(applied: "Applied") -> None:
    from stoker.apply.readiness import Failed

    console = out()
    for ref, state in applied.unready:
        word = "failed" if isinstance(state, Failed) else "not ready"
        console.print(f"{ref} {word}: {state.why}", style="bold red", markup=False)
    if applied.left:
        console.print(f"not begun: {', '.join(wave.name.lower() for wave in applied.left)}")
    if not applied.run:
        console.print("nothing to change" + ("" if applied.is_complete else ", and not everything is ready"))
        return
    console.print(
        f"run {applied.run}: {len(applied.done)} objects changed; `stoker rollback {applied.run}` undoes it"
    )


def diff(
    file: FileArgument,
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 where there is drift, for CI.")
    ] = False,
    upgrade: UpgradeOption = None,
    offline_diff: OfflineOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show where the cluster differs from the file.

    Examples:

        stoker diff platform.yaml --exit-code
    """
    from stoker.apply.document import plan_document
    from stoker.cli.plan_text import print_plan

    platform, objects = wanted(file)
    with the_cluster(context, kubeconfig) as cluster:
        plan = make_plan(cluster, platform, objects, upgrade=upgrade, offline=offline_diff)
    if output is Output.JSON:
        print_json(plan_document(plan))
    else:
        print_plan(out(), plan)
    if exit_code and plan.changed:
        err().print(f"drift: {len(plan.changed)} objects differ from {file}", markup=False)
        raise typer.Exit(ExitCode.FINDINGS)
