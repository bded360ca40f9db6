"""When the world learned what: the moments behind each delivery, from the source alone.

This package plays the outside world, so it works out its times by itself, with `zoneinfo`, and
shares no code with the pipeline that reads it. Times are int64 seconds since the epoch, UTC;
clock readings are HHMM integers as in the source, 2400 being midnight.
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
    """Offsets of a zone from UTC over the year: `seconds[i]` holds before `until[i]`."""

    until: Ints
    seconds: Ints

    def at(self, utc: Ints) -> Ints:
        return self.seconds[np.searchsorted(self.until, utc, side="right")]

    def shown(self, local: Ints) -> list[Ints]:
        """The instants at which the wall clock shows `local`; NULL where it does not."""
        instants = [local - offset for offset in np.unique(self.seconds)]
        return [np.where(self.at(utc) + utc == local, utc, NULL) for utc in instants]


@cache
def offsets(zone: str) -> Offsets:
    """Offsets from the tz database that is installed as a package, not the system's."""
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
    """The first second of the new offset, which begins within a day of `day`."""
    old = offset(day)
    return bisect_left(range(day + DAY), True, lo=day, key=lambda second: offset(second) != old)


def first_shown(local: Ints, zone: str) -> Ints:
    """UTC of a wall-clock time: the first of two, and after the gap by as much as it was in it."""
    rule = offsets(zone)
    shown = np.stack(rule.shown(local))
    first = np.where(shown == NULL, np.iinfo(np.int64).max, shown).min(axis=0)
    in_gap = (shown == NULL).all(axis=0)
    return np.where(in_gap, local - rule.seconds.min(), first)


def next_shown(after: Ints, clock: Ints, zone: str) -> Ints:
    """The first instant after `after` at which the wall clock of `zone` shows `clock`."""
    rule = offsets(zone)
    midnight = (after + rule.at(after)) // DAY * DAY
    of_day = minutes(clock) * MINUTE % DAY
    shown = [utc for n in range(3) for utc in rule.shown(midnight + n * DAY + of_day)]
    later = [np.where(utc > after, utc, np.iinfo(np.int64).max) for utc in shown]
    return np.minimum.reduce(later)


def minutes(clock: Ints) -> Ints:
    """Minutes of the day of HHMM readings."""
    return clock // 100 * 60 + clock % 100


def arrival(after: Ints, clock: Ints, dest: npt.NDArray[np.str_], zones: dict[str, str]) -> Ints:
    """`next_shown`, each row in the zone of its destination."""
    out = np.full(len(after), NULL)
    zone_of = np.array([zones[name] for name in dest])
    for zone in np.unique(zone_of):
        rows = zone_of == zone
        out[rows] = next_shown(after[rows], clock[rows], str(zone))
    return out


@dataclass(frozen=True)
class Flights:
    """The columns of flights that times depend on; NULL where the source has none."""

    day: Ints  # seconds of local midnight as if it were UTC
    sched_dep: Ints
    sched_arr: Ints
    dep_time: Ints
    dep_delay: Ints
    arr_time: Ints
    arr_delay: Ints
    dest: npt.NDArray[np.str_]

    @classmethod
    def of(cls, table: pa.Table) -> "Flights":
        """From the table of flights as text."""
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
    """RFC 3339 moments in UTC as seconds."""
    return pc.cast(pc.cast(moments, pa.timestamp("s", "UTC")), pa.int64()).to_numpy()


def day_number(iso: str) -> int:
    """Days since the epoch."""
    return int(np.datetime64(iso, "D").astype(np.int64))


def zones_of(airports: pa.Table) -> dict[str, str]:
    """The zone of every airport that has one, and of the destinations that are not listed."""
    names, zones = airports["faa"].to_pylist(), airports["tzone"].to_pylist()
    return {name: zone for name, zone in zip(names, zones, strict=True) if zone} | EXTRA_ZONES


def outcomes_known(flights: Flights, zones: dict[str, str]) -> Ints:
    """When each flight's outcome is known.

    Arrived: ten minutes after it arrived, which is the scheduled arrival and the arrival delay,
    or, if it was diverted and has no delay, when the destination's clock next shows its arrival
    time. Cancelled: four hours after the scheduled departure, since the source gives no time.
    Left and never arrived: twelve hours after it left.
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
