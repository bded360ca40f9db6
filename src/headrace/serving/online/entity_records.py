"""The records of one entity: one leaf while they are few, else leaves with a directory of tiles.

Event time is halved until no leaf has more than `LIMIT` records, and halves that together have no
more are one leaf again. So the leaves depend on the records alone, never on how they came.

A leaf is its width, then int64[n, width], ordered by (event time, sequence, primary key). A
directory is minus its number of lines, then int64[lines, leaves]: where each leaf starts, its level
(it spans 2^level microseconds), count, first and last event time, the moment from which its tile
holds, and its tile: sums over the versions that nothing supersedes. A tile is a cache: it may be
used once every version of the leaf is known and every superseded one is out of the way.
"""

import struct
from dataclasses import dataclass

import numpy as np

from headrace.features.kernel.arrays import FURTHEST, NEVER, Ints
from headrace.serving.online.encoding import LEAST
from headrace.serving.online.layout import FLAGS, SQUARE_WORDS, E, JoinLayout, K, Stat, X

LIMIT = 128
TOP_LEVEL = 64
START, LEVEL, COUNT, FIRST, LAST, BOUND, TILE = range(7)


@dataclass(frozen=True)
class Piece:
    """A leaf to write: rows [begin, end) of the sorted records."""

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
    """The narrowest leaf that holds the records' keys."""
    if join.text_keys:
        records = narrow(join, records)
    return struct.pack("<q", records.shape[1]) + records.tobytes()


def narrow(join: JoinLayout, records: Ints) -> Ints:
    width = records.shape[1]
    while width > join.key_from + 1 and bool((records[:, width - 1] == LEAST).all()):
        width -= 1
    return np.ascontiguousarray(records[:, :width])


def widen(records: Ints, width: int) -> Ints:
    """Keys padded with words of zero bytes."""
    missing = width - records.shape[1]
    if missing == 0:
        return records
    pad = np.full((len(records), missing), LEAST, dtype=np.int64)
    return np.hstack([records, pad])


def halve(e: Ints, piece: Piece, limit: int) -> list[Piece]:
    """Leaves of a piece that may hold too much; `e` are the event times of all sorted records."""
    found: list[Piece] = []
    open_ = [piece]
    while open_:
        one = open_.pop()
        alone = one.level == 0 or one.start == FURTHEST  # times end there: it holds one moment
        if one.end - one.begin <= limit or alone:
            found.append(one)
            continue
        middle = one.start + (1 << one.level - 1)
        cut = one.begin + int(np.searchsorted(e[one.begin : one.end], middle))
        open_.append(Piece(one.entity, middle, one.level - 1, cut, one.end))
        open_.append(Piece(one.entity, one.start, one.level - 1, one.begin, cut))
    return found


def siblings(lines: Ints, limit: int) -> int | None:
    """The first leaf that is one with the next, if any is."""
    level, start = lines[LEVEL], lines[START]
    pairs = (level[:-1] == level[1:]) & (lines[COUNT][:-1] + lines[COUNT][1:] <= limit)
    for i in np.flatnonzero(pairs).tolist():
        if (int(start[i]) + FURTHEST) % (1 << int(level[i]) + 1) == 0:
            return int(i)
    return None


def summaries(join: JoinLayout, records: Ints, pieces: list[Piece]) -> Ints:
    """int64[lines, pieces]: the directory lines of leaves."""
    begin = np.array([p.begin for p in pieces], dtype=np.int64)
    end = np.array([p.end for p in pieces], dtype=np.int64)
    lines = np.zeros((TILE + join.stat_lines, len(pieces)), dtype=np.int64)
    lines[START] = [p.start for p in pieces]
    lines[LEVEL] = [p.level for p in pieces]
    lines[COUNT] = end - begin
    some = end > begin
    lines[FIRST] = lines[LAST] = lines[START]
    lines[BOUND] = -FURTHEST
    if not len(records):
        return lines
    fold = _Fold(begin, end, some)
    lines[FIRST, some] = records[begin[some], E]
    lines[LAST, some] = records[end[some] - 1, E]
    x = records[:, X]
    bound = np.maximum(np.maximum(records[:, K], records[:, E]), np.where(x == NEVER, LEAST, x))
    lines[BOUND] = np.where(some, fold(np.maximum, bound), -FURTHEST)
    live = x == NEVER
    for stat in join.stats:
        place = TILE + join.stat_place(stat)
        for i, line in enumerate(_tile_lines(join, records, live, stat, fold)):
            lines[place + i] = line
    return lines


@dataclass(frozen=True)
class _Fold:
    """One number for each piece."""

    begin: Ints
    end: Ints
    some: "np.ndarray"

    def __call__(self, ufunc: np.ufunc, values: Ints) -> Ints:
        edges = np.column_stack([self.begin, self.end]).reshape(-1)
        folded = ufunc.reduceat(np.append(values, values[-1:]), edges)[::2]
        return np.asarray(np.where(self.some, folded, 0))


def _tile_lines(
    join: JoinLayout, records: Ints, live: "np.ndarray", stat: Stat, fold: _Fold
) -> list[Ints]:
    kept = live
    for of in (stat.where, stat.column):
        if of:
            word, mask = join.table.flag(of)
            kept = kept & ((records[:, FLAGS + word] & np.int64(mask)) != 0)
    if stat.kind == "n":
        return [fold(np.add, kept.astype(np.int64))]
    values = records[:, join.word(stat.column or "")]
    if stat.kind == "sum":
        return [fold(np.add, np.where(kept, values, 0))]
    if stat.kind == "square":
        return [fold(np.add, np.where(kept, limb, 0)) for limb in square_words(values)]
    return [_extreme(join, stat, values, kept, fold)]


def _extreme(join: JoinLayout, stat: Stat, values: Ints, kept: "np.ndarray", fold: _Fold) -> Ints:
    ufunc = np.minimum if stat.kind == "min" else np.maximum
    if join.table.shape.columns[stat.column or ""].type == "double":
        numbers = np.ascontiguousarray(values).view(np.float64)
        nothing: float | int = np.inf if stat.kind == "min" else -np.inf
        folded = fold(ufunc, np.where(kept, numbers, nothing))
        return np.ascontiguousarray(folded).view(np.int64)
    nothing = NEVER if stat.kind == "min" else LEAST
    return fold(ufunc, np.where(kept, values, nothing))


def square_words(q: Ints) -> list[Ints]:
    """The square of q in four words of 32 bits, least first; 2^30 of each add up in int64."""
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
