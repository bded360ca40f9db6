"""Copy a release into another store, object by object, verifying each."""

import hashlib
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError, StateError
from headrace.core.progress import report
from headrace.datasets.erasure.tombstone import refuse_gone
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.reachable_objects import object_names, reachable
from headrace.datasets.store.store import Store
from headrace.datasets.taint import note, taints

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Pulled:
    """Result of a pull: `copied` of `objects` were copied (`bytes`); the others existed already."""

    ref: str
    content_hash: str
    to: str
    objects: int
    copied: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def pull(ref: str, to: Path | str, store: Path | str | None = None) -> Pulled:
    """Copy a release with all its objects and recalls into the store at `to`.

    Objects are copied first, each atomically, and the manifest last. To continue an interrupted
    pull, call it again; existing objects are not copied again. Aliases are not copied: each store
    has its own.

    Raises:
        StateError: there is no such release, an object is missing or does not match its name, or
            `to` has another release of this name and version, or a tombstone for it.
        DeclarationError: `to` is the store itself.
    """
    source, target = Store.find(store), Store.find(to)
    if source.root == target.root:
        raise DeclarationError(
            "a store cannot be pulled into itself", where=str(to), fix="--to DIR"
        )
    manifest = source.manifest(*source.resolve(ref))
    refuse_gone(target, manifest.name, manifest.version)
    _check_same(target, manifest)
    path = f"{source.folder(manifest.name, manifest.version)}/manifest.json"
    document = source.storage.read_bytes(path)
    names = _needed(source, manifest, document)
    copied = size = 0
    for number, name in enumerate(names):
        report("pull", number, len(names), manifest.ref)
        if copied_bytes := _copied(source, target, name):
            copied, size = copied + 1, size + copied_bytes
    for taint in taints(source, manifest):
        note(target, taint)
    if manifest.format == 1:
        older = path.replace("manifest.json", "created.json")
        if source.storage.size(older) is not None:
            target.storage.create(older, source.storage.read_bytes(older))
    if not target.storage.create(path, document):
        _check_same(target, manifest)
    # Garbage collection may have removed an existing object before the manifest referred to it.
    missing = [name for name in names if target.storage.size(f"objects/{name}") is None]
    recopied = [_copied(source, target, name) for name in missing]
    copied, size = copied + len(recopied), size + sum(recopied)
    report("pull", len(names), len(names), manifest.ref)
    return Pulled(
        manifest.ref, manifest.content_hash, target.storage.address, len(names), copied, size
    )


def _needed(source: Store, manifest: Manifest, document: bytes) -> list[str]:
    """Names of all objects of a release, also of missing ones, so that copying reports them."""
    parts = {f"{part.object}.parquet" for split in manifest.splits.values() for part in split.parts}
    return sorted(parts | reachable(source, [document], object_names(source)))


def _check_same(target: Store, manifest: Manifest) -> None:
    if manifest.version in target.versions(manifest.name):
        existing = target.manifest(manifest.name, manifest.version)
        if existing.id != manifest.id:
            raise StateError(
                f"there is another {manifest.ref}: {existing.id[:12]} is not {manifest.id[:12]}",
                where=target.storage.address,
                fix="pull into another store",
            )


def _copied(source: Store, target: Store, name: str) -> int:
    """Copy an object and return its size; 0 if it exists already and matches its name."""
    digest, _, suffix = name.partition(".")
    path = source.object_name(digest, suffix)
    size = source.storage.size(path)
    if size is None:
        raise _refused(digest, "is missing", source)
    if target.storage.size(path) == size and _trusted(target, path, digest):
        return 0
    temporary = target.storage.temporary(name)
    try:
        with source.storage.open(path) as reading, temporary.open("wb") as writing:
            hasher = hashlib.sha256()
            while block := reading.read(_BLOCK):
                hasher.update(block)
                writing.write(block)
        if hasher.hexdigest() != digest:
            raise _refused(digest, "holds other bytes", source)
        target.storage.put_file(path, temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return size


def _trusted(target: Store, path: str, digest: str) -> bool:
    """True if an existing object has the right bytes; a bucket is trusted, a file is hashed."""
    place = target.storage.local_path(path)
    if place is None:
        return True
    with suppress(OSError):  # protects it from garbage collection; fails if others own it
        os.utime(place)
    with place.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == digest


def _refused(digest: str, why: str, source: Store) -> StateError:
    return StateError(
        f"object {digest[:12]} {why}",
        where=source.storage.address,
        fix="headrace dataset verify lists all damaged objects; restore it from a copy",
    )
