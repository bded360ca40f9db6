"""Which batches a release holds, and which releases and models hold a batch."""

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
    """A release that was made from a snapshot in which the batch was live, table by table.

    `tainted`: that batch, or another one that it holds, is recalled already.
    """

    ref: str
    tables: tuple[str, ...]
    content_hash: str
    tainted: bool = False


@dataclass(frozen=True)
class Impact:
    """What one batch reached. `champions` are the models among `models` that are in charge.

    Models that were trained elsewhere and registered are among them.
    """

    batch_id: str
    releases: tuple[HeldBy, ...]
    models: tuple[str, ...]
    champions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def batches_of(manifest: Manifest, home: Home) -> dict[str, list[str]]:
    """{table: ids of the batches live in the snapshot the release pinned}, sorted."""
    store = Store.find(home.store)
    return {
        table: list(store.get_json(given.batch_list)) if given.batch_list else []
        for table, given in manifest.inputs.items()
    }


def impact(home: Home, batch_id: str, table: str | None = None) -> Impact:
    """Releases and models that hold anything from a batch; empty for a batch nobody used.

    A release holds a batch when the batch was live in a snapshot it read, whether or not a window
    of a feature reached it. With `table`, what came into that table of a delivery to several.
    """
    held = tuple(_held_by(home, batch_id, table))
    refs = {one.ref for one in held}
    # A model that was trained before an erasure holds the batch still.
    refs |= behind(Store.find(home.store), refs)
    reached = [record for record in list_models(home) if record.dataset in refs]
    in_charge = [
        record.ref
        for record in reached
        if (now := pointer(home, record.name)) and now.bundle_id == record.bundle_id
    ]
    elsewhere = [record.ref for record in list_external(home) if record.dataset in refs]
    models = (*(one.ref for one in reached), *elsewhere)
    return Impact(batch_id, held, models, tuple(in_charge))


def _held_by(home: Home, batch_id: str, only: str | None) -> Iterator[HeldBy]:
    store = Store.find(home.store)
    for name in store.names():
        for version in store.versions(name):
            manifest = store.manifest(name, version)
            found = batches_of(manifest, home)
            tables = tuple(
                sorted(
                    table
                    for table, ids in found.items()
                    if only in {None, table} and batch_id in ids
                )
            )
            if tables:
                tainted = bool(taints(store, manifest))
                yield HeldBy(manifest.ref, tables, manifest.content_hash, tainted)
