"""`stoker simulate`: replay traffic against a platform on the digital twin, before a cluster is touched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.output import Output, OutputOption, err, out, print_json, table
from stoker.cli.progress import progress_bar
from stoker.cli.scenario import FAULTS, make_faults, make_scenario
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.twin.fleet.build import Upgrade
    from stoker.twin.scenario import Outcome, Scenario

__all__ = ["simulate"]

_FILES = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE]...", help="Platform file; several with --compare.", show_default=False),
]


def simulate(
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
    rate_scale: Annotated[float, typer.Option(min=1e-6, help="Times the requests of the trace.")] = 1.0,
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
        float | None, typer.Option(min=1e-6, help="Engine only: requests a second, Poisson.")
    ] = None,
    input_tokens: Annotated[int, typer.Option(min=1, help="Engine only: prompt length.")] = 1024,
    output_tokens: Annotated[int, typer.Option(min=1, help="Engine only: answer length.")] = 256,
    length_range: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1.0,
            help="Engine only: lengths are uniform from this share of the given; 1 for alike.",
        ),
    ] = 0.8,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Engine only: how many.", show_default="10 per client")
    ] = None,
    max_num_seqs: Annotated[
        int | None, typer.Option(min=1, max=8191, help="Engine only: batch bound.", show_default="vLLM's")
    ] = None,
    max_num_batched_tokens: Annotated[
        int | None, typer.Option(min=16, help="Engine only: tokens of a step.", show_default="vLLM's")
    ] = None,
    max_model_len: Annotated[
        int | None, typer.Option(min=16, help="Engine only: context.", show_default="the model's own")
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
            [Problem("no platform file", wanted="a platform file", fix="stoker init writes one")]
        )
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
            [Problem("several platform files", found=" ".join(files), wanted="one", fix="add --compare")]
        )
    if baseline not in {None, "vanilla"}:
        raise InputError(
            [Problem("unknown baseline", found=baseline, wanted="vanilla", fix="--baseline vanilla")]
        )
    fleets = _ladder() if ladder else _fleets(upgrades, baseline=baseline is not None)
    outcomes = _simulate(files[0], scenario, fleets, seed=seed, neighbours=neighbours)
    _print(outcomes, scenario, seed, output)
    if series is not None:
        from stoker.report.simulation.series import write_series

        write_series(outcomes[-1].run, series)
        err().print(f"the run over time is in {series}")


def _upgrades(given: str | None) -> "frozenset[Upgrade]":
    from stoker.twin.fleet.build import ALL_UPGRADES, Upgrade

    if given is None:
        return ALL_UPGRADES
    names = [name.strip() for name in given.split(",") if name.strip()]
    known = {upgrade.value: upgrade for upgrade in Upgrade}
    unknown = [name for name in names if name not in known and name != "none"]
    if unknown:
        raise InputError(
            [
                Problem(
                    "no such upgrade", path="--upgrades", found=unknown[0], wanted=f"none, {', '.join(known)}"
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
        with progress_bar(f"simulating {label or 'the platform'}", 1.0) as tell:
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


def _document(outcome: "Outcome", scenario: "Scenario", seed: int) -> dict[str, Any]:
    from dataclasses import asdict
    from importlib.metadata import version

    from stoker.report.simulation.document import Provenance, simulation_document

    provenance = Provenance(
        measured_on="twin",
        trace=scenario.trace.name,
        trace_sha256=scenario.trace.sha256,
        trace_rows=scenario.trace.rows,
        trace_repairs=scenario.trace.repairs,
        traffic=outcome.how,
        seed=seed,
        version=version("stoker"),
        calibration={w.name: w.engine.cost.provenance for w in outcome.run.spec.workloads},
        upgrades=outcome.upgrades,
        faults=asdict(scenario.faults),
    )
    return simulation_document(outcome.result, provenance)


def _print(outcomes: "list[Outcome]", scenario: "Scenario", seed: int, output: Output) -> None:
    documents = [_document(outcome, scenario, seed) for outcome in outcomes]
    if output is Output.JSON:
        document = documents[-1]
        if len(documents) == 2:
            document["baseline"] = documents[0]
        elif len(documents) > 2:
            document["ladder"] = [
                {"label": outcome.label, **steps}
                for outcome, steps in zip(outcomes[:-1], documents[:-1], strict=True)
            ]
        print_json(document)
        return
    from stoker.report.simulation.text import fault_lines, figure_rows

    totals = [outcome.result.total for outcome in outcomes]
    table(["", *(outcome.label for outcome in outcomes)], figure_rows(totals))
    last = outcomes[-1].result
    for title, parts in (("by model", last.models), ("by tenant", last.tenants)):
        if len(parts) > 1:
            table(["", *parts], figure_rows(list(parts.values())), title=title)
    console = out()
    for kind, tally in last.neighbours.items():
        console.print(
            f"{kind}: {tally['submitted']} submitted, {tally['finished']} finished, {tally['preempted']} preempted, "
            f"{tally['oom_kills']} out of memory, {tally['gpu_hours']:,.0f} GPU hours"
        )
    for line in fault_lines(last):
        console.print(line)
    source = documents[-1]["provenance"]
    steps = ", ".join(f"{name} {how}" for name, how in source["calibration"].items())
    console.print(
        f"measured on the twin: {source['trace']} ({source['traffic']}), seed {seed}, step times: {steps}"
    )
