"""`stoker plan`: what would change in the cluster, what that risks and costs, and whether the pods fit."""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.beside import beside
from stoker.cli.choices import one_of
from stoker.cli.cluster import ContextOption, KubeconfigOption, the_cluster
from stoker.cli.output import Output, OutputOption, out, print_json
from stoker.cli.platform_file import FileArgument, print_notes, read_platform
from stoker.errors import ExitCode

if TYPE_CHECKING:
    from stoker.apply.changes import Plan
    from stoker.apply.undo import Spared
    from stoker.kube.cluster import Cluster
    from stoker.sizing.resolved import ResolvedPlatform
    from stoker.upgrades.objects import Emitted

__all__ = [
    "OfflineOption", "PruneOption", "ReplaceOption", "TakeOption", "UpgradeOption", "make_plan", "plan", "wanted",
]  # fmt: skip

TakeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--take", help="Take a field from its owner: KIND/NAMESPACE/NAME:.spec.replicas", show_default=False
    ),
]
ReplaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--replace",
        help="Delete and create anew what cannot be changed in place: KIND/NAMESPACE/NAME, * matches.",
        show_default=False,
    ),
]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete what Stoker created and the file no longer wants.")
]
UpgradeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--upgrade",
        help="Only these: scheduling, serving, autoscaling, tenancy, observability, storage, components.",
        show_default=False,
    ),
]
OfflineOption = Annotated[
    bool,
    typer.Option(
        "--offline-diff",
        help="Needs read rights only: judges by managedFields, without defaults and admission.",
    ),
]


def wanted(file: str) -> "tuple[ResolvedPlatform, list[Emitted]]":
    """The resolved platform of a file, and everything compiled from it."""
    from stoker.upgrades import compile_platform

    platform = read_platform(file)
    print_notes(platform.notes)
    return platform, compile_platform(platform)


def make_plan(
    cluster: "Cluster",
    platform: "ResolvedPlatform",
    objects: "list[Emitted]",
    *,
    take: list[str] | None = None,
    replace: list[str] | None = None,
    upgrade: list[str] | None = None,
    prune: bool = False,
    spared: "Spared | None" = None,
    offline: bool = False,
) -> "Plan":
    """Plan with what the command line allows.

    Raises:
        InputError: an upgrade that there is not, or a --take that names no field.
    """
    from stoker.apply.asked import Allowed, parse_takes
    from stoker.apply.plan import NoDryRunError, plan_changes
    from stoker.apply.store import Store
    from stoker.upgrades.objects import Upgrade

    for name in upgrade or ():
        one_of("--upgrade", name, tuple(Upgrade))
    allowed = Allowed(parse_takes(take or ()), tuple(replace or ()))
    try:
        found = plan_changes(
            cluster,
            objects,
            platform=platform,
            allowed=allowed,
            entries=Store(cluster).entries.values(),
            prune=prune,
            spared=spared,
            offline=offline,
        )
    except NoDryRunError as error:
        error.fix = (
            "--offline-diff reads only, without defaults and admission; `stoker rbac plan` prints the rights"
        )
        raise
    return found if not upgrade else found.only(upgrades=[Upgrade(name) for name in upgrade])


def plan(
    file: FileArgument,
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    capacity: Annotated[
        bool, typer.Option("--capacity", help="Only whether the pods fit; needs no cluster.")
    ] = False,
    at: Annotated[str, typer.Option(help="Replicas to place: max or min.")] = "max",
    take: TakeOption = None,
    replace: ReplaceOption = None,
    upgrade: UpgradeOption = None,
    prune: PruneOption = False,
    offline_diff: OfflineOption = False,
    details: Annotated[bool, typer.Option("--details", help="Every field of new objects too.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what `stoker apply` would change in the cluster, wave by wave, with risks and money; nothing is applied.

    The server itself is asked by a dry run, so defaults and admission count. Also placed are all pods on the file's nodes, as
    kube-scheduler would. Exits with 0 where nothing changes, 1 where something does, 3 where the cluster does not answer; with
    --capacity 1 where a pod does not fit.

    Examples:

        stoker plan platform.yaml

        stoker plan platform.yaml --context production --output json

        stoker plan platform.yaml --capacity --at min
    """
    one_of("--at", at, ("max", "min"))
    from stoker.cli.capacity import capacity_of, print_capacity

    platform, objects = wanted(file)
    if capacity:
        found = capacity_of(platform, [item.object for item in objects], at)
        if output is Output.JSON:
            print_json(_capacity(found, at))
        else:
            print_capacity(found, at)
        raise typer.Exit(ExitCode.DONE if found.fits else ExitCode.FINDINGS)
    changed = _plan(
        file, platform, objects, context, kubeconfig, at=at, details=details, output=output,
        options={"take": take, "replace": replace, "upgrade": upgrade, "prune": prune, "offline": offline_diff},
    )  # fmt: skip
    if changed:
        raise typer.Exit(ExitCode.FINDINGS)


def _plan(
    file: str,
    platform: "ResolvedPlatform",
    objects: "list[Emitted]",
    context: str | None,
    kubeconfig: Path | None,
    *,
    at: str,
    details: bool,
    output: Output,
    options: dict[str, Any],
) -> bool:
    """Print the plan; whether anything changes."""
    from stoker.apply.document import plan_document
    from stoker.cli.capacity import capacity_of, print_capacity
    from stoker.cli.plan_text import print_plan

    with beside(lambda: capacity_of(platform, [item.object for item in objects], at)) as placed:
        with the_cluster(context, kubeconfig) as cluster:
            found = make_plan(cluster, platform, objects, **options)
        fits = placed()
    if output is Output.JSON:
        print_json(plan_document(found) | {"file": file, "capacity": _capacity(fits, at)})
    else:
        print_plan(out(), found, details=details)
        print_capacity(fits, at, whole=False)
    return bool(found.changed)


def _capacity(found: Any, at: str) -> dict[str, Any]:
    source = {"measured_on": "twin", "version": version("stoker")}
    return asdict(found) | {"fits": found.fits, "at": at, "provenance": source}
