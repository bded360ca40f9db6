"""What a store says of itself: how far each table is applied, and what has been dropped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.features.kernel.arrays import Bools, Ints
from headrace.serving.online.layout import COMMIT, DEAD, ROW_E, JoinLayout, Layout
from headrace.serving.online.stores.port import Reader, Writer

_HORIZON = b"m:horizon"
_LAYOUT = b"m:layout"


@dataclass(frozen=True)
class Horizon:
    """Versions of no use after `retained` are gone; keys are known `lateness` longer."""

    retained: int
    lateness: int

    def too_late(self, rows: Ints) -> Bools:
        """Rows whose key may have been known, and forgotten since."""
        late: Bools = rows[:, COMMIT] + self.lateness <= self.retained
        return late

    def forgotten(self, joins: list[JoinLayout], rows: Ints) -> Bools:
        """Rows that are of no use any more, and older than the lateness bound."""
        gone = rows[:, DEAD] != 0
        if all(join.reach is not None for join in joins):
            reach = max(join.reach or 0 for join in joins)
            gone = gone | (rows[:, ROW_E] + reach + 1 <= self.retained)
        forgotten: Bools = gone & self.too_late(rows)
        return forgotten


@dataclass(frozen=True)
class About:
    """`snapshots`: what is applied; `as_of`: when the store last held all that was published."""

    snapshots: dict[str, int]
    as_of: dict[str, int | None]
    horizon: Horizon | None


def frontier_key(table: str) -> bytes:
    return b"m:frontier:" + table.encode() + b"|"


def raw_about(reader: Reader, tables: Sequence[str]) -> list[bytes | None]:
    return reader.get_many([_HORIZON, _LAYOUT, *map(frontier_key, tables)])


def parsed_about(layout: Layout, tables: Sequence[str], raw: Sequence[bytes | None]) -> About:
    """What `raw_about` has read.

    Raises:
        StateError: a table was never applied, or the store is of another layout.
    """
    horizon, mark, *frontiers = raw
    if mark is not None or any(frontiers):
        _expect_layout(layout, mark)
    missing = [table for table, one in zip(tables, frontiers, strict=True) if one is None]
    if missing:
        raise StateError(
            f"nothing of {', '.join(missing)} is in the store yet",
            where="online store",
            fix="headrace online sync",
        )
    found = {t: json.loads(one or b"") for t, one in zip(tables, frontiers, strict=True)}
    return About(
        {table: one.get("snapshot_id") for table, one in found.items()},
        {table: one.get("as_of") for table, one in found.items()},
        None if horizon is None else Horizon(**json.loads(horizon)),
    )


def claim_layout(writer: Writer, layout: Layout) -> None:
    """Let the store say of which layout it is, before it says that it holds anything.

    Raises:
        StateError: it is of another, or does not say of which.
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
    other = "does not say" if mark is None else f"is {mark.decode(errors='replace')}"
    raise StateError(
        f"the store is not known to hold what these views need: they are {layout.mark.decode()},"
        f" the store {other}",
        where="online store",
        fix="give the store of these views, or fill it again: headrace online sync --full-refresh",
    )


def files_key(table: str) -> bytes:
    return b"m:files:" + table.encode() + b"|"


def write_frontier(writer: Writer, table: str, frontier: Mapping[str, object]) -> None:
    """`snapshot_id`, `as_of`, and `files`, the names of all that is applied."""
    small = {name: value for name, value in frontier.items() if name != "files"}
    writer.put_many([(frontier_key(table), canonical_json(small))])
    if "files" in frontier:
        write_files(writer, table, frontier["files"])


def write_files(writer: Writer, table: str, files: object) -> None:
    """Names of all that is applied; without a frontier, of a table that is not yet whole."""
    writer.put_many([(files_key(table), canonical_json(files))])


def read_files(reader: Reader, table: str) -> list[str]:
    return list(json.loads(reader.get(files_key(table)) or b"[]"))


def holds_files(reader: Reader, table: str, files: Sequence[str]) -> bool:
    """Whether these and no other names were written, be it none at all."""
    return reader.get(files_key(table)) == canonical_json(files)


def read_frontier(reader: Reader, table: str) -> dict[str, Any] | None:
    found = reader.get(frontier_key(table))
    return None if found is None else dict(json.loads(found))


def write_horizon(writer: Writer, horizon: Horizon) -> None:
    writer.put_many([(_HORIZON, canonical_json(asdict(horizon)))])


def read_horizon(reader: Reader) -> Horizon | None:
    found = reader.get(_HORIZON)
    return None if found is None else Horizon(**json.loads(found))
