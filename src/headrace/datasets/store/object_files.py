"""Open the objects of a release, and refuse those that do not match the manifest.

The checks here use the size and the footer of a file; `headrace.datasets.store.verify` reads all
its bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import HeadraceError, StateError
from headrace.datasets.dtypes import schema_of
from headrace.datasets.manifest import Manifest, Part
from headrace.datasets.store.store import Store

# Maximum bytes of text in one column of a row group: on average 64 KiB a cell (65,536 rows).
MOST_UNFOLDED = 4 << 30
_MAX_COLUMNS = 50
_FIX = "restore it from a copy of the store, or rebuild the release"


def opened_part(store: Store, manifest: Manifest, part: Part) -> pq.ParquetFile:
    """Open the file of a part, to be closed by the caller.

    Raises:
        StateError: the file is missing, a link, of a different size or not Parquet, or its footer
            disagrees with the manifest on rows or columns.
    """
    name = store.object_name(part.object, "parquet")
    where = f"{manifest.ref}, {store.storage.address}/{name}"
    size = store.storage.size(name)
    if size != part.bytes:
        actual = "missing" if size is None else f"{size} bytes"
        raise StateError(
            f"object {part.object[:12]} is {actual}, not {part.bytes} bytes", where=where, fix=_FIX
        )
    with reading(part, where):
        file = pq.ParquetFile(store.storage.open(name))
        if problem := footer_problem(manifest, part, file):
            file.close()
            raise StateError(
                f"object {part.object[:12]} does not belong to this release: {problem}",
                where=where,
                fix=_FIX,
            )
    return file


@contextmanager
def reading(part: Part, where: str) -> Iterator[None]:
    """Turn errors of the Parquet reader on a broken file into a StateError."""
    try:
        yield
    except HeadraceError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise StateError(
            f"object {part.object[:12]} cannot be read: {str(error)[:300]}", where=where, fix=_FIX
        ) from error


def footer_problem(manifest: Manifest, part: Part, file: pq.ParquetFile) -> str:
    """Difference between a footer and the manifest; "" if they agree."""
    footer = file.metadata
    if footer.num_rows != part.rows:
        return f"it has {footer.num_rows} rows, not {part.rows}"
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    if sum(group.num_rows for group in groups) != part.rows:
        return "its row groups do not add up to its rows"
    expected = schema_of(manifest.columns)
    if not file.schema_arrow.equals(expected):
        columns = (f"{field.name} {field.type}" for field in list(file.schema_arrow)[:_MAX_COLUMNS])
        return f"it has the columns {', '.join(columns)}"
    return ""


def check_unfolding(file: pq.ParquetFile, group: int) -> None:
    """Raise ValueError for a row group whose decoded texts would exhaust memory.

    `file` must read text columns as dictionaries.
    """
    import pyarrow.compute as pc  # imported late: opening a release does not need it

    for name in file.schema_arrow.names:
        column = file.schema_arrow.field(name).type
        if not pa.types.is_dictionary(column):
            continue
        size = 0
        for chunk in file.read_row_group(group, columns=[name]).column(0).chunks:
            lengths = pc.fill_null(pc.binary_length(chunk.dictionary), 0)
            counted = np.bincount(chunk.indices.drop_null(), minlength=len(lengths))
            size += int(np.dot(counted, lengths.to_numpy(zero_copy_only=False)))
        if size > MOST_UNFOLDED:
            raise ValueError(
                f"column {name} decodes to {size / 1e9:,.0f} GB, more than any release has"
            )


def text_of(manifest: Manifest) -> list[str]:
    """Columns that a Parquet file may store dictionary-encoded."""
    return [column.name for column in manifest.columns if column.type in ("string", "binary")]
