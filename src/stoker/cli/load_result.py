"""What `stoker load` prints of a run: tables for people, or one JSON document."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stoker.cli.output import Output, out, print_json, table

if TYPE_CHECKING:
    from stoker.load.summary import Part, Spread, Summary
    from stoker.load.verdict import Verdict

__all__ = ["print_summary"]

_MOST_SHOWN = 20


def print_summary(summary: "Summary", verdicts: "Sequence[Verdict]", output: Output) -> None:
    """Print a run's figures."""
    if output is Output.JSON:
        from stoker.load.document import load_document

        print_json(load_document(summary, verdicts))
        return
    total = summary.total
    rows = [("TTFT", total.ttft), ("TPOT", total.tpot), ("E2E", total.e2e), ("TTFT, as sent", total.ttft_from_send),
            ("E2E, as sent", total.e2e_from_send), ("sent late", summary.lag)]  # fmt: skip
    table(
        ["", "P50", "P90", "P95", "P99", "max", "requests"],
        [[name, *_cells(figures)] for name, figures in rows if figures.count or name == "TTFT"],
    )
    for title, parts in (("by model", summary.models), ("by tenant", summary.tenants)):
        if len(parts) > 1:
            table(["", "requests", "ok", "TTFT P50", "TTFT P95", "E2E P95"],
                  [_row(name, part) for name, part in parts.items()], title=title)  # fmt: skip
    console = out()
    for line in _lines(summary):
        console.print(line, markup=False)
    for verdict in verdicts:
        console.print(_verdict(verdict), markup=False)


def _cells(spread: "Spread") -> list[object]:
    figures = (spread.p50, spread.p90, spread.p95, spread.p99, spread.most)
    return [*(_seconds(figure) for figure in figures), spread.count]


def _row(name: str, part: "Part") -> list[object]:
    times = (part.ttft.p50, part.ttft.p95, part.e2e.p95)
    return [name or "-", part.requests, part.ok, *(_seconds(figure) for figure in times)]


def _seconds(value: float | None) -> str:
    from stoker.report.simulation.text import seconds

    return "-" if value is None else seconds(value)


def _lines(summary: "Summary") -> list[str]:
    total = summary.total
    failures = ", ".join(f"{kind} {count}" for kind, count in total.outcomes.items() if kind != "ok")
    lines = [
        f"{total.ok} of {summary.planned} requests answered in full in {_seconds(summary.elapsed_s)}"
        + (f"; {failures}" if failures else "")
    ]
    lines += [f"  {kind}: {'; '.join(words)}" for kind, words in summary.details.items()]
    lines.append(
        f"requests/s: offered {_rate(summary.offered_rate)}, sent {_rate(summary.sent_rate)}, answered "
        f"{_rate(summary.completed_rate)}; tokens/s: prompt {_rate(summary.prompt_tokens_per_s)}, "
        f"answer {_rate(summary.output_tokens_per_s)}; at most {summary.peak_in_flight} in flight"
    )
    if summary.answered_by:
        shown = list(summary.answered_by.items())[:_MOST_SHOWN]
        more = len(summary.answered_by) - len(shown)
        lines.append(
            "answered by "
            + ", ".join(f"{name} {count}" for name, count in shown)
            + (f" and {more} more" if more else "")
        )
    if summary.is_late:
        lines.append(
            f"the generator did not keep its schedule: one request in a hundred left {_seconds(summary.lag.p99)} late or later. "
            "What that adds to the latencies is not the server's: send less, or from a machine with a free core"
        )
    if summary.held:
        lines.append(
            f"{summary.held} requests waited because {summary.max_in_flight} were in flight (--max-in-flight): the server got "
            "them later than planned"
        )
    if summary.is_cancelled:
        lines.append("stopped before the plan was through")
    lines.append(
        f"measured by requests to {summary.target}: {summary.source}, seed {summary.seed}; latencies from the intended moment"
        + (
            f"; at speed {summary.speed:g}: 1 ms of this machine is {summary.speed:g} ms here"
            if summary.speed != 1
            else ""
        )
    )
    return lines


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _verdict(verdict: "Verdict") -> str:
    state = {True: "kept", False: "missed", None: "inconclusive"}[verdict.is_kept]
    measured = "-" if verdict.measured is None else _seconds(verdict.measured)
    if verdict.promise.figure == "errors" and verdict.measured is not None:
        measured = f"{verdict.measured:.2%}"
    why = f": {verdict.why}" if verdict.why else ""
    return f"{verdict.promise.text} {state}: {measured} over {verdict.requests} requests{why}"
