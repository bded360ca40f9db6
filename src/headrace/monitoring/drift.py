"""Evidence from profiles: columns that moved or broke, windows with too many or too few rows.

Every window is compared with clean windows before it, and the limit on that comparison comes from
how the same column compared with its past until then. Rows of one day are not independent and
seasons are real, so no textbook significance is used anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headrace.monitoring.bins import Bins
from headrace.monitoring.evidence import Evidence, Severity, Window
from headrace.monitoring.policy import Detection
from headrace.monitoring.profiles import Ints, Profile
from headrace.monitoring.shapes import Shape, shape

MAD_TO_DEVIATION = 1.4826
ALWAYS = 1.0  # the greatest share, and the greatest distance


@dataclass(frozen=True)
class Seen:
    """What one window showed; `soiled` columns, or all if not `whole`, are no reference later.

    A distance of a `jumped` column is no measure of what is usual, but its rows are the new normal.
    `cells` are counts per bin, nulls last; `distance` and `novel` compare with the windows before.
    """

    window: Window
    profile: Profile
    cells: dict[str, Ints]
    distance: dict[str, float] = field(default_factory=dict)
    novel: dict[str, float] = field(default_factory=dict)
    soiled: frozenset[str] = frozenset()
    jumped: frozenset[str] = frozenset()
    whole: bool = True


def look(window: Window, profile: Profile, past: Sequence[Seen], settings: Detection) -> Seen:
    """Measure a window against the clean windows in `past`, oldest first. Judges nothing."""
    cells = {b.column: _cells(profile, b.column) for b in profile.bins}
    distance: dict[str, float] = {}
    novel: dict[str, float] = {}
    for bins in profile.bins:
        earlier = [one.cells[bins.column] for one in clean(past, bins.column)]
        if not earlier or profile.rows == 0:
            continue
        now = cells[bins.column]
        distance[bins.column] = js_distance(
            now, np.sum(earlier[-settings.reference_windows :], axis=0)
        )
        novel[bins.column] = _novelty(bins, now[:-1], np.sum(earlier, axis=0)[:-1])
    return Seen(window, profile, cells, distance, novel)


def _novelty(bins: Bins, now: Ints, earlier: Ints) -> float:
    """Share of values unlike any before: in bins always empty, or of levels unknown when frozen."""
    strange = now[-1] if bins.kind == "level" else now[earlier == 0].sum()
    return _share(strange, now.sum())


def shapes_of(
    seen: Seen, past: Sequence[Seen], columns: Sequence[str], settings: Detection
) -> dict[str, Shape]:
    """{column: its counts in this window and in the clean windows it is compared with}."""
    found = {}
    for bins in seen.profile.bins:
        earlier = [one.cells[bins.column] for one in clean(past, bins.column)]
        if bins.column in columns and earlier:
            before = np.sum(earlier[-settings.reference_windows :], axis=0)
            found[bins.column] = shape(bins, before, seen.cells[bins.column])
    return found


def clean(past: Sequence[Seen], column: str) -> list[Seen]:
    """The windows that may speak about `column`: no fault in it or in a table, and some rows."""
    return [one for one in past if one.whole and column not in one.soiled and one.profile.rows > 0]


def _cells(profile: Profile, column: str) -> Ints:
    """Counts per bin of one column, nulls last."""
    at, part = profile.places[column]
    return np.append(profile.counts[part], profile.nulls[at])


def js_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Jensen-Shannon distance of two histograms: 0 for equal shapes, 1 for no bin in common."""
    p, q = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if p.sum() == 0 or q.sum() == 0:
        return 0.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(np.sqrt(max(0.0, (_divergence(p, middle) + _divergence(q, middle)) / 2)))


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / q[some])))


def upper_limit(past: Sequence[float], cold: float, floor: float, settings: Detection) -> float:
    """The value that a new window may reach: from earlier ones, in log units, robustly.

    With fewer than `min_history` of them, `cold`. Never below `floor`, nor below the largest seen.
    """
    if len(past) < settings.min_history:
        return cold
    # distances that are only noise differ wildly in logs; below this one they are all the same
    quiet = floor * np.exp(-settings.spread * settings.least_spread)
    logs = np.log(np.maximum(past, quiet))
    middle = float(np.median(logs))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(logs - middle)))
    limit = float(np.exp(middle + settings.spread * max(deviation, settings.least_spread)))
    return max(limit, floor, *past)


def distance_limits(seen: Seen, past: Sequence[Seen], settings: Detection) -> dict[str, float]:
    """{column: the distance it may show}, for the columns of this window that can be judged."""
    limits = {}
    for bins in seen.profile.bins:
        column = bins.column
        if column not in seen.distance or column in seen.soiled or _unready(bins, seen):
            continue
        earlier = [
            one.distance[column]
            for one in clean(past, column)
            if column in one.distance and column not in one.jumped
        ]
        limits[column] = upper_limit(
            earlier, settings.cold_distance, settings.distance_floor, settings
        )
    return limits


def population(seen: Seen, limits: dict[str, float], settings: Detection) -> list[Evidence]:
    """Columns whose distribution is further from its past than it has been before."""
    return [
        _moved(seen, column, limit, settings)
        for column, limit in limits.items()
        if seen.distance[column] > limit
    ]


def _unready(bins: Bins, seen: Seen) -> bool:
    """A window that helped to choose the bins cannot be judged by them."""
    return seen.window.first < bins.frozen_until


def _moved(seen: Seen, column: str, limit: float, settings: Detection) -> Evidence:
    distance = seen.distance[column]
    severity: Severity = "alarm" if distance > settings.gross * limit else "notice"
    sentence = (
        f"{column} moved: its distribution is {distance:.2f} from the windows before "
        f"(0 same, 1 disjoint); its own past allows {limit:.2f}."
    )
    return Evidence(
        "population", seen.window, column, distance, limit, severity, sentence, (column,)
    )


def broken_columns(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    """Columns that look damaged rather than moved: nulls, values never seen, a value that froze."""
    found = []
    for bins in seen.profile.bins:
        earlier = clean(past, bins.column)
        if len(earlier) < 2 or seen.profile.rows == 0 or _unready(bins, seen):
            continue
        checks = (_nulls, _novel, _frozen)
        fault = next((f for check in checks if (f := check(seen, bins, earlier, settings))), None)
        if fault is not None:
            found.append(fault)
    return found


def _nulls(seen: Seen, bins: Bins, earlier: Sequence[Seen], settings: Detection) -> Evidence | None:
    past = [_null_share(one.cells[bins.column]) for one in earlier]
    share = _null_share(seen.cells[bins.column])
    limit = min(ALWAYS, max(max(past) + settings.null_floor, 3 * max(past)))
    if share <= limit:
        return None
    sentence = f"{bins.column} is missing in {share:.1%} of rows; at most {max(past):.1%} before."
    return _fault(seen, bins.column, share, limit, sentence)


def _novel(seen: Seen, bins: Bins, earlier: Sequence[Seen], settings: Detection) -> Evidence | None:
    share = seen.novel.get(bins.column, 0.0)
    past = [one.novel[bins.column] for one in earlier if bins.column in one.novel]
    floor = settings.unseen_floor if bins.kind == "level" else settings.novel_floor
    # the first windows are all novelty
    limit = max(floor, 2 * max(past[2:], default=0.0))
    if share <= limit:
        return None
    what = "unknown levels" if bins.kind == "level" else "values in ranges that were always empty"
    sentence = (
        f"{bins.column} has {what} in {share:.1%} of rows; a unit, a code or a column changed."
    )
    return _fault(seen, bins.column, share, limit, sentence)


def _frozen(
    seen: Seen, bins: Bins, earlier: Sequence[Seen], settings: Detection
) -> Evidence | None:
    """One value only, where no bin ever held more than 1 - `null_floor` of the values."""
    share = _top_share(seen.cells[bins.column])
    column = seen.profile.column(bins.column)
    if share < ALWAYS or column.low != column.high:
        return None
    most = max(_top_share(one.cells[bins.column]) for one in earlier)
    limit = 1 - settings.null_floor
    if most > limit:
        return None
    sentence = f"{bins.column} stands still: one value all window long; at most {most:.1%} before."
    return _fault(seen, bins.column, share, limit, sentence)


def _fault(seen: Seen, column: str, share: float, limit: float, sentence: str) -> Evidence:
    return Evidence("data_fault", seen.window, column, share, limit, "alarm", sentence, (column,))


def _null_share(cells: Ints) -> float:
    return _share(cells[-1], cells.sum())


def _top_share(cells: Ints) -> float:
    return _share(cells[:-1].max(), cells[:-1].sum())


def _share(part: np.int64 | Ints, whole: np.int64 | Ints) -> float:
    return float(part) / float(whole) if whole else 0.0


def volume(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    """A window with far more or far fewer rows than the windows before it."""
    earlier = [int(one.profile.rows) for one in past if one.profile.rows > 0]
    earlier = earlier[-settings.reference_windows :]
    if len(earlier) < 2:
        return []
    rows = int(seen.profile.rows)
    usual = float(np.median(earlier))
    swing = float(np.median([abs(one / usual - 1) for one in earlier]))
    limit = max(settings.volume_floor, settings.spread * MAD_TO_DEVIATION * swing)
    change = rows / usual - 1
    if abs(change) <= limit:
        return []
    sentence = f"{rows:,} rows; around {usual:,.0f} in the windows before ({change:+.0%})."
    return [Evidence("volume", seen.window, "rows", abs(change), limit, "alarm", sentence)]
