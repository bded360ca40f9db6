"""Deliberate imperfections of the deliveries, which are always the same.

Every choice is a fixed day or a hash of a row's index in the source, so the same input always
gives the same bytes. No imperfection may change the rows that are finally published:

- *Repeated*: some schedule files come twice, byte for byte, under another name.
- *Partial*: of some schedule files, the first half of the lines comes first, the whole file later.
- *Late*: some schedule files come days after their flights; some outcomes and observations are
  reported on the day after they were known.
- *Out of order*: within a day, some reports overtake others by up to two hours.
- *At least once*: on some days the feed repeats the last record of a page on the next page.
- *Missing*: there is no weather for 2013-12-31 (the source ends on the evening before), so no
  report may be so late that it falls on that day.
"""

import numpy as np
import numpy.typing as npt

from demo.flights.times import HOUR, Ints

RESENT = ("2013-03-05", "2013-07-19", "2013-11-28")
PARTIAL_FIRST = ("2013-06-10", "2013-09-02")
LATE_FILES = ("2013-02-09", "2013-08-14", "2013-12-24")
LATE_PER_MILLE, OVERTAKING_PER_MILLE, REPEATING_PER_MILLE = 4, 30, 120

_LATE, _OVERTAKE, _BY, _REPEAT = range(1, 5)  # each choice uses its own random numbers


def late(rows: int, slot: Ints, last: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows that are reported a day late; none are in day `last` or later."""
    return (_draw(rows, _LATE) % 1000 < LATE_PER_MILLE) & (slot < last)


def reported_order(known: Ints) -> Ints:
    """Return the time in seconds by which the rows of a day are ordered in the reports."""
    by = (_draw(len(known), _BY) % (4 * HOUR)).astype(np.int64) - 2 * HOUR
    overtakes = _draw(len(known), _OVERTAKE) % 1000 < OVERTAKING_PER_MILLE
    return known + np.where(overtakes, by, 0)


def repeating(days: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the days on which the feed repeats records at page boundaries."""
    return _draw(days, _REPEAT) % 1000 < REPEATING_PER_MILLE


def _draw(count: int, stream: int) -> npt.NDArray[np.uint64]:
    """Return SplitMix64 of 0..count-1, which gives the same numbers with every library version."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(stream * 0xD1B54A32D192ED03 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
