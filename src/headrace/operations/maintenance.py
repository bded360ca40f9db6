"""Maintenance of the lake with regard to releases: pins first, then what nothing needs goes."""

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

# A hold outlives the build that made it by this, if that was killed.
HELD = 7 * DAY


@dataclass(frozen=True)
class Done:
    """What maintenance did, or would do.

    Attributes:
        applied: whether it was done.
        tables: what went, table by table; the last one is of the landed bytes.
        pinned: refs of releases that were not pinned, as after a crash, and are now.
        lost: refs of releases that can no longer be made again, a snapshot being gone.
        let_go: tags that kept a snapshot without need, by table.
    """

    applied: bool
    tables: tuple[Upkeep, ...]
    pinned: tuple[str, ...]
    lost: tuple[str, ...]
    let_go: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        return {
            "applied": self.applied,
            "tables": [table.to_json() for table in self.tables],
            "bytes": sum(table.bytes for table in self.tables),
            "files": sum(len(table.removed) for table in self.tables),
            "pinned": list(self.pinned),
            "lost": list(self.lost),
            "let_go": self.let_go,
        }


def look_after(
    home: Home,
    tables: Iterable[str],
    *,
    apply: bool,
    keep: int = KEEP_SNAPSHOTS,
    young: int = YOUNG,
) -> Done:
    """Pin every release of the store, let go of what nobody holds, and maintain the tables.

    Args:
        home: where the state lives; its store says which releases there are.
        tables: names of the tables to look after.
        apply: do it; without, only say what would be done.
        keep: how many snapshots a table keeps besides the pinned ones.
        young: files written within so many microseconds stay.

    Raises:
        StateError: an ingest was at work all the while.
    """
    names = list(tables)
    lake, store = Lake(home), Store.find(home.store)
    manifests, gone = _manifests(store), gone_tags(store)
    unpinned = [manifest for manifest in manifests if not _is_pinned(lake, manifest)]
    lost = {one.ref for one in unpinned if apply and pin(lake, one)}
    needless = {name: found for name in names if (found := _needless(lake, name, gone))}
    if apply:
        for name, tags in needless.items():
            let_go(lake, name, *tags)
    done = maintain(home, names, dry=not apply, keep=keep, young=young)
    pinned = tuple(one.ref for one in unpinned if one.ref not in lost)
    return Done(apply, tuple(done), pinned, tuple(sorted(lost)), needless)


def _manifests(store: Store) -> list[Manifest]:
    """Of the releases that can be made again; one that is damaged pins nothing new."""
    found = []
    for name in store.names():
        for version in store.versions(name):
            with suppress(StateError):
                manifest = store.manifest(name, version)
                if not has_ended(store, manifest):
                    found.append(manifest)
    return found


def _is_pinned(lake: Lake, manifest: Manifest) -> bool:
    """Of tables that this home has; a store may hold releases of others."""
    return all(
        is_pinned(lake, table, manifest)
        for table, given in manifest.inputs.items()
        if isinstance(given.snapshot_id, int) and lake.snapshot_id(table) is not None
    )


def _needless(lake: Lake, table: str, gone: set[str]) -> list[str]:
    """Of releases that are gone, and of builds that ended long ago without letting go."""
    until = now_us() - HELD
    since = {tag: held_since(tag) for tag in lake.tags(table)}
    old = {tag for tag, moment in since.items() if moment is not None and moment < until}
    return sorted(old | (gone & since.keys()))
