"""Audit of a stored release: read all objects, even damaged ones, and report problems."""

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
class AuditedRows:
    """Rows that could be read, in order, and problems of the objects.

    `content_hash` is "" unless all parts could be read.
    """

    table: pa.Table | None
    content_hash: str
    problems: tuple[str, ...]

    def is_whole(self, content_hash: str) -> bool:
        return self.content_hash == content_hash and not self.problems

    def to_json(self) -> dict[str, Any]:
        return {"content_hash": self.content_hash, "problems": list(self.problems)}


def read_stored(store: Store, manifest: Manifest) -> AuditedRows:
    """Read every part of a release, including objects whose bytes do not match their name."""
    tables, problems, incomplete = [], [], False
    for split, entry in manifest.splits.items():
        for number, part in enumerate(entry.parts):
            table, problem = _read(store, part)
            incomplete = incomplete or table is None
            if table is not None:
                tables.append(table)
            if problem:
                problems.append(f"{split}, part {number}: object {part.object[:12]} {problem}")
    joined = _joined(tables, problems)
    complete = joined is not None and not incomplete
    content = content_sum(joined).hash if complete else ""
    return AuditedRows(joined, content, tuple(problems))


def _joined(tables: list[pa.Table], problems: list[str]) -> pa.Table | None:
    try:
        return pa.concat_tables(tables) if tables else None
    except pa.ArrowException as error:
        problems.append(f"the parts cannot be joined into one table: {error}")
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
        return None, f"is not a Parquet file: {str(error).splitlines()[0]}"
