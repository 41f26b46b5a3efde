"""`stoker lab`: an embedded cluster on loopback that kubectl believes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.choices import one_of
from stoker.cli.durations import seconds_of
from stoker.cli.output import Output, OutputOption, out, print_json
from stoker.errors import ExitCode, StokerError, UnreachableError

if TYPE_CHECKING:
    from stoker.lab.options import LabOptions
    from stoker.lab.state import LabState, Running

__all__ = ["lab_app"]

lab_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="An embedded cluster on loopback that kubectl believes."
)

_START_S = 60.0
_STOP_S = 15.0

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Folder of the lab.  [default: ~/.local/state/stoker/lab]", show_default=False
    ),
]


def _state(folder: Path | None) -> "LabState":
    from stoker.lab.state import LabState, default_state

    return LabState((folder or default_state()).absolute())


def _running(state: "LabState") -> "Running":
    running = state.running()
    if running is None:
        raise UnreachableError(f"no lab runs on {state.folder}", fix="stoker lab up")
    return running


@lab_app.command(short_help="Start a cluster; returns when it is ready.")
def up(
    *,
    nodes: Annotated[
        list[str] | None,
        typer.Option(
            help="Shapes of nodes, as 48x8xA100-80GB or 3xcpu.  [default: 2x8xA100-80GB, 3xcpu beside a platform's pools]",
            show_default=False,
        ),
    ] = None,
    platform: Annotated[
        Path | None,
        typer.Option(help="A platform file whose pools become nodes.", exists=True, dir_okay=False),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(min=0.1, max=1000.0, help="Everything runs so many times faster than the wall's clock."),
    ] = 1.0,
    state: StateOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API; 0 takes any that is free.")] = 0,
    device_plugin: Annotated[
        bool,
        typer.Option(
            "--device-plugin/--no-device-plugin",
            help="GPUs are advertised from the start, or only where a device plugin's pod runs.",
        ),
    ] = True,
    crds: Annotated[
        bool,
        typer.Option("--crds/--no-crds", help="KEDA, KServe, Knative, Gateway API and Prometheus Operator."),
    ] = True,
    metrics: Annotated[
        bool, typer.Option("--metrics/--no-metrics", help="Prometheus and Alertmanager beside it.")
    ] = True,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start an embedded Kubernetes cluster on 127.0.0.1; objects of an earlier one in the same folder are there again.

    Examples:

        stoker lab up

        stoker lab up --nodes 48x8xA100-80GB --nodes 3xcpu --speed 10

        export KUBECONFIG=$(stoker lab kubeconfig); kubectl get nodes
    """
    from stoker.lab.options import LabOptions

    found = _state(state)
    found.prepare()
    running = found.running()
    if running is not None:
        raise StokerError(
            f"a lab runs on {found.folder} already (process {running.pid}, port {running.port})",
            fix="stoker lab down, or another --state",
        )
    shapes = (
        tuple(nodes) if nodes is not None else (("3xcpu",) if platform is not None else ("2x8xA100-80GB",))
    )
    options = LabOptions(
        nodes=shapes,
        platform="" if platform is None else str(platform.absolute()),
        device_plugin=device_plugin,
        crds=crds,
        metrics=metrics,
        speed=speed,
        port=port,
    )
    begin = time.monotonic()
    told = _launch(found, options)
    document = {
        "port": told["port"],
        "kubeconfig": str(found.kubeconfig),
        "state": str(found.folder),
        "speed": speed,
        "nodes": list(shapes),
        "seconds": round(time.monotonic() - begin, 3),
        "notes": told.get("notes", []),
    }
    if output is Output.JSON:
        print_json(document)
        return
    out().print(
        f"ready in {document['seconds']:.1f} s: https://127.0.0.1:{told['port']}"
        + (f", {speed:g} times as fast as the wall" if speed != 1 else "")
    )
    for note in document["notes"]:
        out().print(f"note: {note}", markup=False)
    out().print(f"export KUBECONFIG={found.kubeconfig}", markup=False, soft_wrap=True)


def _launch(state: "LabState", options: "LabOptions") -> dict[str, Any]:
    """Start the process and wait for its word."""
    import json
    import select

    import msgspec

    reader, writer = os.pipe()
    command = [
        sys.executable, "-m", "stoker.lab.process", "--state", str(state.folder),
        "--options", msgspec.json.encode(options).decode(), "--ready-fd", str(writer),
    ]  # fmt: skip
    with state.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module, arguments as a list
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as words:
        ready, _, _ = select.select([words], [], [], _START_S)
        line = words.readline() if ready else ""
    if not line:
        if process.poll() is None:
            process.terminate()
        raise StokerError("the lab did not start", fix=f"{state.log} says why")
    told: dict[str, Any] = json.loads(line)
    if "error" in told:
        process.wait(timeout=_STOP_S)
        raise StokerError(told["error"], fix=told.get("fix", ""))
    return told


@lab_app.command(short_help="Stop it; its objects stay in the folder.")
def down(*, state: StateOption = None, output: OutputOption = Output.TEXT) -> None:
    """Stop the lab. Nothing is left running; `lab up` on the same folder brings its objects back.

    Examples:

        stoker lab down
    """
    found = _state(state)
    running = found.running()
    stopped = running is not None
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while running.is_alive:
            if time.monotonic() > deadline:
                os.kill(running.pid, signal.SIGKILL)
                time.sleep(0.1)
                break
            time.sleep(0.02)
    found.clear_running()
    if output is Output.JSON:
        print_json({"stopped": stopped, "state": str(found.folder)})
    else:
        out().print("stopped" if stopped else f"no lab runs on {found.folder}", markup=False, soft_wrap=True)


@lab_app.command(short_help="Print the path of its kubeconfig.")
def kubeconfig(*, state: StateOption = None) -> None:
    """Print the path of the lab's kubeconfig, for KUBECONFIG.

    Examples:

        export KUBECONFIG=$(stoker lab kubeconfig)
    """
    found = _state(state)
    _running(found)
    typer.echo(str(found.kubeconfig))


@lab_app.command(short_help="Does it run, and what is in it?")
def status(*, state: StateOption = None, output: OutputOption = Output.TEXT) -> None:
    """Say whether the lab runs and what is in it; exits with 3 where none does.

    Examples:

        stoker lab status --output json
    """
    found = _state(state)
    running = found.running()
    if running is None:
        if output is Output.JSON:
            print_json({"running": False, "state": str(found.folder)})
        else:
            out().print(f"no lab runs on {found.folder}", markup=False, soft_wrap=True)
        raise typer.Exit(int(ExitCode.UNREACHABLE))
    counts = _counts(found)
    document = {
        "running": True,
        "state": str(found.folder),
        "pid": running.pid,
        "port": running.port,
        "speed": running.speed,
        "started": running.started,
        "kubeconfig": str(found.kubeconfig),
        **counts,
    }
    if output is Output.JSON:
        print_json(document)
        return
    for key, value in document.items():
        out().print(f"{key:<12} {value}", markup=False, soft_wrap=True)


@lab_app.command(short_help="Break something, or mend it.")
def fault(
    kind: Annotated[
        str | None,
        typer.Argument(help="What; none lists what is broken and what can be.", show_default=False),
    ] = None,
    target: Annotated[
        str, typer.Argument(help="A node, NAMESPACE/POD, or a queue as kafka/TOPIC.", show_default=False)
    ] = "",
    *,
    value: Annotated[
        float | None,
        typer.Option(help="How much: a share, a factor, a code.  [default: the kind's]", show_default=False),
    ] = None,
    lasting: Annotated[
        str,
        typer.Option(
            "--for", help="Mends itself after this time of the lab's clock, as 90s, 5m.", show_default=False
        ),
    ] = "",
    off: Annotated[bool, typer.Option("--off", help="Mend it.")] = False,
    state: StateOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Break a node, an engine, a GPU, storage, Prometheus or the API itself, and see what holds.

    Examples:

        stoker lab fault node a100-sxm-80gb-0 --for 5m

        stoker lab fault kv-cache ai-production/llama3-70b-5f45cf5f6d-zp2jw --value 0.98

        stoker lab fault api-500 --value 0.3

        stoker lab fault api-500 --off
    """
    from stoker.lab.asking import ask
    from stoker.lab.fault_kinds import KINDS

    found = _state(state)
    _running(found)
    body: dict[str, Any] | None = None
    if kind is not None:
        one_of("KIND", kind, tuple(KINDS))
        seconds = seconds_of("--for", lasting or None) or 0.0
        body = {"kind": kind, "target": target, "value": value, "on": not off, "seconds": seconds}
    told = ask(found.kubeconfig, "/lab/faults", body)
    if output is Output.JSON:
        print_json(told)
        return
    for one in told["faults"]:
        out().print(f"{one['kind']} {one['target']} {one['value']:g}", markup=False)
    if not told["faults"]:
        out().print("nothing is broken")
    if kind is None:
        for name, text in KINDS.items():
            out().print(f"  {name:<12} {text}", markup=False)


def _counts(state: "LabState") -> dict[str, int]:
    """Nodes and pods, asked of the API as any client would."""
    from stoker.lab.asking import count

    return {kind: count(state.kubeconfig, f"/api/v1/{kind}") for kind in ("nodes", "pods")}
