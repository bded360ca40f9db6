"""Which row of one table is which row of another, by key and exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.datasets.hashing.cell_encoding import words_of

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """Places of rows: `a[n]` in one table is `b[n]` in the other; None where each is itself."""

    a: Places | None
    b: Places | None
    rows: int
    only_a: Places
    only_b: Places


def match(a: pa.Table, b: pa.Table, key: Sequence[str]) -> Match:
    """Match rows whose key columns are all equal: null is null, NaN is NaN, -0 is 0.

    A key that occurs more than once is matched occurrence by occurrence.
    """
    none = np.empty(0, dtype=np.int64)
    if a.num_rows == b.num_rows and all(a.column(n).equals(b.column(n)) for n in key):
        return Match(None, None, a.num_rows, none, none)
    codes, size = _told_apart(_codes(a, b, key), a.num_rows)
    of_a, of_b = codes[: a.num_rows], codes[a.num_rows :]
    where: Places = np.full(size, -1, dtype=np.int64)
    where[of_a] = np.arange(len(of_a))
    found = where[of_b]
    there = found >= 0
    alone = np.ones(len(of_a), dtype=bool)
    alone[found[there]] = False
    in_b = np.flatnonzero(there)
    return Match(found[there], in_b, len(in_b), np.flatnonzero(alone), np.flatnonzero(~there))


def _codes(a: pa.Table, b: pa.Table, key: Sequence[str]) -> Places:
    """One number for each row, equal where the keys are; those of `a` first. Dense, from 0."""
    codes: Places = np.zeros(a.num_rows + b.num_rows, dtype=np.int64)
    for name in key:
        column = pa.chunked_array([*a.column(name).chunks, *b.column(name).chunks])
        one, size = _dense(_canonical(column.combine_chunks(), name))
        codes, _ = _dense(pa.array(codes * size + one))
    return codes


def _canonical(column: pa.Array, name: str) -> pa.Array:
    """Floats by the bits of their canonical form; other types are that already."""
    if not pa.types.is_floating(column.type):
        return column
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return pa.array(words_of(column, "float64", name), mask=missing)


def _dense(column: pa.Array) -> tuple[Places, int]:
    encoded = column.dictionary_encode(null_encoding="encode")
    codes: Places = encoded.indices.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return codes, max(1, len(encoded.dictionary))


def _told_apart(codes: Places, cut: int) -> tuple[Places, int]:
    """Such numbers of two tables, the second from `cut` on, so that none is twice in either."""
    sides = codes[:cut], codes[cut:]
    size = int(codes.max()) + 1 if len(codes) else 0
    if all(not len(side) or int(np.bincount(side).max()) == 1 for side in sides):
        return codes, size
    nth = np.concatenate([_occurrences(side) for side in sides])
    return _dense(pa.array(nth * size + codes))


def _occurrences(codes: Places) -> Places:
    """0 where a number occurs for the first time, 1 for the second."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(codes)])
    found = np.empty_like(codes)
    found[order] = np.arange(len(codes)) - np.repeat(begins, np.diff(np.r_[begins, len(codes)]))
    return found
