"""Coverage report: recent rows whose values lie outside the range of the training rows.

Recent rows, labelled or not, are compared with the training rows by column, by pair of categories
and by segment. The report has no thresholds, since how far outside is too far depends on the model.
It does not detect gaps inside the range of the training values, except for pairs of categories that
never occur together.
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
from headrace.datasets.manifest import ManifestColumn

FORMAT = 1
# Quantiles that bound the tails of numbers; categories with fewer training rows than RARE are rare.
TAILS = (0.001, 0.999)
RARE = 10
# A column whose values are outside in more than this share of the rows, such as a month number, is
# reported as shifted (`moved`).
SHIFTED_SHARE = 0.5
_SEGMENTS, _PAIRED, _CATEGORIES, _EXAMPLES = 32, 8, 1_000, 5

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _ColumnCoverage:
    """One recent column: flags of the rows outside the training values, and its report entry."""

    outside: Flags
    form: dict[str, Any]


def coverage(
    train: pa.Table,
    recent: pa.Table,
    columns: Sequence[ManifestColumn],
    segments: Sequence[str] = (),
    *,
    allowed_texts: Mapping[str, pa.Array] | None = None,
) -> dict[str, Any]:
    """Coverage report as JSON values.

    Args:
        train: the training rows.
        recent: the rows to report on; labels are not used.
        columns: columns of both tables; keys, spine columns and features are compared.
        segments: columns to break the shares down by; by default the text columns with at most 32
            categories.
        allowed_texts: column -> texts that the report may show; for other columns it may show any
            text.

    Shares are fractions of the recent rows, from 0 to 1. A number is `outside` below the minimum or
    above the maximum of training, and `beyond` outside the 0.1% and 99.9% quantiles of training. A
    category is `outside` if training never has it, and `rare` if fewer than 10 training rows have
    it. A null is `outside` if training has no nulls. `moved` lists the columns that are outside in
    more than half of the rows; `rows` is the share of rows that are outside in any other column.
    """
    compared = [column for column in columns if _is_compared(column, train)]
    texts_of = allowed_texts or {}
    by_column = {
        column.name: _column(
            train.column(column.name), recent.column(column.name), texts_of.get(column.name)
        )
        for column in compared
    }
    shifted = [
        name for name, summary in by_column.items() if summary.form["outside"] > SHIFTED_SHARE
    ]
    staying = {name: summary.outside for name, summary in by_column.items() if name not in shifted}
    any_outside = np.zeros(recent.num_rows, np.bool_)
    for flags in staying.values():
        any_outside |= flags
    texts = [column.name for column in compared if column.type == "string"]
    by = list(segments) or [
        name for name in texts if by_column[name].form["categories"] <= _SEGMENTS
    ]
    return {
        "format": FORMAT,
        "train_rows": train.num_rows,
        "recent_rows": recent.num_rows,
        "recent_from_us": _bound(recent, "min"),
        "recent_until_us": _bound(recent, "max"),
        "rows": _share(any_outside),
        "moved": shifted,
        "columns": {name: summary.form for name, summary in by_column.items()},
        "pairs": _pairs(train, recent, texts, by_column),
        "segments": {
            name: _by_segment(recent.column(name), any_outside, staying, texts_of.get(name))
            for name in by
        },
    }


def _is_compared(column: ManifestColumn, train: pa.Table) -> bool:
    """True for a key, spine column or feature that does not identify rows.

    A text column that is not a feature identifies rows if it has more than `_CATEGORIES` values.
    """
    if column.role not in {"key", "spine", "feature"}:
        return False
    if column.type not in {"int64", "float64", "bool", "string"}:
        return False
    if column.type != "string" or column.role == "feature":
        return True
    return bool(pc.count_distinct(train.column(column.name)).as_py() <= _CATEGORIES)


def _bound(rows: pa.Table, bound: str) -> int | None:
    moments = rows.column("t").cast(pa.int64())
    moment: int | None = pc.min_max(moments).as_py()[bound]
    return moment


def _share(flags: Flags) -> float:
    return _rounded(float(np.count_nonzero(flags)) / len(flags)) if len(flags) else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def _column(
    train: pa.ChunkedArray, recent: pa.ChunkedArray, allowed_texts: pa.Array | None
) -> _ColumnCoverage:
    if pa.types.is_string(train.type) or pa.types.is_boolean(train.type):
        return _category(train.cast(pa.string()), recent.cast(pa.string()), allowed_texts)
    # Pseudonyms use the whole int64 range. The cast to float rounds those beyond 2**53, but this
    # changes no share.
    return _number(*(column.cast(pa.float64(), safe=False) for column in (train, recent)))


def _number(train: pa.ChunkedArray, recent: pa.ChunkedArray) -> _ColumnCoverage:
    train_values, values = (column.to_numpy() for column in (train, recent))
    train_values, missing = train_values[~np.isnan(train_values)], np.isnan(values)
    nulls = _nulls(len(train) - len(train_values), missing)
    if not len(train_values):
        return _ColumnCoverage(~missing, {"kind": "number", "outside": _share(~missing), **nulls})
    low, high = float(train_values.min()), float(train_values.max())
    places = [int(tail * (len(train_values) - 1)) for tail in TAILS]
    low_tail, high_tail = (float(np.partition(train_values, place)[place]) for place in places)
    with np.errstate(invalid="ignore"):
        below, above = values < low, values > high
        beyond = (values < low_tail) | (values > high_tail)
    outside = below | above | (missing & bool(nulls["null_is_new"]))
    return _ColumnCoverage(
        outside,
        {
            "kind": "number",
            "outside": _share(outside),
            "below": _share(below),
            "above": _share(above),
            "beyond": _share(beyond),
            "least": _text(low),
            "greatest": _text(high),
            "quantiles": [_text(low_tail), _text(high_tail)],
            **nulls,
        },
    )


def _category(
    train: pa.ChunkedArray, recent: pa.ChunkedArray, allowed_texts: pa.Array | None
) -> _ColumnCoverage:
    counted = pc.value_counts(train.drop_null().combine_chunks())
    categories, counts = counted.field("values"), counted.field("counts")
    rare_ones = categories.filter(pc.less(counts, RARE))
    missing = recent.is_null().to_numpy()
    unseen = ~pc.is_in(recent, value_set=categories).to_numpy() & ~missing
    rare = pc.is_in(recent, value_set=rare_ones).to_numpy() & ~missing
    nulls = _nulls(train.null_count, missing)
    outside = unseen | (missing & bool(nulls["null_is_new"]))
    return _ColumnCoverage(
        outside,
        {
            "kind": "category",
            "outside": _share(outside),
            "unseen": _share(unseen),
            "rare": _share(rare),
            "categories": len(categories),
            "examples": _most_often(
                _filter_allowed(recent.filter(pa.array(unseen)), allowed_texts)
            ),
            **nulls,
        },
    )


def _nulls(in_train: int, missing: Flags) -> dict[str, Any]:
    return {"null": _share(missing), "null_is_new": not in_train and bool(missing.any())}


def _filter_allowed(values: pa.ChunkedArray, allowed_texts: pa.Array | None) -> pa.ChunkedArray:
    return (
        values
        if allowed_texts is None
        else values.filter(pc.is_in(values, value_set=allowed_texts))
    )


def _most_often(values: pa.ChunkedArray) -> list[dict[str, Any]]:
    """The most frequent of `values`, as examples for the report."""
    counted = pc.value_counts(values.combine_chunks()).to_pylist()
    ordered = sorted(counted, key=lambda entry: (-entry["counts"], entry["values"]))
    return [{"value": entry["values"], "rows": entry["counts"]} for entry in ordered[:_EXAMPLES]]


def _pairs(
    train: pa.Table, recent: pa.Table, texts: Sequence[str], by_column: dict[str, _ColumnCoverage]
) -> list[dict[str, Any]]:
    """Share of recent rows whose categories never occur together in training, by column pair."""
    counted = {name: by_column[name].form["categories"] for name in texts}
    usable = sorted((n for n in texts if 1 < counted[n] <= _CATEGORIES), key=lambda n: -counted[n])
    pairs = []
    for first, second in combinations(sorted(usable[:_PAIRED]), 2):
        train_pairs = np.unique(row_hashes(train, (first, second)))
        both_inside = ~by_column[first].outside & ~by_column[second].outside
        new_pairs = ~np.isin(row_hashes(recent, (first, second)), train_pairs) & both_inside
        pairs.append({"columns": [first, second], "outside": _share(new_pairs)})
    return sorted(pairs, key=lambda pair: (-pair["outside"], pair["columns"]))


def _by_segment(
    column: pa.ChunkedArray,
    outside: Flags,
    staying: dict[str, Flags],
    allowed_texts: pa.Array | None,
) -> list[dict[str, Any]]:
    """One entry for each value of `column`, null last.

    `worst` is the column that is most often outside in the rows with this value.
    """
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    values = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    lines = []
    allowed = None if allowed_texts is None else {*allowed_texts.to_pylist(), None}
    for place, value in sorted(enumerate(values), key=lambda pair: (pair[1] is None, str(pair[1]))):
        if allowed is not None and value not in allowed:
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
    """A number as JSON; infinity, which JSON lacks, as text."""
    return _rounded(value) if np.isfinite(value) else str(value)
