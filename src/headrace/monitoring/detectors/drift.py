"""Evidence of population shifts: columns with new distributions, unusual numbers of rows.

A window is compared with the most similar earlier clean window, so that a recurring season or a
mixture of weeks is not evidence. The limit of this distance comes from the column's earlier
distances. Textbook significance tests are not used, because they ignore seasons and require
independent rows, and rows of one day are not independent.
"""

from collections.abc import Sequence

import numpy as np

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION, MeasuredWindow, allowed, clean
from headrace.monitoring.detectors.shift_shapes import Shape, shape
from headrace.monitoring.evidence.model import Evidence, Severity


def population(
    current: MeasuredWindow, past: Sequence[MeasuredWindow], settings: Detection
) -> list[Evidence]:
    """Return evidence of columns whose distribution is further from earlier ones than allowed."""
    allowance = allowed("shape", past, settings)
    return [
        _shift(current, column, allowance)
        for column, ratio in current.ratios("shape").items()
        if ratio > 1 and column not in current.faulty_columns
    ]


def _shift(current: MeasuredWindow, column: str, allowance: float) -> Evidence:
    distance, limit = current.measured["shape"][column], current.limits["shape"][column]
    severity: Severity = "alarm" if distance > allowance * limit else "notice"
    sentence = (
        f"{column} moved: its distribution is {distance:.2f} from the nearest window before "
        f"(0 same, 1 disjoint); its own past allows {limit:.2f}."
    )
    return Evidence(
        "population", current.window, column, distance, limit, severity, sentence, (column,)
    )


def shapes_of(
    current: MeasuredWindow,
    past: Sequence[MeasuredWindow],
    columns: Sequence[str],
    settings: Detection,
) -> dict[str, Shape]:
    """Return {column: its counts in this window and in earlier clean windows}."""
    shapes = {}
    for bins in current.profile.bins:
        earlier = [window.cells[bins.column] for window in clean(past, bins.column)]
        if bins.column in columns and earlier:
            before = np.sum(earlier[-settings.reference_windows :], axis=0)
            shapes[bins.column] = shape(bins, before, current.cells[bins.column])
    return shapes


def volume(
    current: MeasuredWindow, past: Sequence[MeasuredWindow], settings: Detection
) -> list[Evidence]:
    """Return evidence of far more or fewer rows than in earlier windows, or days without rows."""
    past = past[
        next((at for at in range(len(past) - 1, -1, -1) if past[at].row_count_accepted), 0) :
    ]
    earlier = [int(window.profile.rows) for window in past if window.profile.rows > 0]
    earlier = earlier[-settings.reference_windows :]
    if len(earlier) < 2:
        return []
    rows = int(current.profile.rows)
    usual = float(np.median(earlier))
    swing = float(np.median([abs(count / usual - 1) for count in earlier]))
    limit = max(settings.volume_floor, settings.spread * MAD_TO_DEVIATION * swing)
    limit = min(limit, settings.volume_ceiling)
    change = rows / usual - 1
    if abs(change) > limit:
        sentence = f"{rows:,} rows; around {usual:,.0f} in the windows before ({change:+.0%})."
        return [_rows(current, abs(change), limit, sentence)]
    return _empty_days(current, past, settings)


def _empty_days(
    current: MeasuredWindow, past: Sequence[MeasuredWindow], settings: Detection
) -> list[Evidence]:
    now = current.facts.days if current.facts else 0
    length = current.window.end - current.window.first
    fewest_days = min(
        (window.facts.days for window in past if window.facts and window.facts.days), default=0
    )
    gap = (fewest_days - now) / length
    if gap <= settings.gap_floor:
        return []
    sentence = (
        f"{length - now} of {length} days have no rows; at most {length - fewest_days} before."
    )
    return [_rows(current, gap, settings.gap_floor, sentence)]


def _rows(current: MeasuredWindow, statistic: float, limit: float, sentence: str) -> Evidence:
    return Evidence("volume", current.window, "rows", statistic, limit, "alarm", sentence)
