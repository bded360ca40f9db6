"""Where somebody still stands: every file of a folder or a store, decoded as far as we can.

A text is looked for wherever it may be part of something. A whole number is found in columns of its
name, and elsewhere only if it is long, since `17` stands everywhere. Of a key of several columns
all have to stand together: in one row, or on one line.
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

# What is shorter is found in too much that has nothing to do with anybody.
SHORTEST_TEXT, SHORTEST_NUMBER = 4, 7
_LONGEST_NUMBER = 20
_BLOCK = 1 << 22

Opened = Callable[[], Any]


@dataclass(frozen=True)
class Named:
    """A file that holds a value: `path` is relative to the folder, `column` is "" for raw bytes."""

    path: str
    column: str = ""


def where_named(
    root: Path, entity: Mapping[str, str], skip: Callable[[Path], bool] = lambda _: False
) -> list[Named]:
    """Files below `root` that hold a value of `entity` (column -> value as text).

    Parquet is decoded and each column searched; of every other file the bytes are, and so are those
    of a Parquet file in which no column has it: its own metadata say the least and the greatest.
    """
    found: list[Named] = []
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or skip(path):
            continue
        name = path.relative_to(root).as_posix()
        found += _named(name, partial(pa.OSFile, str(path)), entity)
    return found


def where_stored(storage: Storage, entity: Mapping[str, str]) -> list[Named]:
    """The same, of every file of a store, leftovers of crashes included."""
    place = storage.local_path("objects")
    if place is not None:
        return where_named(place.parent, entity)
    found: list[Named] = []
    for entry in storage.walk(""):
        found += _named(entry.path, partial(storage.open, entry.path), entity)
    return found


def _named(name: str, opened: Opened, entity: Mapping[str, str]) -> list[Named]:
    return [Named(name, column) for column in _found_in(name, opened, entity)]


def _found_in(name: str, opened: Opened, entity: Mapping[str, str]) -> Iterator[str]:
    if name.endswith(".parquet"):
        try:
            columns = _columns_naming(opened, entity)
        except (pa.ArrowException, OSError):
            columns = []  # no Parquet after all, or a part of one: its bytes are searched
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
    return number and field.name == column and _whole(value) is not None


def _whole(value: str) -> int | None:
    """The int64 that a text is, if it is one."""
    if not value.removeprefix("-").isdecimal() or len(value) > _LONGEST_NUMBER:
        return None
    return found if -(2**63) <= (found := int(value)) < 2**63 else None


def _holding(file: pq.ParquetFile, name: str, column: str, value: str) -> pa.ChunkedArray:
    values = file.read([name]).column(0)
    if pa.types.is_integer(values.type):
        return pc.equal(values.cast(pa.int64()), _whole(value))
    if pa.types.is_floating(values.type):
        return pc.equal(values.cast(pa.float64()), float(value))
    text = values.cast(pa.string())
    return pc.equal(text, value) if name == column else pc.match_substring(text, value)


def _is_telling(value: str) -> bool:
    """Whether it is long enough to mean somebody wherever it stands."""
    number = value.lstrip("-").isdecimal()
    return len(value) >= (SHORTEST_NUMBER if number else SHORTEST_TEXT)


def _bytes_hold(opened: Opened, values: list[str]) -> bool:
    """Whether a line holds all of `values`; a line that is cut by a block is put together again."""
    if not any(map(_is_telling, values)):
        return False
    # A number stands for itself: not within another one, nor within the digits of a digest.
    wanted = [
        re.compile(rb"(?<![0-9A-Za-z])" + re.escape(value.encode()) + rb"(?![0-9A-Za-z])")
        if value.lstrip("-").isdecimal()
        else re.compile(re.escape(value.encode()))
        for value in values
    ]
    rest = b""
    with closing(opened()) as file:
        while block := file.read(_BLOCK):
            data = rest + block
            if _line_holds(data, wanted):
                return True
            rest = data[-_BLOCK:] if (cut := data.rfind(b"\n")) < 0 else data[cut + 1 :]
    return False


def _line_holds(data: bytes, wanted: list[re.Pattern[bytes]]) -> bool:
    first, *others = wanted
    for found in first.finditer(data):
        start = data.rfind(b"\n", 0, found.start()) + 1
        end = data.find(b"\n", found.end())
        line = data[start : len(data) if end < 0 else end]
        if all(other.search(line) for other in others):
            return True
    return False
