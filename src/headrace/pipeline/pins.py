"""Snapshots that releases were made of stay, so that they can be made again.

A release is pinned by a tag on each snapshot it read. A snapshot is held by a tag of its own before
the release exists, because a crash between the two must not leave it to expire; whoever comes next,
the build or the maintenance of the lake, puts the one tag in the place of the other.
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
    """A snapshot that a release is being made of; `tag` is empty where a release pins it anyway."""

    snapshot_id: int
    tag: str


def tag_of(ref: str, manifest_id: str = "") -> str:
    """The tag that pins the snapshots of a release; two stores may each have one of that name.

    Without its id, it is what all tags of such releases begin with, and what they once were.
    """
    name = RELEASE + ref.replace("@", "-").replace(".", "-")
    return f"{name}-{manifest_id[:12]}" if manifest_id else name


def is_pinned(lake: Lake, table: str, manifest: "Manifest") -> bool:
    """Whether a tag of the release keeps the snapshot of this table that it read."""
    tags, wanted = lake.tags(table), manifest.inputs[table].snapshot_id
    names = (tag_of(manifest.ref, manifest.id), tag_of(manifest.ref))
    return any(tags.get(name) == wanted for name in names)


def hold(lake: Lake, snapshots: Mapping[str, int | str | None]) -> dict[str, Hold]:
    """Keep what a release is about to be made of, by table."""
    held = {}
    for table, given in snapshots.items():
        if given is None:
            continue
        snapshot, tags = int(given), lake.tags(table)
        with Ledger(lake.home) as ledger:
            pin_showings(ledger, table, snapshot)
        if any(kept == snapshot and name.startswith(RELEASE) for name, kept in tags.items()):
            held[table] = Hold(snapshot, "")
            continue
        # Of this build alone: another that ends sooner must not let go of it.
        held[table] = Hold(snapshot, f"{HOLD}{snapshot}-{now_us()}-{os.getpid()}")
        lake.pin(table, snapshot, held[table].tag)
    return held


def held_since(tag: str) -> int | None:
    """When a hold was made, int64 microseconds UTC; None if the tag is no hold."""
    parts = tag.removeprefix(HOLD).split("-")
    return int(parts[-2]) if tag.startswith(HOLD) and len(parts) > 1 else None


def settle(lake: Lake, held: Mapping[str, Hold], manifest: "Manifest") -> None:
    """Pin the release in the place of the holds; let go of what it was not made of."""
    for table, one in held.items():
        given = manifest.inputs.get(table)
        if given is not None and given.snapshot_id == one.snapshot_id:
            tag = tag_of(manifest.ref, manifest.id)
            lake.pin(table, one.snapshot_id, tag, instead_of=one.tag)
        elif one.tag:
            let_go(lake, table, one.tag)


def pin(lake: Lake, manifest: "Manifest") -> list[str]:
    """Pin a release, if it is not; returns the tables whose snapshot is gone already."""
    lost, tag = [], tag_of(manifest.ref, manifest.id)
    for table, given in manifest.inputs.items():
        if not isinstance(given.snapshot_id, int) or is_pinned(lake, table, manifest):
            continue
        try:
            lake.pin(table, given.snapshot_id, tag)
        except StateError:
            lost.append(table)
    return lost


def gone_tags(store: "Store") -> set[str]:
    """Tags of releases that were retired or erased: a tombstone says so, not an empty place."""
    from headrace.datasets.erasure.tombstone import tombstones

    stones = tombstones(store)
    return {tag_of(stone.ref, shown) for stone in stones for shown in ("", stone.manifest_id)}


def let_go_of_gone(home: Home, store: "Store") -> None:
    """Unpin what was retired or erased: its snapshots may expire, it can be made no more.

    A crash before it is made good by the maintenance of the lake.
    """
    lake, gone = Lake(home), gone_tags(store)
    for folder in sorted(home.staged.iterdir()) if gone and home.staged.is_dir() else ():
        if tags := gone & lake.tags(folder.name).keys():
            let_go(lake, folder.name, *sorted(tags))


def let_go(lake: Lake, table: str, *tags: str) -> None:
    """Take these tags away, and what is kept of snapshots that none keeps any more."""
    before = lake.tags(table)
    lake.unpin(table, *tags)
    gone = {before[tag] for tag in tags if tag in before} - set(lake.tags(table).values())
    with Ledger(lake.home) as ledger:
        for snapshot in gone:
            unpin_showings(ledger, table, snapshot)
