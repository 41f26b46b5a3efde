"""`stoker demo`: the whole way on one machine, nothing faked."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from stoker.errors import ExitCode, InputError, Problem

__all__ = ["demo"]


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for evidence, report and the lab's logs.")] = Path(
        "out/demo"
    ),
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the report in a browser at the end.")
    ] = True,
    speed: Annotated[
        float, typer.Option(min=1, max=200, help="How many times faster than the wall the lab runs.")
    ] = 60.0,
    seed: Annotated[int, typer.Option(help="Of traffic and gates.")] = 0,
) -> None:
    """Play the whole way on this machine: a cluster full of mistakes, its audit, four weeks with every gate, a canary, an incident.

    Needs no cluster: it runs on the lab, and everything that is told is measured there. Leaves OUT/evidence.json and
    OUT/report.html. Exits with 0 only if every gate has passed.

    Examples:

        stoker demo

        stoker demo --out /tmp/demo --no-open --speed 30
    """
    from stoker.demo.stage import Stage
    from stoker.demo.story import play

    folder = out.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            [
                Problem(
                    "is not empty",
                    path="--out",
                    found=str(out),
                    wanted="a new or empty folder",
                    fix=f"rm -r {out}, or another --out",
                )
            ]
        )
    folder.mkdir(parents=True, exist_ok=True)
    voice = _Voice(folder)
    stage = Stage(folder, speed, seed, voice.say)
    try:
        passed = play(stage)
    finally:
        stage.close()
        voice.close()
    page = folder / "report.html"
    if open_page and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(page.as_uri())
    if not passed:
        raise typer.Exit(ExitCode.FINDINGS)


class _Voice:
    """Tells on the terminal, and keeps what was told."""

    def __init__(self, folder: Path) -> None:
        from stoker.cli.output import out

        self._console = out()
        self._file = (folder / "demo.log").open("w", encoding="utf-8")
        self._began = time.monotonic()

    def say(self, kind: str, words: str) -> None:
        took = time.monotonic() - self._began
        shown = {"act": f"\n{words}", "command": f"$ {words}", "output": f"  {words}"}.get(kind, words)
        style = {"act": "bold", "command": "cyan", "output": "dim"}.get(kind, "")
        self._console.print(shown, style=style, markup=False)
        self._file.write(f"{took:7.1f} {shown.strip()}\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
