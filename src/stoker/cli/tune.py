"""`stoker tune`: search thresholds, replicas, parallelism, batch bounds and pool sizes on the twin."""

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.memory import enough_memory
from stoker.cli.output import Output, OutputOption, err, out, print_json, table
from stoker.cli.output_file import check_writable, write_whole
from stoker.cli.platform_file import print_notes, read_platform
from stoker.cli.progress import progress_bar
from stoker.errors import InputError, Problem, StokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stoker.cli.tune_search import Candidate
    from stoker.cli.tune_work import Work
    from stoker.twin.tuning import Knob

__all__ = ["tune"]


def tune(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Platform file.", show_default=False)],
    *,
    trace: Annotated[Path, typer.Option(help="Requests, as for `stoker simulate`.", show_default=False)],
    slo: Annotated[
        list[str] | None,
        typer.Option(
            help="A promise, such as ttft_p95<2s; may be repeated.",
            show_default="ttft_p95<2s and tpot_p95<100ms",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="Candidates in all.")] = 60,
    duration: Annotated[
        str | None, typer.Option(help="Virtual time of each.", show_default="the trace's")
    ] = None,
    profile: Annotated[str, typer.Option(help="Shape of a stretched trace, as of simulate.")] = "trace",
    rate_scale: Annotated[
        float, typer.Option(min=1e-6, max=1e6, help="Times the requests of the trace.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the search and of every simulation.")] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Simulations at once on this machine.", show_default="one a core"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Run them on a Ray cluster: its address, as auto or ray://host:10001.", show_default=False
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="Where the search is kept, to be resumed.", show_default="FILE.tune.db"),
    ] = None,
    neighbours: Annotated[bool, typer.Option(help="Other tenants' pods run beside.")] = True,
    patch: Annotated[
        Path | None,
        typer.Option(help="Write the platform file, changed to the best, here.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Search the cheapest configuration that keeps the promises; the result is a Pareto front and a changed platform file.

    Interrupted, the same command goes on where it stopped.

    Examples:

        stoker tune platform.yaml --trace azure2023_conv.csv --slo "ttft_p95<2s" --slo "tpot_p95<100ms"

        stoker tune platform.yaml --trace conv.csv --trials 200 --jobs 8 --patch tuned.yaml

        stoker tune platform.yaml --trace conv.csv --ray ray://head:10001
    """
    from stoker.cli.scenario import make_scenario
    from stoker.twin.tuning import knobs, parse_promises

    promises = parse_promises(slo or ["ttft_p95<2s", "tpot_p95<100ms"])
    if file == "-":
        raise InputError(
            [Problem("tune needs a file", found="-", wanted="a platform file that can be changed")]
        )
    if patch is not None:
        check_writable(patch, "--patch")
    platform = read_platform(file)
    print_notes(platform.notes)
    text, data = _source(file)
    scenario = make_scenario(
        trace=trace, duration=duration, profile=profile, rate_scale=rate_scale, shares=[]
    )

    from stoker.cli.tune_search import open_study, runner, search
    from stoker.cli.tune_work import Work, changed_text

    work = Work(text, data, scenario, seed, neighbours, promises)
    space = knobs(platform)
    found = open_study(study or Path(f"{file}.tune.db"), _question(work, space))
    with (
        _said_goodbye(),
        enough_memory(),
        runner(work, jobs or len(os.sched_getaffinity(0)), ray) as run,
        progress_bar("tuning", float(trials)) as tell,
    ):
        answered = search(found, space=space, trials=trials, seed=seed, run=run, tell=tell)
    outcome = _Outcome(answered, work)
    if patch is not None:
        write_whole(patch, changed_text(text, data, outcome.best.changes))
    _print(outcome, output)
    if patch is not None:
        err().print(f"the platform file, changed to the best, is in {patch}", markup=False)


@contextmanager
def _said_goodbye() -> "Iterator[None]":
    try:
        yield
    except KeyboardInterrupt:
        err().print("stopped: the same command goes on from here")
        raise


def _source(file: str) -> tuple[str, dict[str, Any]]:
    """The file's text and its data."""
    import yaml

    from stoker.platform.load import load_document

    data: dict[str, Any] = load_document(Path(file), file=file).source.data
    try:
        return Path(file).read_text(encoding="utf-8"), data
    except UnicodeDecodeError:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True), data


def _question(work: "Work", space: "Sequence[Knob]") -> str:
    """What the search is about: a study of another question is not gone on with."""
    from importlib.metadata import version

    scenario = work.scenario
    parts = {
        "version": version("stoker"),
        "document": work.data,
        "trace": scenario.trace.sha256,
        "duration": scenario.duration_s,
        "rate": scenario.rate_scale,
        "profile": [scenario.profile.span_s, scenario.profile.rates] if scenario.profile else None,
        "seed": work.seed,
        "neighbours": work.neighbours,
        "promises": sorted({(promise.figure, promise.most) for promise in work.promises}),
        "space": [(knob.name, knob.choices) for knob in space],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class _Outcome:
    """What the search came to.

    Attributes:
        front: candidates that no other beats in both cost and promises, cheapest first.
        best: the cheapest that keeps all promises; where none does, the one that comes nearest.
        kept: whether the best keeps them.
    """

    def __init__(self, answered: "list[Candidate]", work: "Work") -> None:
        from stoker.twin.tuning import KEPT, pareto

        self.work = work
        self.done = [each for each in answered if "refused" not in each.answer]
        self.refused = len(answered) - len(self.done)
        if not self.done:
            raise StokerError(
                f"no candidate could be simulated: {answered[0].answer['refused']}",
                fix="look at `stoker check` of the file",
            )
        points = [(each.answer["cost"], each.answer["attainment"]) for each in self.done]
        self.front = [self.done[index] for index in pareto(points)]
        self.best = next((each for each in self.front if each.answer["attainment"] >= KEPT), self.front[-1])
        self.kept = bool(self.best.answer["attainment"] >= KEPT)


def _print(outcome: _Outcome, output: Output) -> None:
    from stoker.cli.tune_work import SHOWN

    rows: list[dict[str, Any]] = [
        {
            "trial": each.number,
            "cost_usd": each.answer["cost"],
            "slo_attainment": each.answer["attainment"],
            **{name: each.answer["figures"][name] for name in SHOWN},
            "changes": each.changes,
            "best": each is outcome.best,
        }
        for each in outcome.front
    ]
    if output is Output.JSON:
        print_json(_document(outcome, rows))
        return
    from stoker.report.simulation.text import shown

    table(
        ["trial", "cost", "SLO kept", "goodput", "TTFT P95", "TPOT P95", "GPUs busy", ""],
        [
            [
                row["trial"],
                shown("cost_usd", row["cost_usd"]),
                shown("slo_attainment", row["slo_attainment"]),
                *(shown(name, row[name]) for name in SHOWN),
                " ".join(
                    word for word, said in (("as it is", not row["changes"]), ("best", row["best"])) if said
                ),
            ]
            for row in rows
        ],
    )
    _print_best(outcome)


def _print_best(outcome: _Outcome) -> None:
    console, scenario = out(), outcome.work.scenario
    promised = ", ".join(promise.text for promise in outcome.work.promises)
    if not outcome.kept:
        console.print(f"no candidate keeps all of {promised}: the best is the nearest", style="bold yellow")
    for name, value in outcome.best.changes.items():
        console.print(f"  {name}: {'left out' if value is None else value}", markup=False)
    if not outcome.best.changes:
        console.print("  nothing changed: the platform as it is")
    refused = f", {outcome.refused} more refused by its checks" if outcome.refused else ""
    console.print(
        f"{len(outcome.done)} candidates simulated on the twin under {scenario.trace.name}{refused}, "
        f"seed {outcome.work.seed}; promises: {promised}",
        markup=False,
    )


def _document(outcome: _Outcome, rows: list[dict[str, Any]]) -> dict[str, Any]:
    from stoker.report.simulation.document import trace_provenance

    work = outcome.work
    return {
        "pareto": rows,
        "best": next(row for row in rows if row["best"]),
        "promises_kept": outcome.kept,
        "trials": len(outcome.done),
        "refused": outcome.refused,
        "promises": [promise.text for promise in work.promises],
        "provenance": trace_provenance(work.scenario.trace)
        | {"seed": work.seed, "calibration": outcome.best.answer["calibration"]},
    }
