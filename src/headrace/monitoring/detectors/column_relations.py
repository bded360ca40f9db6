"""Relations between columns: each column is predicted from the others.

A change of weather shifts temperature, humidity and pressure together, whereas a faulty sensor
shifts only its own column. So every column is predicted linearly from all others, with the
relations of earlier windows, and the residual is monitored. A season does not change the residual;
a wrong unit, a bias or a swapped column does.

Values are coded as multiples of 1/64 standard deviation, clipped at eight deviations, so that the
sums of their products are integers: exact, and independent of the order in which rows are merged.
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

STEPS = 64  # code steps per standard deviation
WIDEST = 8 * STEPS
LEVELS = 16  # number of categories of a string column that have a term: the most frequent ones
# Standard deviations between the 1/16 and 15/16 quantiles of a normal distribution.
_INNER = 3.07
_FEW = 4  # up to this many edges are distinct values, not quantiles
_TAILS = (6, 7)  # edges of `Bins` below and above the quantiles
# Added to every variance, so that the inverse exists for columns that determine each other.
RIDGE = 1e-3
# A slope is undefined if the variance of the predictions is below this, in squared deviations.
_FAINT = 1e-2


@dataclass(frozen=True)
class Term:
    """Coded variable of a column: its number, a flag for null, or a flag for category `level`."""

    column: str
    kind: Literal["number", "null", "level"]
    centre: float = 0.0
    scale: float = 1.0
    level: str = ""


def terms_of(bins: Sequence[Bins], gappy: Collection[str] = ()) -> tuple[Term, ...]:
    """Return the terms of the columns of these frozen bins; `gappy` columns are sometimes null."""
    terms: list[Term] = []
    for bin_ in bins:
        if bin_.kind == "level" and not bin_.prefixes:
            terms += [Term(bin_.column, "level", level=level) for level in bin_.levels[:LEVELS]]
        elif bin_.edges:
            terms.append(_number(bin_))
        if bin_.column in gappy:
            terms.append(Term(bin_.column, "null"))
    return tuple(terms)


def _number(bins: Bins) -> Term:
    low, high = _TAILS
    inner = bins.edges[low : len(bins.edges) - high] or bins.edges
    few = len(inner) <= _FEW
    # the outermost edges are the smallest and the largest value, which outliers determine
    span = inner[-1] - inner[0] if few else (inner[-2] - inner[1]) / _INNER
    centre = float(np.median(inner))
    return Term(bins.column, "number", centre, float(span or abs(centre) or 1.0))


@dataclass(frozen=True, eq=False)
class Coded:
    """Coded rows: `code` (rows, terms) has whole numbers; null is coded as the centre, 0.

    `present` is {numeric column: mask of the rows in which it has a value (bool, rows)}.
    """

    code: Floats
    present: dict[str, npt.NDArray[np.bool_]]


def coded(terms: Sequence[Term], table: pa.Table) -> Coded:
    """Code the rows of `table`, which must have every column that `terms` name."""
    matrix = np.zeros((len(terms), table.num_rows), np.float64)
    present = {}
    for column, group in groupby(enumerate(terms), lambda entry: entry[1].column):
        places = list(group)
        levels = [(at, term.level) for at, term in places if term.kind == "level"]
        numbers = [(at, term) for at, term in places if term.kind == "number"]
        values = table[column]
        if levels:
            level_names = pa.array([level for _, level in levels], pa.string())
            code = pc.fill_null(pc.index_in(values.cast(pa.string()), level_names), -1).to_numpy()
            for place, (at, _) in enumerate(levels):
                matrix[at] = (code == place) * float(STEPS)
        for at, term in numbers:
            steps = np.rint((_numbers(values) - term.centre) * (STEPS / term.scale))
            present[column] = ~np.isnan(steps)
            matrix[at] = np.nan_to_num(np.clip(steps, -WIDEST, WIDEST))
        for at, term in places:
            if term.kind == "null":
                missing = ~present[column] if numbers else values.is_null().to_numpy()
                matrix[at] = missing * float(STEPS)
    return Coded(matrix.T, present)


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Return the column as float64, with NaN for null."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    column = column.cast(kind)
    if pa.types.is_timestamp(kind) or pa.types.is_boolean(kind):
        column = column.cast(pa.int64())
    result: Floats = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return result


@dataclass(frozen=True, eq=False)
class Sums:
    """Number of coded rows, sum of the codes (terms), and sum of their products (terms, terms).

    All are integers, so that merging is exact.
    """

    rows: int
    total: Ints
    products: Ints

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.rows + other.rows, self.total + other.total, self.products + other.products
        )


def sums(code: Floats) -> Sums:
    """Return the sums over all rows of `code`; float64 is exact up to 10^10 rows."""
    products = code.T @ code
    return Sums(len(code), code.sum(axis=0).astype(np.int64), products.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Relation:
    """Linear relation of columns: `residual` (terms, terms) maps a row minus `mean` to residuals.

    The unit is standard deviations. `usual` is the standard deviation of each term's residual,
    `explained` the share of the term's variance that the other columns explain.
    """

    mean: Floats
    residual: Floats
    usual: Floats
    explained: Floats


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals of one window under an earlier relation, one number per term.

    Attributes:
        bias: mean of the residual, in units of its usual standard deviation.
        scatter: log of the residual's variance over the usual variance.
        slope: slope of the values on their predictions, both relative to the earlier mean; 1 where
            the relation holds, NaN where the predictions hardly vary.
        factor: the same slope relative to the means of the window, which an offset does not change.
        expected: mean predicted from the other columns, as standard deviations from the centre.
        away: mean of the residual, in standard deviations.
        explained: share of the term's variance that the other columns explained before.
    """

    bias: Floats
    scatter: Floats
    slope: Floats
    factor: Floats
    expected: Floats
    away: Floats
    explained: Floats


def relate(past: Sums, terms: Sequence[Term]) -> Relation:
    """Fit ridge regressions of each column's terms on all other columns' terms.

    One matrix inverse gives all of them: with the precision matrix P, the residual of the terms J
    given all others is inverse(P_JJ) P_J applied to a row minus its mean (Lauritzen, Graphical
    Models, 1996, 5.1.3).
    """
    mean, covariance = _moments(past)
    precision = np.linalg.inv(covariance + RIDGE * np.eye(len(mean)))
    residual = np.empty_like(precision)
    for _, group in groupby(range(len(terms)), lambda at: terms[at].column):
        block = list(group)
        residual[block] = np.linalg.solve(precision[np.ix_(block, block)], precision[block])
    unexplained = _quadratic(residual, covariance)
    explained = 1 - unexplained / np.maximum(np.diag(covariance), RIDGE)
    return Relation(mean, residual, np.sqrt(np.maximum(unexplained, 0) + RIDGE), explained)


def residuals(relation: Relation, now: Sums) -> Residuals:
    """Return a window's residuals: the part of each column that the others do not predict."""
    mean, covariance = _moments(now)
    away = mean - relation.mean
    residual = relation.residual
    bias = residual @ away
    unexplained = _quadratic(residual, covariance)
    predicts = np.eye(len(mean)) - residual
    slope = _slope(predicts, covariance + np.outer(away, away))
    factor = _slope(predicts, covariance)
    scatter = np.log((np.maximum(unexplained, 0) + RIDGE) / relation.usual**2)
    expected = relation.mean + predicts @ away
    return Residuals(
        bias / relation.usual, scatter, slope, factor, expected, bias, relation.explained
    )


def _slope(predicts: Floats, moments: Floats) -> Floats:
    """Return the slope of every term on its prediction, from a matrix of moments."""
    product = (predicts * moments).sum(axis=1)
    square = _quadratic(predicts, moments)
    return np.where(square > _FAINT, product / np.maximum(square, _FAINT), np.nan)


def _quadratic(rows: Floats, middle: Floats) -> Floats:
    """Return r' M r for every row r."""
    result: Floats = ((rows @ middle) * rows).sum(axis=1)
    return result


def _moments(window_sums: Sums) -> tuple[Floats, Floats]:
    """Return mean and covariance, in units of standard deviations."""
    mean = window_sums.total / (window_sums.rows * STEPS)
    covariance = window_sums.products / (window_sums.rows * STEPS**2) - np.outer(mean, mean)
    return mean, covariance
