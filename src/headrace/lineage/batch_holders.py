"""Batches of a release, and the releases and models that hold a batch."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from headrace.core.home import Home
from headrace.datasets.erasure.tombstone import behind
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.taint import taints
from headrace.models.external import list_external
from headrace.models.record import list_models
from headrace.models.registry import pointer


@dataclass(frozen=True)
class HeldBy:
    """Release that was built from snapshots with the batch, and the tables of these snapshots.

    `tainted` is True if this batch, or another batch of the release, is recalled.
    """

    ref: str
    tables: tuple[str, ...]
    content_hash: str
    tainted: bool = False


@dataclass(frozen=True)
class Impact:
    """Releases and models that hold a batch; `champions` are the current champions of `models`.

    `models` includes registered models that were trained outside Headrace.
    """

    batch_id: str
    releases: tuple[HeldBy, ...]
    models: tuple[str, ...]
    champions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def batches_of(manifest: Manifest, home: Home) -> dict[str, list[str]]:
    """Return {table: sorted ids of the batches in the snapshot that the release pinned}."""
    store = Store.find(home.store)
    return {
        table: list(store.get_json(input_table.batch_list)) if input_table.batch_list else []
        for table, input_table in manifest.inputs.items()
    }


def impact(home: Home, batch_id: str, table: str | None = None) -> Impact:
    """Return the releases and models that hold a batch.

    A release holds a batch if it read a snapshot that contains the batch, even if no feature used
    its rows. With `table`, only snapshots of this table count.
    """
    holders = tuple(_held_by(home, batch_id, table))
    refs = {holder.ref for holder in holders}
    # A model that was trained before an erasure still holds the batch.
    refs |= behind(Store.find(home.store), refs)
    reached = [record for record in list_models(home) if record.dataset in refs]
    champions = [
        record.ref
        for record in reached
        if (now := pointer(home, record.name)) and now.bundle_id == record.bundle_id
    ]
    elsewhere = [record.ref for record in list_external(home) if record.dataset in refs]
    models = (*(record.ref for record in reached), *elsewhere)
    return Impact(batch_id, holders, models, tuple(champions))


def _held_by(home: Home, batch_id: str, only: str | None) -> Iterator[HeldBy]:
    store = Store.find(home.store)
    for name in store.names():
        for version in store.versions(name):
            manifest = store.manifest(name, version)
            batches = batches_of(manifest, home)
            tables = tuple(
                sorted(
                    table
                    for table, ids in batches.items()
                    if only in {None, table} and batch_id in ids
                )
            )
            if tables:
                tainted = bool(taints(store, manifest))
                yield HeldBy(manifest.ref, tables, manifest.content_hash, tainted)
