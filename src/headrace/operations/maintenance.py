"""Maintenance of the lake: pin the releases' snapshots, remove unused snapshots and files."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from headrace.core.clock import DAY, now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.maintenance import KEEP_SNAPSHOTS, YOUNG, Upkeep, maintain
from headrace.lineage.reproducibility import has_ended
from headrace.pipeline.pins import gone_tags, held_since, is_pinned, let_go, pin

# Holds older than this are removed, because the build that made them must have been killed.
MAX_HOLD = 7 * DAY


@dataclass(frozen=True)
class MaintenanceReport:
    """Result of a maintenance run, or of a dry run.

    Attributes:
        applied: False for a dry run.
        tables: results by table; the last one is for the landed bytes.
        pinned: refs of releases that this run pinned because a crash had left them without pins.
        unreproducible: refs of releases that cannot be rebuilt because a snapshot is gone.
        let_go: removed tags of snapshots that nothing needs, by table.
    """

    applied: bool
    tables: tuple[Upkeep, ...]
    pinned: tuple[str, ...]
    unreproducible: tuple[str, ...]
    let_go: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        return {
            "applied": self.applied,
            "tables": [table.to_json() for table in self.tables],
            "bytes": sum(table.bytes for table in self.tables),
            "files": sum(len(table.removed) for table in self.tables),
            "pinned": list(self.pinned),
            "lost": list(self.unreproducible),
            "let_go": self.let_go,
        }


def look_after(
    home: Home,
    tables: Iterable[str],
    *,
    apply: bool,
    keep: int = KEEP_SNAPSHOTS,
    young: int = YOUNG,
) -> MaintenanceReport:
    """Pin every release of the store, remove needless tags, and maintain the tables.

    Args:
        home: where the state lives; its store has the releases.
        tables: names of the tables to maintain.
        apply: True to do it; otherwise only report what would be done.
        keep: number of snapshots that a table keeps besides the pinned ones.
        young: files written within this many microseconds stay.

    Raises:
        StateError: an ingest ran for as long as this function waits.
    """
    names = list(tables)
    lake, store = Lake(home), Store.find(home.store)
    manifests, obsolete_tags = _manifests(store), gone_tags(store)
    unpinned = [manifest for manifest in manifests if not _is_pinned(lake, manifest)]
    unreproducible = {manifest.ref for manifest in unpinned if apply and pin(lake, manifest)}
    needless = {
        name: unneeded for name in names if (unneeded := _needless(lake, name, obsolete_tags))
    }
    if apply:
        for name, tags in needless.items():
            let_go(lake, name, *tags)
    upkeep = maintain(home, names, dry=not apply, keep=keep, young=young)
    pinned = tuple(manifest.ref for manifest in unpinned if manifest.ref not in unreproducible)
    return MaintenanceReport(apply, tuple(upkeep), pinned, tuple(sorted(unreproducible)), needless)


def _manifests(store: Store) -> list[Manifest]:
    """Return the manifests of reproducible releases; damaged ones are skipped."""
    reproducible = []
    for name in store.names():
        for version in store.versions(name):
            with suppress(StateError):
                manifest = store.manifest(name, version)
                if not has_ended(store, manifest):
                    reproducible.append(manifest)
    return reproducible


def _is_pinned(lake: Lake, manifest: Manifest) -> bool:
    """Return True if the snapshots of all tables that this home has are pinned.

    A store may hold releases with tables of other homes.
    """
    return all(
        is_pinned(lake, table, manifest)
        for table, input_table in manifest.inputs.items()
        if isinstance(input_table.snapshot_id, int) and lake.snapshot_id(table) is not None
    )


def _needless(lake: Lake, table: str, obsolete_tags: set[str]) -> list[str]:
    """Return the tags of deleted releases, and of builds that were killed long ago."""
    until = now_us() - MAX_HOLD
    since = {tag: held_since(tag) for tag in lake.tags(table)}
    old = {tag for tag, moment in since.items() if moment is not None and moment < until}
    return sorted(old | (obsolete_tags & since.keys()))
