"""`stoker tune`: search thresholds, replicas, parallelism, batch bounds and pool sizes on the twin."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from stoker.cli.output import Output, OutputOption, err, out, print_json, table
from stoker.cli.platform_file import FileArgument, read_platform
from stoker.cli.progress import progress_bar
from stoker.errors import InputError, Problem, StokerError, UnreachableError

__all__ = ["tune"]

_POPULATION = 24


def tune(
    file: FileArgument,
    *,
    trace: Annotated[Path, typer.Option(help="Requests, as for `stoker simulate`.", show_default=False)],
    slo: Annotated[
        list[str] | None, typer.Option(help="A promise, such as ttft_p95<2s; may be repeated.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="Candidates to simulate.")] = 60,
    duration: Annotated[
        str | None, typer.Option(help="Virtual time of each.", show_default="the trace's")
    ] = None,
    profile: Annotated[str, typer.Option(help="Shape of a stretched trace, as of simulate.")] = "trace",
    rate_scale: Annotated[float, typer.Option(min=1e-6, help="Times the requests of the trace.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the search and of every simulation.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=1024, help="Simulations at once on this machine.")] = 2,
    ray: Annotated[
        str | None, typer.Option(help="Run them on a Ray cluster: its address, as auto or ray://host:10001.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="Where the search is kept, to be resumed.", show_default="FILE.tune.db"),
    ] = None,
    neighbours: Annotated[bool, typer.Option(help="Other tenants' pods run beside.")] = True,
    patch: Annotated[Path | None, typer.Option(help="Write the platform file of the best here.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Search the cheapest configuration that keeps the promises; the result is a Pareto front and a changed platform file.

    Interrupted, the same command goes on where it stopped.

    Examples:

        stoker tune platform.yaml --trace azure2023_conv.csv --slo "ttft_p95<2s" --slo "tpot_p95<100ms"

        stoker tune platform.yaml --trace conv.csv --trials 200 --jobs 8 --patch tuned.yaml

        stoker tune platform.yaml --trace conv.csv --ray ray://head:10001
    """
    import yaml

    from stoker.cli.scenario import make_scenario
    from stoker.twin.tuning import knobs, pareto, parse_promises

    promises = parse_promises(slo or ["ttft_p95<2s", "tpot_p95<100ms"])
    if file == "-":
        raise InputError(
            [Problem("tune needs a file", found="-", wanted="a platform file that can be changed")]
        )
    platform = read_platform(file)
    document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    scenario = make_scenario(
        trace=trace, duration=duration, profile=profile, rate_scale=rate_scale, shares=[]
    )
    base = {
        "document": document,
        "scenario": scenario,
        "seed": seed,
        "neighbours": neighbours,
        "promises": promises,
    }
    search = _study(study or Path(f"{file}.tune.db"), seed, _question(base))
    space = knobs(platform)
    with _runner(jobs, ray) as run, progress_bar("tuning", float(trials)) as tell:
        _search(search, space=space, trials=trials, base=base, run=run, jobs=jobs, tell=tell)
    done = [trial for trial in search.trials if trial.values is not None]
    if not done:
        raise StokerError("no candidate could be simulated", fix="look at `stoker check` of the file")
    points = [(float(trial.values[0]), float(trial.values[1])) for trial in done]
    front = [done[index] for index in pareto(points)]
    kept = [trial for trial in front if trial.values[1] >= 0.9999]
    best = (
        min(kept, key=lambda trial: trial.values[0])
        if kept
        else max(front, key=lambda trial: trial.values[1])
    )
    if patch is not None:
        from stoker.twin.tuning import apply

        patch.write_text(yaml.safe_dump(apply(document, best.params), sort_keys=False), encoding="utf-8")
    _print(front, best, promises=promises, done=done, scenario=scenario, seed=seed, output=output)
    if patch is not None:
        err().print(f"the platform file of the best is in {patch}")


def _question(base: dict[str, Any]) -> str:
    """What the search is about: a study of another question is not gone on with."""
    import hashlib
    import json

    scenario = base["scenario"]
    parts = {
        "document": base["document"],
        "trace": scenario.trace.sha256,
        "duration": scenario.duration_s,
        "rate": scenario.rate_scale,
        "profile": scenario.profile.name if scenario.profile else "trace",
        "seed": base["seed"],
        "neighbours": base["neighbours"],
        "promises": [promise.text for promise in base["promises"]],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _study(path: Path, seed: int, question: str) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise StokerError("tuning needs Optuna", fix="pip install 'stoker[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=question,
        storage=f"sqlite:///{path}",
        sampler=optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION),
        directions=["minimize", "maximize"],
        load_if_exists=True,
    )


def _search(
    search: Any,
    *,
    space: tuple[Any, ...],
    trials: int,
    base: dict[str, Any],
    run: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    jobs: int,
    tell: Callable[[float], None],
) -> None:
    import optuna

    finished = sum(trial.state.is_finished() for trial in search.trials)
    if finished == 0:
        # What the user has is the first candidate: the front then says what there is to gain.
        search.enqueue_trial({})
    while finished < trials:
        asked = [search.ask() for _ in range(min(max(jobs, 1), trials - finished))]
        tasks = []
        for trial in asked:
            values = {}
            for knob in space:
                # The very first keeps the file's own values: no knob is turned.
                if trial.number > 0:
                    values[knob.name] = trial.suggest_categorical(knob.name, list(knob.choices))
            tasks.append({**base, "values": values})
        for trial, answer in zip(asked, run(tasks), strict=True):
            if "refused" in answer:
                trial.set_user_attr("refused", answer["refused"])
                search.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                for name in ("goodput", "ttft_p95_s", "tpot_p95_s", "gpu_utilization"):
                    trial.set_user_attr(name, answer["figures"][name])
                search.tell(trial, [answer["cost"], answer["attainment"]])
            finished += 1
            tell(float(finished))


@contextmanager
def _runner(
    jobs: int, address: str | None
) -> Iterator[Callable[[list[dict[str, Any]]], list[dict[str, Any]]]]:
    """Runs tasks side by side: on a Ray cluster, or in processes of this machine."""
    from stoker.cli.tune_work import run_trial

    if address is not None:
        try:
            import ray as ray_module
        except ImportError as error:
            raise StokerError("--ray needs Ray", fix="pip install ray") from error
        try:
            ray_module.init(address=address, log_to_driver=False)
        except (ConnectionError, RuntimeError) as error:
            raise UnreachableError(f"no Ray cluster at {address}: {error}") from error
        remote = ray_module.remote(run_trial)
        try:
            yield lambda tasks: list(ray_module.get([remote.remote(task) for task in tasks]))
        finally:
            ray_module.shutdown()
        return
    if jobs == 1:
        yield lambda tasks: [run_trial(task) for task in tasks]
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield lambda tasks: list(pool.map(run_trial, tasks))


def _print(
    front: list[Any],
    best: Any,
    *,
    promises: tuple[Any, ...],
    done: list[Any],
    scenario: Any,
    seed: int,
    output: Output,
) -> None:
    rows = [
        {
            "trial": trial.number,
            "cost_usd": float(f"{trial.values[0]:.6g}"),
            "slo_attainment": float(f"{trial.values[1]:.6g}"),
            **{
                name: trial.user_attrs.get(name)
                for name in ("goodput", "ttft_p95_s", "tpot_p95_s", "gpu_utilization")
            },
            "changes": dict(trial.params),
            "best": trial.number == best.number,
        }
        for trial in front
    ]
    if output is Output.JSON:
        print_json(
            {
                "pareto": rows,
                "best": next(row for row in rows if row["best"]),
                "trials": len(done),
                "promises": [promise.text for promise in promises],
                "provenance": {
                    "measured_on": "twin",
                    "trace": scenario.trace.name,
                    "trace_sha256": scenario.trace.sha256,
                    "seed": seed,
                },
            }
        )
        return
    table(
        ["trial", "cost", "SLO kept", "goodput", "TTFT P95", "GPUs busy", ""],
        [
            [
                row["trial"],
                f"${row['cost_usd']:,.0f}",
                f"{row['slo_attainment']:.1%}",
                f"{row['goodput'] or 0:.1%}",
                f"{row['ttft_p95_s'] or 0:.2f} s",
                f"{row['gpu_utilization'] or 0:.1%}",
                "best" if row["best"] else "",
            ]
            for row in rows
        ],
    )
    console = out()
    for name, value in best.params.items():
        console.print(f"  {name}: {value}")
    console.print(
        f"{len(done)} candidates simulated on the twin under {scenario.trace.name}, seed {seed}; "
        f"promises: {', '.join(promise.text for promise in promises)}"
    )
