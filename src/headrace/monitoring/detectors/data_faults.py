"""Evidence of data faults, as opposed to population shifts.

A column is faulty if unusually many of its values are null, unknown, far outside the usual range or
equal, or if the column no longer follows the other columns. Rows are faulty if they are duplicates
or repeat rows of an earlier window.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.column_relations import Term
from headrace.monitoring.detectors.measures import (
    RELATIONS,
    Measure,
    MeasuredWindow,
    Shares,
    beyond,
    clean,
    deviations,
)
from headrace.monitoring.detectors.relation_explanations import explain
from headrace.monitoring.evidence.model import Evidence, Kind
from headrace.monitoring.profiles.bins import Bins
from headrace.monitoring.profiles.profiles import Ints

ALWAYS = 1.0  # the largest possible share
_SWAP = 2  # maximum number of columns that a single fault affects, for example a swap
_Check = Callable[[MeasuredWindow, Bins, Sequence[Shares], Detection], Evidence | None]


def broken_columns(
    current: MeasuredWindow, past: Sequence[MeasuredWindow], settings: Detection
) -> list[Evidence]:
    """Return the first fault of each column that is faulty by itself."""
    checks: tuple[_Check, ...] = (_nulls, _novel, _far, _frozen, _standing)
    columns = []
    for bins in current.profile.bins:
        references = clean(past, bins.column)
        earlier = [window.shares[bins.column] for window in references]
        # an accepted window is a sufficient baseline by itself
        minimum = 1 if references and bins.column in references[0].renewed else 2
        if (
            len(earlier) < minimum
            or current.profile.rows == 0
            or current.window.first < bins.frozen_until
        ):
            continue
        fault = next(
            (f for check in checks if (f := check(current, bins, earlier, settings))), None
        )
        if fault is not None:
            columns.append(fault)
    return columns


def _nulls(
    current: MeasuredWindow, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """Compare the share of nulls with its earlier maximum plus a floor or part of its range."""
    past = [shares.nulls for shares in earlier]
    share, largest = current.shares[bins.column].nulls, max(past)
    rise = max(settings.null_floor, settings.null_swing * (largest - min(past)))
    limit = min(largest + rise, (ALWAYS + largest) / 2)
    if share <= limit:
        return None
    sentence = f"{bins.column} is missing in {share:.1%} of rows; at most {largest:.1%} before."
    return _fault(current, bins.column, share, limit, sentence)


def _novel(
    current: MeasuredWindow, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    floor = settings.unseen_floor if bins.kind == "level" else settings.novel_floor
    # without the first two windows, in which all values are novel
    limit = max(floor, 2 * max((shares.novel for shares in earlier[2:]), default=0.0))
    share = current.shares[bins.column].novel
    if share <= limit:
        return None
    what = "unknown levels" if bins.kind == "level" else "values in ranges that were always empty"
    sentence = (
        f"{bins.column} has {what} in {share:.1%} of rows; a unit, a code or a column changed."
    )
    return _fault(current, bins.column, share, limit, sentence)


def _far(
    current: MeasuredWindow, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """Check for numbers in the outermost bins, which are far outside the range of the first days.

    This runs only after `min_history` windows, because the first days of a column that is nearly
    always zero do not show the column's range.
    """
    if len(earlier) < settings.min_history:
        return None
    share = current.shares[bins.column].far
    limit = max(settings.far_floor, 2 * max(shares.far for shares in earlier))
    if share <= limit:
        return None
    column = current.profile.column(bins.column)
    sentence = (
        f"{bins.column} is far from all it was in {share:.1%} of rows ({column.low:g} to "
        f"{column.high:g} in all): a code for no value, or another unit."
    )
    return _fault(current, bins.column, share, limit, sentence)


def _frozen(
    current: MeasuredWindow, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """Check for a column with one value only, unless that value was dominant before."""
    now = current.shares[bins.column]
    column = current.profile.column(bins.column)
    if now.top < ALWAYS or column.low != column.high:
        return None
    largest = max(shares.top for shares in earlier)
    favourite = any(shares.fullest == now.fullest for shares in earlier)
    limit = settings.frozen_most if favourite else 1 - settings.null_floor
    if largest > limit:
        return None
    sentence = (
        f"{bins.column} stands still: one value all window long; at most {largest:.1%} before."
    )
    return _fault(current, bins.column, ALWAYS, limit, sentence)


def _standing(
    current: MeasuredWindow, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """Check for one value in far more rows than before, in a column without a dominant value."""
    share, largest = (
        current.shares[bins.column].mode_share,
        max(shares.mode_share for shares in earlier),
    )
    limit = largest + settings.standing_floor
    if share <= limit or largest > settings.standing_most:
        return None
    sentence = (
        f"{bins.column} has one value in {share:.1%} of rows; at most {largest:.1%} before: it "
        "stands still somewhere, or a value stands for none."
    )
    return _fault(current, bins.column, share, limit, sentence)


def _fault(
    current: MeasuredWindow, column: str, share: float, limit: float, sentence: str
) -> Evidence:
    return Evidence(
        "data_fault", current.window, column, share, limit, "alarm", sentence, (column,)
    )


# -- rows ------------------------------------------------------------------------------------------


def repeated_rows(
    current: MeasuredWindow, past: Sequence[MeasuredWindow], settings: Detection
) -> list[Evidence]:
    """Return evidence of duplicate rows, and of rows that repeat earlier rows with other times."""
    earlier = [
        window.facts
        for window in past
        if window.facts and window.is_reference and window.profile.rows > 0
    ]
    if current.facts is None or len(earlier) < 2 or current.profile.rows == 0:
        return []
    repeats = []
    largest = max(facts.duplicates for facts in earlier)
    limit = largest + settings.doubled_floor
    if current.facts.duplicates > limit:
        sentence = (
            f"{current.facts.duplicates:.1%} of rows come twice; at most {largest:.1%} before."
        )
        repeats.append(("rows:twice", current.facts.duplicates, limit, sentence))
    overlaps = [_overlap(facts.marks, before.marks) for before, facts in pairwise(earlier)]
    largest = max(overlaps, default=0.0)
    limit = min(largest + settings.again_floor, (ALWAYS + largest) / 2)
    share = max(_overlap(current.facts.marks, facts.marks) for facts in earlier)
    if share > limit:
        sentence = f"{share:.0%} of rows are those of an earlier window, under other moments."
        repeats.append(("rows:again", share, limit, sentence))
    return [
        Evidence("data_fault", current.window, subject, share, limit, "alarm", sentence)
        for subject, share, limit, sentence in repeats
    ]


def _overlap(now: Ints, before: Ints) -> float:
    return len(np.intersect1d(now, before, assume_unique=True)) / len(now) if len(now) else 0.0


# -- relations -------------------------------------------------------------------------------------


def broken_relation(
    current: MeasuredWindow,
    past: Sequence[MeasuredWindow],
    terms: Sequence[Term],
    settings: Detection,
) -> list[Evidence]:
    """Return one finding about the columns that no longer follow the other columns.

    The finding is a data fault if hardly any other column has a new distribution. Otherwise it is
    a population shift.
    """
    departures = beyond(current, RELATIONS, past, settings) or _new_both_ways(current, settings)
    if not departures or current.residuals is None:
        return []
    # a broken column also shifts the residuals of columns predicted from it, but by less
    pulled = deviations(current.residuals, terms)
    departures = dict(
        sorted(
            departures.items(),
            key=lambda entry: (entry[0] not in current.faulty_columns, -pulled[entry[0]]),
        )
    )
    first, (excess, measure) = next(iter(departures.items()))
    explanation = explain(current, first, measure, terms, past)
    isolated = _is_isolated(current, list(departures)[:_SWAP], settings)
    kind: Kind = "data_fault" if isolated else "population"
    comparison = "the others relate as before" if isolated else "it is not the only one that moved"
    sentence = f"{explanation.words}; {comparison}."
    value = current.measured[measure][first]
    columns = tuple(list(departures)[: settings.named])
    figures = (f"relation:{measure}", value, value / excess)
    return [
        Evidence(kind, current.window, *figures, "alarm", sentence, columns, explanation.segment)
    ]


def _new_both_ways(
    current: MeasuredWindow, settings: Detection
) -> dict[str, tuple[float, Measure]]:
    """Return the columns beyond the limits of both their distribution and their relation.

    Return nothing if there are more than two of them, or if several other columns have a new
    distribution.
    """
    shapes = current.ratios("shape")
    departures: dict[str, tuple[float, Measure]] = {}
    for measure in RELATIONS:
        for column, ratio in current.ratios(measure).items():
            if min(ratio, shapes.get(column, 0.0)) > max(1.0, departures.get(column, (0.0,))[0]):
                departures[column] = (ratio, measure)
    return (
        departures
        if 0 < len(departures) <= _SWAP and _is_isolated(current, departures, settings)
        else {}
    )


def _is_isolated(current: MeasuredWindow, columns: Iterable[str], settings: Detection) -> bool:
    """Return True if hardly any other column has a new distribution."""
    shapes = current.ratios("shape")
    exceeded = [ratio > 1 for column, ratio in shapes.items() if column not in set(columns)]
    return sum(exceeded) <= settings.company * len(shapes)
