"""Profiles and frozen bins on disk: written whole or not at all, found again by their content.

A source has a Parquet file a month, with a row for each day and column. Each day is named by its
rows, so that a day is profiled once and found again for as long as they are the same; a run writes
the months in which something changed, each by one rename. A crash leaves some months new and some
old, and the next run finds out which.
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
_FIRST_FORMAT = re.compile(r"[0-9a-f]{32}\.parquet")  # one file for all days, binned


def folder_of(home: Home, source: str) -> Path:
    """Where the profiles of `source` (a table's or a view's name) live."""
    if not re.fullmatch(r"\w[\w.-]*", source):
        raise DeclarationError(
            f"{source!r} cannot name a source of profiles", fix="letters, digits, _ . -"
        )
    return home.profiles / source


def _check_format(found: int, path: Path) -> None:
    if found > FORMAT:
        raise StateError(
            f"profile format {found}, this Headrace reads {FORMAT}",
            where=str(path),
            fix="upgrade headrace",
        )


# Bins


def frozen_bins(
    home: Home, source: str, daily: Daily, *, warmup: int
) -> tuple[list[Bins], list[str]]:
    """The bins of each column, frozen now where they can be at last; and what is left out, and why.

    A column is frozen from its first `warmup` days that have values, once there are so many.
    Frozen bins are never changed; a column that changed its kind is left out until someone decides.
    """
    path = folder_of(home, source) / "bins.json"
    stored = _load_bins(path)
    chosen: list[Bins] = []
    notes: list[str] = []
    new = False
    for name, one in daily.columns.items():
        if name not in stored:
            bins = _first_bins(name, one, daily, warmup)
            if bins is None:
                notes.append(f"{name}: fewer than {warmup} days with values, not watched yet")
                continue
            stored[name], new = bins, True
        if stored[name].kind != one.kind:
            notes.append(f"{name}: was {stored[name].kind}, is {one.kind}; not watched")
            continue
        chosen.append(stored[name])
    if new:
        body = [stored[name].to_json() for name in sorted(stored)]
        write_json(path, {"format": FORMAT, "bins": body})
    return chosen, notes


def _load_bins(path: Path) -> dict[str, Bins]:
    """Those of format 1 were cut between the cells, and are made again from the same first days."""
    if not path.exists():
        return {}
    value = json.loads(path.read_text())
    _check_format(value["format"], path)
    if value["format"] < FORMAT:
        return {}
    return {one["column"]: Bins.from_json(one) for one in value["bins"]}


def _first_bins(name: str, one: Sketches, daily: Daily, warmup: int) -> Bins | None:
    some = daily.days[one.rows > one.nulls]
    if len(some) < warmup:
        return None
    until = int(some[warmup - 1]) + 1
    first = int(daily.days[0])
    return freeze(name, daily.roll(first, until, [name])[name], until)


# Profiles


@dataclass(frozen=True)
class _Month:
    """What is stored of one month: `named` are its days with the names of their content."""

    named: Mapping[int, str]
    daily: Daily


def daily_of(home: Home, source: str, table: pa.Table, day: Ints, columns: Sequence[str]) -> Daily:
    """The daily sketches of some columns, of which only days whose rows are new are made now.

    `day` has an epoch day for each row, in any order.
    """
    folder = folder_of(home, source)
    table, day = by_day(table.select(columns), day)
    days, starts = parts(day)
    if not columns:
        return Daily(days, np.diff(starts, append=len(day)), {})
    names = dict(zip(days.tolist(), _content_names(table, starts), strict=True))
    stored = {text: _read(folder / f"{text}.parquet", columns) for text in _months(folder)}
    months = {text: month for text, month in stored.items() if month is not None}
    known = {
        at for month in months.values() for at, name in month.named.items() if names.get(at) == name
    }
    fresh = [at for at in names if at not in known]
    rows = np.isin(day, fresh)
    made = sketch_days(table if rows.all() else table.filter(pa.array(rows)), day[rows], columns)
    found = []
    for text, dates in groupby(days.tolist(), key=_month_of):
        wanted = set(dates)
        month = months.pop(text, None)
        kept = wanted & known
        if month and kept == wanted == month.named.keys():
            whole = month.daily
        else:
            here = made.within(wanted)
            whole = joined_days([month.daily.within(kept), here]) if month and kept else here
            _write(folder / f"{text}.parquet", whole, [names[at] for at in whole.days.tolist()])
        found.append(whole)
    _forget(folder, sorted(stored.keys() - {_month_of(at) for at in names}))
    return joined_days(found) if found else made


def _months(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.parquet") if _MONTH.fullmatch(path.stem))


def _month_of(day: int) -> str:
    return day_text(day)[:7]


def _forget(folder: Path, months: Sequence[str]) -> None:
    """Months that have no rows any more, and the files of format 1, which are made again."""
    gone = [folder / f"{text}.parquet" for text in months]
    old = [path for path in folder.glob("*.parquet") if _FIRST_FORMAT.fullmatch(path.name)]
    for path in (*gone, *old):
        path.unlink(missing_ok=True)


def _content_names(table: pa.Table, starts: Ints) -> list[str]:
    """What the rows of each day are called: the same for the same rows, in any order."""
    kinds = {name: kind_of(table.schema.field(name)) for name in table.column_names}
    about = canonical_json([FORMAT, [[name, kind] for name, kind in kinds.items()]])
    sums = side_by_side(lambda name: row_sums(kinds[name], table[name], starts), list(kinds))
    rows = np.diff(starts, append=table.num_rows).view(np.uint64)
    each = np.stack([rows, *sums], axis=1)
    return [blake2b(about + one.tobytes(), digest_size=16).hexdigest() for one in each]


# Files


def _write(path: Path, daily: Daily, names: Sequence[str]) -> None:
    """One row per column and day, readable by anything that reads Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns, days = daily.columns, len(daily.days)
    one = stacked(list(columns.values()))
    table = pa.table(
        {
            "column": pa.array(np.repeat(list(columns), days).tolist(), pa.string()),
            "day": [day_text(day) for day in daily.days.tolist()] * len(columns),
            "content": list(names) * len(columns),
            "kind": np.repeat([some.kind for some in columns.values()], days).tolist(),
            "rows": one.rows, "nulls": one.nulls, "low": one.low, "high": one.high,
            "sum_high": one.limbs[:, 0], "sum_low": one.limbs[:, 1], "coarse": one.coarse,
            "cells": _lists(one.offsets, pa.array(one.cells)),
            "counts": _lists(one.offsets, pa.array(one.counts)),
            "levels": _lists(one.offsets, _texts(columns.values())),
            "registers": _blocks(one.registers),
        }
    )  # fmt: skip
    about = {"format": FORMAT, "columns": list(columns)}
    temporary = temporary_beside(path)
    pq.write_table(
        table.replace_schema_metadata({_META: json.dumps(about)}),
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
    """The level of each cell; null of numbers and of what is counted by prefixes."""
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
    """What `_write` wrote; nothing of a month that was written with other columns."""
    file = pq.ParquetFile(path)
    about = json.loads(file.schema_arrow.metadata[_META])
    _check_format(about["format"], path)
    if about["columns"] != list(columns):
        return None
    table = file.read()
    days = table.num_rows // len(columns)
    whole, texts = _stacked_in(table), one_array(table["levels"]).flatten()
    found = {}
    for at, name in enumerate(columns):
        first, end = at * days, (at + 1) * days
        kind = table["kind"][first].as_py()
        one = replace(whole.between(first, end), kind=kind)
        if kind == "level":
            cells = texts.slice(whole.offsets[first], len(one.cells)).to_pylist()
            pairs = zip(one.cells.tolist(), cells, strict=True)
            one = replace(one, names={cell: text for cell, text in pairs if text is not None})
        found[name] = one
    numbers = [day_number(text) for text in table["day"].to_pylist()[:days]]
    names = table["content"].to_pylist()[:days]
    daily = Daily(np.array(numbers, np.int64), whole.rows[:days], found)
    return _Month(dict(zip(numbers, names, strict=True)), daily)


def _stacked_in(table: pa.Table) -> Sketches:
    """All columns' partitions, one column after the other."""

    def ints(name: str) -> Ints:
        found: Ints = table[name].to_numpy()
        return found

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
