"""The lab's own process: `python -m stoker.lab.process`, started and left alone by `stoker lab up`.

It tells its parent one line when it is ready, or why it is not, and then works until a signal ends it. Nothing of it is left
when it has ended: children die with it, and the folder says that no lab runs.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from stoker.errors import StokerError
from stoker.lab.options import LabOptions
from stoker.lab.running import RunningLab
from stoker.lab.state import LabState, Running

__all__ = ["main"]

log = logging.getLogger("stoker.lab")

Tell = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run a lab until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--options", required=True, help="LabOptions as JSON")
    parser.add_argument("--ready-fd", type=int, required=True)
    arguments = parser.parse_args()
    state = LabState(arguments.state)
    logging.basicConfig(
        filename=state.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # A line for each question to Prometheus would fill a disk in a week.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    options = msgspec.json.decode(arguments.options, type=LabOptions)
    tell = _teller(arguments.ready_fd)
    # JSON that is decoded comes by the ten thousand values, all alive: looking through them for cycles at Python's own
    # thresholds takes most of the time of a start with many custom resources.
    gc.set_threshold(50_000, 20, 100)
    try:
        import uvloop

        uvloop.run(_run(state, options, tell))
    except StokerError as error:
        log.error("%s", error)  # noqa: TRY400  # what the user did is no traceback
        tell({"error": str(error), "fix": error.fix, "exit": int(error.exit_code)})
        sys.exit(int(error.exit_code))
    except Exception as error:
        log.exception("the lab ends")
        tell(
            {
                "error": f"{type(error).__name__}: {error}",
                "fix": f"{state.log} has the whole of it",
                "exit": 2,
            }
        )
        raise
    finally:
        state.clear_running()


def _teller(descriptor: int) -> Tell:
    """One line to the parent; later words go to the log only."""
    parent = os.fdopen(descriptor, "w", encoding="utf-8")

    def tell(message: dict[str, Any]) -> None:
        if parent.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            parent.write(json.dumps(message) + "\n")
            parent.close()

    return tell


async def _run(state: LabState, options: LabOptions, tell: Tell) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lab = RunningLab(state, options)
    try:
        await lab.start()
        gc.freeze()  # what is there now stays to the end
        running = Running(os.getpid(), lab.port, options.speed, lab.lab.cluster.now(), list(options.nodes))
        state.set_running(running)
        tell({"port": lab.port})
        await lab.wait(stop)
    finally:
        await lab.stop()


if __name__ == "__main__":
    main()
