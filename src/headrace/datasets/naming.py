"""Where a value still stands: every file of a folder, decoded as far as we can read it.

Text is looked for wherever it may be part of something; a whole number only in the columns that
bear its name, since `17` stands everywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# A shorter text is found in too much that has nothing to do with anybody.
SHORTEST = 4
_BLOCK = 1 << 22


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
    of a Parquet file's own metadata, where the least and the greatest value of a column stand.
    """
    found: list[Named] = []
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or skip(path):
            continue
        name = path.relative_to(root).as_posix()
        found += [Named(name, column) for column in _found_in(path, entity)]
    return found


def _found_in(path: Path, entity: Mapping[str, str]) -> Iterator[str]:
    if path.suffix == ".parquet":
        try:
            columns = _columns_naming(path, entity)
        except (pa.ArrowException, OSError):
            columns = []  # no Parquet after all, or a part of one: its bytes are searched
        if columns:
            yield from columns
            return
    texts = [value for value in entity.values() if len(value) >= SHORTEST]
    if texts and _bytes_hold(path, texts):
        yield ""


def _columns_naming(path: Path, entity: Mapping[str, str]) -> list[str]:
    with pq.ParquetFile(path) as file:
        found = [
            field.name
            for field in file.schema_arrow
            if any(
                _holds(file.read([field.name]).column(0), field.name, column, value)
                for column, value in entity.items()
                if _may_hold(field, column, value)
            )
        ]
    return sorted(found)


def _may_hold(field: pa.Field, column: str, value: str) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return field.name == column or len(value) >= SHORTEST
    return pa.types.is_integer(kind) and field.name == column and value.lstrip("-").isdecimal()


def _holds(values: pa.ChunkedArray, name: str, column: str, value: str) -> bool:
    if pa.types.is_integer(values.type):
        return bool(pc.any(pc.equal(values.cast(pa.int64()), int(value))).as_py())
    text = values.cast(pa.string())
    same = pc.equal(text, value) if name == column else pc.match_substring(text, value)
    return bool(pc.any(same).as_py())


def _bytes_hold(path: Path, texts: list[str]) -> bool:
    """Whether the bytes hold one of `texts`, also where it lies across two blocks."""
    wanted = [text.encode() for text in texts]
    keep = max(map(len, wanted)) - 1
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            data = tail + block
            if any(one in data for one in wanted):
                return True
            tail = data[-keep:] if keep else b""
    return False
