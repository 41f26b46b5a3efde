"""`stoker audit` and `stoker rules`: what will fail in production, why, and how to mend it."""

import gc
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.output import err, out, print_json
from stoker.cli.source import read_source
from stoker.errors import ExitCode, InputError, Problem, StokerError

if TYPE_CHECKING:
    from datetime import date

    from stoker.audit.rule import Rule
    from stoker.audit.suppress import Baseline
    from stoker.kube.snapshot import Snapshot
    from stoker.report.audit.outcome import Outcome

__all__ = ["audit"]


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"
    MARKDOWN = "markdown"
    HTML = "html"


class FailOn(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


def audit(  # typer's options
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders or files of YAML or JSON, `-` for a stream; a live cluster where none is named.",
            show_default=False,
        ),
    ] = None,
    *,
    context: Annotated[
        str | None,
        typer.Option(
            "--context", help="Context of the kubeconfig; the current one where absent.", show_default=False
        ),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            help="Kubeconfig file; KUBECONFIG or ~/.kube/config where absent.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace", "-n", help="Read only this namespace of a live cluster; may be repeated."
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus",
            metavar="URL",
            help="Prometheus to measure with; a bearer token is read from STOKER_PROMETHEUS_TOKEN.",
        ),
    ] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.TEXT,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 at findings of this severity or above.")
    ] = FailOn.ERROR,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", help="Run only this rule, or the rules of this upgrade; may be repeated."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", help="Leave out this rule or upgrade; may be repeated.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Hide the findings that this file knows.", show_default=False),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option(
            "--write-baseline", help="Write every finding into this file and exit with 0.", show_default=False
        ),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete", help="The source is everything there is: a name that leads out of it is an error."
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Add why each finding hurts, its sources, and the scores' arithmetic."
        ),
    ] = False,
    role: Annotated[
        bool, typer.Option("--role", help="Print the ClusterRole that a live audit needs, and exit.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Print the patches as a diff, where findings have one.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="With --fix: write the patches into the files.")
    ] = False,
) -> None:
    """Audit manifests, a dump or a live cluster: what will fail in production, why, and how to mend it.

    Reads only. Without a source, the live cluster of the kubeconfig is read with get and list. What could not be read is
    listed under "not checked". Findings may be suppressed in the object, with an expiry and a reason (docs/audit.md).

    Examples:

        stoker audit deploy/

        helm template my-release ./chart | stoker audit - --fail-on warning

        kubectl get nodes,pods,deploy,quota -A -o json > dump.json; stoker audit dump.json --explain

        stoker audit --context production --prometheus http://127.0.0.1:9090 --output html > audit.html

        stoker audit deploy/ --fix --write

        stoker audit --role | kubectl apply -f -
    """
    if role:
        from stoker.kube.live import read_role
        from stoker.kube.yaml_text import dump

        sys.stdout.write(dump(read_role()))
        return
    from stoker.audit.finding import Severity

    if write and not fix:
        raise InputError([Problem("needs --fix", path="--write", fix="stoker audit … --fix --write")])
    chosen = _chosen(rule or [], skip or [])
    today = datetime.now(UTC).date()
    gc.disable()  # a short life with millions of values that all stay: collecting them is a third of the time
    snapshot, texts = read_source(
        sources or [], context, kubeconfig=kubeconfig, namespaces=namespace or [], complete=complete
    )
    if prometheus:
        snapshot = _measured(snapshot, prometheus)
    name = " ".join(str(source) for source in sources or []) or f"cluster {context or '(current context)'}"
    outcome = _outcome(name, snapshot, chosen, today, baseline, texts)
    if write_baseline:
        _write_baseline(write_baseline, outcome)
        return
    if fix:
        _fix(outcome, texts, write=write)
    else:
        _print(outcome, output, None if fail_on is FailOn.NEVER else Severity(fail_on.value), explain=explain)
    if fail_on is not FailOn.NEVER and not write and outcome.worst() >= Severity(fail_on.value).rank:
        raise typer.Exit(int(ExitCode.FINDINGS))


def _chosen(only: list[str], skip: list[str]) -> "tuple[Rule, ...]":
    from stoker.audit.finding import Area
    from stoker.audit.registry import rules

    known = {item.id for item in rules()} | {area.value for area in Area}
    for option, names in (("--rule", only), ("--skip", skip)):
        for name in names:
            if name not in known:
                from stoker.errors import nearest

                near = nearest(name, known)
                fix = f"did you mean {' or '.join(near)}?" if near else "`stoker rules` lists them"
                raise InputError(
                    [Problem("is no rule and no upgrade", path=option, found=name[:80], fix=fix)]
                )
    return tuple(
        item
        for item in rules()
        if (not only or item.id in only or item.area.value in only)
        and not {item.id, item.area.value} & set(skip)
    )


def _measured(snapshot: "Snapshot", url: str) -> "Snapshot":
    from dataclasses import replace

    from stoker.audit.rules.observability.measured import QUERIES
    from stoker.kube.prometheus import measure

    item, unread = measure(url, QUERIES, datetime.now(UTC))
    return replace(snapshot, items=(*snapshot.items, item), unread=(*snapshot.unread, *unread))


def _outcome(  # noqa: PLR0917  # one call site
    name: str,
    snapshot: "Snapshot",
    rules: "tuple[Rule, ...]",
    today: "date",
    baseline: Path | None,
    texts: dict[str, bytes],
) -> "Outcome":
    from stoker.audit.gaps import gaps
    from stoker.audit.registry import rules as every_rule
    from stoker.audit.run import audit as run
    from stoker.audit.score import score
    from stoker.audit.suppress import suppress, suppressions_of
    from stoker.kube.positions import Positions
    from stoker.report.audit.outcome import Outcome

    with err().status(f"running {len(rules)} rules"):
        lines = Positions(texts).line
        report = run(snapshot, rules, today, lines)
    suppressions = suppressions_of(snapshot, {item.id for item in every_rule()}, today)
    parted = suppress(report.findings, suppressions, _baseline(baseline) if baseline else None)
    return Outcome(
        source=name,
        snapshot=snapshot,
        rules=rules,
        judged=sum(verdict.subjects > 0 for verdict in report.verdicts),
        parted=parted,
        score=score(report.verdicts, parted.standing),
        gaps=gaps(report.view, rules, lines),
        today=today,
    )


def _baseline(path: Path) -> "Baseline":
    import json

    from stoker.audit.suppress import read_baseline

    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            [Problem(f"cannot be read: {error.strerror}", file=str(path), path="--baseline")]
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError([Problem(f"is no JSON: {error}", file=str(path), path="--baseline")]) from error
    return read_baseline(data, str(path))


def _write_baseline(path: Path, outcome: "Outcome") -> None:
    import json

    from stoker.audit.suppress import baseline_of

    findings = [*outcome.findings, *outcome.parted.known]
    try:
        path.write_text(json.dumps(baseline_of(findings), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StokerError(
            f"{path} cannot be written: {error.strerror}", fix="name a writable file"
        ) from error
    err().print(
        f"wrote {len(findings)} findings into {path}; next: stoker audit … --baseline {path}", markup=False
    )


def _print(outcome: "Outcome", output: Format, fail_on: "object", *, explain: bool) -> None:
    from importlib.metadata import version

    from stoker.report.controls import visible

    if output is Format.TEXT:
        from stoker.report.audit.as_text import as_text

        console = out()
        for line in as_text(outcome, explain=explain):
            line.plain = visible(line.plain)  # a name cannot move the reader's cursor
            console.print(line)
    elif output is Format.JSON:
        from stoker.report.audit.as_json import as_json

        print_json(as_json(outcome))
    elif output is Format.SARIF:
        from stoker.report.audit.as_sarif import as_sarif

        print_json(as_sarif(outcome, version("stoker")))
    elif output is Format.JUNIT:
        from stoker.report.audit.as_junit import as_junit

        sys.stdout.write(as_junit(outcome, fail_on))  # type: ignore[arg-type]  # a Severity or None, as main typed it
    elif output is Format.HTML:
        from stoker.report.audit.as_html import as_html

        sys.stdout.write(as_html(outcome))
    else:
        from stoker.report.audit.as_github import as_github
        from stoker.report.audit.as_markdown import as_markdown

        lines = as_github(outcome) if output is Format.GITHUB else as_markdown(outcome)
        sys.stdout.writelines(f"{visible(line)}\n" for line in lines)


def _fix(outcome: "Outcome", texts: dict[str, bytes], *, write: bool) -> None:
    from stoker.cli.audit_fix import fixed_files, show_diffs, write_files

    if texts and write:
        raise InputError(
            [
                Problem(
                    "cannot be written to",
                    found="-",
                    path="--write",
                    fix="name the files instead of a stream",
                )
            ]
        )
    files = fixed_files(outcome, texts)
    if write:
        write_files(files)
    else:
        show_diffs(files)
    by_hand = sum(not finding.fix.automatic for finding in outcome.findings)
    err().print(
        f"{by_hand} finding{'s' * (by_hand != 1)} without a patch; `stoker audit` lists them", markup=False
    )
