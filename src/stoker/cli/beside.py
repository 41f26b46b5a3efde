"""Work in a process of its own while this one waits for a server: Python's threads would share one core."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["beside"]

Out = TypeVar("Out")


@contextmanager
def beside(work: Callable[[], Out]) -> Iterator[Callable[[], Out]]:
    """Begin ``work`` in a child; yields a function that waits for what came of it. Enter it before any thread begins.

    Where forking is not safe (not on Linux), the work is done when it is asked for. An error of the child is raised by the
    function; a child that is no longer needed is ended.
    """
    if sys.platform != "linux":
        yield work
        return
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def run() -> None:
        try:
            writer.send((work(), None))
        except Exception as error:  # noqa: BLE001  # it is raised again by the parent
            writer.send((None, error))

    child = context.Process(target=run, daemon=True)
    child.start()
    writer.close()  # so that a child that died is an end of file here, and no wait without end
    try:

        def answer() -> Out:
            try:
                found, error = reader.recv()
            except EOFError:
                return work()
            if error is not None:
                raise error
            result: Out = found
            return result

        yield answer
    finally:
        reader.close()
        child.terminate()
        child.join()
