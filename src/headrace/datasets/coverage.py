"""What a model of a release would be asked that training has not seen: rows outside its support.

Compared are the training rows with recent ones, with a label or not: column by column, for pairs of
categories, and by segment. It is a report, not a test: how far outside is too far, a model decides.
What it cannot see is a hole inside the support that no pair of categories shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.hashing.row_hash import row_hashes
from headrace.datasets.manifest import Column

FORMAT = 1
# The quantiles that a number is seldom beyond, and how often a category is no rarity.
TAILS = (0.001, 0.999)
RARE = 10
# A column outside for more than this share of the rows has moved as a whole, like a month.
MOVED = 0.5
_SEGMENTS, _PAIRED, _CATEGORIES, _SHOWN = 32, 8, 1_000, 5

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Seen:
    """One column of the recent rows: which are outside, and what is said of it."""

    outside: Flags
    form: dict[str, Any]


def coverage(
    train: pa.Table,
    recent: pa.Table,
    columns: Sequence[Column],
    segments: Sequence[str] = (),
    *,
    named: Mapping[str, pa.Array] | None = None,
) -> dict[str, Any]:
    """The report as JSON values.

    Args:
        train: the training rows.
        recent: the rows to judge; no label is looked at.
        columns: of both tables; keys, spine columns and features are compared.
        segments: columns to tell the shares by; by default texts of few values.
        named: column -> the only texts that may be named; any of a column that is not there.

    Shares are of the recent rows, from 0 to 1. A number is `outside` below the least or above the
    greatest of training, and `beyond` its 0.1% and 99.9% quantiles; a category is `outside` when
    training never has it, and `rare` when fewer than 10 rows do; a null is `outside` where training
    has none. `moved` lists the columns that are outside for more than half of the rows; `rows` is
    the share of rows that are outside in any other column.
    """
    compared = [column for column in columns if _is_compared(column, train)]
    texts_of = named or {}
    seen = {
        one.name: _column(train.column(one.name), recent.column(one.name), texts_of.get(one.name))
        for one in compared
    }
    moved = [name for name, one in seen.items() if one.form["outside"] > MOVED]
    staying = {name: one.outside for name, one in seen.items() if name not in moved}
    any_outside = np.zeros(recent.num_rows, np.bool_)
    for flags in staying.values():
        any_outside |= flags
    texts = [one.name for one in compared if one.type == "string"]
    by = list(segments) or [name for name in texts if seen[name].form["categories"] <= _SEGMENTS]
    return {
        "format": FORMAT,
        "train_rows": train.num_rows,
        "recent_rows": recent.num_rows,
        "recent_from_us": _bound(recent, "min"),
        "recent_until_us": _bound(recent, "max"),
        "rows": _share(any_outside),
        "moved": moved,
        "columns": {name: one.form for name, one in seen.items()},
        "pairs": _pairs(train, recent, texts, seen),
        "segments": {
            name: _by_segment(recent.column(name), any_outside, staying, texts_of.get(name))
            for name in by
        },
    }


def _is_compared(column: Column, train: pa.Table) -> bool:
    """Not what names a row: a text that most rows have to themselves."""
    if column.role not in {"key", "spine", "feature"}:
        return False
    if column.type not in {"int64", "float64", "bool", "string"}:
        return False
    if column.type != "string" or column.role == "feature":
        return True
    return bool(pc.count_distinct(train.column(column.name)).as_py() <= _CATEGORIES)


def _bound(rows: pa.Table, which: str) -> int | None:
    moments = rows.column("t").cast(pa.int64())
    found: int | None = pc.min_max(moments).as_py()[which]
    return found


def _share(flags: Flags) -> float:
    return _rounded(float(np.count_nonzero(flags)) / len(flags)) if len(flags) else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def _column(train: pa.ChunkedArray, recent: pa.ChunkedArray, named: pa.Array | None) -> _Seen:
    if pa.types.is_string(train.type) or pa.types.is_boolean(train.type):
        return _category(train.cast(pa.string()), recent.cast(pa.string()), named)
    # Pseudonyms fill all of int64: what lies beyond 2**53 is rounded, which moves no share.
    return _number(*(column.cast(pa.float64(), safe=False) for column in (train, recent)))


def _number(train: pa.ChunkedArray, recent: pa.ChunkedArray) -> _Seen:
    known, values = (column.to_numpy() for column in (train, recent))
    known, missing = known[~np.isnan(known)], np.isnan(values)
    nulls = _nulls(len(train) - len(known), missing)
    if not len(known):
        return _Seen(~missing, {"kind": "number", "outside": _share(~missing), **nulls})
    low, high = float(known.min()), float(known.max())
    places = [int(tail * (len(known) - 1)) for tail in TAILS]
    few, most = (float(np.partition(known, place)[place]) for place in places)
    with np.errstate(invalid="ignore"):
        below, above = values < low, values > high
        beyond = (values < few) | (values > most)
    outside = below | above | (missing & bool(nulls["null_is_new"]))
    return _Seen(
        outside,
        {
            "kind": "number",
            "outside": _share(outside),
            "below": _share(below),
            "above": _share(above),
            "beyond": _share(beyond),
            "least": _text(low),
            "greatest": _text(high),
            "quantiles": [_text(few), _text(most)],
            **nulls,
        },
    )


def _category(train: pa.ChunkedArray, recent: pa.ChunkedArray, named: pa.Array | None) -> _Seen:
    counted = pc.value_counts(train.drop_null().combine_chunks())
    known, counts = counted.field("values"), counted.field("counts")
    rare_ones = known.filter(pc.less(counts, RARE))
    missing = recent.is_null().to_numpy()
    unseen = ~pc.is_in(recent, value_set=known).to_numpy() & ~missing
    rare = pc.is_in(recent, value_set=rare_ones).to_numpy() & ~missing
    nulls = _nulls(train.null_count, missing)
    outside = unseen | (missing & bool(nulls["null_is_new"]))
    return _Seen(
        outside,
        {
            "kind": "category",
            "outside": _share(outside),
            "unseen": _share(unseen),
            "rare": _share(rare),
            "categories": len(known),
            "examples": _most_often(_of_those(recent.filter(pa.array(unseen)), named)),
            **nulls,
        },
    )


def _nulls(in_train: int, missing: Flags) -> dict[str, Any]:
    return {"null": _share(missing), "null_is_new": not in_train and bool(missing.any())}


def _of_those(values: pa.ChunkedArray, named: pa.Array | None) -> pa.ChunkedArray:
    return values if named is None else values.filter(pc.is_in(values, value_set=named))


def _most_often(values: pa.ChunkedArray) -> list[dict[str, Any]]:
    """The most frequent of what training never has, for people."""
    counted = pc.value_counts(values.combine_chunks()).to_pylist()
    ordered = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
    return [{"value": one["values"], "rows": one["counts"]} for one in ordered[:_SHOWN]]


def _pairs(
    train: pa.Table, recent: pa.Table, texts: Sequence[str], seen: dict[str, _Seen]
) -> list[dict[str, Any]]:
    """Pairs of categories that training knows one by one, and never together."""
    counted = {name: seen[name].form["categories"] for name in texts}
    usable = sorted((n for n in texts if 1 < counted[n] <= _CATEGORIES), key=lambda n: -counted[n])
    found = []
    for one, other in combinations(sorted(usable[:_PAIRED]), 2):
        known = np.unique(row_hashes(train, (one, other)))
        alone = ~seen[one].outside & ~seen[other].outside
        new = ~np.isin(row_hashes(recent, (one, other)), known) & alone
        found.append({"columns": [one, other], "outside": _share(new)})
    return sorted(found, key=lambda pair: (-pair["outside"], pair["columns"]))


def _by_segment(
    column: pa.ChunkedArray, outside: Flags, staying: dict[str, Flags], named: pa.Array | None
) -> list[dict[str, Any]]:
    """One line a value, null last, with the column that most of its rows are outside in."""
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    values = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    lines = []
    known = None if named is None else {*named.to_pylist(), None}
    for place, value in sorted(enumerate(values), key=lambda one: (one[1] is None, str(one[1]))):
        if known is not None and value not in known:
            continue
        rows = codes == place
        shares = {name: _share(flags[rows]) for name, flags in staying.items()}
        worst = max(shares, key=lambda name: (shares[name], name), default=None)
        lines.append(
            {
                "value": value,
                "rows": int(np.count_nonzero(rows)),
                "outside": _share(outside[rows]),
                "worst": worst if worst is not None and shares[worst] else None,
            }
        )
    return lines


def _text(value: float) -> float | str:
    """JSON has no infinity; a reader sees it as text."""
    return _rounded(value) if np.isfinite(value) else str(value)
