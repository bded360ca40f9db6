"""Measures of every column in every window, and their limits.

The limit of a measure comes from earlier windows of the same column. With many columns, some column
exceeds its limit in many ordinary weeks. So the largest ratio of any column in earlier windows
determines the ratio that is allowed in this one (`MeasuredWindow.strain`, `allowed`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import exp, log
from operator import add
from statistics import median
from typing import Literal

import numpy as np
import numpy.typing as npt

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.column_relations import Residuals, Sums, Term, relate, residuals
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.bins import Bins
from headrace.monitoring.profiles.profiles import Ints, Profile
from headrace.monitoring.profiles.row_facts import RowFacts

MAD_TO_DEVIATION = 1.4826

# Measures of a column. "shape" is the distance of its distribution from that of the most similar
# earlier window. The others measure the residual of its prediction from the other columns: the mean
# ("bias"), the variance ("scatter") and the slope ("scale"). All are 0 if nothing changed.
Measure = Literal["shape", "bias", "scatter", "scale"]
RELATIONS: tuple[Measure, ...] = ("bias", "scatter", "scale")
Values = Mapping[str, float]
Floats = npt.NDArray[np.float64]
_TINY = np.finfo(np.float64).tiny
_TAILED = 4  # with this many bins or more, the outermost bins are far outside the usual range
_WRONG_SIGN = 3.0  # measure of a slope of 0 or below; also of a slope 20 times too small (log 20)


@dataclass(frozen=True)
class Shares:
    """Shares of one column's rows (`nulls`) and of its values (all others).

    `novel`: values in bins that were always empty, or categories unknown when the bins were frozen.
    `far`: values in the outermost bins. `top`: values in bin number `fullest`. `mode_share`: rows
    with the most frequent value.
    """

    nulls: float
    novel: float
    far: float
    top: float
    mode_share: float
    fullest: int


@dataclass(frozen=True)
class MeasuredWindow:
    """Measures of one window, and how later windows use it in their baseline.

    Attributes:
        window: days of the window.
        profile: profile of these days.
        cells: {column: counts per bin, nulls last}.
        shares: {column: its shares}.
        facts: facts from its rows; None without rows.
        residuals: residuals of every term under the relation of earlier windows; None with too few
            earlier windows.
        measured: {measure: {column: its value}}, for the columns that could be measured.
        limits: {measure: {column: largest value that its earlier windows allow}}.
        faulty_columns: columns with a fault, excluded from the baseline.
        jumped: columns whose distance is so large that later limits ignore it.
        is_reference: False if rows or tables are faulty; the window is then not in the baseline.
        related: False if the relations of columns are faulty; they are then not in the baseline.
        renewed: columns that a person accepted. The baseline of these columns and of all relations
            begins with this window.
        row_count_accepted: True if a person accepted the number of rows. The baseline of this
            number begins with this window.
    """

    window: Window
    profile: Profile
    cells: dict[str, Ints]
    shares: Mapping[str, Shares] = field(default_factory=dict)
    facts: RowFacts | None = None
    residuals: Residuals | None = None
    measured: Mapping[Measure, Values] = field(default_factory=dict)
    limits: Mapping[Measure, Values] = field(default_factory=dict)
    faulty_columns: frozenset[str] = frozenset()
    jumped: frozenset[str] = frozenset()
    is_reference: bool = True
    related: bool = True
    renewed: frozenset[str] = frozenset()
    row_count_accepted: bool = False

    def ratios(self, measure: Measure) -> dict[str, float]:
        """Return {column: value / limit}, for the columns that have a limit."""
        values = self.measured.get(measure, {})
        limits = self.limits.get(measure, {})
        return {column: values[column] / limit for column, limit in limits.items()}

    def strain(self, measure: Measure) -> float:
        """Return the largest ratio (value / limit) of any column; ignore accepted columns."""
        ratios = self.ratios(measure).items()
        return max((ratio for name, ratio in ratios if name not in self.renewed), default=0.0)


def measure_window(  # noqa: PLR0917
    window: Window,
    profile: Profile,
    facts: RowFacts | None,
    terms: Sequence[Term],
    past: Sequence[MeasuredWindow],
    settings: Detection,
) -> MeasuredWindow:
    """Measure a window against the windows in `past` (oldest first), without making findings."""
    cells = {b.column: cells_of(profile, b.column) for b in profile.bins}
    if profile.rows == 0:
        return MeasuredWindow(window, profile, cells)
    window_residuals = _window_residuals(facts, terms, past, settings)
    measured: dict[Measure, Values] = {"shape": _shapes(profile.bins, cells, past)}
    if window_residuals is not None:
        measured |= _relations(window_residuals, terms, settings.explained)
    ready = {b.column for b in profile.bins if window.first >= b.frozen_until}
    limits: dict[Measure, Values] = {
        measure: {
            column: limit
            for column in values
            if column in ready and (limit := _limit(measure, column, past, settings)) is not None
        }
        for measure, values in measured.items()
    }
    shares = {b.column: _shares(b, cells[b.column], facts, past) for b in profile.bins}
    return MeasuredWindow(window, profile, cells, shares, facts, window_residuals, measured, limits)


def _shares(
    bins: Bins, cells: Ints, facts: RowFacts | None, past: Sequence[MeasuredWindow]
) -> Shares:
    values = cells[:-1]
    value_count = max(int(values.sum()), 1)
    novel, far = int(cells[-2]), 0
    if bins.kind != "level":
        earlier = [window.cells[bins.column][:-1] for window in clean(past, bins.column)]
        novel = int(values[np.sum(earlier, axis=0) == 0].sum()) if earlier else 0
        far = int(values[0] + values[-1]) if len(values) >= _TAILED else 0
    mode_share = facts.mode_shares.get(bins.column, 0.0) if facts else 0.0
    fullest = int(values.argmax())
    parts = (int(cells[-1]) / max(int(cells.sum()), 1), novel / value_count, far / value_count)
    return Shares(*parts, int(values[fullest]) / value_count, mode_share, fullest)


def cells_of(profile: Profile, column: str) -> Ints:
    """Return the counts per bin of one column, nulls last."""
    at, part = profile.places[column]
    return np.append(profile.counts[part], profile.nulls[at])


def clean(past: Sequence[MeasuredWindow], column: str) -> list[MeasuredWindow]:
    """Return the baseline windows of `column`: with rows, and without a fault in it or in a table.

    If a person accepted the column in a window, the baseline begins with that window, even if the
    window had other faults.
    """
    begins = (at for at in range(len(past) - 1, -1, -1) if column in past[at].renewed)
    return [
        window
        for window in past[next(begins, 0) :]
        if (window.is_reference or column in window.renewed)
        and column not in window.faulty_columns
        and window.profile.rows > 0
    ]


def renew(
    current: MeasuredWindow, profile: Profile, facts: RowFacts | None, columns: Collection[str]
) -> MeasuredWindow:
    """Return a window with new bins for its accepted `columns`; none of their values is novel."""
    cells = {b.column: cells_of(profile, b.column) for b in profile.bins}
    shares = {
        b.column: _shares(b, cells[b.column], facts, ()) if b.column in columns
        else current.shares[b.column]
        for b in profile.bins
    }  # fmt: skip
    return replace(current, profile=profile, cells=cells, shares=shares, facts=facts)


# -- shapes ----------------------------------------------------------------------------------------


def _shapes(
    bins: Sequence[Bins], cells: Mapping[str, Ints], past: Sequence[MeasuredWindow]
) -> Values:
    """Return the distance of each column from the most similar earlier clean window."""
    shapes = {}
    for bin_ in bins:
        earlier = [window.cells[bin_.column] for window in clean(past, bin_.column)]
        if earlier:
            shapes[bin_.column] = float(js_distances(cells[bin_.column], np.array(earlier)).min())
    return shapes


def js_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the Jensen-Shannon distance of two histograms: 0 if equal, 1 without common bins."""
    return float(js_distances(np.asarray(a), np.asarray(b)[None])[0])


def js_distances(counts: npt.NDArray[np.generic], many: npt.NDArray[np.generic]) -> Floats:
    """Return the distances of a histogram (bins) to others (n, bins); 0 where either is empty."""
    p, q = counts.astype(np.float64), many.astype(np.float64)
    total = q.sum(axis=1)
    if p.sum() == 0:
        return np.zeros(len(q))
    p, q = p / p.sum(), q / np.maximum(total, 1)[:, None]
    middle = np.log2(np.maximum((p + q) / 2, _TINY))
    divergence = _entropies(p, middle) + _entropies(q, middle)
    return np.where(total > 0, np.sqrt(np.maximum(divergence / 2, 0)), 0.0)


def _entropies(p: Floats, log_middle: Floats) -> Floats:
    result: Floats = (p * (np.log2(np.maximum(p, _TINY)) - log_middle)).sum(axis=1)
    return result


# -- relations -------------------------------------------------------------------------------------


def _window_residuals(
    facts: RowFacts | None,
    terms: Sequence[Term],
    past: Sequence[MeasuredWindow],
    settings: Detection,
) -> Residuals | None:
    earlier = related_sums(past)
    if facts is None or facts.sums.rows == 0 or len(earlier) < settings.relation_windows:
        return None
    return residuals(relate(reduce(add, earlier), terms), facts.sums)


def related_sums(past: Sequence[MeasuredWindow]) -> list[Sums]:
    """Return the sums of the baseline windows of relations, oldest first.

    The baseline begins with the last window that has an accepted column.
    """
    begins = (at for at in range(len(past) - 1, -1, -1) if past[at].renewed)
    return [
        window.facts.sums
        for window in past[next(begins, 0) :]
        if window.facts and window.is_reference and window.related
    ]  # fmt: skip


def _relations(
    window_residuals: Residuals, terms: Sequence[Term], explained: float
) -> dict[Measure, Values]:
    """Measure the terms that other columns explain; each column has its terms' largest measure."""
    bias: dict[str, float] = {}
    scatter: dict[str, float] = {}
    scale: dict[str, float] = {}
    for at, term in enumerate(terms):
        if window_residuals.explained[at] < explained:
            continue
        _widen(bias, term.column, abs(float(window_residuals.bias[at])))
        if term.kind != "null":
            _widen(scatter, term.column, abs(float(window_residuals.scatter[at])))
        if term.kind == "number" and not np.isnan(window_residuals.slope[at]):
            _widen(scale, term.column, _distance_from_one(float(window_residuals.slope[at])))
    return {"bias": bias, "scatter": scatter, "scale": scale}


def deviations(window_residuals: Residuals, terms: Sequence[Term]) -> dict[str, float]:
    """Return {column: root mean square of its residuals, in usual standard deviations}.

    The column with the largest value is the likely cause: without this column, the sum of squares
    of the others is smallest.
    """
    by_column: dict[str, float] = {}
    square = window_residuals.bias**2 + np.exp(window_residuals.scatter)
    for at, term in enumerate(terms):
        _widen(by_column, term.column, float(np.sqrt(square[at])))
    return by_column


def _widen(values: dict[str, float], column: str, value: float) -> None:
    values[column] = max(values.get(column, 0.0), value)


def _distance_from_one(slope: float) -> float:
    """Return the distance of a slope from 1, in log units."""
    return min(abs(float(np.log(slope))), _WRONG_SIGN) if slope > 0 else _WRONG_SIGN


# -- limits ----------------------------------------------------------------------------------------


def _limit(
    measure: Measure, column: str, past: Sequence[MeasuredWindow], settings: Detection
) -> float | None:
    """Return the limit from the column's own earlier windows; None with too few of them.

    Measures from before an acceptance still count, because the spread between windows stays the
    same. Only the accepted window itself is excluded.
    """
    earlier = [
        window.measured[measure][column]
        for window in past
        if window.is_reference
        and column not in window.faulty_columns | window.renewed
        and column in window.measured.get(measure, {})
        and not (measure == "shape" and column in window.jumped)
    ]
    if measure != "shape" and len(earlier) < settings.min_history:
        return None
    return upper_limit(earlier, settings.cold_distance, floor_of(measure, settings), settings)


def floor_of(measure: Measure, settings: Detection) -> float:
    floors: dict[Measure, float] = {
        "shape": settings.distance_floor,
        "bias": settings.bias_floor,
        "scatter": settings.scatter_floor,
        "scale": settings.scale_floor,
    }
    return floors[measure]


def upper_limit(past: Sequence[float], cold: float, floor: float, settings: Detection) -> float:
    """Return the largest value allowed in a new window: a robust limit, computed in log units.

    If there are fewer than `min_history` earlier values, the limit is `cold`. Otherwise it is never
    below `floor` or the largest earlier value.
    """
    if len(past) < settings.min_history:
        return cold
    # small values are noise and differ widely in logs, so values below `quiet` count as equal
    quiet = floor * exp(-settings.spread * settings.least_spread)
    logs = [log(max(value, quiet)) for value in past]
    middle = median(logs)
    deviation = MAD_TO_DEVIATION * median(abs(value - middle) for value in logs)
    limit = exp(middle + settings.spread * max(deviation, settings.least_spread))
    return max(limit, floor, *past)


def allowed(measure: Measure, past: Sequence[MeasuredWindow], settings: Detection) -> float:
    """Return the largest allowed ratio (value / limit) of any column in a window.

    It is at least `gross`, and larger if the largest ratios of earlier windows were high.
    """
    earlier = [
        window.strain(measure)
        for window in past
        if window.is_reference and window.related and window.limits.get(measure)
    ]
    if not earlier:
        return settings.gross
    usual = float(np.quantile(earlier, settings.usual_strain))
    return max(settings.gross, settings.strain * usual)


def beyond(
    current: MeasuredWindow,
    measures: Iterable[Measure],
    past: Sequence[MeasuredWindow],
    settings: Detection,
) -> dict[str, tuple[float, Measure]]:
    """Return {column: (ratio / allowed ratio, measure)}, largest first.

    Only columns above their allowed ratio are included.
    """
    departures: dict[str, tuple[float, Measure]] = {}
    for measure in measures:
        allowance = allowed(measure, past, settings)
        for column, ratio in current.ratios(measure).items():
            if ratio > allowance and ratio / allowance > departures.get(column, (0.0, measure))[0]:
                departures[column] = (ratio / allowance, measure)
    return dict(sorted(departures.items(), key=lambda entry: (-entry[1][0], entry[0])))
