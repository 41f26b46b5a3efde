"""The run over time as a file: Parquet, for which pyarrow must be installed, or CSV."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stoker.errors import InputError, Problem, StokerError
from stoker.twin.fleet.simulation import FleetRun

__all__ = ["check_series", "write_series"]


def check_series(path: Path) -> None:
    """Refuse what `write_series` could not write, before there is a run.

    Raises:
        InputError: another ending.
        StokerError: Parquet without pyarrow.
    """
    if path.suffix not in {".parquet", ".csv"}:
        raise InputError(
            [
                Problem(
                    "unknown ending",
                    path="--series",
                    found=path.name,
                    wanted=".parquet or .csv",
                    fix=f"--series {path.with_suffix('.csv')}" if path.name else "--series run.csv",
                )
            ]
        )
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise StokerError(
            "writing Parquet needs pyarrow", fix="pip install 'stoker[parquet]', or --series FILE.csv"
        )


def write_series(run: FleetRun, path: Path, *, parquet: bool) -> None:
    """Write one row per sample and workload to ``path``, as Parquet or as CSV."""
    columns = run.series.workloads()
    cluster = run.series.cluster()
    count = max(1, len(run.routes))
    names = [run.routes[int(number)].spec.name for number in columns.pop("workload")]
    table: dict[str, list[Any]] = {"time_s": columns.pop("time_s").tolist(), "workload": names}
    for name, values in columns.items():
        table[name] = values.tolist()
    for name, values in cluster.items():
        if name != "time_s":
            table[f"cluster_{name}"] = values.repeat(count).tolist()
    if parquet:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(table), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
