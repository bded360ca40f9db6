"""Pins of the snapshots that releases read, so that releases can be rebuilt.

A release is pinned by a tag on each snapshot that it read. While the release is being made, a hold
tag keeps each snapshot from expiring. After a crash, the next build or the lake's maintenance
replaces the hold by the pin.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.core.clock import now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.publication_history import pin_showings, unpin_showings
from headrace.lake.tables.lake import Lake

if TYPE_CHECKING:
    from headrace.datasets.manifest import Manifest
    from headrace.datasets.store.store import Store

HOLD = "hold-"
RELEASE = "release-"


@dataclass(frozen=True)
class Hold:
    """Snapshot that a release in progress reads.

    `tag` is the hold's tag, empty if another release pins the snapshot already.
    """

    snapshot_id: int
    tag: str


def tag_of(ref: str, manifest_id: str = "") -> str:
    """Return the tag that pins the snapshots of a release.

    The manifest id distinguishes releases with the same name in two stores. Without it, the result
    is the tag that older versions used.
    """
    name = RELEASE + ref.replace("@", "-").replace(".", "-")
    return f"{name}-{manifest_id[:12]}" if manifest_id else name


def is_pinned(lake: Lake, table: str, manifest: "Manifest") -> bool:
    """Return True if a tag of the release pins the snapshot of this table that the release read."""
    tags, snapshot = lake.tags(table), manifest.inputs[table].snapshot_id
    names = (tag_of(manifest.ref, manifest.id), tag_of(manifest.ref))
    return any(tags.get(name) == snapshot for name in names)


def hold(lake: Lake, snapshots: Mapping[str, int | str | None]) -> dict[str, Hold]:
    """Hold the snapshots that a release is going to read; return the holds by table."""
    snapshot_holds = {}
    for table, snapshot_id in snapshots.items():
        if snapshot_id is None:
            continue
        snapshot, tags = int(snapshot_id), lake.tags(table)
        with Ledger(lake.home) as ledger:
            pin_showings(ledger, table, snapshot)
        if any(pinned == snapshot and name.startswith(RELEASE) for name, pinned in tags.items()):
            snapshot_holds[table] = Hold(snapshot, "")
            continue
        # The tag is unique to this build, so that another build that ends earlier cannot remove it.
        snapshot_holds[table] = Hold(snapshot, f"{HOLD}{snapshot}-{now_us()}-{os.getpid()}")
        lake.pin(table, snapshot, snapshot_holds[table].tag)
    return snapshot_holds


def held_since(tag: str) -> int | None:
    """Return when a hold was created, in microseconds UTC; None if the tag is not a hold."""
    parts = tag.removeprefix(HOLD).split("-")
    return int(parts[-2]) if tag.startswith(HOLD) and len(parts) > 1 else None


def settle(lake: Lake, snapshot_holds: Mapping[str, Hold], manifest: "Manifest") -> None:
    """Replace the holds by pins of the release; remove holds on snapshots that it did not read."""
    for table, snapshot_hold in snapshot_holds.items():
        table_input = manifest.inputs.get(table)
        if table_input is not None and table_input.snapshot_id == snapshot_hold.snapshot_id:
            tag = tag_of(manifest.ref, manifest.id)
            lake.pin(table, snapshot_hold.snapshot_id, tag, instead_of=snapshot_hold.tag)
        elif snapshot_hold.tag:
            let_go(lake, table, snapshot_hold.tag)


def pin(lake: Lake, manifest: "Manifest") -> list[str]:
    """Pin the snapshots of a release; return the tables whose snapshot has already expired."""
    missing, tag = [], tag_of(manifest.ref, manifest.id)
    for table, table_input in manifest.inputs.items():
        if not isinstance(table_input.snapshot_id, int) or is_pinned(lake, table, manifest):
            continue
        try:
            lake.pin(table, table_input.snapshot_id, tag)
        except StateError:
            missing.append(table)
    return missing


def gone_tags(store: "Store") -> set[str]:
    """Return the tags of releases that were retired or erased, according to their tombstones."""
    from headrace.datasets.erasure.tombstone import tombstones

    stones = tombstones(store)
    return {
        tag_of(stone.ref, manifest_id)
        for stone in stones
        for manifest_id in ("", stone.manifest_id)
    }


def let_go_of_gone(home: Home, store: "Store") -> None:
    """Unpin releases that were retired or erased, so that their snapshots can expire.

    If a crash prevents this call, the lake's maintenance does it later.
    """
    lake, tags_to_drop = Lake(home), gone_tags(store)
    for folder in sorted(home.staged.iterdir()) if tags_to_drop and home.staged.is_dir() else ():
        if tags := tags_to_drop & lake.tags(folder.name).keys():
            let_go(lake, folder.name, *sorted(tags))


def let_go(lake: Lake, table: str, *tags: str) -> None:
    """Remove tags, and the publication history of snapshots that no other tag pins."""
    before = lake.tags(table)
    lake.unpin(table, *tags)
    unpinned = {before[tag] for tag in tags if tag in before} - set(lake.tags(table).values())
    with Ledger(lake.home) as ledger:
        for snapshot in unpinned:
            unpin_showings(ledger, table, snapshot)
