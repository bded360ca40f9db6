"""Parser of Parquet to rows of text, in pieces; contracts then type them like other deliveries."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.sources.parsing.typed_text import as_texts
from headrace.sources.rows import Malformed, RawRows, no_rows

PIECE = 131_072  # rows per piece


def parquet_rows(payload: bytes) -> RawRows:
    """Parse a Parquet file that fits in memory; rows are numbered as lines 1, 2, …"""
    return joined(list(pieces(io.BytesIO(payload))))


def pieces(handle: Any, size: int = PIECE) -> Iterator[RawRows]:  # noqa: ANN401
    """Yield the rows of a seekable Parquet file, `size` at a time; an empty file gives one piece.

    A column that cannot be converted to text is reported in `malformed`, as is a file without a
    footer.
    """
    try:
        file = pq.ParquetFile(handle)
    except (pa.ArrowInvalid, OSError) as error:
        yield no_rows(Malformed(1, "", f"no whole Parquet file: {str(error).splitlines()[0]}"))
        return
    first = 0
    for batch in file.iter_batches(size):
        yield _piece(pa.Table.from_batches([batch]), first)
        first += batch.num_rows
    if not first:
        yield _piece(file.schema_arrow.empty_table(), 0)


def _piece(table: pa.Table, first: int) -> RawRows:
    texts, unreadable = as_texts(table)
    lines = np.arange(first + 1, first + 1 + table.num_rows, dtype=np.int64)
    malformed = tuple(
        Malformed(first + 1, name, f"column {name} holds {why}") for name, why in unreadable.items()
    )
    return RawRows(texts, lines, tuple(texts.column_names), malformed, table.num_rows)


def joined(parts: list[RawRows]) -> RawRows:
    """Concatenate the pieces of one file."""
    return RawRows(
        pa.concat_tables([part.table for part in parts]),
        np.concatenate([part.lines for part in parts]),
        parts[0].columns,
        tuple(dict.fromkeys(problem for part in parts for problem in part.malformed)),
        sum(part.delivered for part in parts),
    )
