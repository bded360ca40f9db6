"""Profiles and frozen bins on disk: written completely or not at all, addressed by content.

A source has one Parquet file a month, with a row for each day and column. Each day has a hash of
its rows, so that a day is profiled once and reused while its rows stay the same. A run writes the
months in which something changed, each by one rename. After a crash some months are new and some
old; the next run detects which.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json, move_into_place, temporary_beside, write_json
from headrace.core.home import Home
from headrace.monitoring.evidence.model import day_number, day_text
from headrace.monitoring.profiles.bins import Bins, freeze
from headrace.monitoring.profiles.profiles import (
    FORMAT,
    Daily,
    Ints,
    by_day,
    joined_days,
    parts,
    side_by_side,
    sketch_days,
)
from headrace.sketches import Sketches, kind_of, one_array, row_sums, stacked
from headrace.sketches.distinct import REGISTERS, Registers

_META = b"headrace.profile"
_MONTH = re.compile(r"\d{4,}-\d{2}")
_FIRST_FORMAT = re.compile(r"[0-9a-f]{32}\.parquet")  # format 1: one file for all days, in bins


def folder_of(home: Home, source: str) -> Path:
    """Return the folder of the profiles of `source` (a table's or a view's name)."""
    if not re.fullmatch(r"\w[\w.-]*", source):
        raise DeclarationError(
            f"{source!r} cannot name a source of profiles",
            fix="use only letters, digits, '_', '.' and '-'; begin with a letter, a digit or '_'",
        )
    return home.profiles / source


def _check_format(version: int, path: Path) -> None:
    if version > FORMAT:
        raise StateError(
            f"the profiles have format {version}; this Headrace reads up to {FORMAT}",
            where=str(path),
            fix="upgrade headrace",
        )


# Bins


def frozen_bins(
    home: Home, source: str, daily: Daily, *, warmup: int
) -> tuple[list[Bins], list[str]]:
    """Return the frozen bins of the columns, and notes on the columns that are not watched.

    A column's bins are computed from its first `warmup` days with values. Frozen bins never change.
    A column whose kind changed is not watched until a person decides.
    """
    path = folder_of(home, source) / "bins.json"
    stored = _load_bins(path)
    usable: list[Bins] = []
    notes: list[str] = []
    new = False
    for name, sketches in daily.columns.items():
        if name not in stored:
            bins = _first_bins(name, sketches, daily, warmup)
            if bins is None:
                notes.append(f"{name}: not watched until it has values on {warmup} days")
                continue
            stored[name], new = bins, True
        if stored[name].kind != sketches.kind:
            notes.append(
                f"{name}: not watched, because it was {stored[name].kind} and is {sketches.kind}"
            )
            continue
        usable.append(stored[name])
    if new:
        body = [stored[name].to_json() for name in sorted(stored)]
        write_json(path, {"format": FORMAT, "bins": body})
    return usable, notes


def _load_bins(path: Path) -> dict[str, Bins]:
    """Return the stored bins; ignore bins of format 1, whose edges are not edges of sketch cells.

    New bins are then computed from the same first days.
    """
    if not path.exists():
        return {}
    value = json.loads(path.read_text())
    _check_format(value["format"], path)
    if value["format"] < FORMAT:
        return {}
    return {entry["column"]: Bins.from_json(entry) for entry in value["bins"]}


def _first_bins(name: str, sketches: Sketches, daily: Daily, warmup: int) -> Bins | None:
    days_with_values = daily.days[sketches.rows > sketches.nulls]
    if len(days_with_values) < warmup:
        return None
    until = int(days_with_values[warmup - 1]) + 1
    first = int(daily.days[0])
    return freeze(name, daily.roll(first, until, [name])[name], until)


# Profiles


@dataclass(frozen=True)
class _Month:
    """Stored profiles of one month: `content_names` is {day: hash of its rows}."""

    content_names: Mapping[int, str]
    daily: Daily


def daily_of(home: Home, source: str, table: pa.Table, day: Ints, columns: Sequence[str]) -> Daily:
    """Return the daily sketches of some columns; compute only days whose rows have changed.

    `day` has the epoch day of each row, in any order.
    """
    folder = folder_of(home, source)
    table, day = by_day(table.select(columns), day)
    days, starts = parts(day)
    if not columns:
        return Daily(days, np.diff(starts, append=len(day)), {})
    names = dict(zip(days.tolist(), _content_names(table, starts), strict=True))
    stored = {text: _read(folder / f"{text}.parquet", columns) for text in _months(folder)}
    months = {text: month for text, month in stored.items() if month is not None}
    unchanged = {
        at
        for month in months.values()
        for at, name in month.content_names.items()
        if names.get(at) == name
    }
    fresh = [at for at in names if at not in unchanged]
    rows = np.isin(day, fresh)
    fresh_sketches = sketch_days(
        table if rows.all() else table.filter(pa.array(rows)), day[rows], columns
    )
    by_month = []
    for text, dates in groupby(days.tolist(), key=_month_of):
        month_days = set(dates)
        month = months.pop(text, None)
        reused = month_days & unchanged
        if month and reused == month_days == month.content_names.keys():
            merged = month.daily
        else:
            added = fresh_sketches.within(month_days)
            merged = joined_days([month.daily.within(reused), added]) if month and reused else added
            _write(folder / f"{text}.parquet", merged, [names[at] for at in merged.days.tolist()])
        by_month.append(merged)
    _forget(folder, sorted(stored.keys() - {_month_of(at) for at in names}))
    return joined_days(by_month) if by_month else fresh_sketches


def _months(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.parquet") if _MONTH.fullmatch(path.stem))


def _month_of(day: int) -> str:
    return day_text(day)[:7]


def _forget(folder: Path, months: Sequence[str]) -> None:
    """Delete the files of months without rows, and the obsolete files of format 1."""
    emptied = [folder / f"{text}.parquet" for text in months]
    old = [path for path in folder.glob("*.parquet") if _FIRST_FORMAT.fullmatch(path.name)]
    for path in (*emptied, *old):
        path.unlink(missing_ok=True)


def _content_names(table: pa.Table, starts: Ints) -> list[str]:
    """Return the hash of each day's rows; their order does not matter."""
    kinds = {name: kind_of(table.schema.field(name)) for name in table.column_names}
    header = canonical_json([FORMAT, [[name, kind] for name, kind in kinds.items()]])
    sums = side_by_side(lambda name: row_sums(kinds[name], table[name], starts), list(kinds))
    rows = np.diff(starts, append=table.num_rows).view(np.uint64)
    day_sums = np.stack([rows, *sums], axis=1)
    return [blake2b(header + row.tobytes(), digest_size=16).hexdigest() for row in day_sums]


# Files


def _write(path: Path, daily: Daily, names: Sequence[str]) -> None:
    """Write one row per column and day, readable by any Parquet reader."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns, days = daily.columns, len(daily.days)
    stack = stacked(list(columns.values()))
    table = pa.table(
        {
            "column": pa.array(np.repeat(list(columns), days).tolist(), pa.string()),
            "day": [day_text(day) for day in daily.days.tolist()] * len(columns),
            "content": list(names) * len(columns),
            "kind": np.repeat([sketches.kind for sketches in columns.values()], days).tolist(),
            "rows": stack.rows, "nulls": stack.nulls, "low": stack.low, "high": stack.high,
            "sum_high": stack.limbs[:, 0], "sum_low": stack.limbs[:, 1], "coarse": stack.coarse,
            "cells": _lists(stack.offsets, pa.array(stack.cells)),
            "counts": _lists(stack.offsets, pa.array(stack.counts)),
            "levels": _lists(stack.offsets, _texts(columns.values())),
            "registers": _blocks(stack.registers),
        }
    )  # fmt: skip
    header = {"format": FORMAT, "columns": list(columns)}
    temporary = temporary_beside(path)
    pq.write_table(
        table.replace_schema_metadata({_META: json.dumps(header)}),
        temporary,
        compression="zstd",
        compression_level=1,
        use_dictionary=["column", "day", "content", "kind", "levels.list.element"],
        column_encoding={
            "cells.list.element": "DELTA_BINARY_PACKED",
            "counts.list.element": "DELTA_BINARY_PACKED",
        },
    )
    move_into_place(temporary, path)


def _lists(offsets: Ints, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _texts(columns: Iterable[Sketches]) -> pa.Array:
    """Return the level of each cell; null for numbers and for levels counted by prefixes."""
    return pa.concat_arrays(
        [
            pa.array([column.names.get(cell) for cell in column.cells.tolist()], pa.string())
            if column.kind == "level"
            else pa.nulls(len(column.cells), pa.string())
            for column in columns
        ]
    )


def _blocks(registers: Registers) -> pa.Array:
    plain = np.ascontiguousarray(registers)
    kind = pa.binary(REGISTERS)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(plain), [None, pa.py_buffer(plain)])


def _read(path: Path, columns: Sequence[str]) -> _Month | None:
    """Read a month that `_write` wrote; None if it was written with other columns."""
    file = pq.ParquetFile(path)
    header = json.loads(file.schema_arrow.metadata[_META])
    _check_format(header["format"], path)
    if header["columns"] != list(columns):
        return None
    table = file.read()
    days = table.num_rows // len(columns)
    stack, texts = _stacked_in(table), one_array(table["levels"]).flatten()
    sketches = {}
    for at, name in enumerate(columns):
        first, end = at * days, (at + 1) * days
        kind = table["kind"][first].as_py()
        column = replace(stack.between(first, end), kind=kind)
        if kind == "level":
            cells = texts.slice(stack.offsets[first], len(column.cells)).to_pylist()
            pairs = zip(column.cells.tolist(), cells, strict=True)
            column = replace(column, names={cell: text for cell, text in pairs if text is not None})
        sketches[name] = column
    numbers = [day_number(text) for text in table["day"].to_pylist()[:days]]
    names = table["content"].to_pylist()[:days]
    daily = Daily(np.array(numbers, np.int64), stack.rows[:days], sketches)
    return _Month(dict(zip(numbers, names, strict=True)), daily)


def _stacked_in(table: pa.Table) -> Sketches:
    """Return the partitions of all columns, one column after the other."""

    def ints(name: str) -> Ints:
        array: Ints = table[name].to_numpy()
        return array

    cells, counts = one_array(table["cells"]), one_array(table["counts"])
    registers = one_array(table["registers"])
    return Sketches(
        "real", ints("rows"), ints("nulls"), ints("low"), ints("high"),
        np.stack([ints("sum_high"), ints("sum_low")], axis=-1),
        cells.offsets.to_numpy().astype(np.int64),
        cells.flatten().to_numpy(), counts.flatten().to_numpy(),
        np.frombuffer(registers.buffers()[1], np.uint8).reshape(-1, REGISTERS)[registers.offset :],
        table["coarse"].to_numpy(),
    )  # fmt: skip
