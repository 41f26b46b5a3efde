"""Traces in Parquet, with the columns of our own CSV (``stoker[parquet]``)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stoker.errors import InputError, Problem, StokerError

__all__ = ["read_parquet"]


def read_parquet(path: Path, columns: Callable[[], Any]) -> Any:
    """Read row group by row group into ``columns()``.

    Raises:
        InputError: no Parquet file, or columns missing.
        StokerError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise StokerError("reading Parquet needs pyarrow", fix="pip install 'stoker[parquet]'") from error
    found = columns()
    try:
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            time = "arrival_s" if "arrival_s" in names else "timestamp"
            missing = {time, "input_tokens", "output_tokens"} - names
            if missing:
                raise InputError(
                    [
                        Problem(
                            "columns are missing",
                            file=str(path),
                            found=", ".join(sorted(names))[:80],
                            wanted=", ".join(sorted(missing)),
                        )
                    ]
                )
            extra = [name for name in ("model", "tenant") if name in names]
            for batch in file.iter_batches(columns=[time, "input_tokens", "output_tokens", *extra]):
                _add(batch, time, extra, found)
    except pa.ArrowException as error:
        raise InputError([Problem(f"no Parquet file: {error}", file=str(path))]) from error
    return found


def _add(batch: Any, time: str, extra: list[str], found: Any) -> None:
    stamps = batch.column(time).to_numpy(zero_copy_only=False)
    if np.issubdtype(stamps.dtype, np.datetime64):
        seconds = stamps.astype("datetime64[us]").astype(np.int64) / 1e6
        stamps = np.where(np.isnat(stamps), np.nan, seconds)
    found.times.append(stamps.astype(np.float64))
    for name, parts in (("input_tokens", found.prompts), ("output_tokens", found.answers)):
        parts.append(batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64))
    for name, parts, known in (
        ("model", found.models, found.model_names),
        ("tenant", found.tenants, found.tenant_names),
    ):
        if name in extra:
            values = [known.setdefault(str(value), len(known)) for value in batch.column(name).to_pylist()]
            parts.append(np.array(values, np.int16))
