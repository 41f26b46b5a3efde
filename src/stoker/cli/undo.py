"""`stoker rollback` and `stoker uninstall`: back to before a run, or to before Stoker."""

from typing import Annotated

import typer

from stoker.cli.apply import YesOption, confirm
from stoker.cli.cluster import ContextOption, KubeconfigOption, the_cluster
from stoker.cli.durations import seconds_of
from stoker.cli.output import Output, OutputOption, out, print_json, table
from stoker.cli.progress import narration
from stoker.errors import ExitCode

__all__ = ["rollback", "uninstall"]

ClaimsOption = Annotated[
    bool, typer.Option("--delete-claims", help="Also PersistentVolumeClaims, with the data in them.")
]
SpacesOption = Annotated[
    bool, typer.Option("--delete-namespaces", help="Also namespaces in which others have objects, with them.")
]
DefinitionsOption = Annotated[bool, typer.Option("--delete-crds", help="Also CRDs, with all their objects.")]
ChangedOption = Annotated[
    bool, typer.Option("--delete-changed", help="Also objects of ours that others have changed.")
]


def rollback(
    run: Annotated[
        int | None,
        typer.Argument(
            metavar="[RUN]",
            help="Its number; the newest that is not undone where absent.",
            show_default=False,
        ),
    ] = None,
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    listed: Annotated[bool, typer.Option("--list", help="List the runs that are recorded.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do.")] = False,
    yes: YesOption = False,
    delete_claims: ClaimsOption = False,
    delete_namespaces: SpacesOption = False,
    delete_crds: DefinitionsOption = False,
    delete_changed: ChangedOption = False,
    timeout: Annotated[
        str, typer.Option(help="How long to wait for readiness, in the cluster's time.")
    ] = "30m",
    output: OutputOption = Output.TEXT,
) -> None:
    """Bring the cluster back to what it was before a run; later runs are undone with it.

    What others changed since stays and is told. Exits with 1 where something was left or did not become ready.

    Examples:

        stoker rollback --list

        stoker rollback 4
    """
    from stoker.apply import back
    from stoker.apply.document import run_document, undo_document
    from stoker.apply.store import Store
    from stoker.apply.undo import Spared, UndoKind
    from stoker.cli.apply_told import narrate
    from stoker.cli.plan_text import print_undo

    seconds = seconds_of("--timeout", timeout) or 0.0
    spared = Spared(delete_claims, delete_crds, delete_namespaces, delete_changed)
    with the_cluster(context, kubeconfig) as cluster:
        if listed:
            runs = Store(cluster).runs()
            if output is Output.JSON:
                print_json([run_document(one) for one in runs])
            else:
                table(
                    ["run", "command", "platform", "who", "started", "state", "objects"],
                    [[r.number, r.command, r.platform, r.who, r.started, r.state, sum((r.counts or {}).values())] for r in runs],
                )  # fmt: skip
            return
        target, steps = back.plan_rollback(cluster, run, spared=spared)
        if output is Output.TEXT:
            out().print(
                f"back to before run {target.number} ({target.command}, {target.who}, {target.started})",
                markup=False,
            )
            print_undo(out(), steps)
        if dry_run:
            if output is Output.JSON:
                print_json({"run": target.number, "steps": undo_document(steps), "undone": None})
            return
        if any(step.kind is not UndoKind.NOTHING for step in steps):
            confirm(f"Undo run {target.number}?", yes=yes)
        with narration(len(steps)) as lines:
            done = back.rollback(
                cluster, target.number, spared=spared, progress=narrate(lines), timeout=seconds
            )
    left = [step for step in done.steps if step.kind is UndoKind.LEAVE]
    if output is Output.JSON:
        not_ready = [{"object": str(ref), "why": state.why} for ref, state in sorted(done.unready.items())]
        print_json(
            {
                "run": done.run,
                "undoes": target.number,
                "steps": undo_document(done.steps),
                "not_ready": not_ready,
            }
        )
    else:
        for ref, state in sorted(done.unready.items()):
            out().print(f"{ref} not ready: {state.why}", style="bold red", markup=False)
        out().print(f"run {done.run} undid run {target.number}; {len(left)} objects were left")
    if left or done.unready:
        raise typer.Exit(ExitCode.FINDINGS)


def uninstall(
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do.")] = False,
    yes: YesOption = False,
    delete_claims: ClaimsOption = False,
    delete_namespaces: SpacesOption = False,
    delete_crds: DefinitionsOption = False,
    delete_changed: ChangedOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Leave the cluster as it was found: what Stoker created goes, what it changed gets its old values and owners.

    What others changed since stays and is told; then it exits with 1, and the record of it stays.

    Examples:

        stoker uninstall --dry-run

        stoker uninstall --yes --delete-claims
    """
    from stoker.apply import back
    from stoker.apply.document import undo_document
    from stoker.apply.undo import Spared, UndoKind
    from stoker.cli.apply_told import narrate
    from stoker.cli.plan_text import print_undo

    spared = Spared(delete_claims, delete_crds, delete_namespaces, delete_changed)
    with the_cluster(context, kubeconfig) as cluster:
        steps = back.plan_uninstall(cluster, spared=spared)
        if output is Output.TEXT:
            print_undo(out(), steps)
        if dry_run:
            if output is Output.JSON:
                print_json({"steps": undo_document(steps), "undone": None})
            return
        if any(step.kind is not UndoKind.NOTHING for step in steps):
            confirm("Take all of this back?", yes=yes)
        with narration(len(steps)) as lines:
            done = back.uninstall(cluster, spared=spared, progress=narrate(lines))
    left = [step for step in done.steps if step.kind is UndoKind.LEAVE]
    if output is Output.JSON:
        print_json({"steps": undo_document(done.steps), "undone": not left})
    else:
        out().print(f"{len(left)} objects were left" if left else "the cluster is as it was found")
    if left:
        raise typer.Exit(ExitCode.FINDINGS)
