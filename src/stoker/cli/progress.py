"""A progress bar on stderr for long work; nothing where stderr is no terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Tell", "progress_bar"]


class Tell(Protocol):
    """Called with what is done so far, and with other words where those of the bar change."""

    def __call__(self, done: float, words: str | None = None, /) -> None: ...


@contextmanager
def progress_bar(words: str, total: float | None) -> Iterator[Tell]:
    """Yields a function to call with what is done so far, of ``total``, or of an unknown amount."""
    if not sys.stderr.isatty():
        yield lambda _, __=None: None
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
        yield lambda done, words=None: bar.update(task, completed=done, description=words)
