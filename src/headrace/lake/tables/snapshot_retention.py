"""Retained snapshots of a table, and the files that they refer to."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from headrace.lake.tables.lake import Lake
from headrace.lake.tables.relocation import home_path

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable


@dataclass(frozen=True)
class RetainedSnapshots:
    """Retained snapshots of a table, and every file that they refer to.

    Attributes:
        snapshot_ids: ids of the retained snapshots.
        pinned: number of retained snapshots with a tag.
        forgotten: ids of the snapshots that were removed, or would be.
        needed: names of data and metadata files, which are unique.
        metadata: the folder of the metadata; "" if it is not local.
    """

    snapshot_ids: tuple[int, ...] = ()
    pinned: int = 0
    forgotten: tuple[int, ...] = ()
    needed: frozenset[str] = frozenset()
    metadata: str = ""


def retained_snapshots(lake: Lake, table: str, keep: int, *, forget: bool) -> RetainedSnapshots:
    """Return the snapshots to retain: the newest `keep` snapshots and all tagged snapshots.

    With `forget`, the others are removed. A table that was never published has none.
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
        return RetainedSnapshots()
    retained = tuple(
        snapshot.snapshot_id
        for snapshot in loaded.metadata.snapshots
        if snapshot.snapshot_id not in old
    )
    needed = frozenset(PurePosixPath(path).name for path in iceberg.leads_to(loaded, retained))
    at = home_path(lake.home.root, loaded.metadata_location)
    folder = "" if "://" in at else str(Path(at).parent)
    return RetainedSnapshots(
        retained, len(set(lake.tags(table).values())), tuple(old), needed, folder
    )
