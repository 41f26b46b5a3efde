"""The run over time as a file: Parquet where pyarrow is installed, else CSV."""

import csv
from pathlib import Path
from typing import Any

from stoker.errors import InputError, Problem, StokerError
from stoker.twin.fleet.simulation import FleetRun

__all__ = ["write_series"]


def write_series(run: FleetRun, path: Path) -> None:
    """Write one row per sample and workload to ``path``: ``.parquet`` or ``.csv``.

    Raises:
        InputError: another ending.
        StokerError: Parquet without pyarrow.
    """
    columns = run.series.workloads()
    cluster = run.series.cluster()
    count = max(1, len(run.routes))
    names = [run.routes[int(number)].spec.name for number in columns.pop("workload")]
    table: dict[str, list[Any]] = {"time_s": columns.pop("time_s").tolist(), "workload": list(names)}
    for name, values in columns.items():
        table[name] = list(values.tolist())
    for name, values in cluster.items():
        if name != "time_s":
            table[f"cluster_{name}"] = values.repeat(count).tolist()
    if path.suffix == ".parquet":
        _parquet(table, path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table)
            writer.writerows(zip(*table.values(), strict=True))
    else:
        raise InputError(
            [Problem("unknown ending", path="--series", found=path.name, wanted=".parquet or .csv")]
        )


def _parquet(table: dict[str, list[Any]], path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise StokerError(
            "writing Parquet needs pyarrow", fix="pip install 'stoker[parquet]', or --series FILE.csv"
        ) from error
    pq.write_table(pa.table(table), path)
