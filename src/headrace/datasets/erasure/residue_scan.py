"""Scan of a folder or store for residual personal data after an erasure.

All files are searched, and Parquet files are decoded. A value is looked for in the Parquet columns
of its own name. If it is long enough, it is also looked for in other text columns, inside longer
texts, and in the raw bytes of all other files; shorter values occur there too often. If the entity
has several columns, a match needs all their values together: in one row of a Parquet file, or on
one line of another file.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.datasets.store.storage import Storage

# Minimum length of a value that is looked for outside the columns of its own name. Shorter values
# occur in too many places that have nothing to do with the person.
SHORTEST_TEXT, SHORTEST_NUMBER = 4, 7
_LONGEST_NUMBER = 20
_BLOCK = 1 << 22

Opened = Callable[[], Any]


@dataclass(frozen=True)
class ResidueMatch:
    """A file that holds a value; `path` is relative to the folder.

    `column` is the name of the Parquet column, or "" for a match in raw bytes.
    """

    path: str
    column: str = ""


def where_named(
    root: Path, entity: Mapping[str, str], skip: Callable[[Path], bool] = lambda _: False
) -> list[ResidueMatch]:
    """Files below `root` that hold a value of `entity` (column -> value as text).

    The columns of Parquet files are decoded and searched. If no column matches, the raw bytes are
    searched too, because the metadata hold minima and maxima. Of other files, the raw bytes are
    searched.
    """
    matches: list[ResidueMatch] = []
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or skip(path):
            continue
        name = path.relative_to(root).as_posix()
        matches += _matches_in(name, partial(pa.OSFile, str(path)), entity)
    return matches


def where_stored(storage: Storage, entity: Mapping[str, str]) -> list[ResidueMatch]:
    """Files of a store that hold a value of `entity`, including files that a crash left behind."""
    place = storage.local_path("objects")
    if place is not None:
        return where_named(place.parent, entity)
    matches: list[ResidueMatch] = []
    for entry in storage.walk(""):
        matches += _matches_in(entry.path, partial(storage.open, entry.path), entity)
    return matches


def _matches_in(name: str, opened: Opened, entity: Mapping[str, str]) -> list[ResidueMatch]:
    return [ResidueMatch(name, column) for column in _found_in(name, opened, entity)]


def _found_in(name: str, opened: Opened, entity: Mapping[str, str]) -> Iterator[str]:
    if name.endswith(".parquet"):
        try:
            columns = _columns_naming(opened, entity)
        except (pa.ArrowException, OSError):
            columns = []  # not a complete Parquet file: its bytes are searched
        if columns:
            yield from columns
            return
    if _bytes_hold(opened, list(entity.values())):
        yield ""


def _columns_naming(opened: Opened, entity: Mapping[str, str]) -> list[str]:
    with closing(opened()) as handle, pq.ParquetFile(handle) as file:
        schema = file.schema_arrow
        if len(entity) > 1:
            return sorted(entity) if _row_holds(file, entity) else []
        ((column, value),) = entity.items()
        return sorted(
            field.name
            for field in schema
            if _may_hold(field, column, value)
            and bool(pc.any(_holding(file, field.name, column, value)).as_py())
        )


def _row_holds(file: pq.ParquetFile, entity: Mapping[str, str]) -> bool:
    schema = file.schema_arrow
    if not all(
        name in schema.names and _may_hold(schema.field(name), name, value)
        for name, value in entity.items()
    ):
        return False
    masks = [_holding(file, name, name, value) for name, value in entity.items()]
    together = masks[0]
    for mask in masks[1:]:
        together = pc.and_(together, mask)
    return bool(pc.any(together).as_py())


def _may_hold(field: pa.Field, column: str, value: str) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return field.name == column or _is_telling(value)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return number and field.name == column and _as_integer(value) is not None


def _as_integer(value: str) -> int | None:
    """The int64 that a text spells, or None."""
    if not value.removeprefix("-").isdecimal() or len(value) > _LONGEST_NUMBER:
        return None
    return number if -(2**63) <= (number := int(value)) < 2**63 else None


def _holding(file: pq.ParquetFile, name: str, column: str, value: str) -> pa.ChunkedArray:
    values = file.read([name]).column(0)
    if pa.types.is_integer(values.type):
        return pc.equal(values.cast(pa.int64()), _as_integer(value))
    if pa.types.is_floating(values.type):
        return pc.equal(values.cast(pa.float64()), float(value))
    text = values.cast(pa.string())
    return pc.equal(text, value) if name == column else pc.match_substring(text, value)


def _is_telling(value: str) -> bool:
    """True if a value is long enough to identify a person wherever it occurs."""
    number = value.lstrip("-").isdecimal()
    return len(value) >= (SHORTEST_NUMBER if number else SHORTEST_TEXT)


def _bytes_hold(opened: Opened, values: list[str]) -> bool:
    """True if some line holds all of `values`; lines that span two blocks are joined."""
    if not any(map(_is_telling, values)):
        return False
    # A number must not be part of a longer number or of a digest.
    patterns = [
        re.compile(rb"(?<![0-9A-Za-z])" + re.escape(value.encode()) + rb"(?![0-9A-Za-z])")
        if value.lstrip("-").isdecimal()
        else re.compile(re.escape(value.encode()))
        for value in values
    ]
    rest = b""
    with closing(opened()) as file:
        while block := file.read(_BLOCK):
            data = rest + block
            if _line_holds(data, patterns):
                return True
            rest = data[-_BLOCK:] if (cut := data.rfind(b"\n")) < 0 else data[cut + 1 :]
    return False


def _line_holds(data: bytes, patterns: list[re.Pattern[bytes]]) -> bool:
    first, *other_patterns = patterns
    for match in first.finditer(data):
        start = data.rfind(b"\n", 0, match.start()) + 1
        end = data.find(b"\n", match.end())
        line = data[start : len(data) if end < 0 else end]
        if all(other.search(line) for other in other_patterns):
            return True
    return False
