"""Injectors of faults; each returns the faulty rows, or None if it would change nothing."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa

from headrace.contracts import Contract
from headrace.contracts.drift.detectors.stuck_readings import ordered_rows
from headrace.contracts.drift.detectors.zones import shifted
from headrace.contracts.drift.unit_conversions import UnitConversion
from headrace.contracts.model import Field
from headrace.sources.rows import RawRows
from headrace.verification.injected_faults.clean_batch import Day

Plant = Callable[[Day], RawRows | None]
FEW, TENTH, NEW = 0.005, 0.1, 0.01  # shares of rows
STUCK = 6  # number of stuck hourly readings
_MOST_LEVELS = 0.4  # a column with more distinct values per row is not categorical
_FEWEST_READINGS = 20  # minimum number of readings of a station that gets stuck


def slice_column(contract: Contract) -> str | None:
    """Return the column whose categories are used as slices; None if there is no text column.

    The first text column of the primary key is used if the key has several columns besides
    timestamps; otherwise the first text column outside of the key.
    """
    texts = [f.name for f in contract.delivered if f.type == "string"]
    moments = {f.name for f in contract.delivered if f.type == "timestamp"}
    keys = [name for name in contract.primary_key if name not in moments]
    in_key = [name for name in keys if name in texts and len(keys) > 1]
    return next(iter([*in_key, *(n for n in texts if n not in keys), *texts]), None)


def _sample_rows(day: Day, share: float, among: list[int] | None = None) -> list[int]:
    """Return the sorted indices of random rows, a share of the batch and at least one row.

    `among` restricts the choice.
    """
    rows = list(range(day.rows.table.num_rows)) if among is None else among
    count = min(len(rows), ceil(share * day.rows.table.num_rows))
    places = np.random.default_rng(day.number).permutation(len(rows))[:count]
    return sorted(rows[place] for place in places)


def unit(field: Field, conversion: UnitConversion, by: str | None = None) -> Plant:
    def planted(day: Day) -> RawRows | None:
        values = day.text(field.name)
        rows = set(range(len(values)))
        if by is not None:
            level = _level(day, by)
            rows = {at for at, text in enumerate(day.text(by)) if text == level}
        changed = [
            _converted(field, conversion, text) if at in rows else text
            for at, text in enumerate(values)
        ]
        return day.with_columns({field.name: changed})

    return planted


def _level(day: Day, name: str) -> str | None:
    """Return one category of a column, chosen by the day's number; None if it has none."""
    levels = _levels(day, name)
    return levels[day.number % len(levels)] if levels else None


def _levels(day: Day, name: str) -> list[str]:
    """Return the categories of a column; none if it has too many different values."""
    texts = [text for text in day.text(name) if text is not None]
    levels = sorted(set(texts))
    return levels if len(levels) <= _MOST_LEVELS * len(texts) else []


def _converted(field: Field, conversion: UnitConversion, text: str | None) -> str | None:
    """Convert a number as a producer would: integers stay integers if the new unit is finer."""
    if text is None:
        return None
    value = float(text) * conversion.scale + conversion.offset
    if field.type == "integer" and abs(conversion.scale) >= 1:
        return str(round(value))
    return f"{value:.4f}".rstrip("0").rstrip(".")


def duplicates(day: Day) -> RawRows | None:
    return day.adding(day.rows.table.take(pa.array(_sample_rows(day, FEW))))


def stale(day: Day) -> RawRows | None:
    if day.before is None:
        return None
    count = ceil(FEW * day.rows.table.num_rows)
    rows = np.random.default_rng(day.number).permutation(day.before.table.num_rows)[:count]
    return day.adding(day.before.table.take(pa.array(np.sort(rows))))


def truncation(day: Day) -> RawRows | None:
    rows = day.rows.table.num_rows
    return day.taking(np.arange(rows - ceil(TENTH * rows)))


def missing_hours(day: Day) -> RawRows | None:
    """Drop the three consecutive hours with most rows, but not near the edges of the partition."""
    hours = day.hours
    if len(hours) != day.rows.table.num_rows:
        return None
    counts = Counter(hours.tolist())
    inner = sorted(counts)[2:-4]
    if not inner:
        return None
    first = max(inner, key=lambda h: (counts[h] + counts[h + 1] + counts[h + 2], -h))
    return day.taking(np.flatnonzero((hours < first) | (hours >= first + 3)))


def zone(names: tuple[str, ...]) -> Plant:
    def planted(day: Day) -> RawRows | None:
        if len(day.look.lines) != day.rows.table.num_rows:
            return None
        changed: dict[str, list[str | None]] = {}
        delivered = set(day.rows.table.column_names)  # optional columns may be missing
        for name in filter(delivered.__contains__, names):
            values = shifted(day.look, name, 60).to_pylist()
            changed[name] = [
                None if v is None else _moment(v) if isinstance(v, datetime) else str(v)
                for v in values
            ]
        return day.with_columns(changed)

    return planted


def _moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def whole_hours(name: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        cut = [None if t is None else str(int(float(t)) // 100 * 100) for t in day.text(name)]
        return day.with_columns({name: cut})

    return planted


def epoch(name: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        counted = [
            None if t is None else str(int(datetime.fromisoformat(t).timestamp() * 1000))
            for t in day.text(name)
        ]
        return day.with_columns({name: counted})

    return planted


def sentinel(name: str, value: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        values = day.text(name)
        filled = [at for at, text in enumerate(values) if text is not None]
        if not filled:
            return None
        for at in _sample_rows(day, FEW, filled):
            values[at] = value
        return day.with_columns({name: values})

    return planted


def sensors(contract: Contract) -> tuple[str, ...]:
    """Return the measured columns of a state table; none for other kinds of tables."""
    if contract.kind != "state":
        return ()
    keys = set(contract.primary_key)
    return tuple(
        f.name
        for f in contract.delivered
        if f.type in {"integer", "number"} and f.zone is None and f.name not in keys
    )


def frozen(names: tuple[str, ...]) -> Plant:
    """Let a station repeat a reading for six hours; the day's number selects station and time."""

    def planted(day: Day) -> RawRows | None:
        look = day.look
        if look.rows != day.rows.table.num_rows:
            return None
        order, starts = ordered_rows(look)
        begins = [*np.flatnonzero(starts).tolist(), look.rows]
        stations = [(a, b) for a, b in pairwise(begins) if b - a >= _FEWEST_READINGS]
        if not stations:
            return None
        first, end = stations[day.number % len(stations)]
        at = first + day.number * 7 % (end - first - STUCK)
        rows = order[at : at + STUCK + 1].tolist()
        changed = {name: day.text(name) for name in names}
        for values in changed.values():
            for row in rows[1:]:
                values[row] = values[rows[0]]
        return day.with_columns(changed)

    return planted


def new_level(name: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        values = day.text(name)
        if not _levels(day, name):
            return None
        for at in _sample_rows(
            day, NEW, [at for at, text in enumerate(values) if text is not None]
        ):
            values[at] = "QQ" if len(values[at] or "") <= 2 else "QQQ"
        return day.with_columns({name: values})

    return planted


def recoding(name: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        level = _level(day, name)
        if level is None:
            return None
        other = ("Z9" + level)[: max(len(level), 2)]
        return day.with_columns({name: [other if t == level else t for t in day.text(name)]})

    return planted


def swap(first: str, second: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        return day.with_columns({first: day.text(second), second: day.text(first)})

    return planted


def rename(names: tuple[str, ...]) -> Plant:
    """Rename columns to meaningless names; if there are several, also reorder the columns."""

    def planted(day: Day) -> RawRows | None:
        new = {name: f"field_{n + 1:02d}" for n, name in enumerate(sorted(names, key=_mixed))}
        table = day.rows.table.rename_columns([new.get(n, n) for n in day.rows.table.column_names])
        order = sorted(table.column_names) if len(names) > 1 else table.column_names
        table = table.select(order)
        return RawRows(table, day.rows.lines, tuple(table.column_names), (), table.num_rows)

    return planted


def renamed_to(names: tuple[str, ...]) -> dict[str, str]:
    """Return {column: name that `rename` gives it}."""
    return {name: f"field_{n + 1:02d}" for n, name in enumerate(sorted(names, key=_mixed))}


def _mixed(name: str) -> str:
    return name[::-1]


def comma(name: str) -> Plant:
    def planted(day: Day) -> RawRows | None:
        values = [None if t is None else t.replace(".", ",") for t in day.text(name)]
        return day.with_columns({name: values})

    return planted
