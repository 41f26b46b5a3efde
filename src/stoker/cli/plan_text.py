"""A plan as people read it: wave by wave, one line an object, one line a field."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from stoker.apply.changes import Action, Change, Checked, Conflict, Plan, RiskKind
from stoker.apply.compare import FieldChange
from stoker.apply.document import summary
from stoker.apply.fields import ABSENT
from stoker.apply.undo import Undo, UndoKind

__all__ = ["print_plan", "print_undo"]

_MARKS: Final = {
    Action.CREATE: ("+", "green"), Action.UPDATE: ("~", "yellow"), Action.REPLACE: ("±", "bold red"),
    Action.DELETE: ("-", "bold red"), Action.RELEASE: ("<", "yellow"), Action.NONE: (" ", ""),
}  # fmt: skip
_WORDS: Final = {
    Action.CREATE: "to create", Action.UPDATE: "to change", Action.REPLACE: "to replace", Action.DELETE: "to delete",
    Action.RELEASE: "to give back", Action.NONE: "as wanted",
}  # fmt: skip
_LONGEST: Final = 100


def print_plan(console: Console, plan: Plan, *, details: bool = False) -> None:
    """The plan; ``details`` shows also every field of new objects."""
    for wave, changes in groupby(plan.changed, key=lambda change: change.wave):
        console.print(f"wave {int(wave)}: {wave.name.lower()}", style="bold")
        for change in changes:
            for line in _change(change, details=details):
                console.print(line)
    for change in plan.changes:
        if not change.is_change and change.notes:
            console.print(Text.assemble((f"  ! {change.ref}", "bold yellow"), f"  {'; '.join(change.notes)}"))
    counts = summary(plan)
    parts = [
        f"{count} {_WORDS[Action(action)]}"
        for action, count in counts.items()
        if count and action != Action.NONE
    ]
    console.print(
        f"{', '.join(parts) or 'no changes'}; {counts[Action.NONE]} as wanted. "
        f"Looked at {plan.server} ({plan.measured_on})"
    )
    _risks(console, plan)
    _money(console, plan)
    planned = {change.ref for change in plan.changes}
    if strays := [ref for ref in plan.strays if ref not in planned]:
        console.print(f"{len(strays)} objects that Stoker applied are no longer wanted; --prune deletes them")
    if plan.blocked:
        console.print(f"{len(plan.blocked)} cannot be done as things are", style="bold red")


def _risks(console: Console, plan: Plan) -> None:
    for kind in RiskKind:
        risky = [change for change in plan.changed if any(risk.kind is kind for risk in change.risks)]
        if risky:
            console.print(
                f"{kind.value}: {', '.join(str(change.ref) for change in risky[:5])}"
                + (f" and {len(risky) - 5} more" if len(risky) > 5 else ""),
                style="bold red" if kind is RiskKind.DESTRUCTIVE else "bold yellow",
                markup=False,
            )
    offline = sum(change.checked is Checked.OFFLINE and not change.blocked for change in plan.changed)
    fields = sum(change.checked is Checked.FIELDS for change in plan.changed)
    if offline:
        console.print(
            f"{offline} are planned without the server: their namespace, or what else they need, comes with this plan"
        )
    if fields:
        console.print(f"{fields} are judged by managedFields: defaults and admission do not count")


def _money(console: Console, plan: Plan) -> None:
    money = plan.money
    if money is None or not money.gpus:
        return
    gpus = ", ".join(f"{name} {count:+g}" for name, count in money.gpus.items())
    price = "price unknown" if money.usd_per_month is None else f"{money.usd_per_month:+,.0f} $/month"
    source = f" ({money.source})" if money.source else ""
    console.print(f"GPUs at the smallest number of replicas: {gpus}; {price}{source}", markup=False)


def _change(change: Change, *, details: bool) -> Iterable[Text]:
    mark, style = _MARKS[change.action]
    line = Text.assemble((f"  {mark} ", style), str(change.ref))
    for risk in change.risks:
        colour = "bold red" if risk.kind is RiskKind.DESTRUCTIVE else "bold yellow"
        line.append(f"  [{risk.kind.value}: {risk.why}]", colour)
    if change.action is Action.CREATE and change.reason:
        line.append(f"  {change.reason}", "dim")
    yield line
    if change.action is Action.UPDATE and not change.fields:
        yield Text("      values stay; Stoker owns its fields as well from now on", "dim")
    for field in change.fields:
        if change.live is not None or details:
            yield from _field(field)
    for conflict in change.conflicts:
        yield _conflict(conflict)
    for note in change.notes:
        yield Text(f"      {note}", "dim")
    if change.blocked:
        yield Text(f"      blocked: {change.blocked}", "bold red")
        if change.fix:
            yield Text(f"      fix: {change.fix}")


def _field(field: FieldChange) -> Iterable[Text]:
    if not field.path and isinstance(field.after, dict):
        for line in json.dumps(field.after, indent=2, ensure_ascii=False).splitlines():
            yield Text(f"      {line}", "dim")
        return
    yield Text.assemble(
        f"      {field.field}: ", (_short(field.before), "red"), " → ", (_short(field.after), "green")
    )


def _conflict(conflict: Conflict) -> Text:
    verb = "taken from" if conflict.taken else "conflict with"
    text = Text.assemble(
        (f"      {verb} {conflict.manager}", "bold yellow" if conflict.taken else "bold red"),
        f": {conflict.field}: theirs {_short(conflict.theirs)}, ours {_short(conflict.ours)}",
    )
    if conflict.hint:
        text.append(f"; {conflict.hint}", "dim")
    return text


def _short(value: Any) -> str:
    if value is ABSENT:
        return "(absent)"
    if isinstance(value, str) and "\n" in value:
        return f"({len(value.splitlines())} lines)"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_UNDO: Final = {
    UndoKind.DELETE: ("-", "bold red"), UndoKind.RESTORE: ("<", "yellow"), UndoKind.RECREATE: ("+", "green"),
    UndoKind.LEAVE: ("!", "bold yellow"), UndoKind.NOTHING: (" ", "dim"),
}  # fmt: skip


def print_undo(console: Console, steps: Sequence[Undo]) -> None:
    """What undoing does, one line an object."""
    for step in steps:
        if step.kind is UndoKind.NOTHING and not step.left:
            continue
        mark, style = _UNDO[step.kind]
        verb = "left, " if step.kind is UndoKind.LEAVE else ""
        console.print(Text.assemble((f"  {mark} {step.ref}", style), f"  {verb}{step.why}"))
        for origin in step.origins:
            console.print(
                Text(f"      {_path(origin.path)}: {_short(origin.wrote)} → {_short(origin.before)}")
            )
        for field in step.left:
            console.print(Text(f"      {field} stays: others changed it", "yellow"))
    counts = {kind: sum(step.kind is kind for step in steps) for kind in UndoKind}
    console.print(
        f"{counts[UndoKind.DELETE]} to delete, {counts[UndoKind.RESTORE]} to restore, {counts[UndoKind.RECREATE]} to make "
        f"anew, {counts[UndoKind.LEAVE]} left, {counts[UndoKind.NOTHING]} as they were"
    )


def _path(path: Sequence[str]) -> str:
    from stoker.apply.fields import show

    return show(path)
