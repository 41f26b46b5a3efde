"""An audit for the terminal: grouped by object, gravest first, each with its fix."""

from collections.abc import Iterator

from rich.text import Text

from stoker.audit.finding import Finding, Severity
from stoker.audit.score import CAP, WEIGHT, AreaScore
from stoker.kube.paths import show
from stoker.kube.snapshot import Item
from stoker.report.audit.outcome import Outcome

__all__ = ["as_text"]

_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_BAR = 20


def as_text(outcome: Outcome, *, explain: bool) -> Iterator[Text]:
    """Lines to print. ``explain`` adds why each finding hurts, its sources, and how the scores came about."""
    told: set[str] = set()
    for item, findings in outcome.by_object.items():
        yield _heading(item)
        for finding in findings:
            yield from _finding(finding, explain=explain, first=finding.rule not in told)
            told.add(finding.rule)
        yield Text("")
    yield from _suppressions(outcome)
    yield from _gaps(outcome)
    yield from _scores(outcome, explain=explain)
    yield Text(outcome.summary(), "bold")


def _heading(item: Item) -> Text:
    place = f"  {item.source.file}:{item.source.line}" if item.source.file else ""
    return Text.assemble((str(item), "bold"), (place, "dim"))


def _finding(finding: Finding, *, explain: bool, first: bool) -> Iterator[Text]:
    place = f"{finding.line}: " if finding.line else ""
    yield Text.assemble(
        "  ",
        (f"{finding.severity.value:<7}", _STYLE[finding.severity]),
        " ",
        finding.message,
        ("  " + finding.rule, "dim"),
    )
    if finding.path:
        yield Text.assemble("          at   ", (f"{place}{show(finding.path)}", "dim"))
    automatic = "  (--fix shows the patch)" if finding.fix.automatic else ""
    yield Text.assemble("          fix  ", finding.fix.text.rstrip("."), (automatic, "dim"))
    if explain and first:
        yield Text.assemble("          why  ", (finding.why, "italic"))
        for reference in finding.references:
            yield Text.assemble("          see  ", (reference, "dim"))


def _suppressions(outcome: Outcome) -> Iterator[Text]:
    parted = outcome.parted
    for entry in parted.refused:
        yield Text.assemble(
            ("suppression refused: ", "yellow"), f"{entry.item}:{entry.line}: {entry.rule}: {entry.refused}"
        )
    for entry in parted.unused:
        yield Text.assemble(
            ("suppression hides nothing: ", "yellow"), f"{entry.item}:{entry.line}: {entry.rule}"
        )
    if parted.hidden or parted.known:
        yield Text(f"hidden: {len(parted.hidden)} suppressed, {len(parted.known)} in the baseline", "dim")


def _gaps(outcome: Outcome) -> Iterator[Text]:
    if not outcome.gaps:
        return
    yield Text("Not checked", "bold")
    for gap in outcome.gaps:
        count = f" ({gap.count})" if gap.count > 1 else ""
        line = f":{gap.line}" if gap.line else ""
        yield Text(f"  {gap.what}{line}{count}: {gap.reason}")
    yield Text("")


def _scores(outcome: Outcome, *, explain: bool) -> Iterator[Text]:
    yield Text("Score", "bold")
    for name, score in [
        *((area.value, entry) for area, entry in outcome.score.areas.items()),
        ("all", outcome.score.total),
    ]:
        yield _score(name, score, explain=explain)
    if explain:
        weights = ", ".join(f"{severity.value} {weight}" for severity, weight in WEIGHT.items())
        caps = ", ".join(f"with {severity.value}s at most {cap}" for severity, cap in CAP.items())
        yield Text(
            f"  mean share of subjects that passed each rule, weighed {weights}; {caps}; docs/audit.md has the formula",
            "dim",
        )
    yield Text("")


def _score(name: str, score: AreaScore, *, explain: bool) -> Text:
    if score.points is None:
        return Text.assemble(f"  {name:<14}", ("nothing to judge", "dim"))
    filled = round(score.points / 100 * _BAR)
    style = (
        "green"
        if score.points > CAP[Severity.WARNING]
        else "yellow"
        if score.points > CAP[Severity.ERROR]
        else "red"
    )
    told = (
        f"  mean {score.mean}, cap {score.cap}, {score.failed} of {score.rules} rules failed"
        if explain
        else ""
    )
    return Text.assemble(
        f"  {name:<14}{score.points:>4} ",
        ("█" * filled, style),
        ("░" * (_BAR - filled), "dim"),
        (told, "dim"),
    )
