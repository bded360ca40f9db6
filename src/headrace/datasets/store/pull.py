"""Copying a release into another store, object by object, each verified on its way."""

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
    """What a pull did: `copied` of `objects`; the others were there. `bytes` were copied."""

    ref: str
    content_hash: str
    to: str
    objects: int
    copied: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def pull(ref: str, to: Path | str, store: Path | str | None = None) -> Pulled:
    """Copy a release with all its objects, and what taints it, into the store at `to`.

    Objects come first, each whole or not at all, and the manifest last: what was cut short is
    continued by the same call, and what is there already is not copied again. Aliases are left
    where they are: each store has its own.

    Raises:
        StateError: there is no such release, an object is missing or is not what its name says, or
            `to` has another release of this name and version, or had it and erased it.
        DeclarationError: `to` is the store itself.
    """
    source, target = Store.find(store), Store.find(to)
    if source.root == target.root:
        raise DeclarationError("a store is not pulled into itself", where=str(to), fix="--to DIR")
    manifest = source.manifest(*source.resolve(ref))
    refuse_gone(target, manifest.name, manifest.version)
    _check_same(target, manifest)
    path = f"{source.folder(manifest.name, manifest.version)}/manifest.json"
    document = source.storage.read_bytes(path)
    names = _needed(source, manifest, document)
    copied = size = 0
    for number, name in enumerate(names):
        report("pull", number, len(names), manifest.ref)
        if moved := _copied(source, target, name):
            copied, size = copied + 1, size + moved
    for taint in taints(source, manifest):
        note(target, taint)
    if manifest.format == 1:
        older = path.replace("manifest.json", "created.json")
        if source.storage.size(older) is not None:
            target.storage.put_new(older, source.storage.read_bytes(older))
    if not target.storage.put_new(path, document):
        _check_same(target, manifest)
    # What was there may have been cleared up as a leftover, until the manifest named it.
    lost = [name for name in names if target.storage.size(f"objects/{name}") is None]
    again = [_copied(source, target, name) for name in lost]
    copied, size = copied + len(again), size + sum(again)
    report("pull", len(names), len(names), manifest.ref)
    return Pulled(
        manifest.ref, manifest.content_hash, target.storage.address, len(names), copied, size
    )


def _needed(source: Store, manifest: Manifest, document: bytes) -> list[str]:
    """Objects by name. What is named and missing is asked for, too, and then found missing."""
    parts = {f"{part.object}.parquet" for split in manifest.splits.values() for part in split.parts}
    return sorted(parts | reachable(source, [document], object_names(source)))


def _check_same(target: Store, manifest: Manifest) -> None:
    if manifest.version in target.versions(manifest.name):
        found = target.manifest(manifest.name, manifest.version)
        if found.id != manifest.id:
            raise StateError(
                f"there is another {manifest.ref}: {found.id[:12]} is not {manifest.id[:12]}",
                where=target.storage.address,
                fix="pull into another store",
            )


def _copied(source: Store, target: Store, name: str) -> int:
    """Bytes copied; 0 if the object is there already and is what its name says."""
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
            found = hashlib.sha256()
            while block := reading.read(_BLOCK):
                found.update(block)
                writing.write(block)
        if found.hexdigest() != digest:
            raise _refused(digest, "holds other bytes", source)
        target.storage.put_file(path, temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return size


def _trusted(target: Store, path: str, digest: str) -> bool:
    """A bucket writes an object whole and keeps it; what lies on a disk is read again."""
    place = target.storage.local_path(path)
    if place is None:
        return True
    with suppress(OSError):  # another user's; no clearing up takes it for a leftover
        os.utime(place)
    with place.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == digest


def _refused(digest: str, why: str, source: Store) -> StateError:
    return StateError(
        f"object {digest[:12]} {why}",
        where=source.storage.address,
        fix="headrace dataset verify says what else is damaged; restore it from a copy",
    )
