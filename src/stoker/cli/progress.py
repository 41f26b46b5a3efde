"""A progress bar on stderr for long work; nothing where stderr is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Narration", "narration", "progress_bar"]


@contextmanager
def progress_bar(words: str, total: float | None) -> Iterator[Callable[[float], None]]:
    """Yields a function to call with what is done so far, of ``total``, or of an unknown amount."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)


class Narration:
    """Lines that stay, and on a terminal a bar with what goes on below them."""

    def __init__(self, say: Callable[[str], None], at: Callable[[int, str], None]) -> None:
        self.say = say
        """A line that stays."""
        self.at = at
        """So many are done, and this goes on; shown on a terminal only."""


@contextmanager
def narration(total: int | None) -> Iterator[Narration]:
    """Tell a long piece of work on stderr: a bar on a terminal, of ``total`` or an unknown amount, plain lines without one."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not sys.stderr.isatty():
        yield Narration(lambda text: console.print(text, markup=False), lambda _, __: None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        BarColumn(),
        *(() if total is None else (MofNCompleteColumn(),)),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)
        yield Narration(
            lambda text: bar.console.print(text, markup=False),
            lambda done, words: bar.update(task, completed=done, description=words),
        )
