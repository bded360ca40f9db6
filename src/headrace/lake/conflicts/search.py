"""DuckDB search for rows with the same key, known-at and sequence but different values.

The search first reads the keys of the arriving files, and of the published files whose range of
known-at overlaps theirs. Then it reads the values of the rows that share a key. Neither the keys
nor the values have to fit in memory.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.clock import to_us
from headrace.core.compute import duckdb_limits
from headrace.core.sql import ident
from headrace.lake.conflicts.resolve import Place, RowVersion
from headrace.lake.tables.duckdb_relations import select_files
from headrace.lake.tables.snapshot_files import LiveFile, SnapshotColumn, SnapshotPlan

if TYPE_CHECKING:
    import duckdb

    from headrace.contracts import Contract

_PLACE = ("_batch", "_line")
_TYPES = {
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
}


@dataclass(frozen=True)
class Arriving:
    """Staged file that is to be published.

    Attributes:
        live_path: the present file of its batch in the table, if there is one.
        by_row: True if its rows may conflict with each other, as in a stream.
    """

    batch_id: str
    path: Path
    live_path: str | None = None
    by_row: bool = False


def versions(
    contract: "Contract",
    plan: SnapshotPlan | None,
    arriving: Sequence[Arriving],
    published: Sequence[LiveFile],
) -> list[RowVersion]:
    """Return all rows that share their identity with a row of different content.

    Args:
        contract: its `identity` columns identify a row.
        plan: the table's present state; None if nothing was published.
        arriving: files to publish; each returned group has at least one row from them.
        published: published files with which `arriving` is compared.
    """
    import duckdb

    columns = _columns(contract, plan)
    arriving, near = contested(arriving, published)
    if not arriving:
        return []
    with duckdb.connect(config=duckdb_limits()) as db:
        db.execute("SET TimeZone = 'UTC'")
        new = _select(contract, columns, [str(file.path) for file in arriving])
        old = _select(contract, columns, [], near)
        if not _suspects(db, contract, new, old):
            return []
        return _clashing(db, contract, columns, f"(SELECT * FROM {new} UNION ALL FROM {old})")  # noqa: S608


def published_lines(arriving: Sequence[Arriving]) -> set[Place]:
    """Return the places of the rows of these batches that the table holds already."""
    return {
        (file.batch_id, line)
        for file in arriving
        if file.live_path is not None
        for line in pq.read_table(file.live_path, columns=["_line"])["_line"].to_pylist()
    }


def held_twice(
    contract: "Contract", plan: SnapshotPlan, files: Sequence[LiveFile] | None = None
) -> list[RowVersion]:
    """Return rows in conflict that were published before conflicts were checked."""
    import duckdb

    columns = _columns(contract, plan)
    published = plan.files if files is None else files
    with duckdb.connect(config=duckdb_limits()) as db:
        db.execute("SET TimeZone = 'UTC'")
        rows, empty = (_select(contract, columns, [], selection) for selection in (published, ()))
        if not _suspects(db, contract, rows, empty):
            return []
        return _clashing(db, contract, columns, rows)


def _columns(contract: "Contract", plan: SnapshotPlan | None) -> dict[str, SnapshotColumn]:
    """Return the contract's columns by name, with their types in the table's files."""
    before = {} if plan is None else {column.field_id: column.type for column in plan.columns}
    columns = {}
    for field in contract.arrow_schema():
        number = int(field.metadata[b"PARQUET:field_id"])
        kind = before.get(number) or _TYPES.get(field.type, "TIMESTAMPTZ")
        columns[field.name] = SnapshotColumn(number, field.name, kind)
    return columns


def _select(
    contract: "Contract",
    columns: dict[str, SnapshotColumn],
    staged: Sequence[str],
    published: Sequence[LiveFile] = (),
) -> str:
    plan = SnapshotPlan(contract.table, 0, tuple(columns.values()), tuple(published), {})
    return select_files(plan, None, [*staged, *(file.path for file in published)])


def _hash(contract: "Contract") -> str:
    return f"hash({', '.join(map(ident, contract.identity))})"


def _suspects(db: "duckdb.DuckDBPyConnection", contract: "Contract", new: str, old: str) -> int:
    """Store the hashes of the keys in `new` that occur again in `new` or `old`; count them."""
    key = _hash(contract)
    db.execute(
        f"CREATE TEMP TABLE suspects AS WITH new AS (SELECT {key} AS h FROM {new}),"  # noqa: S608
        f" old AS (SELECT {key} AS h FROM {old})"
        " SELECT h FROM new GROUP BY h HAVING count(*) > 1"
        " UNION SELECT h FROM new SEMI JOIN old USING (h)"
    )
    (count,) = db.sql("SELECT count(*) FROM suspects").fetchall()[0]
    return int(count)


def _clashing(
    db: "duckdb.DuckDBPyConnection",
    contract: "Contract",
    columns: dict[str, SnapshotColumn],
    rows: str,
) -> list[RowVersion]:
    identity = ", ".join(map(ident, contract.identity))
    content = ", ".join(ident(name) for name in columns if name not in _PLACE)
    relation = db.sql(
        f"WITH rows AS (SELECT * FROM {rows} WHERE {_hash(contract)} IN (FROM suspects)),"  # noqa: S608
        f" contents AS (SELECT DISTINCT {content} FROM rows),"
        f" clashes AS (SELECT {identity} FROM contents GROUP BY ALL HAVING count(*) > 1)"
        f" SELECT dense_rank() OVER (ORDER BY {identity}),"
        f" dense_rank() OVER (PARTITION BY {identity} ORDER BY {content}), _batch, _line"
        f" FROM rows WHERE ({identity}) IN (SELECT ({identity}) FROM clashes)"
    )
    return [RowVersion(*row) for row in relation.fetchall()]


def known_range(path: Path) -> tuple[int, int] | None:
    """Return the least and the greatest known-at (us) in the footer of a staged file.

    Returns None if the footer does not have them.
    """
    metadata = pq.read_metadata(path)
    place = metadata.schema.to_arrow_schema().names.index("known_at")
    statistics = [
        metadata.row_group(n).column(place).statistics for n in range(metadata.num_row_groups)
    ]
    if not statistics or any(stats is None or not stats.has_min_max for stats in statistics):
        return None
    return min(_us(stats.min) for stats in statistics), max(_us(stats.max) for stats in statistics)


def _us(value: datetime | int) -> int:
    return to_us(value) if isinstance(value, datetime) else int(value)


def contested(
    arriving: Sequence[Arriving], published: Sequence[LiveFile]
) -> tuple[list[Arriving], list[LiveFile]]:
    """Return the arriving files that may hold conflicts, and the published files to compare with.

    Files can conflict only if their ranges of known-at overlap. A file whose range is unknown
    counts as overlapping with all.
    """
    ranges = [known_range(file.path) for file in arriving]
    if any(range_ is None for range_ in ranges):
        return list(arriving), list(published)
    new = [_Range(*range_) for range_ in ranges if range_ is not None]
    old = [_range_of(file) for file in published]
    spans = _merged(old)
    among = _meeting(new)
    positions = [
        place
        for place, file in enumerate(arriving)
        if file.by_row or among[place] or _meets(new[place], spans)
    ]
    contested_spans = _merged([new[place] for place in positions])
    near = [
        file for file, range_ in zip(published, old, strict=True) if _meets(range_, contested_spans)
    ]
    return [arriving[place] for place in positions], near


class _Range(NamedTuple):
    low: int
    high: int


def _range_of(file: LiveFile) -> _Range:
    if file.known_from is None or file.known_to is None:
        return _Range(-(2**63), 2**63)
    return _Range(file.known_from, file.known_to)


def _merged(ranges: Iterable[_Range]) -> list[_Range]:
    """Merge overlapping ranges; return the merged ones in order."""
    spans: list[_Range] = []
    for low, high in sorted(ranges):
        if spans and low <= spans[-1].high:
            spans[-1] = _Range(spans[-1].low, max(high, spans[-1].high))
        else:
            spans.append(_Range(low, high))
    return spans


def _meets(range_: _Range, spans: Sequence[_Range]) -> bool:
    """Return True if a range overlaps one of the merged `spans`."""
    place = bisect_left(spans, range_.low, key=lambda span: span.high)
    return place < len(spans) and spans[place].low <= range_.high


def _meeting(ranges: Sequence[_Range]) -> list[bool]:
    """Return, for each range, True if it overlaps another one."""
    order = sorted(range(len(ranges)), key=ranges.__getitem__)
    overlapping = [False] * len(ranges)
    reach = -(2**63)
    for before, place in zip([None, *order], order, strict=False):
        overlapping[place] = ranges[place].low <= reach
        reach = max(reach, ranges[place].high)
        if before is not None and ranges[place].low <= ranges[before].high:
            overlapping[before] = True
    return overlapping
