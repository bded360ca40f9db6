"""Calendar features: what the wall clock of a zone shows, from the pinned zone table (rule 17)."""

from typing import Literal

import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY, HOUR, MINUTE
from headrace.core.errors import DeclarationError
from headrace.core.time_zones import to_local, zone_table
from headrace.features.kernel.arrays import Ints, values_of
from headrace.features.spec import RowTransform

# The source of the functions below is part of the definition hash of every calendar feature: an
# edit, a new name of a variable included, makes all of them other features.
Part = Literal["minute_of_day", "hour", "weekday", "day", "month", "day_of_year", "day_number"]
PARTS = ("minute_of_day", "hour", "weekday", "day", "month", "day_of_year", "day_number")


def calendar(name: str, column: str, part: Part, zone: str) -> RowTransform:
    """int64: a part of the local time of a timestamp column. Monday is weekday 0."""
    zone_table(zone)  # an unknown zone is refused here
    if part not in PARTS:
        raise DeclarationError(
            f"{part!r} is no part of a calendar",
            where=f"calendar {name}",
            fix=f"use one of: {', '.join(PARTS)}",
        )

    def local_part(moments: pa.Array) -> pa.Array:
        values = values_of(moments)
        utc = np.asarray(values.data, dtype=np.int64)
        mask = None if values.valid is None else ~values.valid
        return pa.array(part_of(to_local(utc, zone), part), type=pa.int64(), mask=mask)

    return RowTransform(name, (column,), local_part, "int64")


def part_of(local: Ints, part: str) -> Ints:
    """`local`: int64 microseconds of a wall clock, counted as if it were UTC."""
    days = local // DAY
    if part == "minute_of_day":
        return local % DAY // MINUTE
    if part == "hour":
        return local % DAY // HOUR
    if part == "weekday":
        return (days + 3) % 7  # 1970-01-01 was a Thursday
    return days if part == "day_number" else _date_part(days, part)


def _date_part(days: Ints, part: str) -> Ints:
    date = days.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    if part == "month":
        return month.astype(np.int64) % 12 + 1
    start = month if part == "day" else date.astype("datetime64[Y]")
    return days - start.astype("datetime64[D]").astype(np.int64) + 1
