"""Speed of apply and of a plan without changes on a thousand objects of a platform, against a lab on the same machine."""

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from lab import running
from stoker.kube.cluster import open_cluster
from stoker.platform.load import loads
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform
from stoker.upgrades.objects import Emitted, ordered

BIN = Path(sys.executable).parent


def _timed(*arguments: object, expect: int) -> float:
    begin = time.perf_counter()
    done = subprocess.run([BIN / "stoker", *map(str, arguments)], check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode != expect:
        raise RuntimeError(f"{arguments}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def _bare(kubeconfig: Path, wanted: list[Emitted]) -> float:
    begin = time.perf_counter()
    with open_cluster(kubeconfig=str(kubeconfig)) as cluster:
        for _, group in groupby(wanted, key=lambda item: item.wave):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda item: cluster.apply(item.object), group))
    return time.perf_counter() - begin


def bench_apply(text: str) -> None:
    """Whole processes, from the file to the last object written; reference: the bare requests of one apply of the objects."""
    wanted = ordered(compile_platform(resolve(loads(text))))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "platform.yaml"
        file.write_text(text)
        with running("48x8xA100-80GB") as (kubeconfig, _, _pid):
            where = ("--kubeconfig", kubeconfig)
            first = _timed("plan", file, *where, expect=1)
            # Engines take minutes to load at the wall's speed: what is measured is applying, not their start.
            applied = _timed("apply", file, *where, "--no-wait", "--yes", expect=0)
            same = min(_timed("plan", file, *where, expect=0) for _ in range(3))
            again = min(_timed("apply", file, *where, "--no-wait", expect=0) for _ in range(3))
        with running("48x8xA100-80GB") as (kubeconfig, _, _pid):
            reference = _bare(kubeconfig, wanted)
    print(
        f"apply of {len(wanted)} objects, recorded before and after: {applied:.1f} s (bar: 20 s for 1,000); lab"
    )
    print(
        f"  first plan {first:.2f} s; plan without changes {same:.2f} s (bar: 3 s); apply without changes {again:.2f} s"
    )
    print(
        f"  reference, its bare server-side applies in this process: {reference:.1f} s; apply / reference = {applied / reference:.2f}"
    )
