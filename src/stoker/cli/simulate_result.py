"""What `stoker simulate` prints of fleets that ran: tables for people, or one JSON document."""

from typing import TYPE_CHECKING, Any

from stoker.cli.output import Output, out, print_json, table

if TYPE_CHECKING:
    from stoker.twin.scenario import Outcome, Scenario

__all__ = ["print_outcomes"]


def print_outcomes(outcomes: "list[Outcome]", scenario: "Scenario", seed: int, output: Output) -> None:
    """Print the last fleet, and those before it beside it: one is the baseline, several are the steps of a ladder."""
    documents = [_document(outcome, scenario, seed) for outcome in outcomes]
    if output is Output.JSON:
        document = documents[-1]
        if len(documents) == 2:
            document["baseline"] = documents[0]
        elif len(documents) > 2:
            document["ladder"] = [
                {"label": outcome.label, **step}
                for outcome, step in zip(outcomes[:-1], documents[:-1], strict=True)
            ]
        print_json(document)
    else:
        _print(outcomes, documents[-1]["provenance"])


def _document(outcome: "Outcome", scenario: "Scenario", seed: int) -> dict[str, Any]:
    from dataclasses import asdict

    from stoker.report.simulation.document import Provenance, simulation_document, trace_provenance

    provenance = Provenance(
        **trace_provenance(scenario.trace),
        traffic=outcome.how,
        seed=seed,
        calibration=outcome.calibration,
        upgrades=outcome.upgrades,
        faults=asdict(scenario.faults),
    )
    return simulation_document(outcome.result, provenance)


def _print(outcomes: "list[Outcome]", source: dict[str, Any]) -> None:
    from stoker.report.simulation.text import fault_lines, figure_rows, routing_lines

    totals = [outcome.result.total for outcome in outcomes]
    table(["", *(outcome.label for outcome in outcomes)], figure_rows(totals))
    last = outcomes[-1]
    for title, parts in (("by model", last.result.models), ("by tenant", last.result.tenants)):
        if len(parts) > 1:
            table(["", *parts], figure_rows(list(parts.values())), title=title)
    console = out()
    for kind, tally in last.result.neighbours.items():
        console.print(
            f"{kind}: {tally['submitted']} submitted, {tally['finished']} finished, {tally['preempted']} preempted, "
            f"{tally['oom_kills']} out of memory, {tally['gpu_hours']:,.0f} GPU hours"
        )
    for line in (*routing_lines(last.run), *fault_lines(last.result)):
        console.print(line, markup=False)
    steps = ", ".join(f"{name} {how}" for name, how in source["calibration"].items())
    console.print(
        f"measured on the twin: {source['trace']} ({source['traffic']}), seed {source['seed']}, step times: {steps}",
        markup=False,
    )
