"""Evidence that data are damaged rather than moved.

Columns that are missing, hold values never seen, stand still, or left the relation in which the
others still stand; rows that come twice, or came before.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.column_relations import Term
from headrace.monitoring.detectors.measures import (
    RELATIONS,
    Measure,
    Seen,
    Shares,
    beyond,
    clean,
    deviations,
)
from headrace.monitoring.detectors.relation_explanations import told
from headrace.monitoring.evidence.model import Evidence, Kind
from headrace.monitoring.profiles.bins import Bins
from headrace.monitoring.profiles.profiles import Ints

ALWAYS = 1.0  # the greatest share
_SWAP = 2  # columns of one fault
_Check = Callable[[Seen, Bins, Sequence[Shares], Detection], Evidence | None]


def broken_columns(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    """Columns that look damaged by themselves, each with its first fault."""
    checks: tuple[_Check, ...] = (_nulls, _novel, _far, _frozen, _standing)
    columns = []
    for bins in seen.profile.bins:
        known = clean(past, bins.column)
        earlier = [one.shares[bins.column] for one in known]
        # what a person accepted is a reference by itself
        least = 1 if known and bins.column in known[0].renewed else 2
        if len(earlier) < least or seen.profile.rows == 0 or seen.window.first < bins.frozen_until:
            continue
        fault = next((f for check in checks if (f := check(seen, bins, earlier, settings))), None)
        if fault is not None:
            columns.append(fault)
    return columns


def _nulls(
    seen: Seen, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """Beyond the greatest share before by the floor, or by most of how far it went up and down."""
    past = [shares.nulls for shares in earlier]
    share, most = seen.shares[bins.column].nulls, max(past)
    rise = max(settings.null_floor, settings.null_swing * (most - min(past)))
    limit = min(most + rise, (ALWAYS + most) / 2)
    if share <= limit:
        return None
    sentence = f"{bins.column} is missing in {share:.1%} of rows; at most {most:.1%} before."
    return _fault(seen, bins.column, share, limit, sentence)


def _novel(
    seen: Seen, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    floor = settings.unseen_floor if bins.kind == "level" else settings.novel_floor
    # the first windows are all novelty
    limit = max(floor, 2 * max((one.novel for one in earlier[2:]), default=0.0))
    share = seen.shares[bins.column].novel
    if share <= limit:
        return None
    what = "unknown levels" if bins.kind == "level" else "values in ranges that were always empty"
    sentence = (
        f"{bins.column} has {what} in {share:.1%} of rows; a unit, a code or a column changed."
    )
    return _fault(seen, bins.column, share, limit, sentence)


def _far(seen: Seen, bins: Bins, earlier: Sequence[Shares], settings: Detection) -> Evidence | None:
    """Numbers beyond the outermost bins, several times the range of the first days away.

    After some windows only: the first days of what is nearly always zero say little of its range.
    """
    if len(earlier) < settings.min_history:
        return None
    share = seen.shares[bins.column].far
    limit = max(settings.far_floor, 2 * max(shares.far for shares in earlier))
    if share <= limit:
        return None
    column = seen.profile.column(bins.column)
    sentence = (
        f"{bins.column} is far from all it was in {share:.1%} of rows ({column.low:g} to "
        f"{column.high:g} in all): a code for no value, or another unit."
    )
    return _fault(seen, bins.column, share, limit, sentence)


def _frozen(
    seen: Seen, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """One value only, where values differed; where one was a favourite, it may fill a window."""
    now = seen.shares[bins.column]
    column = seen.profile.column(bins.column)
    if now.top < ALWAYS or column.low != column.high:
        return None
    most = max(shares.top for shares in earlier)
    favourite = any(shares.fullest == now.fullest for shares in earlier)
    limit = settings.frozen_most if favourite else 1 - settings.null_floor
    if most > limit:
        return None
    sentence = f"{bins.column} stands still: one value all window long; at most {most:.1%} before."
    return _fault(seen, bins.column, ALWAYS, limit, sentence)


def _standing(
    seen: Seen, bins: Bins, earlier: Sequence[Shares], settings: Detection
) -> Evidence | None:
    """One value in far more rows than ever, of a column that never had a favourite."""
    share, most = seen.shares[bins.column].standing, max(shares.standing for shares in earlier)
    limit = most + settings.standing_floor
    if share <= limit or most > settings.standing_most:
        return None
    sentence = (
        f"{bins.column} has one value in {share:.1%} of rows; at most {most:.1%} before: it stands "
        "still somewhere, or a value stands for none."
    )
    return _fault(seen, bins.column, share, limit, sentence)


def _fault(seen: Seen, column: str, share: float, limit: float, sentence: str) -> Evidence:
    return Evidence("data_fault", seen.window, column, share, limit, "alarm", sentence, (column,))


# -- rows ------------------------------------------------------------------------------------------


def repeated_rows(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    """Rows that come twice in the window, or that an earlier window had with other moments."""
    earlier = [one.facts for one in past if one.facts and one.whole and one.profile.rows > 0]
    if seen.facts is None or len(earlier) < 2 or seen.profile.rows == 0:
        return []
    found = []
    most = max(one.doubled for one in earlier)
    limit = most + settings.doubled_floor
    if seen.facts.doubled > limit:
        sentence = f"{seen.facts.doubled:.1%} of rows come twice; at most {most:.1%} before."
        found.append(("rows:twice", seen.facts.doubled, limit, sentence))
    again = [_known(one.marks, before.marks) for before, one in pairwise(earlier)]
    most = max(again, default=0.0)
    limit = min(most + settings.again_floor, (ALWAYS + most) / 2)
    share = max(_known(seen.facts.marks, one.marks) for one in earlier)
    if share > limit:
        sentence = f"{share:.0%} of rows are those of an earlier window, under other moments."
        found.append(("rows:again", share, limit, sentence))
    return [
        Evidence("data_fault", seen.window, subject, share, limit, "alarm", sentence)
        for subject, share, limit, sentence in found
    ]


def _known(now: Ints, before: Ints) -> float:
    return len(np.intersect1d(now, before, assume_unique=True)) / len(now) if len(now) else 0.0


# -- relations -------------------------------------------------------------------------------------


def broken_relation(
    seen: Seen, past: Sequence[Seen], terms: Sequence[Term], settings: Detection
) -> list[Evidence]:
    """Columns that are not what the others say, as one finding.

    A fault where few columns are new by themselves; where many are, the population moved.
    """
    found = beyond(seen, RELATIONS, past, settings) or _new_both_ways(seen, settings)
    if not found or seen.residuals is None:
        return []
    # what is broken pulls the columns that it used to explain, but not by as many deviations
    pulled = deviations(seen.residuals, terms)
    found = dict(
        sorted(found.items(), key=lambda one: (one[0] not in seen.soiled, -pulled[one[0]]))
    )
    first, (excess, measure) = next(iter(found.items()))
    left = told(seen, first, measure, terms, past)
    alone = _alone(seen, list(found)[:_SWAP], settings)
    kind: Kind = "data_fault" if alone else "population"
    more = "the others relate as before" if alone else "it is not the only one that moved"
    sentence = f"{left.words}; {more}."
    value = seen.measured[measure][first]
    columns = tuple(list(found)[: settings.named])
    about = (f"relation:{measure}", value, value / excess)
    return [Evidence(kind, seen.window, *about, "alarm", sentence, columns, left.segment)]


def _new_both_ways(seen: Seen, settings: Detection) -> dict[str, tuple[float, Measure]]:
    """Columns past their own limits by themselves and against the others, if none else is new."""
    shapes = seen.ratios("shape")
    found: dict[str, tuple[float, Measure]] = {}
    for measure in RELATIONS:
        for column, ratio in seen.ratios(measure).items():
            if min(ratio, shapes.get(column, 0.0)) > max(1.0, found.get(column, (0.0,))[0]):
                found[column] = (ratio, measure)
    return found if 0 < len(found) <= _SWAP and _alone(seen, found, settings) else {}


def _alone(seen: Seen, columns: Iterable[str], settings: Detection) -> bool:
    """Whether hardly any column but these is new by itself."""
    shapes = seen.ratios("shape")
    others = [ratio > 1 for column, ratio in shapes.items() if column not in set(columns)]
    return sum(others) <= settings.company * len(shapes)
