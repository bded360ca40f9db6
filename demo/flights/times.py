"""Times at which facts became known, computed from the source alone.

This package plays the outside world, so it computes times by itself, with `zoneinfo`, and shares no
code with the pipeline that reads its deliveries. Times are int64 seconds since the epoch, UTC;
clock readings are HHMM integers as in the source, where 2400 is midnight.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
MINUTE, HOUR, DAY = 60, 3600, 86_400
NULL = np.iinfo(np.int64).min
NEW_YORK = "America/New_York"
# Destinations of the flights that are not in the table of airports.
EXTRA_ZONES = {
    "SJU": "America/Puerto_Rico",
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
_FIRST, _LAST = datetime(2012, 12, 1, tzinfo=UTC), datetime(2014, 2, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Offsets:
    """Offsets of a zone from UTC over the year: `seconds[i]` applies until `until[i]`."""

    until: Ints
    seconds: Ints

    def at(self, utc: Ints) -> Ints:
        return self.seconds[np.searchsorted(self.until, utc, side="right")]

    def shown(self, local: Ints) -> list[Ints]:
        """Return, for each offset, the times at which a clock shows `local`, or NULL."""
        instants = [local - offset for offset in np.unique(self.seconds)]
        return [np.where(self.at(utc) + utc == local, utc, NULL) for utc in instants]


@cache
def offsets(zone: str) -> Offsets:
    """Return the offsets of a zone from the package `tzdata`, not from the system's files."""
    path = files("tzdata").joinpath("zoneinfo", *zone.split("/"))
    with path.open("rb") as stream:
        table = ZoneInfo.from_file(stream, key=zone)

    def offset(second: int) -> int:
        moment = datetime.fromtimestamp(second, UTC).astimezone(table)
        return (moment.utcoffset() or timedelta()) // timedelta(seconds=1)

    days = range(int(_FIRST.timestamp()), int(_LAST.timestamp()), DAY)
    changes = [_change(offset, day) for day in days if offset(day) != offset(day + DAY)]
    seconds = [offset(days[0]), *map(offset, changes)]
    return Offsets(np.array(changes, np.int64), np.array(seconds, np.int64))


def _change(offset: Callable[[int], int], day: int) -> int:
    """Return the first second of the new offset, which begins within a day after `day`."""
    old = offset(day)
    return bisect_left(range(day + DAY), True, lo=day, key=lambda second: offset(second) != old)


def first_shown(local: Ints, zone: str) -> Ints:
    """Convert wall clock times to UTC.

    A time that occurs twice means its first occurrence; a skipped time is shifted by the gap.
    """
    rule = offsets(zone)
    shown = np.stack(rule.shown(local))
    first = np.where(shown == NULL, np.iinfo(np.int64).max, shown).min(axis=0)
    in_gap = (shown == NULL).all(axis=0)
    return np.where(in_gap, local - rule.seconds.min(), first)


def next_shown(after: Ints, clock: Ints, zone: str) -> Ints:
    """Return the first time after `after` at which the wall clock of `zone` shows `clock`."""
    rule = offsets(zone)
    midnight = (after + rule.at(after)) // DAY * DAY
    of_day = minutes(clock) * MINUTE % DAY
    shown = [utc for n in range(3) for utc in rule.shown(midnight + n * DAY + of_day)]
    later = [np.where(utc > after, utc, np.iinfo(np.int64).max) for utc in shown]
    return np.minimum.reduce(later)


def minutes(clock: Ints) -> Ints:
    """Convert HHMM readings to minutes of the day."""
    return clock // 100 * 60 + clock % 100


def arrival(after: Ints, clock: Ints, dest: npt.NDArray[np.str_], zones: dict[str, str]) -> Ints:
    """Return `next_shown` for each row, in the zone of its destination."""
    out = np.full(len(after), NULL)
    zone_of = np.array([zones[name] for name in dest])
    for zone in np.unique(zone_of):
        rows = zone_of == zone
        out[rows] = next_shown(after[rows], clock[rows], str(zone))
    return out


@dataclass(frozen=True)
class Flights:
    """Columns of flights on which times depend; NULL if the source has no value."""

    day: Ints  # local midnight in seconds, as if it were UTC
    sched_dep: Ints
    sched_arr: Ints
    dep_time: Ints
    dep_delay: Ints
    arr_time: Ints
    arr_delay: Ints
    dest: npt.NDArray[np.str_]

    @classmethod
    def of(cls, table: pa.Table) -> "Flights":
        """Convert the table of flights, which has texts."""
        year, month, day = (_whole(table, name) for name in ("year", "month", "day"))
        months = (year - 1970) * 12 + month - 1
        days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
        names = (
            "sched_dep_time",
            "sched_arr_time",
            "dep_time",
            "dep_delay",
            "arr_time",
            "arr_delay",
        )
        dest = table["dest"].to_numpy().astype(str)
        return cls(days * DAY, *(_whole(table, name) for name in names), dest)


def _whole(table: pa.Table, name: str) -> Ints:
    return pc.fill_null(pc.cast(table[name], pa.int64()), NULL).to_numpy()


def seconds(moments: pa.ChunkedArray) -> Ints:
    """Convert RFC 3339 times in UTC to seconds."""
    return pc.cast(pc.cast(moments, pa.timestamp("s", "UTC")), pa.int64()).to_numpy()


def day_number(iso: str) -> int:
    """Return the days from the epoch to an ISO date."""
    return int(np.datetime64(iso, "D").astype(np.int64))


def zones_of(airports: pa.Table) -> dict[str, str]:
    """Return the zone of every airport that has one, and of the destinations not listed."""
    names, zones = airports["faa"].to_pylist(), airports["tzone"].to_pylist()
    return {name: zone for name, zone in zip(names, zones, strict=True) if zone} | EXTRA_ZONES


def outcomes_known(flights: Flights, zones: dict[str, str]) -> Ints:
    """Return the time at which each flight's outcome is known.

    The outcome of an arrived flight is known ten minutes after its arrival: the scheduled arrival
    plus the delay or, for a diverted flight without a delay, the next time at which the
    destination's clock shows its arrival time. A cancellation is known four hours after the
    scheduled departure, since the source has no time. A flight that left and did not arrive is
    known twelve hours after its departure.
    """
    departure = first_shown(flights.day + minutes(flights.sched_dep) * MINUTE, NEW_YORK)
    due = arrival(departure, flights.sched_arr, flights.dest, zones)
    left = departure + np.where(flights.dep_delay == NULL, 0, flights.dep_delay) * MINUTE
    arrived = due + np.where(flights.arr_delay == NULL, 0, flights.arr_delay) * MINUTE
    diverted = (flights.arr_time != NULL) & (flights.arr_delay == NULL)
    arrived[diverted] = arrival(
        left[diverted], flights.arr_time[diverted], flights.dest[diverted], zones
    )
    return np.select(
        [flights.dep_time == NULL, flights.arr_time == NULL],
        [departure + 4 * HOUR, left + 12 * HOUR],
        arrived + 10 * MINUTE,
    )
