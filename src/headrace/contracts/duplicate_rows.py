"""Duplicate rows of a batch: exact duplicates are dropped, conflicting rows are reported."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class DuplicateRows:
    """Row numbers of duplicates.

    `dropped` are the rows that equal an earlier row. `clashes` are (earlier row, later row, first
    column that differs) of rows with the same identity but different content.
    """

    dropped: tuple[int, ...] = ()
    clashes: tuple[tuple[int, int, str], ...] = ()


def find_duplicates(
    rows: pa.Table, identity: Sequence[str], content: Sequence[str], never_null: str | None
) -> DuplicateRows:
    """Find rows with equal `identity`: duplicates if their `content` is equal too, else clashes.

    A row with a null known-at (column `never_null`) cannot clash, because without it the row has no
    place in the order of versions.
    """
    suspects = _suspects([_codes(rows.column(name)) for name in identity])
    if not len(suspects):
        return DuplicateRows()
    rows_ = rows.take(pa.array(suspects))
    keys = list(zip(*(rows_.column(name).to_pylist() for name in identity), strict=True))
    values = list(zip(*(rows_.column(name).to_pylist() for name in content), strict=True))
    by_key: dict[tuple[object, ...], list[int]] = {}
    dropped, clashes = [], []
    for place, key in enumerate(keys):
        earlier = by_key.setdefault(key, [])
        if any(values[place] == values[other] for other in earlier):
            dropped.append(int(suspects[place]))
            continue
        if earlier and (never_null is None or key[identity.index(never_null)] is not None):
            column = _difference(content, values[earlier[0]], values[place])
            clashes.append((int(suspects[earlier[0]]), int(suspects[place]), column))
        earlier.append(place)
    return DuplicateRows(tuple(dropped), tuple(clashes))


def _difference(names: Sequence[str], first: tuple[object, ...], second: tuple[object, ...]) -> str:
    return next(n for n, a, b in zip(names, first, second, strict=True) if a != b)


def _suspects(codes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the rows whose hashed identity equals that of another row; usually none."""
    mixed = np.zeros(len(codes[0]) if codes else 0, np.uint64)
    for code in codes:
        mixed = (mixed ^ code.view(np.uint64)) * _MIX
        mixed ^= mixed >> np.uint64(29)
    _, inverse, counts = np.unique(mixed, return_inverse=True, return_counts=True)
    if len(counts) == len(mixed):
        return np.empty(0, np.int64)
    return np.flatnonzero(counts[inverse] > 1)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return int64 codes; equal values have equal codes, and a code collision only costs time."""
    values = column.combine_chunks()
    if pa.types.is_string(values.type):
        values = values.dictionary_encode().indices
    elif pa.types.is_floating(values.type):
        values = values.view(pa.int64())
    codes: NDArray[np.int64] = pc.fill_null(values.cast(pa.int64()), -1).to_numpy()
    return codes
