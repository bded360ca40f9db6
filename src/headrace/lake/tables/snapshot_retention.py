"""Which snapshots a table keeps, and the files that they lead to."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from headrace.lake.tables.lake import Lake
from headrace.lake.tables.relocation import here

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable


@dataclass(frozen=True)
class Known:
    """Snapshots of a table, and every file that they lead to.

    Attributes:
        kept: ids of the snapshots that stay.
        pinned: how many of them a tag keeps.
        forgotten: ids of those that went, or would.
        needed: names of files of data and metadata; each name is used once.
        metadata: the folder that the metadata lies in; "" if it is not a local one.
    """

    kept: tuple[int, ...] = ()
    pinned: int = 0
    forgotten: tuple[int, ...] = ()
    needed: frozenset[str] = frozenset()
    metadata: str = ""


def known(lake: Lake, table: str, keep: int, *, forget: bool) -> Known:
    """What stays if all but the newest `keep` snapshots and the tagged ones are forgotten.

    With `forget` they are. A table that was never published has none.
    """
    from headrace.lake.tables import iceberg

    old: list[int] = []

    def attempt() -> "IcebergTable | None":
        loaded = lake.iceberg_table(table)
        old[:] = [] if loaded is None else iceberg.beyond(loaded, keep)
        if loaded is not None and old and forget:
            iceberg.expire(loaded, old)
        return loaded

    loaded = iceberg.retrying(attempt, f"forgetting snapshots of {table}")
    if loaded is None:
        return Known()
    kept = tuple(
        snapshot.snapshot_id
        for snapshot in loaded.metadata.snapshots
        if snapshot.snapshot_id not in old
    )
    needed = frozenset(PurePosixPath(path).name for path in iceberg.leads_to(loaded, kept))
    at = here(lake.home.root, loaded.metadata_location)
    folder = "" if "://" in at else str(Path(at).parent)
    return Known(kept, len(set(lake.tags(table).values())), tuple(old), needed, folder)
