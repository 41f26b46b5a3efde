"""`stoker rules`: what the audit knows."""

from typing import Annotated, Any

import typer

from stoker.cli.output import Output, OutputOption, out, print_json, table

__all__ = ["rules_app"]

rules_app = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@rules_app.callback(invoke_without_command=True)
def rules(
    context: typer.Context,
    *,
    upgrade: Annotated[
        str | None,
        typer.Option("--upgrade", "-u", help="Only the rules of this upgrade.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the audit's rules.

    Examples:

        stoker rules

        stoker rules --upgrade autoscaling --output json

        stoker rules show gpu-quota-never-enforced
    """
    if context.invoked_subcommand:
        return
    from stoker.audit.finding import Area
    from stoker.audit.registry import rules as every_rule
    from stoker.errors import UnknownNameError

    areas = [area.value for area in Area]
    if upgrade is not None and upgrade not in areas:
        raise UnknownNameError("upgrade", upgrade, areas)
    found = [item for item in every_rule() if upgrade in {None, item.area.value}]
    if output is Output.JSON:
        print_json([_facts(item) for item in found])
        return
    table(
        ("rule", "upgrade", "severity", "what is wrong"),
        ((r.id, r.area.value, r.severity.value, r.title) for r in found),
    )
    out().print(f"{len(found)} rules; `stoker rules show RULE` tells one in full", markup=False)


@rules_app.command("show")
def show(
    rule: Annotated[str, typer.Argument(help="Id of the rule.")],
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell one rule in full: why it hurts, its source, its fix, a bad and a good example.

    Examples:

        stoker rules show gpu-quota-never-enforced

        stoker rules show scale-to-zero-cannot-wake --output json
    """
    from stoker.audit.example import example
    from stoker.audit.registry import rule_by_id

    item = rule_by_id(rule)
    shown = example(item)
    if output is Output.JSON:
        print_json({**_facts(item), "bad": shown.bad, "good": shown.good})
        return
    console = out()
    console.print(f"{item.id}  {item.severity.value}, {item.area.value}", style="bold", markup=False)
    needs = {"live": "a cluster or a dump of one", "prometheus": "--prometheus"}.get(item.needs)
    for name, text in (("What", item.title), ("Why", item.why), ("Fix", item.fix), ("Needs", needs)):
        if text:
            console.print(f"\n{name}\n  {text}", markup=False)
    console.print("\nSource", markup=False)
    for reference in item.references:
        console.print(f"  {reference}", markup=False)
    for name, text in (("Bad", shown.bad), ("Good", shown.good)):
        console.print(f"\n{name}", markup=False)
        for line in text.rstrip().splitlines():
            console.print(f"  {line}", markup=False)


def _facts(item: Any) -> dict[str, Any]:
    return {
        "id": item.id,
        "upgrade": item.area.value,
        "severity": item.severity.value,
        "title": item.title,
        "why": item.why,
        "fix": item.fix,
        "references": list(item.references),
        "needs": item.needs or None,
    }
