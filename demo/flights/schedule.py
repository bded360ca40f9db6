"""The schedule that the airport drops: one CSV file per day, on the evening before."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.flights.imperfections import LATE_FILES, PARTIAL_FIRST, RESENT
from demo.flights.text import csv_lines, text_of
from demo.flights.times import DAY, HOUR, MINUTE, NEW_YORK, Ints, first_shown

# Columns that are known on the evening before; the aircraft is not known by then.
COLUMNS = (
    "year", "month", "day", "carrier", "flight", "origin", "dest", "sched_dep_time",
    "sched_arr_time", "distance",
)  # fmt: skip
EVENING = -4 * HOUR  # 20:00 of the day before, relative to midnight at the start of the day


def write_schedule(drop: Path, flights: pa.Table, day: Ints) -> dict[str, int]:
    """Write all files to `drop`, and return the counts of their imperfections."""
    for old in drop.glob("schedule_*"):
        old.unlink()
    order = _planned_order(flights, day)
    lines, day = csv_lines(flights, COLUMNS).take(pa.array(order)), day[order]
    days, first = np.unique(day, return_index=True)
    for midnight, start, stop in zip(days, first, np.append(first[1:], len(day)), strict=True):
        _write_day(drop, int(midnight), text_of(lines, start, stop))
    return {
        "schedule_files_repeated": len(RESENT),
        "schedule_files_partial_first": len(PARTIAL_FIRST),
        "schedule_files_late": len(LATE_FILES),
    }


def _planned_order(flights: pa.Table, day: Ints) -> Ints:
    """Order by planned departure, because the order of the source reveals actual departures."""
    number = pc.cast(flights["flight"], pa.int64()).to_numpy()
    planned = pc.cast(flights["sched_dep_time"], pa.int64()).to_numpy()
    names = [flights[name].to_numpy().astype(str) for name in ("origin", "carrier")]
    return np.lexsort((names[0], number, names[1], planned, day))


def _write_day(drop: Path, midnight: int, rows: bytes) -> None:
    name = str(np.datetime64(midnight, "s").astype("datetime64[D]"))
    header = (",".join(COLUMNS) + "\n").encode()
    lines = rows.splitlines(keepends=True)
    stem = f"schedule_{name}"
    if name in PARTIAL_FIRST:
        half = b"".join(lines[: len(lines) // 2])
        _drop(drop / f"{stem}.csv", header + half, midnight + EVENING)
        _drop(drop / f"{stem}_full.csv", header + rows, midnight + EVENING + 90 * MINUTE)
        return
    late = 2 * DAY + 13 * HOUR if name in LATE_FILES else 0
    _drop(drop / f"{stem}.csv", header + rows, midnight + EVENING + late)
    if name in RESENT:
        _drop(drop / f"{stem}_resent.csv", header + rows, midnight + 6 * HOUR)


def _drop(path: Path, content: bytes, local: int) -> None:
    """Write a file atomically: under a name that no source reads, then rename it."""
    moment = int(first_shown(np.array([local]), NEW_YORK)[0])
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    os.utime(temporary, (moment, moment))
    temporary.replace(path)
