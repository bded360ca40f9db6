"""What columns say about each other: sums of products, and each column predicted from the others.

Weather that turns moves temperature, humidity and pressure together; a sensor that is off moves
alone. So every column is predicted linearly from all others, as they related in windows before, and
what is left over is watched: a season cancels, a unit, a bias or a swapped column does not.

Values are coded as whole numbers of 1/64 of a usual deviation, at most eight of them, so that sums
of their products are integers: exact, and the same however rows are parted and merged.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.monitoring.profiles.bins import Bins

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS = 64  # to one deviation
WIDEST = 8 * STEPS
LEVELS = 16  # of a column of strings, the most frequent ones
# A normal distribution has as many deviations between its 1/16 and 15/16 quantiles.
_INNER = 3.07
_FEW = 4  # distinct values that are no quantiles
_TAILS = (6, 7)  # edges of `Bins` below and above the quantiles
# Added to every variance: columns that follow from each other exactly keep a little of their own.
RIDGE = 1e-3
# Predictions of less variance than this, in squared deviations, say nothing about a scale.
_FAINT = 1e-2


@dataclass(frozen=True)
class Term:
    """One coded column of the sums: a number, whether it is null, or whether it is `level`."""

    column: str
    kind: Literal["number", "null", "level"]
    centre: float = 0.0
    scale: float = 1.0
    level: str = ""


def terms_of(bins: Sequence[Bins], gappy: Collection[str] = ()) -> tuple[Term, ...]:
    """How columns are coded: it follows from frozen bins, and which columns had nulls by then."""
    found: list[Term] = []
    for bin_ in bins:
        if bin_.kind == "level" and not bin_.prefixes:
            found += [Term(bin_.column, "level", level=level) for level in bin_.levels[:LEVELS]]
        elif bin_.edges:
            found.append(_number(bin_))
        if bin_.column in gappy:
            found.append(Term(bin_.column, "null"))
    return tuple(found)


def _number(bins: Bins) -> Term:
    low, high = _TAILS
    inner = bins.edges[low : len(bins.edges) - high] or bins.edges
    few = len(inner) <= _FEW
    # the outermost are the least and the greatest value seen: no measure of what is usual
    span = inner[-1] - inner[0] if few else (inner[-2] - inner[1]) / _INNER
    centre = float(np.median(inner))
    return Term(bins.column, "number", centre, float(span or abs(centre) or 1.0))


@dataclass(frozen=True, eq=False)
class Coded:
    """`code` are whole numbers (rows, terms); what is null counts as usual: 0.

    `there` says of the columns that are numbers which values there are (bool, rows).
    """

    code: Floats
    there: dict[str, npt.NDArray[np.bool_]]


def coded(terms: Sequence[Term], table: pa.Table) -> Coded:
    """The rows of `table`, which has every column that `terms` name."""
    made = np.zeros((len(terms), table.num_rows), np.float64)
    there = {}
    for column, group in groupby(enumerate(terms), lambda one: one[1].column):
        places = list(group)
        levels = [(at, term.level) for at, term in places if term.kind == "level"]
        numbers = [(at, term) for at, term in places if term.kind == "number"]
        values = table[column]
        if levels:
            known = pa.array([level for _, level in levels], pa.string())
            code = pc.fill_null(pc.index_in(values.cast(pa.string()), known), -1).to_numpy()
            for place, (at, _) in enumerate(levels):
                made[at] = (code == place) * float(STEPS)
        for at, term in numbers:
            steps = np.rint((_numbers(values) - term.centre) * (STEPS / term.scale))
            there[column] = ~np.isnan(steps)
            made[at] = np.nan_to_num(np.clip(steps, -WIDEST, WIDEST))
        for at, term in places:
            if term.kind == "null":
                missing = ~there[column] if numbers else values.is_null().to_numpy()
                made[at] = missing * float(STEPS)
    return Coded(made.T, there)


def _numbers(column: pa.ChunkedArray) -> Floats:
    """float64 with NaN for null."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    column = column.cast(kind)
    if pa.types.is_timestamp(kind) or pa.types.is_boolean(kind):
        column = column.cast(pa.int64())
    result: Floats = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return result


@dataclass(frozen=True, eq=False)
class Sums:
    """Of coded rows: how many, their total (terms) and the total of their products (terms, terms).

    int64 all, so that merging is exact.
    """

    rows: int
    total: Ints
    products: Ints

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.rows + other.rows, self.total + other.total, self.products + other.products
        )


def sums(code: Floats) -> Sums:
    """The sums over all rows of `code`; float64 holds them exactly up to 10^10 rows."""
    products = code.T @ code
    return Sums(len(code), code.sum(axis=0).astype(np.int64), products.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Relation:
    """How columns related: `residual` (terms, terms) of a row less `mean` is what is left of it.

    In deviations. `usual` is the deviation of what is left over, `explained` the share of a term's
    variance that is not.
    """

    mean: Floats
    residual: Floats
    usual: Floats
    explained: Floats


@dataclass(frozen=True, eq=False)
class Residuals:
    """One window against a relation, one number a term.

    Attributes:
        bias: mean of what is left over, in its usual deviations.
        scatter: log of its variance over the usual one.
        slope: of the values on their predictions, both from the mean of before; 1 where the
            relation holds, NaN where the predictions hardly vary.
        factor: the same slope from the means of the window, so that an offset has no part in it.
        expected: mean that the others predict, in deviations from the centre.
        away: mean of what is left over, in deviations.
        explained: share of the term's variance that the others explained before.
    """

    bias: Floats
    scatter: Floats
    slope: Floats
    factor: Floats
    expected: Floats
    away: Floats
    explained: Floats


def relate(past: Sums, terms: Sequence[Term]) -> Relation:
    """Ridge regression of the terms of every column on those of all other columns, by one inverse.

    With the precision matrix P, what is left of the terms J when the others predict them is
    inverse(P_JJ) P_J applied to a row less its mean (Lauritzen, Graphical Models, 1996, 5.1.3).
    """
    mean, covariance = _moments(past)
    precision = np.linalg.inv(covariance + RIDGE * np.eye(len(mean)))
    residual = np.empty_like(precision)
    for _, group in groupby(range(len(terms)), lambda at: terms[at].column):
        block = list(group)
        residual[block] = np.linalg.solve(precision[np.ix_(block, block)], precision[block])
    left = _quadratic(residual, covariance)
    explained = 1 - left / np.maximum(np.diag(covariance), RIDGE)
    return Relation(mean, residual, np.sqrt(np.maximum(left, 0) + RIDGE), explained)


def residuals(relation: Relation, now: Sums) -> Residuals:
    """What a window shows beyond what its own columns say about each other."""
    mean, covariance = _moments(now)
    away = mean - relation.mean
    residual = relation.residual
    bias = residual @ away
    left = _quadratic(residual, covariance)
    predicts = np.eye(len(mean)) - residual
    slope = _slope(predicts, covariance + np.outer(away, away))
    factor = _slope(predicts, covariance)
    scatter = np.log((np.maximum(left, 0) + RIDGE) / relation.usual**2)
    expected = relation.mean + predicts @ away
    return Residuals(
        bias / relation.usual, scatter, slope, factor, expected, bias, relation.explained
    )


def _slope(predicts: Floats, about: Floats) -> Floats:
    """Regression of every term on its prediction, from a matrix of moments."""
    product = (predicts * about).sum(axis=1)
    square = _quadratic(predicts, about)
    return np.where(square > _FAINT, product / np.maximum(square, _FAINT), np.nan)


def _quadratic(rows: Floats, middle: Floats) -> Floats:
    """R' M r for every row r."""
    result: Floats = ((rows @ middle) * rows).sum(axis=1)
    return result


def _moments(one: Sums) -> tuple[Floats, Floats]:
    """Mean and covariance, in deviations."""
    mean = one.total / (one.rows * STEPS)
    covariance = one.products / (one.rows * STEPS**2) - np.outer(mean, mean)
    return mean, covariance
