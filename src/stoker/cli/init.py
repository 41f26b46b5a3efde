"""`stoker init`: a platform file to begin with."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.errors import InputError, Problem, StokerError, UnsafeError

if TYPE_CHECKING:
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
) -> None:
    """Write a platform file from a template; on a terminal, ask for what differs from place to place.

    Examples:

        stoker init

        stoker init --template production --out platform.yaml --no-interactive

        stoker init --set nodes=4 --set gpu=H100-SXM-80GB --out -
    """
    from stoker.platform.template import questions, render_template

    asked = questions(template)
    answers = _given(answer or [], {question.key for question in asked})
    if out != Path("-") and out.exists() and not force:
        raise UnsafeError(f"{out} exists; nothing was changed", fix="name another --out, or pass --force")
    ask = sys.stdin.isatty() and sys.stdout.isatty() if interactive is None else interactive
    if ask:
        answers |= {question.key: _ask(question) for question in asked if question.key not in answers}
    text = render_template(template, answers)
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
