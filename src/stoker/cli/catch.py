"""`stoker catch`: a receiver of pages that wakes nobody, for rehearsals of alert routing."""

import contextlib
import signal
import time
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.output import Output, OutputOption, out
from stoker.errors import InputError, Problem, StokerError

if TYPE_CHECKING:
    from stoker.pages import Notification

__all__ = ["catch"]


def catch(
    *,
    listen: Annotated[
        str, typer.Option(help="Address and port, on this machine only; port 0 takes any that is free.")
    ] = "127.0.0.1:9999",
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            min=0.1,
            help="Ends after so many seconds.  [default: when interrupted]",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take what Alertmanager sends to PagerDuty, Opsgenie, Slack, webhooks and by mail, and print it as it comes.

    Point a receiver's URL at it: http://ADDRESS/v2/enqueue for PagerDuty, http://ADDRESS/ for Opsgenie, http://ADDRESS/slack,
    http://ADDRESS/webhook; ADDRESS itself is a mail server. GET http://ADDRESS/pages tells what has come as JSON, which is how
    `stoker rollout` reads it.

    Examples:

        stoker catch

        stoker catch --listen 127.0.0.1:0 --output json
    """
    import asyncio

    host, port = _address(listen)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_catch(host, port, seconds, as_json=output is Output.JSON))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    try:
        is_ours = ip_address(host).is_loopback
        number = int(port)
    except ValueError:
        is_ours, number = False, -1
    if not is_ours or not 0 <= number <= 65535:
        wanted = "an address of this machine and a port, as 127.0.0.1:9999"
        fix = "let the cluster reach it by a tunnel: anybody who can reach it can fill it"
        raise InputError(
            [Problem("is no address to listen on", path="--listen", found=text, wanted=wanted, fix=fix)]
        )
    return host, number


async def _catch(host: str, port: int, seconds: float | None, *, as_json: bool) -> None:
    import asyncio

    from stoker.pages import Catcher

    catcher = Catcher(time.time, time.time, told=_print_json if as_json else _print)
    try:
        await catcher.start(host, port)
    except OSError as error:
        raise StokerError(f"{host}:{port}: {error.strerror or error}", fix="another --listen") from error
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if as_json:
        _line({"listening": f"http://{catcher.host}:{catcher.port}"})
    else:
        out().print(
            f"waiting for pages at http://{catcher.host}:{catcher.port}", markup=False, soft_wrap=True
        )
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    await catcher.stop()


def _print(page: "Notification") -> None:
    when = datetime.fromtimestamp(page.wall, UTC).strftime("%H:%M:%S")
    text = "".join(one if one.isprintable() else " " for one in page.summary)
    out().print(f"{when} {page.kind:<9} {page.action:<9} {text}", markup=False, soft_wrap=True)


def _print_json(page: "Notification") -> None:
    _line(page.as_json())


def _line(document: object) -> None:
    """One document a line, at once: whoever reads waits for it."""
    import json
    import sys

    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()
