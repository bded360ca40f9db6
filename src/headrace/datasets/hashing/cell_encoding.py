"""Tags and value bytes of a table's cells, column by column: sections 2 and 3 of the content hash.

The specification is `docs/reference/content-hash.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.errors import DeclarationError

TAGS = {
    "int64": 1,
    "float64": 2,
    "bool": 3,
    "timestamp": 4,
    "string": 5,
    "local_timestamp": 6,
    "date": 7,
    "binary": 8,
}
DIGESTED = ("string", "binary")
# Number of texts sampled to decide whether a column repeats its texts.
_SAMPLE_SIZE = 1024

Schema = tuple[tuple[str, str], ...]
Words = npt.NDArray[np.int64]
# Maps large-binary texts without nulls to (texts, 2): the two words of each digest.
Digests = Callable[[pa.Array], Words]


@dataclass(frozen=True)
class Cells:
    """Encoded rows by column: `tags` is (columns, rows) uint8, `words` (words, rows) int64.

    A column has one word for its eight value bytes, and two if `wide` (columns, uint8) is 1.
    """

    tags: npt.NDArray[np.uint8]
    words: Words
    wide: npt.NDArray[np.uint8]


def cells(table: pa.Table, schema: Schema, digests: Digests) -> Cells:
    """Encode the cells of a table. Raises DeclarationError for a value outside its type."""
    wide = np.array([kind in DIGESTED for _, kind in schema], dtype=np.uint8)
    tags = np.empty((len(schema), table.num_rows), dtype=np.uint8)
    words = np.empty((len(schema) + int(wide.sum()), table.num_rows), dtype=np.int64)
    at = 0
    for n, (name, kind) in enumerate(schema):
        column = _contiguous(table.column(name))
        tags[n] = TAGS[kind]
        if column.null_count:
            tags[n] *= column.is_valid().to_numpy(zero_copy_only=False)
        if wide[n]:
            words[at : at + 2] = _digested(column, kind, digests).T
        else:
            words[at] = words_of(column, kind, name)
        at += 1 + int(wide[n])
    return Cells(tags, words, wide)


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def words_of(column: pa.Array, kind: str, name: str) -> Words:
    """The eight value bytes of each cell as int64, nulls as zero."""
    try:
        values = _values(column, kind)
    except pa.ArrowInvalid as error:
        raise DeclarationError(
            f"a value does not fit its canonical type {kind}: {error}", where=f"column {name!r}"
        ) from error
    return _float_words(values) if kind == "float64" else values


def _float_words(values: npt.NDArray[np.float64]) -> Words:
    with np.errstate(invalid="ignore"):  # signalling NaNs are NaNs like any other
        values = values + 0.0  # -0.0 + 0.0 is +0.0
        values[np.isnan(values)] = np.nan  # gives all NaNs the same bit pattern
    words: Words = values.view("<i8")
    return words


def _values(column: pa.Array, kind: str) -> npt.NDArray[Any]:
    if kind == "float64":
        column = _filled(column.cast(pa.float64()), 0.0)
    elif kind == "date":
        column = _filled(column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), 0)
    else:
        if kind in ("timestamp", "local_timestamp"):
            column = column.cast(pa.timestamp("us", column.type.tz))
        column = _filled(column.cast(pa.int64()), 0)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _filled(column: pa.Array, value: float | bytes) -> pa.Array:
    return column.fill_null(value) if column.null_count else column


def _digested(column: pa.Array, kind: str, digests: Digests) -> Words:
    """Value bytes of text or binary cells as (rows, 2) int64; nulls as zeros."""
    import pyarrow.compute as pc  # imported late: opening a release does not need it

    if kind == "string":
        column = column.cast(pa.large_string())
    texts = column.cast(pa.large_binary())
    sample = texts.slice(0, _SAMPLE_SIZE)
    if (
        len(sample) == _SAMPLE_SIZE
        and pc.count_distinct(sample, mode="all").as_py() == _SAMPLE_SIZE
    ):
        words = digests(_filled(texts, b""))
        if texts.null_count:
            words[texts.is_null().to_numpy(zero_copy_only=False)] = 0
        return words
    # Digest each distinct value once; the last row of `table` is for nulls.
    encoded = texts.dictionary_encode()
    table: Words = np.zeros((len(encoded.dictionary) + 1, 2), dtype=np.int64)
    table[:-1] = digests(encoded.dictionary)
    codes = _filled(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    cells_: Words = table[codes]
    return cells_
