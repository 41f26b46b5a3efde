"""`stoker report`: what a rollout brought, from measured sources, with the guide's claims beside it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.durations import seconds_of
from stoker.cli.output import Output, OutputOption, err, out, print_json, table
from stoker.cli.output_file import check_writable, write_whole
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.report.rollout.evidence import Evidence, Figure, Window
    from stoker.report.rollout.report import Report

__all__ = ["report"]

_WINDOW = "FROM..TO, each an ISO time with zone, `now`, or as 2h: so long before now"


def report(
    evidence: Annotated[
        Path | None,
        typer.Argument(
            help="Folder or evidence.json of a rollout or a demo; none to measure --prometheus alone.",
            show_default=False,
        ),
    ] = None,
    *,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Measure with this Prometheus now; a bearer token is read from STOKER_PROMETHEUS_TOKEN.",
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(help=f"{_WINDOW}.", show_default="the evidence's, or as long as the rollout before it"),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="The same after the rollout.", show_default="the evidence's, or up to as long after it"
        ),
    ] = None,
    usd_per_gpu_hour: Annotated[
        float | None,
        typer.Option(
            min=0, max=10_000, help="What a GPU costs.", show_default="the evidence's, or the list price"
        ),
    ] = None,
    twin: Annotated[
        Path | None,
        typer.Option(
            help="JSON of `stoker simulate`: a simulated figure where none was measured.", show_default=False
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the page: one file, opened without a network.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Report what a rollout brought: utilisation, latency, cost, incidents, before and after, each with its source.

    Figures come from the evidence, or from a Prometheus that is asked now. What nobody measured says so and why; what the
    twin simulated is marked. The guide's claims stand beside as claims. docs/report.md has the files and the queries.

    Examples:

        stoker report out/demo --html report.html

        stoker report evidence.json --prometheus http://127.0.0.1:9090

        stoker report --prometheus http://127.0.0.1:9090 --before 26h..24h --after 2h..now

        stoker report out/demo --twin simulation.json --output json
    """
    from stoker.report.rollout.report import build_report

    if html is not None:
        check_writable(html, "--html")
    found = _evidence(evidence, prometheus, before, after, usd_per_gpu_hour)
    simulated: tuple[Figure, ...] = ()
    if twin is not None:
        from stoker.report.rollout.simulated import read_twin

        simulated = read_twin(twin)
    built = build_report(found, simulated)
    if html is not None:
        from stoker.report.rollout.as_html import as_html

        write_whole(html, as_html(built))
        err().print(f"wrote {html}", markup=False)
    if output is Output.JSON:
        from stoker.report.rollout.as_json import as_json

        print_json(as_json(built))
    else:
        _print(built)


def _evidence(
    path: Path | None,
    prometheus: str | None,
    before: str | None,
    after: str | None,
    usd_per_gpu_hour: float | None,
) -> "Evidence":
    from dataclasses import replace

    from stoker.report.rollout.evidence import Evidence, Price, read_evidence

    if path is None and prometheus is None:
        raise InputError(
            [Problem("nothing to report on", wanted="EVIDENCE or --prometheus", fix="stoker report out/demo")]
        )
    if prometheus is None and (before is not None or after is not None):
        raise InputError(
            [
                Problem(
                    "needs --prometheus: the evidence's figures have windows of their own",
                    path="--before" if before is not None else "--after",
                    fix="--prometheus URL",
                )
            ]
        )
    found = Evidence(()) if path is None else read_evidence(path)
    if usd_per_gpu_hour is not None:
        found = replace(found, price=Price(usd_per_gpu_hour, "--usd-per-gpu-hour"))
    return found if prometheus is None else _measured(found, prometheus, before, after)


def _measured(found: "Evidence", url: str, before: str | None, after: str | None) -> "Evidence":
    from stoker.kube.prometheus import Prometheus
    from stoker.report.rollout.measuring import take
    from stoker.report.rollout.report import default_windows, with_taken

    with Prometheus(url) as server:
        now = server.now()
        windows = default_windows(found, now)
        for phase, text in (("before", before), ("after", after)):
            if text is not None:
                windows[phase] = _window(f"--{phase}", text, now)
        if not windows:
            raise InputError(
                [
                    Problem(
                        "no window to measure in",
                        path="--before",
                        wanted="--before, --after or both, or evidence with gates",
                        fix="--after 2h..now",
                    )
                ]
            )
        with err().status(f"measuring with {server.name}"):
            return with_taken(found, take(server, windows, measured_on=found.measured_on, price=found.price))


def _window(option: str, text: str, now: datetime) -> "Window":
    from stoker.report.rollout.evidence import Window

    begin, dots, end = text.partition("..")
    if not dots:
        raise InputError(
            [Problem("is no window", path=option, found=text, wanted=_WINDOW, fix=f"{option} 2h..now")]
        )
    start, stop = _moment(option, begin, now), _moment(option, end, now)
    if stop <= start:
        raise InputError([Problem("ends before it begins", path=option, found=text, wanted=_WINDOW)])
    return Window(start, stop)


def _moment(option: str, text: str, now: datetime) -> datetime:
    text = text.strip()
    if text == "now":
        return now
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return now - timedelta(seconds=seconds_of(option, text) or 0.0)
    if when.tzinfo is None:
        raise InputError(
            [Problem("has no zone", path=option, found=text, wanted="as 2026-11-27T10:00Z", fix=f"{text}Z")]
        )
    return when.astimezone(UTC)


def _print(built: "Report") -> None:
    from stoker.report.controls import visible
    from stoker.report.rollout.as_text import claim_rows, gate_rows, heads, notes, roi_rows
    from stoker.report.rollout.report import headline

    def rows(found: list[list[str]]) -> list[list[str]]:
        return [[visible(cell) for cell in row] for row in found]

    console = out()
    console.print(headline(built), markup=False, style="bold")
    if built.evidence.gates:
        table(["verdict", "gate", "began (UTC)", "took", "why"], rows(gate_rows(built)))
    table(heads(built), rows(roi_rows(built)))
    table(
        ["the guide claims", "before", "", "after", ""],
        rows(claim_rows(built)),
        title="Claims, not outputs",
    )
    for line in notes(built):
        console.print(visible(line), markup=False)
