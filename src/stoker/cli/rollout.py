"""`stoker rollout`: phases that are applied, gates that measure, and a record that stays in the cluster."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.cluster import ContextOption, KubeconfigOption, the_cluster
from stoker.cli.durations import seconds_of
from stoker.cli.output import Output, OutputOption, out, print_json, table
from stoker.cli.platform_file import FileArgument, read_platform
from stoker.errors import ExitCode, InputError, Problem, StokerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stoker.kube.cluster import Cluster
    from stoker.rollout.phases import PlannedPhase
    from stoker.rollout.state import Next, RolloutState
    from stoker.sizing.resolved import ResolvedPlatform

__all__ = ["rollout_app"]

rollout_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Roll the platform out in phases; each ends in gates that measure themselves.",
)

ServiceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--service",
        metavar="NAME=URL",
        help="Where to reach prometheus, alertmanager, catcher or a model, where it cannot be found.",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of orders and names in gates.")]
TimeoutOption = Annotated[
    str, typer.Option(help="How long a wave may take to become ready, in the cluster's time.")
]
SetNodesOption = Annotated[
    bool,
    typer.Option(
        "--set-nodes", help="Set labels and taints of nodes that lack them; node groups must set them too."
    ),
]


def _planned(file: str) -> "tuple[ResolvedPlatform, tuple[PlannedPhase, ...]]":
    from stoker.rollout.gates import GATES
    from stoker.rollout.phases import plan_phases
    from stoker.upgrades import compile_platform

    platform = read_platform(file)
    return platform, plan_phases(platform.spec.rollout, compile_platform(platform), GATES)


def _services(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, url = text.partition("=")
        if not name or not equals or not url.startswith(("http://", "https://")):
            raise InputError(
                [
                    Problem(
                        "is no service",
                        path="--service",
                        found=text,
                        wanted="NAME=URL with http:// or https://",
                        fix="--service prometheus=http://127.0.0.1:9090",
                    )
                ]
            )
        found[name] = url.rstrip("/")
    return found


@rollout_app.command(name="plan", short_help="Phases, what each applies, and what each must prove.")
def plan_command(file: FileArgument, *, output: OutputOption = Output.TEXT) -> None:
    """Show the phases of a platform: what each applies, which gates it must pass, and what they do to the cluster.

    `stoker plan` shows what would change in a cluster, field by field.

    Examples:

        stoker rollout plan platform.yaml
    """
    platform, phases = _planned(file)
    if output is Output.JSON:
        print_json(_plan_document(platform.spec.name, phases))
        return
    for phase in phases:
        out().print(
            f"{phase.name}: {len(phase.objects)} objects ({_kinds(phase)})", style="bold", markup=False
        )
        table(
            ["gate", "wanted", "what it does"],
            [[one.gate.id, one.threshold, one.procedure] for one in phase.gates],
        )


def _kinds(phase: "PlannedPhase") -> str:
    from collections import Counter

    counts = Counter(item.object["kind"] for item in phase.objects)
    return ", ".join(
        f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )


def _plan_document(name: str, phases: "tuple[PlannedPhase, ...]") -> dict[str, Any]:
    return {
        "platform": name,
        "phases": [
            {
                "name": phase.name,
                "objects": [" ".join(part for part in item.key[1:] if part) for item in phase.objects],
                "gates": [
                    {
                        "id": one.gate.id,
                        "title": one.gate.title,
                        "threshold": one.threshold,
                        "procedure": one.procedure,
                        "settings": dict(one.settings),
                    }
                    for one in phase.gates
                ],
            }
            for phase in phases
        ],
    }


@rollout_app.command(short_help="Go on from where the rollout stands.")
def run(
    file: FileArgument,
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    through: Annotated[
        str, typer.Option(help="Last phase of this run.  [default: all]", show_default=False)
    ] = "",
    set_nodes: SetNodesOption = False,
    service: ServiceOption = None,
    seed: SeedOption = 0,
    timeout: TimeoutOption = "30m",
    output: OutputOption = Output.TEXT,
) -> None:
    """Apply phase after phase; each must pass its gates before the next begins.

    The record stays in the cluster: whoever runs this next, from wherever, goes on from where it stopped, also after a
    kill. A platform that has changed is applied and measured from its first phase. Exits with 0 where every gate (as far
    as --through) has passed, 1 where one failed or something did not become ready, 5 where one could not measure, or was
    not reached because the run is paused.

    Examples:

        stoker rollout run platform.yaml --through week-1

        stoker rollout run platform.yaml --set-nodes
    """
    from stoker.rollout.run import carry_on

    platform, phases = _planned(file)
    if through and through not in {phase.name for phase in phases}:
        names = ", ".join(phase.name for phase in phases)
        raise InputError([Problem("no phase has this name", path="--through", found=through, wanted=names)])
    with the_cluster(context, kubeconfig) as cluster, _held(cluster) as parts:
        rollout = parts(
            platform,
            phases,
            _services(service),
            seed,
            set_nodes=set_nodes,
            timeout=seconds_of("--timeout", timeout) or 0.0,
        )
        state, end = carry_on(rollout, through=through)
        document = status_document(cluster, state)
    if output is Output.JSON:
        print_json(document)
    else:
        _print_state(state, end)
    _exit_by([state.verdict(through)])


@rollout_app.command(short_help="Where it stands, and what was measured.")
def status(
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show where the rollout stands, who did what when, and what every gate measured.

    `--output json` prints all evidence, with raw measurements. Exits with 0 where every phase is applied and every gate has
    passed, 1 where one failed, 5 where one could not measure or was not measured yet.

    Examples:

        stoker rollout status

        stoker rollout status --output json > evidence.json
    """
    from stoker.rollout.store import Store

    with the_cluster(context, kubeconfig) as cluster:
        state = Store(cluster).load()
        if state is None:
            raise StokerError("no rollout has begun on this cluster", fix="stoker rollout run platform.yaml")
        document = status_document(cluster, state)
    if output is Output.JSON:
        print_json(document)
    else:
        _print_state(state)
        for entry in state.log:
            out().print(f"{entry.at}  {entry.who}  {entry.what}", markup=False)
    _exit_by([state.verdict()])


@rollout_app.command(short_help="Measure gates again.")
def gate(
    file: FileArgument,
    gates: Annotated[
        list[str] | None,
        typer.Argument(
            help="Gates, as week-1/untolerated or 'week-1/*'.  [default: all]", show_default=False
        ),
    ] = None,
    *,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    service: ServiceOption = None,
    seed: SeedOption = 0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Measure gates now, whatever phase the rollout is in; a rollout that has begun records the verdicts.

    Exits with 0 where all passed, 1 where one failed, 5 where one could not measure.

    Examples:

        stoker rollout gate platform.yaml week-1/untolerated

        stoker rollout gate platform.yaml 'week-4/*' --output json
    """
    from fnmatch import fnmatchcase

    from stoker.rollout.run import measure_gates

    platform, phases = _planned(file)
    wanted = gates or ["*"]
    known = [one.gate.id for phase in phases for one in phase.gates]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise InputError(
                [Problem("is no gate of this rollout", path="GATE", found=pattern, wanted=", ".join(known))]
            )
    with the_cluster(context, kubeconfig) as cluster, _held(cluster) as parts:
        rollout = parts(platform, phases, _services(service), seed)
        results = measure_gates(rollout, lambda name: any(fnmatchcase(name, pattern) for pattern in wanted))
    if output is Output.JSON:
        print_json([result.as_json() for result in results])
    _exit_by(result.verdict.value for result in results)


@rollout_app.command(short_help="Stop before the next step.")
def pause(*, context: ContextOption = None, kubeconfig: KubeconfigOption = None) -> None:
    """Ask the run that goes on, here or elsewhere, to stop before its next step.

    Examples:

        stoker rollout pause
    """
    from stoker.kube.lease import Holder
    from stoker.rollout.store import Store

    with the_cluster(context, kubeconfig) as cluster:
        store = Store(cluster)
        if store.load() is None:
            raise StokerError("no rollout has begun on this cluster", fix="stoker rollout run platform.yaml")
        holder = Holder.this_process()
        store.pause(who=f"{holder.user}@{holder.host}")
    out().print("it stops before its next step; `stoker rollout resume` lets it go on")


@rollout_app.command(short_help="Take a pause back.")
def resume(*, context: ContextOption = None, kubeconfig: KubeconfigOption = None) -> None:
    """Take a pause back; `stoker rollout run` then goes on.

    Examples:

        stoker rollout resume && stoker rollout run platform.yaml
    """
    from stoker.rollout.store import Store

    with the_cluster(context, kubeconfig) as cluster:
        was = Store(cluster).resume()
    out().print("`stoker rollout run` goes on now" if was else "nothing was paused")


@rollout_app.command(short_help="Take phases back, the last first.")
def rollback(
    *,
    back_to: Annotated[
        str,
        typer.Option(
            "--back-to",
            help="The phase that stays, with those before it.  [default: none]",
            show_default=False,
        ),
    ] = "",
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    timeout: TimeoutOption = "30m",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put back what phases changed, from the backups of their runs; what others changed since is left and told.

    Where it was cut off, the next one ends it. Exits with 0 where everything was put back, 1 where something was left.

    Examples:

        stoker rollout rollback --back-to week-2
    """
    from stoker.cli.apply import confirm
    from stoker.cli.rollout_told import take_back
    from stoker.rollout.store import Store

    with the_cluster(context, kubeconfig) as cluster:
        found = Store(cluster).load()
        if found is None:
            raise StokerError("no rollout has begun on this cluster", fix="stoker rollout run platform.yaml")
        if back_to and back_to not in {phase.name for phase in found.phases}:
            names = ", ".join(phase.name for phase in found.phases)
            raise InputError(
                [Problem("no phase has this name", path="--back-to", found=back_to, wanted=names)]
            )
        confirm(f"Roll back {'everything after ' + back_to if back_to else 'every phase'}?", yes=yes)
        state, left = take_back(cluster, back_to, seconds_of("--timeout", timeout) or 0.0)
    if state is not None:
        _print_state(state)
    if left:
        out().print(f"{len(left)} objects were left", markup=False)
        raise typer.Exit(ExitCode.FINDINGS)


def _held(cluster: "Cluster") -> Any:
    from stoker.cli.rollout_told import held_rollout

    return held_rollout(cluster)


def status_document(cluster: "Cluster", state: "RolloutState") -> dict[str, Any]:
    """The state with every result, newest verdicts included: what `stoker report` reads."""
    from stoker.rollout.store import Store

    return {
        "rollout": state.as_json(),
        "gates": list(Store(cluster).results(state.id)),
        "measured_on": cluster.measured_on,
    }


def _print_state(state: "RolloutState", end: "Next | None" = None) -> None:
    from stoker.rollout.state import Stopped

    console = out()
    table(
        ["phase", "status", "gates"],
        [
            [
                phase.name,
                phase.status.value,
                ", ".join(
                    f"{name.partition('/')[2]} {phase.verdicts.get(name, '—')}" for name in phase.gates
                ),
            ]
            for phase in state.phases
        ],
    )
    if isinstance(end, Stopped):
        console.print(f"stopped: {end.why}", style="bold", markup=False)


def _exit_by(verdicts: "Iterable[str]") -> None:
    seen = set(verdicts)
    if "failed" in seen:
        raise typer.Exit(ExitCode.FINDINGS)
    if "inconclusive" in seen:
        raise typer.Exit(ExitCode.INCONCLUSIVE)
