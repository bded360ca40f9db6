"""What a store really holds of a release, read without trust: for whoever looks for damage."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import HeadraceError
from headrace.datasets.hashing.content_hash import content_sum
from headrace.datasets.manifest import Manifest, Part
from headrace.datasets.store.store import Store


@dataclass(frozen=True)
class Stored:
    """The rows that could be read, in order, and what is wrong with the objects.

    `content_hash` is "" where not everything could be read.
    """

    table: pa.Table | None
    content_hash: str
    problems: tuple[str, ...]

    def is_whole(self, content_hash: str) -> bool:
        return self.content_hash == content_hash and not self.problems

    def to_json(self) -> dict[str, Any]:
        return {"content_hash": self.content_hash, "problems": list(self.problems)}


def read_stored(store: Store, manifest: Manifest) -> Stored:
    """Read every part of a release; an object with other bytes than its name says is read, too."""
    tables, problems, lost = [], [], False
    for split, entry in manifest.splits.items():
        for number, part in enumerate(entry.parts):
            table, problem = _read(store, part)
            lost = lost or table is None
            if table is not None:
                tables.append(table)
            if problem:
                problems.append(f"{split}, part {number}: object {part.object[:12]} {problem}")
    found = _joined(tables, problems)
    complete = found is not None and not lost
    content = content_sum(found).hash if complete else ""
    return Stored(found, content, tuple(problems))


def _joined(tables: list[pa.Table], problems: list[str]) -> pa.Table | None:
    try:
        return pa.concat_tables(tables) if tables else None
    except pa.ArrowException as error:
        problems.append(f"the parts do not fit together: {error}")
        return None


def _read(store: Store, part: Part) -> tuple[pa.Table | None, str]:
    try:
        with store.storage.open(store.object_name(part.object, "parquet")) as handle:
            data = handle.read()
    except (HeadraceError, OSError) as error:
        return None, f"cannot be read: {error}"
    other = hashlib.sha256(data).hexdigest() != part.object
    problem = "holds other bytes than were released" if other else ""
    try:
        return pq.read_table(io.BytesIO(data)), problem
    except (pa.ArrowException, OSError) as error:
        return None, f"is no Parquet file: {str(error).splitlines()[0]}"
