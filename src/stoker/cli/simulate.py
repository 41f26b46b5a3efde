"""`stoker simulate`: replay traffic against a platform on the digital twin, before a cluster is touched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.memory import enough_memory
from stoker.cli.output import Output, OutputOption, err
from stoker.cli.output_file import check_writable, whole_file
from stoker.cli.progress import progress_bar
from stoker.cli.scenario import FAULTS, make_faults, make_scenario
from stoker.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from stoker.twin.fleet.build import Upgrade
    from stoker.twin.scenario import Outcome, Scenario

__all__ = ["simulate"]

_MOST_TOKENS = 10_000_000  # as of a trace: no model has a longer context

# Options of one kind of run. Given with another they would change nothing, and nobody would know.
_OF_AN_ENGINE = (
    "model", "gpu", "tp", "pp", "dp", "expert_parallel", "quantization", "kv_cache_dtype", "engine_version", "concurrency",
    "rate", "input_tokens", "output_tokens", "length_range", "requests", "max_num_seqs", "max_num_batched_tokens",
    "max_model_len", "gpu_memory_utilization",
)  # fmt: skip
_OF_ONE_PLATFORM = ("baseline", "upgrades", "ladder", "series")
_OF_A_PLATFORM = (
    "files", "trace", "duration", "profile", "rate_scale", "share", "seeds", "neighbours", "node_mtbf", "node_repair",
    "spot_reclaim", "drain", "rollout", "compare", *_OF_ONE_PLATFORM,
)  # fmt: skip

_FILES = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE]...", help="Platform file; several with --compare.", show_default=False),
]


def simulate(
    context: typer.Context,
    files: _FILES = None,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Requests: Azure, BurstGPT, Mooncake or own CSV, JSONL, Parquet.", show_default=False
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            help="Virtual time, as 90m, 12h, 30d; a longer one stretches the trace.",
            show_default="the trace's",
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            help="Shape of a stretched trace: trace (its own), flat, diurnal, weekly, weekly-chat, or a file of rates."
        ),
    ] = "trace",
    rate_scale: Annotated[
        float, typer.Option(min=1e-6, max=1e6, help="Times the requests of the trace.")
    ] = 1.0,
    share: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=WEIGHT for a trace that names no models.", show_default="by declared rates"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random: same seed, same bytes.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Runs with --compare, for its intervals.")] = 5,
    baseline: Annotated[
        str | None,
        typer.Option(help="vanilla: the same traffic on a cluster without the upgrades, beside it."),
    ] = None,
    upgrades: Annotated[
        str | None,
        typer.Option(help="Only these, e.g. scheduling,serving.", show_default="all five"),
    ] = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Vanilla, then with each upgrade added in turn, side by side.")
    ] = False,
    neighbours: Annotated[
        bool, typer.Option(help="Training jobs, notebooks and services of the other tenants.")
    ] = True,
    node_mtbf: Annotated[
        str | None,
        typer.Option(
            help="Mean time between failures of a node.", show_default="never", rich_help_panel=FAULTS
        ),
    ] = None,
    node_repair: Annotated[str, typer.Option(help="How long a node is away.", rich_help_panel=FAULTS)] = "1h",
    spot_reclaim: Annotated[
        str | None,
        typer.Option(
            help="Mean time between reclaims of a spot node.", show_default="never", rich_help_panel=FAULTS
        ),
    ] = None,
    drain: Annotated[
        list[str] | None,
        typer.Option(
            help="Drain the next node at this time; repeatable.", show_default=False, rich_help_panel=FAULTS
        ),
    ] = None,
    rollout: Annotated[
        list[str] | None,
        typer.Option(
            help="Roll a new version of every model out at this time; repeatable.",
            show_default=False,
            rich_help_panel=FAULTS,
        ),
    ] = None,
    series: Annotated[
        Path | None,
        typer.Option(help="Write the run over time: a .parquet or .csv file.", show_default=False),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Several platform files under one traffic.")
    ] = False,
    engine_only: Annotated[
        bool, typer.Option("--engine-only", help="One engine alone: closed loop, or --rate.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Engine only: catalogue id or Hugging Face repository.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="Engine only: GPU type.")] = None,
    tp: Annotated[int, typer.Option(min=1, max=64, help="Engine only: tensor parallelism.")] = 1,
    pp: Annotated[int, typer.Option(min=1, max=64, help="Engine only: pipeline parallelism.")] = 1,
    dp: Annotated[int, typer.Option(min=1, max=64, help="Engine only: data parallelism.")] = 1,
    expert_parallel: Annotated[
        bool, typer.Option("--expert-parallel", help="Engine only: experts are split whole.")
    ] = False,
    quantization: Annotated[
        str, typer.Option(help="Engine only: auto, none, fp8, int8, awq, gptq, mxfp4, nvfp4.")
    ] = "auto",
    kv_cache_dtype: Annotated[
        str, typer.Option(help="Engine only: auto (as the checkpoint asks, else 16 bits) or fp8.")
    ] = "auto",
    engine_version: Annotated[
        str | None, typer.Option(help="Engine only: vLLM release.", show_default="the pinned one")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Engine only: clients of a closed loop.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-6, max=1e6, help="Engine only: requests a second, Poisson.")
    ] = None,
    input_tokens: Annotated[
        int, typer.Option(min=1, max=_MOST_TOKENS, help="Engine only: prompt length.")
    ] = 1024,
    output_tokens: Annotated[
        int, typer.Option(min=1, max=_MOST_TOKENS, help="Engine only: answer length.")
    ] = 256,
    length_range: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1.0,
            help="Engine only: lengths are uniform from this share of the given; 1 for alike.",
        ),
    ] = 0.8,
    requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000_000,
            help="Engine only: how many.",
            show_default="10 a client, at least 40; with --rate 2000",
        ),
    ] = None,
    max_num_seqs: Annotated[
        int | None, typer.Option(min=1, max=8191, help="Engine only: batch bound.", show_default="vLLM's")
    ] = None,
    max_num_batched_tokens: Annotated[
        int | None,
        typer.Option(min=16, max=1 << 20, help="Engine only: tokens of a step.", show_default="vLLM's"),
    ] = None,
    max_model_len: Annotated[
        int | None,
        typer.Option(min=16, max=_MOST_TOKENS, help="Engine only: context.", show_default="the model's own"),
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None,
        typer.Option(min=0.01, max=1.0, help="Engine only: share of memory.", show_default="vLLM's"),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Replay traffic against a platform on the digital twin: latencies, utilisation, incidents and dollars.

    Nothing is sent anywhere; every figure is of the twin, with trace, seed and calibration named beside it.

    Examples:

        stoker simulate platform.yaml --trace azure2023_conv.csv

        stoker simulate platform.yaml --trace conv.csv --duration 30d --profile weekly --baseline vanilla

        stoker simulate platform.yaml --trace conv.csv --rollout 10m --drain 20m --node-mtbf 90d

        stoker simulate --compare small.yaml large.yaml --trace conv.csv --seeds 10 --output json

        stoker simulate --engine-only --model llama-3-8b --gpu H100-SXM --concurrency 64
    """
    _refuse_mixed(context, engine_only=engine_only, compare=compare, ladder=ladder)
    if engine_only:
        from stoker.cli.engine_only import EngineQuestion, answer

        answer(
            EngineQuestion(
                model=model,
                gpu=gpu,
                tensor=tp,
                pipeline=pp,
                data=dp,
                expert_parallel=expert_parallel,
                quantization=quantization,
                kv_cache_dtype=kv_cache_dtype,
                version=engine_version,
                concurrency=concurrency,
                rate=rate,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                length_range=length_range,
                requests=requests,
                max_num_seqs=max_num_seqs,
                max_num_batched_tokens=max_num_batched_tokens,
                max_model_len=max_model_len,
                gpu_memory_utilization=gpu_memory_utilization,
                seed=seed,
            ),
            output,
        )
        return
    if not files:
        raise InputError(
            [Problem("no platform file", path="FILE", wanted="a platform file", fix="stoker init writes one")]
        )
    if baseline not in {None, "vanilla"}:
        raise InputError(
            [
                Problem(
                    "unknown baseline",
                    path="--baseline",
                    found=baseline or "nothing",
                    wanted="vanilla",
                    fix="--baseline vanilla",
                )
            ]
        )
    if series is not None:
        from stoker.report.simulation.series import check_series

        check_series(series)
        check_writable(series, "--series")
    scenario = make_scenario(
        trace=trace,
        duration=duration,
        profile=profile,
        rate_scale=rate_scale,
        shares=share or [],
        faults=make_faults(
            node_mtbf=node_mtbf,
            node_repair=node_repair,
            spot_reclaim=spot_reclaim,
            drains=drain or [],
            rollouts=rollout or [],
        ),
    )
    if compare:
        from stoker.cli.simulate_compare import compare_files

        compare_files(files, scenario, seed=seed, seeds=seeds, neighbours=neighbours, output=output)
        return
    if len(files) > 1:
        raise InputError(
            [
                Problem(
                    "several platform files",
                    path="FILE",
                    found=" ".join(files),
                    wanted="one",
                    fix="add --compare",
                )
            ]
        )
    fleets = _ladder() if ladder else _fleets(upgrades, baseline=baseline is not None)
    outcomes = _simulate(files[0], scenario, fleets, seed=seed, neighbours=neighbours)
    from stoker.cli.simulate_result import print_outcomes

    print_outcomes(outcomes, scenario, seed, output)
    if series is not None:
        from stoker.report.simulation.series import write_series

        with whole_file(series) as beside:
            write_series(outcomes[-1].run, beside, parquet=series.suffix == ".parquet")
        err().print(f"the run over time is in {series}", markup=False)


def _refuse_mixed(context: typer.Context, *, engine_only: bool, compare: bool, ladder: bool) -> None:
    """Refuse options that the chosen kind of run does not look at.

    Raises:
        InputError: naming each of them.
    """
    refused: list[tuple[tuple[str, ...], str]] = []
    if engine_only:
        refused.append((_OF_A_PLATFORM, "is of a platform's run, not of --engine-only"))
    else:
        refused.append((_OF_AN_ENGINE, "goes with --engine-only; a platform's file says it"))
        if compare:
            refused.append((_OF_ONE_PLATFORM, "is of one platform's run, not of --compare"))
        else:
            refused.append((("seeds",), "goes with --compare"))
        if ladder:
            refused.append((("upgrades",), "and --ladder choose the upgrades both"))
    problems = [
        Problem(why, path="FILE" if name == "files" else f"--{name.replace('_', '-')}", fix="leave it out")
        for names, why in refused
        for name in names
        if _given(context, name)
    ]
    if problems:
        raise InputError(problems)


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _upgrades(given: str | None) -> "frozenset[Upgrade]":
    from stoker.twin.fleet.build import ALL_UPGRADES, Upgrade

    if given is None:
        return ALL_UPGRADES
    names = [name.strip() for name in given.split(",") if name.strip()]
    known = {upgrade.value: upgrade for upgrade in Upgrade}
    unknown = [name for name in names if name not in known and name != "none"]
    if unknown or not names:
        like = nearest(unknown[0], known, 1) if unknown else []
        raise InputError(
            [
                Problem(
                    "no such upgrade",
                    path="--upgrades",
                    found=unknown[0] if unknown else "nothing",
                    wanted=f"none, {', '.join(known)}",
                    fix=f"did you mean {like[0]}?" if like else "--upgrades none",
                )
            ]
        )
    return frozenset(known[name] for name in names if name in known)


def _fleets(upgrades: str | None, *, baseline: bool) -> "list[tuple[str, frozenset[Upgrade]]]":
    """The fleet that was asked for, last; before it the one it is measured against."""
    before: list[tuple[str, frozenset[Upgrade]]] = [("vanilla", frozenset())] if baseline else []
    return [*before, ("", _upgrades(upgrades))]


def _ladder() -> "list[tuple[str, frozenset[Upgrade]]]":
    """Vanilla, and the upgrades in the order in which they are rolled out."""
    from stoker.twin.fleet.build import Upgrade

    order = list(Upgrade)
    steps = [(f"+ {upgrade.value}", frozenset(order[: index + 1])) for index, upgrade in enumerate(order)]
    return [("vanilla", frozenset()), *steps]


def _simulate(
    file: str,
    scenario: "Scenario",
    fleets: "list[tuple[str, frozenset[Upgrade]]]",
    *,
    seed: int,
    neighbours: bool,
) -> "list[Outcome]":
    from stoker.cli.platform_file import print_notes, read_platform
    from stoker.twin.scenario import run_scenario
    from stoker.upgrades import compile_platform

    platform = read_platform(file)
    print_notes(platform.notes)
    objects = [item.object for item in compile_platform(platform)]
    outcomes = []
    for label, chosen in fleets:
        with enough_memory(), progress_bar(f"simulating {label or 'the platform'}", 1.0) as tell:
            outcomes.append(
                run_scenario(
                    platform,
                    objects,
                    scenario,
                    seed=seed,
                    upgrades=chosen,
                    neighbours=neighbours,
                    label=label,
                    progress=tell,
                )
            )
    return outcomes
