"""Printing a canary."""

import math
from typing import TYPE_CHECKING, Any

import typer

from stoker.cli.output import Output, out, print_json, table
from stoker.errors import ExitCode

if TYPE_CHECKING:
    from stoker.canary.plan import Criterion
    from stoker.canary.state import CanaryState, Evidence, Step

__all__ = ["finish", "show"]


def show(state: "CanaryState", output: Output) -> None:
    """The run, for people or as JSON."""
    if output is Output.JSON:
        print_json(_document(state))
        return
    console = out()
    console.print(f"{state.namespace}/{state.model}, run {state.run}: {state.phase}", markup=False)
    if state.reason:
        console.print(state.reason, markup=False)
    console.print(
        f"measured on: {state.measured_on}; by {state.who} since {state.started:%Y-%m-%d %H:%M:%S} UTC",
        markup=False,
    )
    rows = [_row(state, step, one) for step in state.steps for one in state.plan.criteria]
    if rows:
        table(("share", "criterion", "verdict", "measured", "for promotion", "for abort"), rows)
    for note in state.notes[-8:]:
        console.print(f"{note.when:%H:%M:%S} {note.who}: {note.what}", markup=False)


def finish(state: "CanaryState", output: Output) -> None:
    """Print, say what comes next, and exit with the run's code."""
    from stoker.canary.state import Phase

    show(state, output)
    following = {
        Phase.PROMOTED: "next: make the canary's source, engineVersion and args the model's own in the platform file, take "
        "`canary` out, and apply it: that frees the canary's GPUs",
        Phase.ABORTED: "next: look at the canary's pods, which still hold their GPUs; take `canary` out of the platform file, and "
        "apply it",
        Phase.INCONCLUSIVE: "next: more traffic or probes, more time (--most), or wider margins (--margin)",
    }.get(state.phase)
    if output is Output.TEXT and following:
        out().print(following, markup=False)
    codes = {Phase.PROMOTED: ExitCode.DONE, Phase.ABORTED: ExitCode.FINDINGS}
    raise typer.Exit(int(codes.get(state.phase, ExitCode.INCONCLUSIVE)))


def _document(state: "CanaryState") -> dict[str, Any]:
    import msgspec

    from stoker.canary.decide import verdict

    found: dict[str, Any] = msgspec.to_builtins(state)
    for step, shown in zip(state.steps, found["steps"], strict=True):
        shown["verdicts"] = {
            one.metric.value: str(verdict(state.plan, one, step.evidence.get(one.metric)))
            for one in state.plan.criteria
        }
    return found


def _row(state: "CanaryState", step: "Step", criterion: "Criterion") -> list[str]:
    from stoker.canary.decide import verdict

    evidence = step.evidence.get(criterion.metric)
    share = f"{step.percent} %" + (f" (really {step.reachable:.0f} %)" if step.reachable is not None else "")
    row = [share, criterion.metric.value, str(verdict(state.plan, criterion, evidence))]
    if evidence is None:
        return [*row, "-", "-", "-"]
    wanted = (-math.log(state.plan.beta), -math.log(state.plan.alpha_each))
    progress = [
        f"{max(0.0, have) / need:.0%}"
        for have, need in zip((evidence.safe, evidence.harm), wanted, strict=True)
    ]
    return [*row, _measured(criterion, evidence), *progress]


def _measured(criterion: "Criterion", evidence: "Evidence") -> str:
    from stoker.canary.plan import Kind

    if criterion.metric.kind is Kind.SIGNS:
        fast, slow = evidence.counts
        return f"slower by more than {criterion.margin:.0%} in {slow} of {fast + slow} pairs"
    if criterion.metric.kind is Kind.DIFFERENCES:
        less, same, more = evidence.counts
        return (
            f"{less + same + more} pairs: only the canary failed in {more}, only the stable version in {less}"
        )
    return f"canary {evidence.canary_bad} of {evidence.canary}, stable {evidence.stable_bad} of {evidence.stable} requests"
