"""`stoker init`: a platform file to begin with."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.output import Output, err, print_json
from stoker.cli.source import read_source
from stoker.errors import InputError, Problem, StokerError, UnsafeError

if TYPE_CHECKING:
    from stoker.adopt.ledger import Adopted
    from stoker.platform.template import Question

__all__ = ["init"]


def init(
    *,
    template: Annotated[
        str, typer.Option("--template", "-t", help="minimal, production or guide.")
    ] = "minimal",
    out: Annotated[Path, typer.Option("--out", help="File to write; `-` for standard output.")] = Path(
        "platform.yaml"
    ),
    answer: Annotated[
        list[str] | None, typer.Option("--set", help="Answer a question: KEY=VALUE; may be repeated.")
    ] = None,
    interactive: Annotated[
        bool | None,
        typer.Option(
            "--interactive/--no-interactive",
            help="Ask the template's questions.",
            show_default="on a terminal",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="Adopt what exists: a folder or file of manifests or a dump, `-` for a stream.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            "--context", help="Adopt the live cluster of this kubeconfig context.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="With --from: how to print what is not carried over.")
    ] = Output.TEXT,
) -> None:
    """Write a platform file from a template, or from what exists; on a terminal, ask for what differs from place to place.

    Examples:

        stoker init

        stoker init --template production --out platform.yaml --no-interactive

        stoker init --set nodes=4 --set gpu=H100-SXM-80GB --out -

        stoker init --from manifests/ --out platform.yaml

        kubectl get nodes,deploy,isvc,scaledobject,quota -A -o json | stoker init --from -
    """
    if out != Path("-") and out.exists() and not force:
        raise UnsafeError(f"{out} exists; nothing was changed", fix="name another --out, or pass --force")
    if source is not None or context is not None:
        _adopt(source, context, out, output)
        return
    from stoker.platform.template import questions, render_template

    asked = questions(template)
    answers = _given(answer or [], {question.key for question in asked})
    ask = sys.stdin.isatty() and sys.stdout.isatty() if interactive is None else interactive
    if ask:
        answers |= {question.key: _ask(question) for question in asked if question.key not in answers}
    _write(out, render_template(template, answers))


def _write(out: Path, text: str) -> None:
    if out == Path("-"):
        sys.stdout.write(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StokerError(
            f"{out} cannot be written: {error.strerror}", fix="name a writable --out"
        ) from error
    typer.echo(f"wrote {out}; next: stoker check {out}", err=True)


def _adopt(source: str | None, context: str | None, out: Path, output: Output) -> None:
    """Read what exists, write it as a platform file, tell what is not in it."""
    if out == Path("-") and output is Output.JSON:
        raise InputError(
            [
                Problem(
                    "the file and the notes cannot both go to standard output",
                    path="--output",
                    fix="name a file as --out",
                )
            ]
        )
    from stoker.adopt.adopt import adopt
    from stoker.adopt.text import write
    from stoker.audit.view.view import View
    from stoker.kube.positions import Positions

    snapshot, texts = read_source([] if source is None else [Path(source)], context)
    view = View(snapshot, datetime.now(UTC).date())
    adopted = adopt(view, Positions(texts).line)
    _write(out, write(adopted))
    if output is Output.JSON:
        print_json(
            {
                "file": str(out),
                "assumptions": [asdict(assumption) for assumption in adopted.assumptions],
                "notes": [asdict(note) for note in adopted.notes],
            }
        )
        return
    _tell(adopted)


def _tell(adopted: "Adopted") -> None:
    from rich.text import Text

    from stoker.adopt.text import grouped

    console = err()
    for assumption in adopted.assumptions:
        text = f"{assumption.path}: {assumption.value} ({assumption.because})"
        console.print(Text.assemble(("assumed: ", "bold blue"), text))
    for note, count in grouped(adopted.notes):
        place = f"{note.file}:{note.line}: " if note.line else f"{note.file}: " if note.file else ""
        what = f"{note.object} {note.path}".strip() if note.object != note.file else ""
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        told = f"{place}{what}: {note.message}{more}" if what else f"{place}{note.message}{more}"
        console.print(Text.assemble(("not as it is: ", "bold yellow"), told))


def _given(pairs: list[str], known: set[str]) -> dict[str, str]:
    answers: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in known:
            raise InputError(
                [
                    Problem(
                        "is no answer to this template",
                        path="--set",
                        found=pair[:80],
                        wanted=f"KEY=VALUE with a key of: {', '.join(sorted(known)) or 'none'}",
                    )
                ]
            )
        answers[key] = value
    return answers


def _ask(question: "Question") -> str:
    while True:
        value = str(typer.prompt(question.prompt, default=question.default, err=True))
        fault = question.fault(value)
        if not fault:
            return value
        typer.echo(f"  {fault}", err=True)
