"""What only the rows of a window tell: how columns relate, what comes twice, what stands still."""

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

MARKS = 512  # rows that a window is known again by
# A column is null now and then if it was in such a share of its first rows.
_SOMETIMES = (0.02, 0.98)


@dataclass(frozen=True, eq=False)
class RowFacts:
    """Of one window.

    Attributes:
        sums: of coded rows and their products.
        standing: {column: share of its most frequent value among those there are}, of numbers.
        days: how many days have rows.
        doubled: share of rows that are there already, with the same moment.
        marks: least hashes of rows without their moments (int64, ascending, at most `MARKS`).
    """

    sums: Sums
    standing: dict[str, float]
    days: int
    doubled: float
    marks: Ints


def row_facts(
    frame: pa.Table, day: Ints, laid: Sequence[Window], terms: Sequence[Term]
) -> list[RowFacts]:
    """The facts of each window; `day` (int64, one a row) says which it belongs to, in any order."""
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
    """The facts of these rows: `t` (int64 us or timestamp) and the columns of `terms`."""
    done = coded(terms, rows)
    marks = _marks(done.code)
    t = rows["t"].cast(pa.int64()).to_numpy()
    doubled = 1 - len(np.unique(marks + t * _MIX)) / len(t) if len(t) else 0.0
    standing = {
        term.column: _most(done, at, term.column)
        for at, term in enumerate(terms)
        if term.kind == "number"
    }
    return RowFacts(sums(done.code), standing, days, doubled, np.unique(marks)[:MARKS])


def terms_for(profiles: Profiles) -> tuple[Term, ...]:
    """How the columns of these profiles are coded, from the days that chose their bins."""
    whole = profiles.whole
    gappy = []
    for at, bins in enumerate(whole.bins):
        early = profiles.days < bins.frozen_until
        rows, nulls = int(whole.rows[early].sum()), int(whole.nulls[early, at].sum())
        if rows and _SOMETIMES[0] < nulls / rows < _SOMETIMES[1]:
            gappy.append(bins.column)
    return terms_of(whole.bins, gappy)


_MIX = np.int64(0x9E3779B97F4A7C15 - 2**64)  # 2^64 / golden ratio: odd, its bits well spread


def _marks(code: npt.NDArray[np.float64]) -> Ints:
    """A hash of each row's code (int64): the sum of its numbers, each times a multiplier."""
    places = np.arange(1, code.shape[1] + 1, dtype=np.int64)
    with np.errstate(over="ignore"):
        multipliers = _mixed(places * _MIX)
        total = code.astype(np.int64) @ multipliers
        return _mixed(total)


def _mixed(values: Ints) -> Ints:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014): every bit moves every other."""
    bits = values.astype(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (bits ^ (bits >> np.uint64(31))).astype(np.int64)


def _most(done: Coded, at: int, column: str) -> float:
    """Share of the most frequent code among the values that are there; far ones have no code."""
    there = done.there[column]
    count = int(there.sum())
    if count == 0:
        return 0.0
    whole = done.code[there, at].astype(np.int64) + WIDEST
    return float(np.bincount(whole, minlength=2 * WIDEST + 1)[1:-1].max()) / count
