"""Metadata in a store: layout, applied snapshot and files of each table, retention horizon."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.features.kernel.arrays import Bools, Ints
from headrace.serving.online.layout import COMMIT, DEAD, KNOWN_AT, ROW_E, JoinLayout, Layout
from headrace.serving.online.stores.port import Reader, Writer

_HORIZON = b"m:horizon"
_LAYOUT = b"m:layout"


@dataclass(frozen=True)
class RetentionHorizon:
    """Retention horizon: answers before `retained` are impossible, because history was pruned.

    Keys stay in the index for `lateness` longer. Both are in microseconds.
    """

    retained: int
    lateness: int

    def too_late(self, rows: Ints) -> Bools:
        """Return a mask of the arriving rows that a version pruned from the index may supersede.

        Every pruned version was known at `retained - lateness` or earlier. A row that is known
        later than that supersedes them. For an older row, it is unknown if one of them supersedes
        it.
        """
        late: Bools = rows[:, KNOWN_AT] + self.lateness <= self.retained
        return late

    def unneeded(self, joins: list[JoinLayout], rows: Ints) -> Bools:
        """Return a mask of rows that no answer needs: deleted rows and rows before all windows."""
        unneeded: Bools = rows[:, DEAD] != 0
        if all(join.reach is not None for join in joins):
            reach = max(join.reach or 0 for join in joins)
            unneeded = unneeded | (rows[:, ROW_E] + reach + 1 <= self.retained)
        return unneeded

    def forgotten(self, joins: list[JoinLayout], rows: Ints) -> Bools:
        """Return a mask of unneeded rows that have been usable for longer than `lateness`."""
        old = rows[:, COMMIT] + self.lateness <= self.retained
        forgotten: Bools = self.unneeded(joins, rows) & old
        return forgotten


@dataclass(frozen=True)
class StoreMetadata:
    """Applied snapshot and time `as_of` of each table, and the retention horizon.

    Everything that was published until `as_of` (microseconds UTC) is applied.
    """

    snapshots: dict[str, int]
    as_of: dict[str, int | None]
    horizon: RetentionHorizon | None


def frontier_key(table: str) -> bytes:
    return b"m:frontier:" + table.encode() + b"|"


def raw_metadata(reader: Reader, tables: Sequence[str]) -> list[bytes | None]:
    return reader.get_many([_HORIZON, _LAYOUT, *map(frontier_key, tables)])


def parsed_metadata(
    layout: Layout, tables: Sequence[str], raw: Sequence[bytes | None]
) -> StoreMetadata:
    """Parse the metadata that `raw_metadata` has read.

    Raises:
        StateError: a table was never applied, or the store has another layout.
    """
    horizon, mark, *frontiers = raw
    if mark is not None or any(frontiers):
        _expect_layout(layout, mark)
    missing = [table for table, frontier in zip(tables, frontiers, strict=True) if frontier is None]
    if missing:
        raise StateError(
            f"the store has no rows of {', '.join(missing)} yet",
            where="online store",
            fix="headrace online sync",
        )
    parsed = {t: json.loads(frontier or b"") for t, frontier in zip(tables, frontiers, strict=True)}
    return StoreMetadata(
        {table: frontier.get("snapshot_id") for table, frontier in parsed.items()},
        {table: frontier.get("as_of") for table, frontier in parsed.items()},
        None if horizon is None else RetentionHorizon(**json.loads(horizon)),
    )


def claim_layout(writer: Writer, layout: Layout) -> None:
    """Write the layout's mark into an empty store, or check the existing one.

    Raises:
        StateError: the store has another layout, or has content without a layout mark.
    """
    mark = writer.get(_LAYOUT)
    if mark is None:
        names = [key(table) for table in layout.tables for key in (frontier_key, files_key)]
        if not any(writer.get_many(names)):
            writer.put_many([(_LAYOUT, layout.mark)])
            return
    _expect_layout(layout, mark)


def _expect_layout(layout: Layout, mark: bytes | None) -> None:
    if mark == layout.mark:
        return
    other = "has none" if mark is None else f"has {mark.decode(errors='replace')}"
    raise StateError(
        f"the store does not have the layout of these views: they need {layout.mark.decode()},"
        f" the store {other}",
        where="online store",
        fix="use the store of these views, or rebuild it: headrace online sync --full-refresh",
    )


def files_key(table: str) -> bytes:
    return b"m:files:" + table.encode() + b"|"


def write_frontier(writer: Writer, table: str, frontier: Mapping[str, object]) -> None:
    """Write a table's `snapshot_id` and `as_of` and, if given, the names of all applied `files`.

    The frontier marks the table as complete, so that it is served.
    """
    small = {name: value for name, value in frontier.items() if name != "files"}
    writer.put_many([(frontier_key(table), canonical_json(small))])
    if "files" in frontier:
        write_files(writer, table, frontier["files"])


def write_files(writer: Writer, table: str, files: object) -> None:
    """Write the names of all applied files; the table is served only once it has a frontier."""
    writer.put_many([(files_key(table), canonical_json(files))])


def read_files(reader: Reader, table: str) -> list[str]:
    return list(json.loads(reader.get(files_key(table)) or b"[]"))


def holds_files(reader: Reader, table: str, files: Sequence[str]) -> bool:
    """Return True if `write_files` wrote exactly these names.

    An empty list that was never written gives False.
    """
    return reader.get(files_key(table)) == canonical_json(files)


def read_frontier(reader: Reader, table: str) -> dict[str, Any] | None:
    blob = reader.get(frontier_key(table))
    return None if blob is None else dict(json.loads(blob))


def write_horizon(writer: Writer, horizon: RetentionHorizon) -> None:
    writer.put_many([(_HORIZON, canonical_json(asdict(horizon)))])


def read_horizon(reader: Reader) -> RetentionHorizon | None:
    blob = reader.get(_HORIZON)
    return None if blob is None else RetentionHorizon(**json.loads(blob))
