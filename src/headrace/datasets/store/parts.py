"""Where the rows of a split are cut into parts, so that equal parts of two versions are one object.

Whether a row starts a part hangs on its key and on the keys around it, never on its place: a row is
a cut if no key within `LEAST` rows on either side has a smaller number (ties go to the first row).
Rows that come or go therefore move only the cuts around them. Cuts of this kind lie more than
`LEAST` rows apart; where they lie more than `MOST` apart, the gap is cut at its smallest number,
again and again: what happens inside a gap stays inside it.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LEAST, MOST = 65_536, 262_144
_BLOCK = 65_536
_PRIME = np.uint64(0x100000001B3)

Numbers = npt.NDArray[np.uint64]


def parts_of(
    table: pa.Table, key: Sequence[str], least: int = LEAST, most: int = MOST
) -> list[pa.Table]:
    """`table` as slices that follow each other, each of `least` to `most` rows.

    A table of at most `least` rows is one slice, and so is an empty one. `most` is at least twice
    `least`. `key` are columns whose values tell the rows apart.
    """
    cuts = [0, *cuts_of(numbers_of(table, key), least, most), table.num_rows]
    return [table.slice(start, end - start) for start, end in pairwise(cuts)]


def cuts_of(numbers: Numbers, least: int = LEAST, most: int = MOST) -> list[int]:
    """Places at which a new part starts, in order; not 0, and not the end."""
    outer = [0, *_lowest_around(numbers, least), len(numbers)]
    found: list[int] = []
    for start, end in pairwise(outer):
        found += [*_cuts_within(numbers, start, end, least, most), end]
    return found[:-1]


def _lowest_around(numbers: Numbers, least: int) -> Iterator[int]:
    """Rows with `least` rows on either side, none of them with a smaller number."""
    # Only the smallest number of a block that is no wider than the window can be one.
    block = max(1, least // 16)
    for start in range(0, len(numbers), block):
        place = start + int(numbers[start : start + block].argmin())
        left, right = place - least, place + least
        if (
            left >= 0
            and right < len(numbers)
            and int(numbers[left : right + 1].argmin()) == place - left
        ):
            yield place


def _cuts_within(numbers: Numbers, start: int, end: int, least: int, most: int) -> Iterator[int]:
    if end - start <= most:
        return
    inner = slice(start + least, end - least + 1)
    cut = inner.start + int(numbers[inner].argmin())
    yield from _cuts_within(numbers, start, cut, least, most)
    yield cut
    yield from _cuts_within(numbers, cut, end, least, most)


def numbers_of(table: pa.Table, key: Sequence[str]) -> Numbers:
    """A number for each row's key, spread evenly over 64 bits; the same on every machine."""
    found = np.empty(table.num_rows, np.uint64)
    for start in range(0, table.num_rows, _BLOCK):
        block = table.slice(start, _BLOCK)
        mixed = np.zeros(block.num_rows, np.uint64)
        for name in key:
            mixed = _mixed(mixed ^ _cell_numbers(block.column(name).combine_chunks()))
        found[start : start + _BLOCK] = mixed
    return found


def _mixed(words: Numbers) -> Numbers:
    """The finaliser of SplitMix64."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Numbers = words ^ (words >> np.uint64(31))
    return mixed


def _cell_numbers(column: pa.Array) -> Numbers:
    """Of a column in one of the types that a release has; a null is 0."""
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
    """A polynomial in the bytes of each value, modulo 2^64."""
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
    found: Numbers = sums[offsets[1:] - first] - sums[offsets[:-1] - first]
    return found


def ends_of(table: pa.Table, key: Sequence[str]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(t in microseconds UTC, *key) of the first and the last row as JSON values; () of no rows."""
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
    """A cell of a key as JSON: a date as its ISO text, bytes in hex, NaN and infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
