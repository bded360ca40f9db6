"""Evidence that a population moved: columns whose distributions are new, rows that are too few.

A window is compared with the clean window before it that it is nearest to, so that neither a season
that was nor a mixture of weeks is news. The limit on that distance comes from how the same column
compared with its past until then. Rows of one day are not independent and seasons are real, so no
textbook significance is used anywhere.
"""

from collections.abc import Sequence

import numpy as np

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION, Seen, allowed, clean
from headrace.monitoring.detectors.shift_shapes import Shape, shape
from headrace.monitoring.evidence.model import Evidence, Severity


def population(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    """Columns whose distribution is further from its past than it has been before."""
    most = allowed("shape", past, settings)
    return [
        _moved(seen, column, most)
        for column, ratio in seen.ratios("shape").items()
        if ratio > 1 and column not in seen.soiled
    ]


def _moved(seen: Seen, column: str, most: float) -> Evidence:
    distance, limit = seen.measured["shape"][column], seen.limits["shape"][column]
    severity: Severity = "alarm" if distance > most * limit else "notice"
    sentence = (
        f"{column} moved: its distribution is {distance:.2f} from the nearest window before "
        f"(0 same, 1 disjoint); its own past allows {limit:.2f}."
    )
    return Evidence(
        "population", seen.window, column, distance, limit, severity, sentence, (column,)
    )


def shapes_of(
    seen: Seen, past: Sequence[Seen], columns: Sequence[str], settings: Detection
) -> dict[str, Shape]:
    """{column: its counts in this window and in the clean windows before it}."""
    found = {}
    for bins in seen.profile.bins:
        earlier = [one.cells[bins.column] for one in clean(past, bins.column)]
        if bins.column in columns and earlier:
            before = np.sum(earlier[-settings.reference_windows :], axis=0)
            found[bins.column] = shape(bins, before, seen.cells[bins.column])
    return found


def volume(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    """A window with far more or far fewer rows than the windows before it, or days without any."""
    past = past[next((at for at in range(len(past) - 1, -1, -1) if past[at].resized), 0) :]
    earlier = [int(one.profile.rows) for one in past if one.profile.rows > 0]
    earlier = earlier[-settings.reference_windows :]
    if len(earlier) < 2:
        return []
    rows = int(seen.profile.rows)
    usual = float(np.median(earlier))
    swing = float(np.median([abs(one / usual - 1) for one in earlier]))
    limit = max(settings.volume_floor, settings.spread * MAD_TO_DEVIATION * swing)
    limit = min(limit, settings.volume_ceiling)
    change = rows / usual - 1
    if abs(change) > limit:
        sentence = f"{rows:,} rows; around {usual:,.0f} in the windows before ({change:+.0%})."
        return [_rows(seen, abs(change), limit, sentence)]
    return _empty_days(seen, past, settings)


def _empty_days(seen: Seen, past: Sequence[Seen], settings: Detection) -> list[Evidence]:
    now = seen.facts.days if seen.facts else 0
    length = seen.window.end - seen.window.first
    least = min((one.facts.days for one in past if one.facts and one.facts.days), default=0)
    gap = (least - now) / length
    if gap <= settings.gap_floor:
        return []
    sentence = f"{length - now} of {length} days have no rows; at most {length - least} before."
    return [_rows(seen, gap, settings.gap_floor, sentence)]


def _rows(seen: Seen, statistic: float, limit: float, sentence: str) -> Evidence:
    return Evidence("volume", seen.window, "rows", statistic, limit, "alarm", sentence)
