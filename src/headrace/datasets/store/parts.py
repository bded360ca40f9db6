"""Content-defined chunking of a split into parts: two versions share the objects of equal parts.

Whether a row starts a part depends on its key and the keys around it, not on its position. Each key
is hashed to a number. A row is a cut if no row within `MIN_ROWS` rows on either side has a smaller
number (the first row wins ties). Added or removed rows therefore move only nearby cuts. These cuts
are more than `MIN_ROWS` rows apart. A gap of more than `MAX_ROWS` rows is cut repeatedly at its
smallest number, so that a change inside a gap affects only this gap.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MIN_ROWS, MAX_ROWS = 65_536, 262_144
_BLOCK = 65_536
_PRIME = np.uint64(0x100000001B3)

Numbers = npt.NDArray[np.uint64]


def parts_of(
    table: pa.Table, key: Sequence[str], min_rows: int = MIN_ROWS, max_rows: int = MAX_ROWS
) -> list[pa.Table]:
    """Split `table` into consecutive slices of `min_rows` to `max_rows` rows.

    A table of at most `min_rows` rows is one slice, and so is an empty one. `max_rows` is at least
    twice `min_rows`. The values of the columns `key` distinguish the rows.
    """
    cuts = [0, *cuts_of(numbers_of(table, key), min_rows, max_rows), table.num_rows]
    return [table.slice(start, end - start) for start, end in pairwise(cuts)]


def cuts_of(numbers: Numbers, min_rows: int = MIN_ROWS, max_rows: int = MAX_ROWS) -> list[int]:
    """Row numbers at which new parts start, in order, without 0 and the end."""
    outer = [0, *_lowest_around(numbers, min_rows), len(numbers)]
    cuts: list[int] = []
    for start, end in pairwise(outer):
        cuts += [*_cuts_within(numbers, start, end, min_rows, max_rows), end]
    return cuts[:-1]


def _lowest_around(numbers: Numbers, min_rows: int) -> Iterator[int]:
    """Rows with `min_rows` rows on either side, none of them with a smaller number."""
    # Only the smallest number of each block can qualify, since the window covers the block.
    block = max(1, min_rows // 16)
    for start in range(0, len(numbers), block):
        place = start + int(numbers[start : start + block].argmin())
        left, right = place - min_rows, place + min_rows
        if (
            left >= 0
            and right < len(numbers)
            and int(numbers[left : right + 1].argmin()) == place - left
        ):
            yield place


def _cuts_within(
    numbers: Numbers, start: int, end: int, min_rows: int, max_rows: int
) -> Iterator[int]:
    if end - start <= max_rows:
        return
    inner = slice(start + min_rows, end - min_rows + 1)
    cut = inner.start + int(numbers[inner].argmin())
    yield from _cuts_within(numbers, start, cut, min_rows, max_rows)
    yield cut
    yield from _cuts_within(numbers, cut, end, min_rows, max_rows)


def numbers_of(table: pa.Table, key: Sequence[str]) -> Numbers:
    """Hash of each row's key, uint64; the same on every machine."""
    numbers = np.empty(table.num_rows, np.uint64)
    for start in range(0, table.num_rows, _BLOCK):
        block = table.slice(start, _BLOCK)
        mixed = np.zeros(block.num_rows, np.uint64)
        for name in key:
            mixed = _mixed(mixed ^ _cell_numbers(block.column(name).combine_chunks()))
        numbers[start : start + _BLOCK] = mixed
    return numbers


def _mixed(words: Numbers) -> Numbers:
    """The finaliser of SplitMix64."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Numbers = words ^ (words >> np.uint64(31))
    return mixed


def _cell_numbers(column: pa.Array) -> Numbers:
    """Number of each cell of a column, uint64, for all types of a release; 0 for null."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _text_numbers(column.fill_null("" if pa.types.is_string(kind) else b""))
    if pa.types.is_floating(kind):
        column = column.cast(pa.float64()).fill_null(0.0)
        floats: Numbers = column.to_numpy(zero_copy_only=False).view(np.uint64)
        return floats
    if pa.types.is_date(kind):
        column = column.cast(pa.int32())
    words: Numbers = (
        column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    )
    return words


def _text_numbers(column: pa.Array) -> Numbers:
    """Polynomial hash of the bytes of each value, modulo 2^64."""
    _, places, data = column.buffers()
    offsets = np.frombuffer(places, np.int32)[column.offset :][: len(column) + 1].astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    lengths = np.diff(offsets)
    if first == last:
        return np.zeros(len(column), np.uint64)
    text = np.frombuffer(data, np.uint8)[first:last].astype(np.uint64) + np.uint64(1)
    place = np.arange(last - first) - np.repeat(offsets[:-1] - first, lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _PRIME))
    sums = np.concatenate([[np.uint64(0)], np.cumsum(text * powers[place], dtype=np.uint64)])
    numbers: Numbers = sums[offsets[1:] - first] - sums[offsets[:-1] - first]
    return numbers


def ends_of(table: pa.Table, key: Sequence[str]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(t in microseconds UTC, *key) of the first and last row as JSON values; () without rows."""
    if not table.num_rows:
        return (), ()
    first, last = (_row(table, place, key) for place in (0, table.num_rows - 1))
    return first, last


def _row(table: pa.Table, place: int, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(_json(table.column(name), place) for name in ("t", *key))


def _json(column: pa.ChunkedArray, place: int) -> Any:  # noqa: ANN401 - a JSON value
    cell = column[place]
    if pa.types.is_timestamp(column.type):
        cell = cell.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return json_value(cell.as_py())


def json_value(value: object) -> Any:  # noqa: ANN401 - a JSON value
    """A key value as JSON: a date as its ISO text, bytes in hex, NaN and infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
