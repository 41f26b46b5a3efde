"""Rows of Parquet traces, batch by batch (``stoker[parquet]``): any of the known columns, our own first of all."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem, StokerError
from stoker.twin.workload.trace.columns import Columns, Names, Rows
from stoker.twin.workload.trace.fields import EPOCH
from stoker.twin.workload.trace.formats import Format, recognise

__all__ = ["read_parquet"]

_BATCH: Final = 1 << 17
_NANOSECONDS: Final = 1e-9


def read_parquet(path: Path, columns: Columns, progress: Any) -> Format:
    """Read every row into ``columns``; ``progress`` is called with the rows read so far.

    Raises:
        InputError: no Parquet file, columns missing, or of a type that holds no such thing.
        StokerError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise StokerError("reading Parquet needs pyarrow", fix="pip install 'stoker[parquet]'") from error
    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            used, where = recognise(names, str(path))
            chosen = {field: names[index] for field, index in where.items()}
            for batch in file.iter_batches(_BATCH, columns=list(chosen.values())):
                columns.add(_rows(batch, chosen, columns))
                if progress is not None:
                    progress(columns.rows)
    except pa.ArrowException as error:
        raise InputError(
            [Problem(f"no Parquet file: {error}", file=str(path), fix="write it again, or export it as CSV")]
        ) from error
    return used


def _rows(batch: Any, chosen: dict[str, str], columns: Columns) -> Rows:
    def column(field: str) -> Any:
        return batch.column(chosen[field])

    ids, lengths = _prefixes(column("prefix")) if "prefix" in chosen else (None, None)
    return Rows(
        time=_times(column("time")),
        input=_floats(column("input")),
        output=_floats(column("output")),
        line=np.arange(columns.rows + 1, columns.rows + 1 + batch.num_rows),
        model=_named(column("model"), columns.models) if "model" in chosen else None,
        tenant=_named(column("tenant"), columns.tenants) if "tenant" in chosen else None,
        prefix=ids,
        prefix_lengths=lengths,
    )


def _floats(values: Any) -> NDArray[np.float64]:
    """Numbers, NaN where there is none; texts that are numbers too."""
    import pyarrow as pa

    found: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _times(values: Any) -> NDArray[np.float64]:
    """Seconds: a timestamp's since `EPOCH`, of any unit and zone; a number as it is."""
    import pyarrow as pa

    if not pa.types.is_timestamp(values.type):
        return _floats(values)
    count = values.cast(pa.timestamp("ns", tz=values.type.tz)).cast(pa.int64())
    zero = int(EPOCH.astype("datetime64[ns]").astype(np.int64))
    whole = np.asarray(count.fill_null(zero)) - zero
    missing = np.asarray(count.is_null())
    return np.where(missing, np.nan, whole * _NANOSECONDS)


def _named(values: Any, names: Names) -> NDArray[np.int16]:
    """Only the different names become Python objects."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        values = values.cast(pa.string()).fill_null("").dictionary_encode()
    known = ["" if name is None else str(name) for name in values.dictionary.to_pylist()]
    index = np.asarray(values.indices.fill_null(len(known)))
    numbers: NDArray[np.int16] = names.numbers([*known, ""] if values.null_count else known)[index]
    return numbers


def _prefixes(values: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists of numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)):
        raise pa.ArrowTypeError(f"column prefix is {values.type}, not a list of int64")
    flat: NDArray[np.int64] = np.asarray(values.flatten().cast(pa.int64()))
    lengths = np.asarray(pc.list_value_length(values).fill_null(0)).astype(np.int64)
    return flat, lengths
