"""``python -m stoker.lab.serving --socket PATH``: the process that runs the lab's containers."""

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

# The engine's arithmetic runs interpreted here: importing numba takes longer than this process may take to start.
os.environ["STOKER_INTERPRETED"] = "1"


def main() -> None:
    """Listen on the socket until SIGTERM, or until whoever started this is gone."""
    parser = argparse.ArgumentParser(prog="python -m stoker.lab.serving", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    parser.add_argument(
        "--parent",
        type=int,
        default=0,
        help="process whose end ends this one; the one that started it by default",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    parent = options.parent or os.getppid()
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    run(_run(options.socket, parent))


async def _run(path: Path, parent: int) -> None:
    from stoker.lab.serving.process import serve

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(path, stop, parent)


if __name__ == "__main__":
    main()
