"""Exact matching of the rows of two tables by key."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.datasets.hashing.cell_encoding import words_of

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """Matched row numbers: row `a[n]` of one table matches row `b[n]` of the other.

    `a` and `b` are None if each row matches the row with the same number.
    """

    a: Places | None
    b: Places | None
    rows: int
    only_a: Places
    only_b: Places


def match(a: pa.Table, b: pa.Table, key: Sequence[str]) -> Match:
    """Match rows with equal keys; null equals null, NaN equals NaN, -0 equals 0.

    If a key occurs more than once, its occurrences are matched in order.
    """
    none = np.empty(0, dtype=np.int64)
    if a.num_rows == b.num_rows and all(a.column(n).equals(b.column(n)) for n in key):
        return Match(None, None, a.num_rows, none, none)
    codes, size = _unique_codes(_codes(a, b, key), a.num_rows)
    of_a, of_b = codes[: a.num_rows], codes[a.num_rows :]
    where: Places = np.full(size, -1, dtype=np.int64)
    where[of_a] = np.arange(len(of_a))
    places = where[of_b]
    matched = places >= 0
    unmatched = np.ones(len(of_a), dtype=bool)
    unmatched[places[matched]] = False
    in_b = np.flatnonzero(matched)
    return Match(
        places[matched], in_b, len(in_b), np.flatnonzero(unmatched), np.flatnonzero(~matched)
    )


def _codes(a: pa.Table, b: pa.Table, key: Sequence[str]) -> Places:
    """Key number of each row, from 0, equal for equal keys; first the rows of `a`, then of `b`."""
    codes: Places = np.zeros(a.num_rows + b.num_rows, dtype=np.int64)
    for name in key:
        column = pa.chunked_array([*a.column(name).chunks, *b.column(name).chunks])
        column_codes, size = _dense(_canonical(column.combine_chunks(), name))
        codes, _ = _dense(pa.array(codes * size + column_codes))
    return codes


def _canonical(column: pa.Array, name: str) -> pa.Array:
    """Floats as int64 bits in canonical form; other types unchanged."""
    if not pa.types.is_floating(column.type):
        return column
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return pa.array(words_of(column, "float64", name), mask=missing)


def _dense(column: pa.Array) -> tuple[Places, int]:
    encoded = column.dictionary_encode(null_encoding="encode")
    codes: Places = encoded.indices.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return codes, max(1, len(encoded.dictionary))


def _unique_codes(codes: Places, cut: int) -> tuple[Places, int]:
    """Make key numbers unique within each table by occurrence; `b` starts at `cut`."""
    sides = codes[:cut], codes[cut:]
    size = int(codes.max()) + 1 if len(codes) else 0
    if all(not len(side) or int(np.bincount(side).max()) == 1 for side in sides):
        return codes, size
    nth = np.concatenate([_occurrences(side) for side in sides])
    return _dense(pa.array(nth * size + codes))


def _occurrences(codes: Places) -> Places:
    """Occurrence index of each code: 0 for its first occurrence, 1 for its second, and so on."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(codes)])
    occurrences = np.empty_like(codes)
    occurrences[order] = np.arange(len(codes)) - np.repeat(
        begins, np.diff(np.r_[begins, len(codes)])
    )
    return occurrences
