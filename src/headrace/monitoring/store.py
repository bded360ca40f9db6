"""Profiles and frozen bins on disk: written whole or not at all, found again by their content."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DeclarationError, StateError
from headrace.files import digest, move_into_place, temporary_beside, write_json
from headrace.home import Home
from headrace.monitoring.bins import Bins, freeze, kind_of, one_array, valid
from headrace.monitoring.evidence import day_number, day_text
from headrace.monitoring.profiles import FORMAT, Ints, Profile, Profiles, bins_hash, profile_days

_META = b"headrace.profile"
_NUMBERS = ("rows", "nulls", "low", "high", "sum_high", "sum_low")


def folder_of(home: Home, source: str) -> Path:
    """Where the profiles of `source` (a table's or a view's name) live."""
    if not re.fullmatch(r"\w[\w.-]*", source):
        raise DeclarationError(
            f"{source!r} cannot name a source of profiles", fix="letters, digits, _ . -"
        )
    return home.profiles / source


def frozen_bins(
    home: Home, source: str, table: pa.Table, day: Ints, columns: Sequence[str], *, warmup: int
) -> tuple[list[Bins], list[str]]:
    """The bins of `columns`, frozen now where they can be for the first time; and what is left out.

    A column is frozen from its first `warmup` days that have values, once there are so many.
    Frozen bins are never changed; a column that changed its kind is left out until someone decides.
    """
    path = folder_of(home, source) / "bins.json"
    stored = _load_bins(path)
    chosen: list[Bins] = []
    notes: list[str] = []
    new = False
    for name in columns:
        field = table.schema.field(name)
        if name not in stored:
            bins = _first_bins(field, table[name], day, warmup)
            if bins is None:
                notes.append(f"{name}: fewer than {warmup} days with values, not watched yet")
                continue
            stored[name], new = bins, True
        if stored[name].kind != kind_of(field):
            notes.append(f"{name}: was {stored[name].kind}, is {kind_of(field)}; not watched")
            continue
        chosen.append(stored[name])
    if new:
        body = [stored[name].to_json() for name in sorted(stored)]
        write_json(path, {"format": FORMAT, "bins": body})
    return chosen, notes


def _load_bins(path: Path) -> dict[str, Bins]:
    if not path.exists():
        return {}
    value = json.loads(path.read_text())
    _check_format(value["format"], path)
    return {one["column"]: Bins.from_json(one) for one in value["bins"]}


def _check_format(found: int, path: Path) -> None:
    if found != FORMAT:
        raise StateError(
            f"profile format {found}, this Headrace reads {FORMAT}",
            where=str(path),
            fix="delete the folder of this source: profiles are made again, with new bins",
        )


def _first_bins(field: pa.Field, column: pa.ChunkedArray, day: Ints, warmup: int) -> Bins | None:
    if len(day) == 0:
        return None
    low = int(day.min())
    some = np.flatnonzero(np.bincount(day[valid(one_array(column))] - low))
    if len(some) < warmup:
        return None
    until = low + int(some[warmup - 1]) + 1
    return freeze(field, column.filter(pa.array(day < until)), until)


def profiles_of(
    home: Home,
    source: str,
    table: pa.Table,
    day: Ints,
    bins: Sequence[Bins],
    *,
    content: str | None,
) -> Profiles:
    """The daily profiles of `table`, from disk if this content was profiled with these bins before.

    `content` names the rows: a snapshot id, a batch id or a content hash. Rows without such a name
    are profiled each time, into one file.
    """
    path = folder_of(home, source) / f"{digest([content, bins_hash(bins)])[:32]}.parquet"
    if content is not None and path.exists():
        return read_profiles(path, bins)
    profiles = profile_days(table, day, bins)
    write_profiles(path, profiles, {"source": source, "content": content})
    return profiles


def write_profiles(path: Path, profiles: Profiles, about: dict[str, Any]) -> None:
    """One row per day and column, readable by anything that reads Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole, days = profiles.whole, len(profiles.days)
    width = len(whole.bins)
    sizes = np.tile([b.size for b in whole.bins], days)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    counts = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(whole.counts.ravel()))
    numbers = (
        np.repeat(whole.rows, width), whole.nulls, whole.low, whole.high,
        whole.limbs[..., 0], whole.limbs[..., 1],
    )  # fmt: skip
    table = pa.table(
        {
            "day": np.repeat([day_text(day) for day in profiles.days.tolist()], width).astype(str),
            "column": pa.array([b.column for b in whole.bins] * days, pa.string()),
            **{name: pa.array(n.ravel()) for name, n in zip(_NUMBERS, numbers, strict=True)},
            "counts": counts,
        }
    )
    meta = {"format": FORMAT, "bins": bins_hash(whole.bins), **about}
    temporary = temporary_beside(path)
    pq.write_table(table.replace_schema_metadata({_META: json.dumps(meta)}), temporary)
    move_into_place(temporary, path)


def read_profiles(path: Path, bins: Sequence[Bins]) -> Profiles:
    """What `write_profiles` wrote; `bins` must be those it was made with."""
    table = pq.read_table(path)
    meta = json.loads(table.schema.metadata[_META])
    _check_format(meta["format"], path)
    if meta["bins"] != bins_hash(bins):
        raise StateError(
            "these profiles were made with other bins", where=str(path), fix="delete it"
        )
    width = len(bins)
    days = table.num_rows // width if width else 0
    n = {name: table[name].to_numpy().reshape(days, width) for name in _NUMBERS}
    counts = one_array(table["counts"]).flatten().to_numpy(zero_copy_only=False)
    day = [day_number(text) for text in table["day"].to_pylist()[::width]] if width else []
    whole = Profile(
        tuple(bins),
        n["rows"][:, 0] if width else np.zeros(0, np.int64),
        n["nulls"], n["low"], n["high"],
        np.stack([n["sum_high"], n["sum_low"]], axis=-1),
        counts.reshape(days, -1) if days else np.zeros((0, sum(b.size for b in bins)), np.int64),
    )  # fmt: skip
    return Profiles(np.array(day, np.int64), whole)
