"""Tombstones of removed releases: why a release was removed, and which one to open instead.

    datasets/<name>/<version>/tombstone.json

A release is removed after an erasure, which makes a successor without the erased rows, or when it
is retired. The tombstone is written first: from then on the release cannot be opened, and its
version is not used again. The manifest and the objects that no other release shares are deleted
afterwards; after a crash the same command completes the removal. A release with a tombstone cannot
be rebuilt.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from headrace.core.clock import iso
from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.datasets.loaders.objects import forget
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.reachable_objects import object_names, reachable
from headrace.datasets.store.store import TOMBSTONE, Store

FORMAT = 1
Kind = Literal["erased", "retired"]


class GoneError(StateError):
    """The release was retired, or replaced after an erasure; it cannot be restored."""


@dataclass(frozen=True)
class Tombstone:
    """Record of a removed release.

    Attributes:
        kind: `erased` or `retired`.
        name, version: dataset and version of the release.
        manifest_id, content_hash, rows: identity and size of the release.
        at: moment of the removal, int64 microseconds UTC.
        principal, reason: who removed it, and why.
        successor: the release without the erased rows; "" if the release was retired.
        erasure: the id of the erasure; "" if the release was retired.
        objects: file names of its objects; those that no other release shares are deleted.
    """

    kind: Kind
    name: str
    version: str
    manifest_id: str
    content_hash: str
    rows: int
    at: int
    principal: str
    reason: str
    successor: str = ""
    erasure: str = ""
    objects: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.version}"

    def __str__(self) -> str:
        return f"{self.kind} by {self.principal} at {iso(self.at)}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "objects": sorted(self.objects)}


def tombstone(store: Store, name: str, version: str) -> Tombstone | None:
    """The tombstone of `name@version`; None if the release exists or never did."""
    path = _path(store, name, version)
    if store.storage.size(path) is None:
        return None
    form = json.loads(store.storage.read_bytes(path))
    if form["format"] > FORMAT:
        raise StateError(
            f"the tombstone has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=f"{store.storage.address}/{path}",
            fix="upgrade headrace",
        )
    del form["format"]
    return Tombstone(**{**form, "objects": tuple(form["objects"])})


def tombstones(store: Store, name: str | None = None) -> list[Tombstone]:
    """All tombstones of a store or of one dataset, ordered by name and version as text."""
    folder = "datasets" if name is None else store.dataset(name)
    stones = []
    for entry in store.storage.walk(folder):
        _, dataset, version, *rest = [*entry.path.split("/"), ""]
        if rest[:1] == [TOMBSTONE] and (stone := tombstone(store, dataset, version)):
            stones.append(stone)
    return stones


def behind(store: Store, refs: Collection[str]) -> set[str]:
    """Refs of removed releases whose direct or indirect successors are among `refs`.

    A successor holds the rows that were not erased, from the same batches.
    """
    covered, stones = set(refs), [stone for stone in tombstones(store) if stone.successor]
    while new := {stone.ref for stone in stones if stone.successor in covered} - covered:
        covered |= new
    return covered - set(refs)


def refuse_gone(store: Store, name: str, version: str) -> None:
    """Raise GoneError if the release has a tombstone."""
    if stone := tombstone(store, name, version):
        forget(stone.objects)  # local copies, if another machine removed the release
        raise GoneError(
            f"{stone.ref} was {stone}",
            where=f"{store.storage.address}/{store.folder(name, version)}",
            fix=f"open {stone.successor}, which has all rows that were not erased"
            if stone.successor
            else "its rows are deleted permanently; make a new release",
        )


def bury(store: Store, stone: Tombstone) -> None:
    """Remove a release, leaving its tombstone; safe to repeat, also after a crash."""
    path = _path(store, stone.name, stone.version)
    store.storage.create(path, canonical_json(stone.to_json()) + b"\n")
    folder = store.folder(stone.name, stone.version)
    for name in ("manifest.json", "created.json"):
        store.storage.delete(f"{folder}/{name}")
    written = {entry.path: entry.modified for entry in store.storage.walk("objects")}
    shared = objects_of(store, *releases(store))
    for name in stone.objects:
        path = f"objects/{name}"
        if name in shared or (now := store.storage.stat(path)) is None:
            continue
        # An object modified since then belongs to a release that is being written. If that
        # release finds an object missing, it writes the object again (`release_writer.py`).
        if now.modified == written.get(path):
            store.storage.delete(path)
    forget(stone.objects)


def objects_of(store: Store, *manifests: Manifest) -> frozenset[str]:
    """File names of all objects that these releases name, directly or indirectly."""
    documents = [canonical_json(manifest.to_json()) for manifest in manifests]
    return frozenset(reachable(store, documents, object_names(store)))


def releases(store: Store, name: str | None = None) -> Iterator[Manifest]:
    """Yield the manifests of a store or of one dataset, by name, oldest version first."""
    for dataset in store.names() if name is None else [name]:
        for version in store.versions(dataset):
            if tombstone(store, dataset, version) is None:
                yield store.manifest(dataset, version)


def _path(store: Store, name: str, version: str) -> str:
    return f"{store.folder(name, version)}/{TOMBSTONE}"
