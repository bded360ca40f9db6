"""Validation and staging of objects that stay in their bucket, some rows at a time.

An object is never in memory as a whole, and no copy of its raw bytes is kept. Its rows are written
to a new file, because published rows also need columns for batch, line and times, and numbers in
the table's stored units.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import Conformed, Contract, Violation, conform
from headrace.contracts.conform import MOST_LISTED, clash
from headrace.contracts.duplicate_rows import find_duplicates
from headrace.contracts.typed_cells import Rounded
from headrace.core.errors import StateError
from headrace.core.files import move_into_place, temporary_beside
from headrace.core.sql import ident, literal
from headrace.gates import Judgement, Suite
from headrace.gates.parquet import judge_file
from headrace.lake.ingest.staging import quarantine_schema
from headrace.lake.tables.decimals import rewritten as rewritten_as
from headrace.lake.tables.decimals import writer as writer_of
from headrace.sources.base import Delivery
from headrace.sources.delivery_reference import referred
from headrace.sources.parsing.parquet_rows import pieces

MEMORY_MB = 256


@contextmanager
def conformed_file(contract: Contract, delivery: Delivery, beside: Path) -> Iterator[Any]:
    """Write an object's conformed rows to a temporary file; yield `Conformed` and the file's path.

    `Conformed.table` is None.

    Raises:
        StateError: the object is gone, or its bytes changed since it was registered.
    """
    path = temporary_beside(beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        conformed = _written(contract, delivery, path)
        if not conformed.violation_count:
            conformed = _without_repeats(contract, conformed, path)
        yield conformed, path
    finally:
        path.unlink(missing_ok=True)


def judged_file(
    suite: Suite, contract: Contract, conformed: Conformed, path: Path, quarantined: Path
) -> Judgement:
    """Return the verdict; rows that fail are written to `quarantined`."""
    summary = replace(conformed, table=None)
    return judge_file(
        suite, contract, path, quarantined=quarantined, about=summary, memory_mb=MEMORY_MB
    )


def stage_file(
    contract: Contract, path: Path, quarantined: Path | None, staged: Path, rows: int
) -> None:
    """Move the rows of `path` that are not in `quarantined` to `staged`; idempotent.

    Raises:
        StateError: the number of rows to move is not `rows`.
    """
    if staged.exists() and _count(staged) == rows:
        return  # it may be published already; the same bytes and rules give the same content
    if quarantined is not None:
        lines = pq.read_table(quarantined, columns=["_line"])["_line"].to_numpy()
        passing_path = temporary_beside(path.with_name(f"{path.name}-kept"))
        rewritten(path, passing_path, lines)
        passing_path.replace(path)
    if _count(path) != rows:
        raise StateError(
            f"{rows} rows passed and {_count(path)} came out of the gate; none may get lost",
            where=str(staged),
        )
    rewritten_as(path, contract.table_schema())
    move_into_place(path, staged)


def keep_file(contract: Contract, quarantined: Path) -> None:
    """Convert a file of quarantined rows to the types of quarantine files; idempotent."""
    schema = pq.read_schema(quarantined)
    rewritten_as(quarantined, quarantine_schema(schema, contract))


def _count(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def rewritten(path: Path, to: Path, without: "np.typing.NDArray[np.int64]") -> None:
    """Copy the rows of `path` to `to`, except the rows on the lines `without`."""
    with pq.ParquetFile(path) as file, writer_of(to, file.schema_arrow) as writer:
        for batch in file.iter_batches():
            mask = ~np.isin(batch.column("_line").to_numpy(), without)
            writer.write_batch(batch.filter(pa.array(mask)))


def _written(contract: Contract, delivery: Delivery, path: Path) -> Conformed:
    """Conform the object piece by piece into the file `path`, and sum up the results."""
    parts: list[Conformed] = []
    with referred(delivery) as handle, writer_of(path, contract.arrow_schema()) as writer:
        for rows in pieces(handle):
            part = conform(contract, rows, delivery.batch_id)
            if part.table is not None:
                writer.write_table(part.table)
            parts.append(replace(part, table=None))
    return _summed(parts)


def _summed(parts: Sequence[Conformed]) -> Conformed:
    return Conformed(
        table=None,
        # A violation of a whole column occurs in every piece; it is listed once.
        violations=tuple(dict.fromkeys(v for p in parts for v in p.violations))[:MOST_LISTED],
        violation_count=sum(part.violation_count for part in parts),
        bad_rows=tuple(problem for part in parts for problem in part.bad_rows),
        warnings=tuple(dict.fromkeys(w for part in parts for w in part.warnings)),
        repeated=sum(part.repeated for part in parts),
        delivered=sum(part.delivered for part in parts),
        rounded=_rounded(parts),
    )


def _rounded(parts: Sequence[Conformed]) -> tuple[Rounded, ...]:
    """Add up the rounded cells of all parts by column; the first example is kept."""
    by_field: dict[str, Rounded] = {}
    for column in (rounded for part in parts for rounded in part.rounded):
        total = by_field.get(column.field)
        by_field[column.field] = (
            column
            if total is None
            else replace(
                total, count=total.count + column.count, needed=max(total.needed, column.needed)
            )
        )
    return tuple(by_field.values())


def _without_repeats(contract: Contract, conformed: Conformed, path: Path) -> Conformed:
    """Drop repeated rows; report rows with one identity but different values as violations."""
    suspects = _suspects(contract, path)
    if not suspects.num_rows:
        return conformed
    content = [column.name for column in contract.delivered]
    identity = list(contract.identity) or content
    repeats = find_duplicates(
        suspects, identity, content, "known_at" if contract.identity else None
    )
    if contract.primary_key and repeats.clashes:
        violations: list[Violation] = [
            clash(contract, suspects, *positions) for positions in repeats.clashes[:MOST_LISTED]
        ]
        return replace(
            conformed, violations=tuple(violations), violation_count=len(repeats.clashes)
        )
    if not repeats.dropped:
        return conformed
    lines = suspects["_line"].to_numpy()[list(repeats.dropped)]
    temporary = temporary_beside(path.with_name(f"{path.name}-once"))
    rewritten(path, temporary, lines)
    temporary.replace(path)
    dropped_lines = set(lines.tolist())
    bad_rows = tuple(problem for problem in conformed.bad_rows if problem.line not in dropped_lines)
    return replace(conformed, bad_rows=bad_rows, repeated=conformed.repeated + len(lines))


def _suspects(contract: Contract, path: Path) -> pa.Table:
    """Return the rows that share their identity with another row, sorted by line."""
    names = list(contract.identity) or [column.name for column in contract.delivered]
    by = ", ".join(map(ident, names))
    file = f"read_parquet({literal(str(path))})"
    with duckdb.connect() as db:
        db.execute(f"SET memory_limit = '{MEMORY_MB}MB'")
        db.execute("SET TimeZone = 'UTC'")
        query = (
            f"WITH twice AS (SELECT {by} FROM {file} GROUP BY ALL HAVING count(*) > 1)"  # noqa: S608
            f" SELECT rows.* FROM {file} AS rows JOIN twice ON "
            + " AND ".join(f"rows.{ident(n)} IS NOT DISTINCT FROM twice.{ident(n)}" for n in names)
            + " ORDER BY rows._line"
        )
        return db.sql(query).to_arrow_table()
