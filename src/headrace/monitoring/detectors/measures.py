"""What is measured of every column in every window, and how far each measure may go.

A measure's limit comes from the same column's own past. A window has many columns, so that some
column is past its limit in many a natural week: how far the furthest of them went in the windows
before says how far it may go in this one (`Seen.strain`, `allowed`).
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

# How a column is measured. Of its own distribution: how far from the nearest window before. Of what
# is left when the others predict it: its mean, its variance, its slope. 0 where all is well.
Measure = Literal["shape", "bias", "scatter", "scale"]
RELATIONS: tuple[Measure, ...] = ("bias", "scatter", "scale")
Values = Mapping[str, float]
Floats = npt.NDArray[np.float64]
_TINY = np.finfo(np.float64).tiny
_TAILED = 4  # bins from which the outermost lie far outside
_WRONG_SIGN = 3.0  # the measure of a slope that is not even positive: as if 20 times too small


@dataclass(frozen=True)
class Shares:
    """Parts of one column's rows (`nulls`) and of its values (all others).

    `novel` are in bins that were always empty, or levels unknown when frozen; `far` are in the
    outermost bins; `top` are in bin number `fullest`, `standing` have the most frequent value.
    """

    nulls: float
    novel: float
    far: float
    top: float
    standing: float
    fullest: int


@dataclass(frozen=True)
class Seen:
    """What one window showed.

    Attributes:
        window: the days.
        profile: of them.
        cells: {column: counts per bin, nulls last}.
        shares: {column: of it}.
        facts: what its rows told; None where there are none.
        residuals: of every term against the windows before; None where they are too few.
        measured: {measure: {column: its value}}, of columns that could be measured.
        limits: {measure: {column: the value that its past allows}}.
        soiled: columns with a fault: no reference later.
        jumped: columns whose shape moved so far that it does not say what is usual.
        whole: False if rows or tables are at fault: no reference later.
        related: False if columns related as they should not: no reference for relations.
        renewed: columns that a person accepted: their reference, and that of relations, begins
            with this window.
        resized: whether its number of rows was accepted: that of later ones is held to it.
    """

    window: Window
    profile: Profile
    cells: dict[str, Ints]
    shares: Mapping[str, Shares] = field(default_factory=dict)
    facts: RowFacts | None = None
    residuals: Residuals | None = None
    measured: Mapping[Measure, Values] = field(default_factory=dict)
    limits: Mapping[Measure, Values] = field(default_factory=dict)
    soiled: frozenset[str] = frozenset()
    jumped: frozenset[str] = frozenset()
    whole: bool = True
    related: bool = True
    renewed: frozenset[str] = frozenset()
    resized: bool = False

    def ratios(self, measure: Measure) -> dict[str, float]:
        """{column: value / limit}, for the columns that could be judged."""
        values = self.measured.get(measure, {})
        limits = self.limits.get(measure, {})
        return {column: values[column] / limit for column, limit in limits.items()}

    def strain(self, measure: Measure) -> float:
        """The greatest ratio of any column; how far an accepted one went is not usual."""
        ratios = self.ratios(measure).items()
        return max((ratio for name, ratio in ratios if name not in self.renewed), default=0.0)


def look(  # noqa: PLR0917
    window: Window,
    profile: Profile,
    facts: RowFacts | None,
    terms: Sequence[Term],
    past: Sequence[Seen],
    settings: Detection,
) -> Seen:
    """Measure a window against the windows in `past`, oldest first. Judges nothing."""
    cells = {b.column: cells_of(profile, b.column) for b in profile.bins}
    if profile.rows == 0:
        return Seen(window, profile, cells)
    left = _left_over(facts, terms, past, settings)
    measured: dict[Measure, Values] = {"shape": _shapes(profile.bins, cells, past)}
    if left is not None:
        measured |= _relations(left, terms, settings.explained)
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
    return Seen(window, profile, cells, shares, facts, left, measured, limits)


def _shares(bins: Bins, cells: Ints, facts: RowFacts | None, past: Sequence[Seen]) -> Shares:
    values = cells[:-1]
    some = max(int(values.sum()), 1)
    novel, far = int(cells[-2]), 0
    if bins.kind != "level":
        earlier = [one.cells[bins.column][:-1] for one in clean(past, bins.column)]
        novel = int(values[np.sum(earlier, axis=0) == 0].sum()) if earlier else 0
        far = int(values[0] + values[-1]) if len(values) >= _TAILED else 0
    standing = facts.standing.get(bins.column, 0.0) if facts else 0.0
    fullest = int(values.argmax())
    parts = (int(cells[-1]) / max(int(cells.sum()), 1), novel / some, far / some)
    return Shares(*parts, int(values[fullest]) / some, standing, fullest)


def cells_of(profile: Profile, column: str) -> Ints:
    """Counts per bin of one column, nulls last."""
    at, part = profile.places[column]
    return np.append(profile.counts[part], profile.nulls[at])


def clean(past: Sequence[Seen], column: str) -> list[Seen]:
    """The windows that may speak about `column`: no fault in it or in a table, and some rows.

    None from before the last that renewed it; that one may speak whatever else was wrong then.
    """
    begins = (at for at in range(len(past) - 1, -1, -1) if column in past[at].renewed)
    return [
        one
        for one in past[next(begins, 0) :]
        if (one.whole or column in one.renewed)
        and column not in one.soiled
        and one.profile.rows > 0
    ]


def renew(seen: Seen, profile: Profile, facts: RowFacts | None, columns: Collection[str]) -> Seen:
    """A window whose accepted `columns` have new bins, as later ones see it: nothing is novel."""
    cells = {b.column: cells_of(profile, b.column) for b in profile.bins}
    shares = {
        b.column: _shares(b, cells[b.column], facts, ()) if b.column in columns
        else seen.shares[b.column]
        for b in profile.bins
    }  # fmt: skip
    return replace(seen, profile=profile, cells=cells, shares=shares, facts=facts)


# -- shapes ----------------------------------------------------------------------------------------


def _shapes(bins: Sequence[Bins], cells: Mapping[str, Ints], past: Sequence[Seen]) -> Values:
    """How far each column is from the nearest clean window before: a season that was is no news."""
    shapes = {}
    for bin_ in bins:
        earlier = [seen.cells[bin_.column] for seen in clean(past, bin_.column)]
        if earlier:
            shapes[bin_.column] = float(js_distances(cells[bin_.column], np.array(earlier)).min())
    return shapes


def js_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Jensen-Shannon distance of two histograms: 0 for equal shapes, 1 for no bin in common."""
    return float(js_distances(np.asarray(a), np.asarray(b)[None])[0])


def js_distances(one: npt.NDArray[np.generic], many: npt.NDArray[np.generic]) -> Floats:
    """Distances of a histogram (bins) to others (n, bins); 0 where either is empty."""
    p, q = one.astype(np.float64), many.astype(np.float64)
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


def _left_over(
    facts: RowFacts | None, terms: Sequence[Term], past: Sequence[Seen], settings: Detection
) -> Residuals | None:
    earlier = related_sums(past)
    if facts is None or facts.sums.rows == 0 or len(earlier) < settings.relation_windows:
        return None
    return residuals(relate(reduce(add, earlier), terms), facts.sums)


def related_sums(past: Sequence[Seen]) -> list[Sums]:
    """Of the windows that say how columns relate, oldest first: none from before a renewed one."""
    begins = (at for at in range(len(past) - 1, -1, -1) if past[at].renewed)
    return [
        one.facts.sums
        for one in past[next(begins, 0) :]
        if one.facts and one.whole and one.related
    ]  # fmt: skip


def _relations(left: Residuals, terms: Sequence[Term], explained: float) -> dict[Measure, Values]:
    """Of terms that the others explain; of those of a column the one that went furthest counts."""
    bias: dict[str, float] = {}
    scatter: dict[str, float] = {}
    scale: dict[str, float] = {}
    for at, term in enumerate(terms):
        if left.explained[at] < explained:
            continue
        _widen(bias, term.column, abs(float(left.bias[at])))
        if term.kind != "null":
            _widen(scatter, term.column, abs(float(left.scatter[at])))
        if term.kind == "number" and not np.isnan(left.slope[at]):
            _widen(scale, term.column, _off(float(left.slope[at])))
    return {"bias": bias, "scatter": scatter, "scale": scale}


def deviations(left: Residuals, terms: Sequence[Term]) -> dict[str, float]:
    """{column: usual deviations from what the others say, root mean square over the rows}.

    Of one value that is off among many, the least of squares is left if it is taken for the cause.
    """
    found: dict[str, float] = {}
    square = left.bias**2 + np.exp(left.scatter)
    for at, term in enumerate(terms):
        _widen(found, term.column, float(np.sqrt(square[at])))
    return found


def _widen(values: dict[str, float], column: str, value: float) -> None:
    values[column] = max(values.get(column, 0.0), value)


def _off(slope: float) -> float:
    """How far a slope is from 1, in logs."""
    return min(abs(float(np.log(slope))), _WRONG_SIGN) if slope > 0 else _WRONG_SIGN


# -- limits ----------------------------------------------------------------------------------------


def _limit(
    measure: Measure, column: str, past: Sequence[Seen], settings: Detection
) -> float | None:
    """What the column's own past allows; None where it is too short to say anything.

    How far its windows are from each other is the same before and after it was renewed, though what
    they are held to is not. Only that one step is no measure of it.
    """
    earlier = [
        one.measured[measure][column]
        for one in past
        if one.whole
        and column not in one.soiled | one.renewed
        and column in one.measured.get(measure, {})
        and not (measure == "shape" and column in one.jumped)
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
    """The value that a new window may reach: from earlier ones, in log units, robustly.

    With fewer than `min_history` of them, `cold`. Never below `floor`, nor below the largest seen.
    """
    if len(past) < settings.min_history:
        return cold
    # values that are only noise differ wildly in logs; below this one they are all the same
    quiet = floor * exp(-settings.spread * settings.least_spread)
    logs = [log(max(one, quiet)) for one in past]
    middle = median(logs)
    deviation = MAD_TO_DEVIATION * median(abs(one - middle) for one in logs)
    limit = exp(middle + settings.spread * max(deviation, settings.least_spread))
    return max(limit, floor, *past)


def allowed(measure: Measure, past: Sequence[Seen], settings: Detection) -> float:
    """The ratio to its limit that the furthest column of a window may reach.

    At least `gross`; more where the furthest columns of earlier windows went far by themselves.
    """
    earlier = [
        one.strain(measure) for one in past if one.whole and one.related and one.limits.get(measure)
    ]
    if not earlier:
        return settings.gross
    usual = float(np.quantile(earlier, settings.usual_strain))
    return max(settings.gross, settings.strain * usual)


def beyond(
    seen: Seen, measures: Iterable[Measure], past: Sequence[Seen], settings: Detection
) -> dict[str, tuple[float, Measure]]:
    """{column: (ratio / what is allowed, measure)} of columns that went too far, furthest first."""
    found: dict[str, tuple[float, Measure]] = {}
    for measure in measures:
        most = allowed(measure, past, settings)
        for column, ratio in seen.ratios(measure).items():
            if ratio > most and ratio / most > found.get(column, (0.0, measure))[0]:
                found[column] = (ratio / most, measure)
    return dict(sorted(found.items(), key=lambda one: (-one[1][0], one[0])))
