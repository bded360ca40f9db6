"""Facts computed from the rows of a window: column relations, duplicates, constant values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.monitoring.detectors.column_relations import (
    WIDEST,
    Coded,
    Sums,
    Term,
    coded,
    sums,
    terms_of,
)
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.profiles import Ints, Profiles

MARKS = 512  # number of row hashes kept to recognise the rows of a window
# A column counts as sometimes null if its share of nulls in the first days is within this range.
_SOMETIMES = (0.02, 0.98)


@dataclass(frozen=True, eq=False)
class RowFacts:
    """Facts of one window.

    Attributes:
        sums: sums of the coded rows and of their products.
        mode_shares: {numeric column: share of its most frequent value among non-null values}.
        days: number of days with rows.
        duplicates: share of duplicate rows, with the same values and time.
        marks: smallest hashes of rows without their time (int64, ascending, at most `MARKS`).
    """

    sums: Sums
    mode_shares: dict[str, float]
    days: int
    duplicates: float
    marks: Ints


def row_facts(
    frame: pa.Table, day: Ints, laid: Sequence[Window], terms: Sequence[Term]
) -> list[RowFacts]:
    """Return the facts of each window; `day` (int64, any order) is the epoch day of each row."""
    order = None if bool(np.all(day[1:] >= day[:-1])) else np.argsort(day, kind="stable")
    sorted_day = day if order is None else day[order]
    names = ["t", *dict.fromkeys(term.column for term in terms)]
    frame = frame.select(names)
    facts = []
    for window in laid:
        first, last = np.searchsorted(sorted_day, [window.first, window.end]).tolist()
        rows = frame.slice(first, last - first)
        rows = rows if order is None else frame.take(pa.array(order[first:last]))
        days = len(np.unique(sorted_day[first:last]))
        facts.append(facts_of(rows, terms, days))
    return facts


def facts_of(rows: pa.Table, terms: Sequence[Term], days: int) -> RowFacts:
    """Return the facts of rows with `t` (int64 us or timestamp) and the columns of `terms`."""
    coded_rows = coded(terms, rows)
    marks = _marks(coded_rows.code)
    t = rows["t"].cast(pa.int64()).to_numpy()
    duplicates = 1 - len(np.unique(marks + t * _MIX)) / len(t) if len(t) else 0.0
    mode_shares = {
        term.column: _top_share(coded_rows, at, term.column)
        for at, term in enumerate(terms)
        if term.kind == "number"
    }
    return RowFacts(sums(coded_rows.code), mode_shares, days, duplicates, np.unique(marks)[:MARKS])


def terms_for(profiles: Profiles) -> tuple[Term, ...]:
    """Return the terms of the profiled columns, from the days on which the bins were frozen."""
    stacked = profiles.whole
    gappy = []
    for at, bins in enumerate(stacked.bins):
        early = profiles.days < bins.frozen_until
        rows, nulls = int(stacked.rows[early].sum()), int(stacked.nulls[early, at].sum())
        if rows and _SOMETIMES[0] < nulls / rows < _SOMETIMES[1]:
            gappy.append(bins.column)
    return terms_of(stacked.bins, gappy)


_MIX = np.int64(0x9E3779B97F4A7C15 - 2**64)  # 2^64 / golden ratio: an odd number, well-mixed bits


def _marks(code: npt.NDArray[np.float64]) -> Ints:
    """Return a hash (int64) of each coded row: a weighted sum of its codes, with mixed bits."""
    places = np.arange(1, code.shape[1] + 1, dtype=np.int64)
    with np.errstate(over="ignore"):
        multipliers = _mixed(places * _MIX)
        total = code.astype(np.int64) @ multipliers
        return _mixed(total)


def _mixed(values: Ints) -> Ints:
    """Mix the bits of each value: the finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    bits = values.astype(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (bits ^ (bits >> np.uint64(31))).astype(np.int64)


def _top_share(coded_rows: Coded, at: int, column: str) -> float:
    """Return the share of the most frequent code among values that are not null or clipped."""
    present = coded_rows.present[column]
    count = int(present.sum())
    if count == 0:
        return 0.0
    steps = coded_rows.code[present, at].astype(np.int64) + WIDEST
    return float(np.bincount(steps, minlength=2 * WIDEST + 1)[1:-1].max()) / count
