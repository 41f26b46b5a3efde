"""The cluster that a command works on: its options, and the open door."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.output import err

if TYPE_CHECKING:
    from stoker.kube.cluster import Cluster

__all__ = ["ContextOption", "KubeconfigOption", "the_cluster"]

ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context", help="Context of the kubeconfig; the current one where absent.", show_default=False
    ),
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="File; KUBECONFIG or ~/.kube/config where absent.", show_default=False),
]


@contextmanager
def the_cluster(context: str | None, kubeconfig: Path | None) -> "Iterator[Cluster]":
    """Open the cluster; waits for a busy server are told on stderr.

    Raises:
        StokerError: the kubeconfig cannot be used.
    """
    from stoker.kube.cluster import open_cluster

    console = err()
    with open_cluster(
        context,
        kubeconfig=str(kubeconfig) if kubeconfig else None,
        told=lambda text: console.print(text, style="dim", markup=False),
    ) as cluster:
        yield cluster
