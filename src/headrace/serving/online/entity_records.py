"""Stored records of one entity: a single leaf, or many leaves with a directory of tiles.

The range of event times is halved until no leaf has more than `LIMIT` records; two halves that
together have at most `LIMIT` records are merged. So the leaves depend on the records, not on the
order in which the records arrived.

A leaf is stored as its width, followed by int64[n, width], ordered by (event time, sequence,
primary key). A directory is stored as minus the number of its lines, followed by
int64[lines, leaves]. The lines are: start of the leaf, level (the leaf spans 2^level microseconds),
count, first and last event time, the time from which the tile is valid, and the tile. A tile caches
statistics of the versions that are not superseded. It is valid from the time at which all versions
of the leaf are known and all superseded versions are invisible.
"""

import struct
from dataclasses import dataclass

import numpy as np

from headrace.features.kernel.arrays import FURTHEST, NEVER, Ints
from headrace.serving.online.encoding import MIN_WORD
from headrace.serving.online.layout import FLAGS, SQUARE_WORDS, E, JoinLayout, K, Stat, X

LIMIT = 128
TOP_LEVEL = 64
START, LEVEL, COUNT, FIRST, LAST, BOUND, TILE = range(7)


@dataclass(frozen=True)
class Piece:
    """Leaf to write: rows [begin, end) of the sorted records."""

    entity: int
    start: int
    level: int
    begin: int
    end: int


def root_key(join: JoinLayout, entity: bytes) -> bytes:
    return b"e" + join.prefix + entity


def leaf_key(root: bytes, start: int) -> bytes:
    return b"l" + root[1:] + struct.pack(">Q", start + FURTHEST)


def is_directory(blob: bytes) -> bool:
    return blob[7] >= 0x80  # the sign of the first word


def read_leaf(blob: bytes) -> Ints:
    width = int.from_bytes(blob[:8], "little")
    return np.frombuffer(blob, np.int64, offset=8).reshape(-1, width)


def read_directory(blob: bytes) -> Ints:
    lines = -int.from_bytes(blob[:8], "little", signed=True)
    return np.frombuffer(blob, np.int64, offset=8).reshape(lines, -1)


def write_directory(lines: Ints) -> bytes:
    return struct.pack("<q", -len(lines)) + lines.tobytes()


def write_leaf(join: JoinLayout, records: Ints) -> bytes:
    """Encode records as a leaf, without the padding words at the end of all keys."""
    if join.text_keys:
        records = narrow(join, records)
    return struct.pack("<q", records.shape[1]) + records.tobytes()


def narrow(join: JoinLayout, records: Ints) -> Ints:
    width = records.shape[1]
    while width > join.key_from + 1 and bool((records[:, width - 1] == MIN_WORD).all()):
        width -= 1
    return np.ascontiguousarray(records[:, :width])


def widen(records: Ints, width: int) -> Ints:
    """Pad the keys of records with zero bytes up to `width` words."""
    missing = width - records.shape[1]
    if missing == 0:
        return records
    pad = np.full((len(records), missing), MIN_WORD, dtype=np.int64)
    return np.hstack([records, pad])


def halve(e: Ints, piece: Piece, limit: int) -> list[Piece]:
    """Split a piece into leaves of at most `limit` records; `e` has the sorted event times.

    A leaf whose records all have the same event time may have more than `limit` records.
    """
    leaves: list[Piece] = []
    open_ = [piece]
    while open_:
        part = open_.pop()
        indivisible = (
            part.level == 0 or part.start == FURTHEST
        )  # all its records have the same event time
        if part.end - part.begin <= limit or indivisible:
            leaves.append(part)
            continue
        middle = part.start + (1 << part.level - 1)
        cut = part.begin + int(np.searchsorted(e[part.begin : part.end], middle))
        open_.append(Piece(part.entity, middle, part.level - 1, cut, part.end))
        open_.append(Piece(part.entity, part.start, part.level - 1, part.begin, cut))
    return leaves


def siblings(lines: Ints, limit: int) -> int | None:
    """Return the index of the first leaf that must be merged with the next one, or None."""
    level, start = lines[LEVEL], lines[START]
    pairs = (level[:-1] == level[1:]) & (lines[COUNT][:-1] + lines[COUNT][1:] <= limit)
    for i in np.flatnonzero(pairs).tolist():
        if (int(start[i]) + FURTHEST) % (1 << int(level[i]) + 1) == 0:
            return int(i)
    return None


def summaries(join: JoinLayout, records: Ints, pieces: list[Piece]) -> Ints:
    """Compute the directory lines of the leaves: int64[lines, pieces]."""
    begin = np.array([p.begin for p in pieces], dtype=np.int64)
    end = np.array([p.end for p in pieces], dtype=np.int64)
    lines = np.zeros((TILE + join.stat_lines, len(pieces)), dtype=np.int64)
    lines[START] = [p.start for p in pieces]
    lines[LEVEL] = [p.level for p in pieces]
    lines[COUNT] = end - begin
    nonempty = end > begin
    lines[FIRST] = lines[LAST] = lines[START]
    lines[BOUND] = -FURTHEST
    if not len(records):
        return lines
    fold = _Fold(begin, end, nonempty)
    lines[FIRST, nonempty] = records[begin[nonempty], E]
    lines[LAST, nonempty] = records[end[nonempty] - 1, E]
    x = records[:, X]
    bound = np.maximum(np.maximum(records[:, K], records[:, E]), np.where(x == NEVER, MIN_WORD, x))
    lines[BOUND] = np.where(nonempty, fold(np.maximum, bound), -FURTHEST)
    live = x == NEVER
    for stat in join.stats:
        place = TILE + join.stat_place(stat)
        for i, line in enumerate(_tile_lines(join, records, live, stat, fold)):
            lines[place + i] = line
    return lines


@dataclass(frozen=True)
class _Fold:
    """Reduction of an array of values to one number per piece."""

    begin: Ints
    end: Ints
    nonempty: "np.ndarray"

    def __call__(self, ufunc: np.ufunc, values: Ints) -> Ints:
        edges = np.column_stack([self.begin, self.end]).reshape(-1)
        folded = ufunc.reduceat(np.append(values, values[-1:]), edges)[::2]
        return np.asarray(np.where(self.nonempty, folded, 0))


def _tile_lines(
    join: JoinLayout, records: Ints, live: "np.ndarray", stat: Stat, fold: _Fold
) -> list[Ints]:
    passing = live
    for of in (stat.where, stat.column):
        if of:
            word, mask = join.table.flag(of)
            passing = passing & ((records[:, FLAGS + word] & np.int64(mask)) != 0)
    if stat.kind == "n":
        return [fold(np.add, passing.astype(np.int64))]
    values = records[:, join.word(stat.column or "")]
    if stat.kind == "sum":
        return [fold(np.add, np.where(passing, values, 0))]
    if stat.kind == "square":
        return [fold(np.add, np.where(passing, limb, 0)) for limb in square_words(values)]
    return [_extreme(join, stat, values, passing, fold)]


def _extreme(
    join: JoinLayout, stat: Stat, values: Ints, passing: "np.ndarray", fold: _Fold
) -> Ints:
    ufunc = np.minimum if stat.kind == "min" else np.maximum
    if join.table.shape.columns[stat.column or ""].type == "double":
        numbers = np.ascontiguousarray(values).view(np.float64)
        neutral: float | int = np.inf if stat.kind == "min" else -np.inf
        folded = fold(ufunc, np.where(passing, numbers, neutral))
        return np.ascontiguousarray(folded).view(np.int64)
    neutral = NEVER if stat.kind == "min" else MIN_WORD
    return fold(ufunc, np.where(passing, values, neutral))


def square_words(q: Ints) -> list[Ints]:
    """Return `q` squared as four 32-bit words, least significant first.

    The sum of 2^30 such words fits int64.
    """
    size = np.abs(q).astype(np.uint64)
    low, high = size & np.uint64(2**32 - 1), size >> np.uint64(32)
    mask, half = np.uint64(2**32 - 1), np.uint64(32)
    below, cross, above = low * low, np.uint64(2) * low * high, high * high
    words = (
        below & mask,
        (below >> half) + (cross & mask),
        (cross >> half) + (above & mask),
        above >> half,
    )
    assert len(words) == SQUARE_WORDS
    return [word.astype(np.int64) for word in words]
