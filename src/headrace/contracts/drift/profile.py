"""Profile of a batch: small, mergeable, and sufficient to compare later batches with.

To merge profiles, counts are added, keyed values are taken from the latest partition, and hashes
are united. That is associative and commutative, so later batches are compared with a window of
profiles without reading its rows again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import HOUR, BatchView, Floats, Ints, ViewColumn
from headrace.contracts.drift.dependencies import assumed, declared, label
from headrace.core.errors import StateError
from headrace.sketches import Kind, Sketches, coarsened, of_counts

FORMAT = 2  # format 1 had no sketches of coarse columns
MOST_VALUES = 4096  # distinct values of a column that a profile counts exactly
MOST_HASHES = 20_000  # row hashes that a profile stores: the smallest ones
MOST_NAMES = 2000
_DIGITS = 3  # significant digits of numbers in columns with more than MOST_VALUES values

Array = Any  # a one-dimensional numpy array


@dataclass(frozen=True, eq=False)
class ColumnSummary:
    """Summary of a column: distinct values, ascending, with their counts; and the number of nulls.

    Values are float64, or int64 tokens of texts. If `coarse`, numbers are rounded to three
    significant digits and rare texts are dropped; `sketch` is of the exact values.
    """

    values: Array
    counts: Ints
    nulls: int
    coarse: bool = False
    sketch: Sketches | None = None


@dataclass(frozen=True, eq=False)
class KeyedValues:
    """Median value of a column for each key: key hashes, ascending; values float64 or tokens."""

    hashes: Ints
    values: Array


@dataclass(frozen=True, eq=False)
class BatchProfile:
    """Profile of one batch.

    Attributes:
        slot: partition of the batch; profiles are ordered by it.
        rows, repeated: number of rows, and of exact duplicates that were dropped.
        columns: summary of each delivered column.
        keyed: median value by key, for each declared or assumed dependency of a column
            ("distance<origin+dest").
        hours: {"event" or "known": {hour since the start of the partition: rows}}.
        hashes: the smallest row hashes, ascending; at most `MOST_HASHES`.
        names: {token: text}, for messages.
        marks: scores of the batch against earlier ones: {mark: share}.
    """

    slot: str
    rows: int
    repeated: int
    columns: Mapping[str, ColumnSummary]
    keyed: Mapping[str, KeyedValues]
    hours: Mapping[str, Mapping[int, int]]
    hashes: Ints
    names: Mapping[int, str]
    marks: Mapping[str, float] = field(default_factory=dict)


def profile_of(look: BatchView, slot: str) -> BatchProfile:
    return BatchProfile(
        slot=slot,
        rows=look.rows,
        repeated=look.repeated,
        columns={name: summary(column) for name, column in look.columns.items()},
        keyed={
            label(name, key): _keyed(look, name, key)
            for name, key in (*declared(look), *assumed(look))
        },
        hours={
            what: hour_counts(moments, look.start)
            for what, moments in (("event", look.event), ("known", look.known_at))
            if moments is not None and look.start is not None
        },
        hashes=np.unique(look.row_hashes)[:MOST_HASHES],
        names={} if len(look.names) > MOST_NAMES else look.names,
    )


def summary(column: ViewColumn) -> ColumnSummary:
    present_values = (column.values if column.is_number else column.tokens)[column.present]
    nulls = len(column.present) - len(present_values)
    values, counts = np.unique(present_values, return_counts=True)
    if len(values) <= MOST_VALUES:
        return ColumnSummary(values, counts.astype(np.int64), nulls)
    kind: Kind = "real" if column.is_number else "level"
    sketch = of_counts(kind, values, counts, nulls, {})
    if not column.is_number:  # only the most frequent texts can be categories
        frequent = np.sort(np.argsort(-counts, kind="stable")[:MOST_VALUES])
        return ColumnSummary(
            values[frequent], counts[frequent].astype(np.int64), nulls, True, sketch
        )
    rounded, where = np.unique(coarse(np.asarray(values, np.float64)), return_inverse=True)
    return ColumnSummary(rounded, np.bincount(where, counts).astype(np.int64), nulls, True, sketch)


def sketches_of(profile: BatchProfile) -> dict[str, Sketches]:
    """Return a sketch of each column, equal to one made from the rows; numbers count as real.

    Coarse columns of profiles stored in format 1 have no sketch. If the profile does not have the
    texts of all tokens, they are counted by prefix.
    """
    sketches = {}
    for name, summary_ in profile.columns.items():
        if summary_.coarse:
            if summary_.sketch is not None:
                sketches[name] = summary_.sketch
            continue
        kind: Kind = "level" if summary_.values.dtype == np.int64 else "real"
        names = {}
        if kind == "level":
            names_ = profile.names
            names = {key: names_[key] for key in summary_.values.tolist() if key in names_}
        sketch = of_counts(kind, summary_.values, summary_.counts, summary_.nulls, names)
        sketches[name] = (
            sketch if len(names) == len(sketch.cells) or kind == "real" else coarsened(sketch)
        )
    return sketches


def coarse(values: Floats) -> Floats:
    """Round values to three significant digits."""
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    unit = 10.0 ** (size - (_DIGITS - 1))
    result: Floats = np.rint(values / unit) * unit
    return result


def _keyed(look: BatchView, name: str, key: tuple[str, ...]) -> KeyedValues:
    column = look.columns[name]
    hashes, complete = look.key(key)
    use = complete & column.present
    values = (column.values if column.is_number else column.tokens)[use]
    order = np.lexsort((values, hashes[use]))
    keys, values = hashes[use][order], values[order]
    if not len(keys):
        return KeyedValues(keys, values)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    ends = np.concatenate([starts[1:], [len(keys)]])
    return KeyedValues(keys[starts], values[(starts + ends - 1) // 2])


def hour_counts(moments: Floats, start: int) -> dict[int, int]:
    present = moments[~np.isnan(moments)]
    hours, counts = np.unique(
        np.floor((present - start) / HOUR).astype(np.int64), return_counts=True
    )
    return dict(zip(hours.tolist(), counts.tolist(), strict=True))


# Stored form, compressed: a JSON header with each array's type and length, then the arrays' bytes


def to_bytes(profile: BatchProfile) -> bytes:
    """Serialise the profile; equal profiles give equal bytes."""
    plain = to_plain(profile)
    packed: bytes = _codec().compress(plain, asbytes=True)
    return len(plain).to_bytes(4, "big") + packed


def from_bytes(data: bytes) -> BatchProfile:
    """Read a profile that `to_bytes` wrote.

    Raises:
        StateError: if the profile was written by a newer version, or is damaged.
    """
    try:
        plain = _codec().decompress(data[4:], int.from_bytes(data[:4], "big"), asbytes=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StateError(f"a profile is damaged: {error}", fix="re-validate its batch") from error
    return from_plain(plain)


def _codec() -> pa.Codec:
    return pa.Codec("zstd", compression_level=1)


def to_plain(profile: BatchProfile) -> bytes:
    """Return the stored form of a profile, not compressed."""
    arrays: list[Array] = []

    def add(array: Array) -> list[object]:
        arrays.append(np.ascontiguousarray(array))
        return [array.dtype.str, len(array)]

    header = {
        "format": FORMAT,
        "slot": profile.slot,
        "rows": profile.rows,
        "repeated": profile.repeated,
        "columns": {
            name: [add(s.values), add(s.counts), s.nulls, s.coarse, _put_sketch(s.sketch, add)]
            for name, s in profile.columns.items()
        },
        "keyed": {name: [add(k.hashes), add(k.values)] for name, k in profile.keyed.items()},
        "hours": {what: list(counts.items()) for what, counts in profile.hours.items()},
        "hashes": add(profile.hashes),
        "names": list(profile.names.items()),
        "marks": dict(profile.marks),
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([len(head).to_bytes(4, "big"), head, *(a.tobytes() for a in arrays)])


def from_plain(data: bytes) -> BatchProfile:
    """Read a profile's uncompressed form; raise StateError if a newer version wrote it."""
    length = int.from_bytes(data[:4], "big")
    header = json.loads(data[4 : 4 + length])
    if header["format"] > FORMAT:
        raise StateError(
            f"a profile has format {header['format']}, this Headrace reads up to {FORMAT}",
            fix="upgrade headrace",
        )
    place = 4 + length

    def take(spec: list[Any]) -> Array:
        nonlocal place
        kind = np.dtype(spec[0])
        if kind.kind not in "iuf":
            raise StateError(f"a profile holds an array of {kind}", fix="re-validate its batch")
        array = np.frombuffer(data, kind, spec[1], place)
        place += array.nbytes
        return array

    columns = {}
    for name, (values, counts, nulls, is_coarse, *sketched) in header["columns"].items():
        arrays = take(values), take(counts)
        sketch = _take_sketch(sketched[0], take) if sketched and sketched[0] else None
        columns[name] = ColumnSummary(*arrays, nulls, is_coarse, sketch)
    keyed = {name: KeyedValues(take(h), take(v)) for name, (h, v) in header["keyed"].items()}
    return BatchProfile(
        slot=header["slot"],
        rows=header["rows"],
        repeated=header["repeated"],
        columns=columns,
        keyed=keyed,
        hours={what: {int(h): int(n) for h, n in pairs} for what, pairs in header["hours"].items()},
        hashes=take(header["hashes"]),
        names={int(key): text for key, text in header["names"]},
        marks=header["marks"],
    )


_OF_SKETCH = ("rows", "nulls", "low", "high", "limbs", "cells", "counts", "registers")


def _put_sketch(sketch: Sketches | None, add: Callable[[Array], list[object]]) -> list[Any] | None:
    """Return the stored form of a coarse column's sketch, without names; None if there is none."""
    if sketch is None:
        return None
    return [sketch.kind, *(add(getattr(sketch, name).reshape(-1)) for name in _OF_SKETCH)]


def _take_sketch(stored: list[Any], take: Callable[[list[Any]], Array]) -> Sketches:
    kind, *arrays = stored
    fields = dict(zip(_OF_SKETCH, map(take, arrays), strict=True))
    fields["limbs"] = fields["limbs"].reshape(1, 2)
    fields["registers"] = fields["registers"].reshape(1, -1)
    offsets = np.array([0, len(fields["cells"])])
    return Sketches(kind, **fields, offsets=offsets, coarse=np.array([kind == "level"]))
