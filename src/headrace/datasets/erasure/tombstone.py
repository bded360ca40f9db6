"""What stands where a release was: why its rows are gone for good, and what to open instead.

    datasets/<name>/<version>/tombstone.json

A release is taken away after an erasure (its rows less the erased ones are another release) or when
it is retired. The tombstone comes first: from then on nobody opens the release, and its version is
never given again. The manifest and the objects that no other release shares go after it; a crash in
between is finished by the same command. It can be made again by nobody: it ends rebuildability.
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
    """A release whose rows were erased, or that was retired: it does not come back."""


@dataclass(frozen=True)
class Tombstone:
    """A release that is gone.

    Attributes:
        kind: `erased` or `retired`.
        name, version: which.
        manifest_id, content_hash, rows: what it was.
        at: when, int64 microseconds UTC.
        principal, reason: who, and why.
        successor: the release without the erased rows; "" for one that was retired.
        erasure: the id of the erasure; "" for one that was retired.
        objects: the objects it consisted of, as file names; those that no release shares are gone.
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
    """What stands where `name@version` was; None if it is there, or never was."""
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
    """All of a store, or of one dataset, by name and version as text."""
    folder = "datasets" if name is None else store.dataset(name)
    found = []
    for entry in store.storage.walk(folder):
        _, dataset, version, *rest = [*entry.path.split("/"), ""]
        if rest[:1] == [TOMBSTONE] and (one := tombstone(store, dataset, version)):
            found.append(one)
    return found


def behind(store: Store, refs: Collection[str]) -> set[str]:
    """Refs of releases that are gone, of which the successors, near or far, are among `refs`.

    All their other rows are in there, from the same batches.
    """
    found, stones = set(refs), [one for one in tombstones(store) if one.successor]
    while new := {stone.ref for stone in stones if stone.successor in found} - found:
        found |= new
    return found - set(refs)


def refuse_gone(store: Store, name: str, version: str) -> None:
    """Raises GoneError if there is a tombstone."""
    if one := tombstone(store, name, version):
        forget(one.objects)  # it was buried from another machine
        raise GoneError(
            f"{one.ref} was {one}",
            where=f"{store.storage.address}/{store.folder(name, version)}",
            fix=f"open {one.successor}, which has all its other rows"
            if one.successor
            else "its rows are gone for good; release anew",
        )


def bury(store: Store, stone: Tombstone) -> None:
    """Take the release away. It is safe to do so again, and to have been killed doing so."""
    path = _path(store, stone.name, stone.version)
    store.storage.put_new(path, canonical_json(stone.to_json()) + b"\n")
    folder = store.folder(stone.name, stone.version)
    for name in ("manifest.json", "created.json"):
        store.storage.delete(f"{folder}/{name}")
    written = {entry.path: entry.modified for entry in store.storage.walk("objects")}
    shared = objects_of(store, *releases(store))
    for name in stone.objects:
        path = f"objects/{name}"
        if name in shared or (now := store.storage.stat(path)) is None:
            continue
        # One that looks newer than a moment ago is of a release at work; what else does not look
        # new, such a release writes again (`releases.py`).
        if now.modified == written.get(path):
            store.storage.delete(path)
    forget(stone.objects)


def objects_of(store: Store, *manifests: Manifest) -> frozenset[str]:
    """File names of all objects that these releases consist of, and that those name."""
    documents = [canonical_json(manifest.to_json()) for manifest in manifests]
    return frozenset(reachable(store, documents, object_names(store)))


def releases(store: Store, name: str | None = None) -> Iterator[Manifest]:
    """The manifests of a store, or of one dataset; by name, oldest version first."""
    for dataset in store.names() if name is None else [name]:
        for version in store.versions(dataset):
            if tombstone(store, dataset, version) is None:
                yield store.manifest(dataset, version)


def _path(store: Store, name: str, version: str) -> str:
    return f"{store.folder(name, version)}/{TOMBSTONE}"
