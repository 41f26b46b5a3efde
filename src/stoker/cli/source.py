"""What a command reads: files, a stream, or a live cluster."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.cli.output import err
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.kube.snapshot import Snapshot

__all__ = ["read_source"]


def read_source(
    sources: Sequence[Path],
    context: str | None,
    *,
    kubeconfig: Path | None = None,
    namespaces: Sequence[str] = (),
    complete: bool = False,
) -> "tuple[Snapshot, dict[str, bytes]]":
    """What is there, and the bytes of a stream by its name: it cannot be read again.

    Args:
        sources: files and folders, or ``-`` alone for standard input; the live cluster where there are none.
        context: of the kubeconfig, for a live cluster; the current one where None.
        kubeconfig: file, for a live cluster; KUBECONFIG or ~/.kube/config where None.
        namespaces: to read of a live cluster; all where empty.
        complete: the user says that the sources hold all there is.

    Raises:
        InputError: a source does not exist, or does not go with what else was asked for.
        StokerError: the cluster cannot be read.
    """
    from stoker.kube.read import read_paths, read_text

    if not sources:
        from stoker.kube.live import read_cluster

        with err().status("reading the cluster") as status:
            snapshot = read_cluster(
                context,
                kubeconfig=str(kubeconfig) if kubeconfig else None,
                namespaces=namespaces,
                progress=lambda what: status.update(f"reading {what}"),
            )
        return snapshot, {}
    live = [option for option, given in (("--context", context), ("--namespace", namespaces)) if given]
    if live:
        path = "/".join(live)
        text = "reads a live cluster, and a source is named too"
        raise InputError([Problem(text, path=path, fix="leave one out")])
    if Path("-") in sources:
        if len(sources) > 1:
            text = "cannot stand beside other sources"
            raise InputError([Problem(text, found="-", fix="pipe one stream, or name files")])
        data = sys.stdin.buffer.read()
        return read_text(data, "-", closed=complete), {"-": data}
    with err().status("reading"):
        return read_paths(sources, closed=complete), {}
