"""`stoker load`: requests to a real server at planned times, and what became of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.durations import seconds_of
from stoker.cli.load_options import PlanOptions, make_plan, make_target
from stoker.cli.output import Output, OutputOption, err
from stoker.cli.output_file import check_writable, whole_file
from stoker.cli.progress import Narration, narration
from stoker.errors import ExitCode, UnreachableError

if TYPE_CHECKING:
    from stoker.load.background import LoadRun
    from stoker.load.result import LoadResult
    from stoker.load.verdict import Verdict

__all__ = ["load"]

_MOST_TOKENS = 10_000_000
_SERVER = "Server"
_TRACE = "Traffic from a trace"
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_POLL_S = 0.2
_FREE_FILES = 64


def load(
    context: typer.Context,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Server, its /v1, or the very route.", show_default=False)
    ],
    *,
    model: Annotated[
        str | None, typer.Option(help="As the server names it.", show_default="the trace's own names")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(help="Requests a second: 5, a ramp 1..10, or phases 2:1m,2..20:5m.", show_default=False),
    ] = None,
    lasting: Annotated[
        str | None,
        typer.Option("--for", help="How long, as 90s, 2m.", show_default="the trace's, or the phases'"),
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=1, max=_MOST_TOKENS, help="Of every prompt.")] = 256,
    output_tokens: Annotated[int, typer.Option(min=1, max=_MOST_TOKENS, help="Of every answer.")] = 64,
    sigma: Annotated[
        float, typer.Option(min=0.0, max=4.0, help="Lengths are lognormal around these, with this sigma.")
    ] = 0.0,
    cv: Annotated[
        float, typer.Option(min=0.01, max=15.0, help="CV of the gaps: 1 is Poisson, above are bursts.")
    ] = 1.0,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Azure, BurstGPT, Mooncake or own CSV, JSONL, Parquet.",
            show_default=False,
            rich_help_panel=_TRACE,
        ),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(min=1e-6, max=1e6, help="Times the requests of the trace.", rich_help_panel=_TRACE),
    ] = 1.0,
    pace: Annotated[
        float, typer.Option(min=1e-6, max=1e6, help="Times faster than it was.", rich_help_panel=_TRACE)
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of times, lengths and prompts.")] = 0,
    max_in_flight: Annotated[
        int, typer.Option(min=1, max=50_000, help="Beyond, requests wait, and the result says so.")
    ] = 1000,
    timeout: Annotated[str, typer.Option(help="Of a request.")] = "5m",
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000.0, help="Of the lab: `stoker lab up --speed N`.")
    ] = 1.0,
    slo: Annotated[
        list[str] | None,
        typer.Option(help='A promise: "ttft_p95<2s", "errors<1%"; repeatable.', show_default=False),
    ] = None,
    api: Annotated[
        str,
        typer.Option(
            help="chat, completions (OpenAI), infer (Open Inference Protocol).", rich_help_panel=_SERVER
        ),
    ] = "chat",
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Without, there is no TTFT.", rich_help_panel=_SERVER)
    ] = True,
    host: Annotated[
        str,
        typer.Option(
            help="Host header, for a gateway by its address.", show_default=False, rich_help_panel=_SERVER
        ),
    ] = "",
    key_env: Annotated[
        str,
        typer.Option(
            help="Environment variable that holds the bearer token.",
            show_default=False,
            rich_help_panel=_SERVER,
        ),
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(help='"NAME: VALUE"; repeatable.', show_default=False, rich_help_panel=_SERVER),
    ] = None,
    answered_by: Annotated[
        str,
        typer.Option(
            metavar="HEADER",
            help="Response header that tells who answered.",
            show_default="the answer's own word",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    natural_length: Annotated[
        bool,
        typer.Option(
            "--natural-length", help="Answers may end early: no ignore_eos.", rich_help_panel=_SERVER
        ),
    ] = False,
    keep_alive: Annotated[
        bool, typer.Option("--keep-alive", help="Requests share connections.", rich_help_panel=_SERVER)
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            help="Certificate authority of https.",
            show_default="the system's",
            exists=True,
            dir_okay=False,
            rich_help_panel=_SERVER,
        ),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Write a JSON line for each request.", show_default=False)
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Send requests to a model server at planned times, and measure TTFT, TPOT and E2E from those times.

    Open loop: no request waits for the answer to another, so a server that stalls is measured in full. Exit code 1: a promise was
    missed, or no request was answered in full; 3: nothing answered; 5: a promise could not be judged.

    Examples:

        stoker load http://127.128.0.10 --model llama3-70b --rate 5 --for 2m

        stoker load http://127.128.0.2 --host llama3-70b.example.com --model llama3-70b --rate 2:1m,2..20:5m --speed 30

        stoker load https://llm.example.com/v1 --model llama3-70b --rate 5 --for 2m --key-env API_KEY --slo "ttft_p95<2s"

        stoker load http://127.128.0.10 --model llama3-70b --trace azure2023_conv.csv --scale 0.5 --for 10m --output json
    """
    from stoker.load.verdict import judge, parse_promises

    promises = parse_promises(slo or [])
    timeout_s = seconds_of("--timeout", timeout) or 300.0
    target = make_target(url, api=api, stream=stream, host=host, key_env=key_env, headers=header or [], answered_by=answered_by,
                         natural_length=natural_length, keep_alive=keep_alive, ca=ca)  # fmt: skip
    if results is not None:
        check_writable(results, "--results")
    from stoker.load.background import LoadRun
    from stoker.load.clock import Clock
    from stoker.load.reach import check_reachable
    from stoker.load.summary import summarise

    plan = make_plan(
        context,
        PlanOptions(model, rate, lasting, trace, scale, pace, prompt_tokens, output_tokens, sigma, cv, seed),
    )
    load_run = LoadRun(plan, target, clock=Clock(speed), max_in_flight=max_in_flight, timeout_s=timeout_s)
    check_reachable(target)
    _allow_files(max_in_flight)
    done, is_interrupted = _run(load_run, len(plan.requests))
    summary, verdicts = summarise(done), judge(done, promises)
    from stoker.cli.load_result import print_summary

    print_summary(summary, verdicts, output)
    if results is not None:
        _write(done, results)
    if is_interrupted:
        raise typer.Exit(_INTERRUPTED)
    if not summary.answered:
        raise UnreachableError(
            f"nothing answered at {done.target}", fix="look whether its pods are ready, or at --timeout"
        )
    if not summary.total.ok:
        raise typer.Exit(int(ExitCode.FINDINGS))
    _exit(verdicts)


def _run(run: "LoadRun", planned: int) -> "tuple[LoadResult, bool]":
    """Drive the run to its end, or to Ctrl-C: what was measured by then is still told."""
    with narration(planned) as tell, run:
        try:
            while True:
                try:
                    return run.wait(_POLL_S), False
                except TimeoutError:
                    _tell(run, tell)
        except KeyboardInterrupt:
            run.stop()
            return run.wait(), True


def _tell(run: "LoadRun", tell: Narration) -> None:
    now = run.progress()
    tell.at(now.sent, f"sent, {now.in_flight} in flight, {now.failed} failed")


def _allow_files(max_in_flight: int) -> None:
    """Let this process have a connection for each request in flight, as far as the system lets it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_in_flight + _FREE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < wanted:
            err().print(
                f"this process may have {most} files open: fewer requests in flight than --max-in-flight {max_in_flight}"
            )


def _write(run: "LoadResult", path: Path) -> None:
    import json

    from stoker.load.document import result_row

    with whole_file(path) as beside, beside.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(result_row(result), ensure_ascii=False) + "\n" for result in run.results)
    err().print(f"the requests are in {path}", markup=False)


def _exit(verdicts: "tuple[Verdict, ...]") -> None:
    if any(verdict.is_kept is False for verdict in verdicts):
        raise typer.Exit(int(ExitCode.FINDINGS))
    if any(verdict.is_kept is None for verdict in verdicts):
        raise typer.Exit(int(ExitCode.INCONCLUSIVE))
