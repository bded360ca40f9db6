"""Garbage collection in a store: remove unreferenced files left by crashes and lost races.

An object is kept if a manifest, a recall, an erasure record or a kept object refers to it.
Tombstones do not count, since they list objects to delete. Young objects are kept as well, because
a release writes its objects before its manifest, and renews the modification time of objects that
exist already. `GRACE` is longer than any release takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.core.clock import HOUR, now_us
from headrace.core.errors import DeclarationError
from headrace.core.progress import report
from headrace.datasets.store.reachable_objects import reachable
from headrace.datasets.store.storage import StoredFile
from headrace.datasets.store.store import TOMBSTONE, Store

GRACE = 24 * HOUR
_LEAST_GRACE = HOUR


@dataclass(frozen=True)
class Clearing:
    """Unreferenced files of a store, and whether they were deleted.

    Attributes:
        objects, temporaries: paths of unreferenced objects and of temporary files in the store.
        bytes: total size of both.
        referenced: number of objects that something refers to.
        young: number of unreferenced objects that are too new to delete.
        deleted: True if the files were deleted; False if they were only listed.
    """

    objects: tuple[str, ...]
    temporaries: tuple[str, ...]
    bytes: int
    referenced: int
    young: int
    deleted: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "deleted": self.deleted,
            "objects": list(self.objects),
            "temporaries": list(self.temporaries),
            "bytes": self.bytes,
            "kept": self.referenced,
            "young": self.young,
        }


def clear(store: Store, *, delete: bool = False, grace: int = GRACE) -> Clearing:
    """Find unreferenced files, and remove them with `delete`.

    `grace` is in microseconds: files written within it are kept.

    Raises:
        StateError: a manifest or a record cannot be read, so that its references are unknown;
            nothing was removed.
        DeclarationError: the grace is under an hour.
    """
    if grace < _LEAST_GRACE:
        raise DeclarationError(
            "a grace of less than an hour may delete objects of a release that is being written",
            fix="--grace 24h",
        )
    until = now_us() - grace
    entries = store.storage.walk("")
    objects = {entry.path: entry for entry in entries if entry.path.startswith("objects/")}
    names = {path.removeprefix("objects/") for path in objects}
    referenced = {f"objects/{name}" for name in reachable(store, _documents(store, entries), names)}
    unused = [entry for path, entry in sorted(objects.items()) if path not in referenced]
    old = [entry for entry in unused if entry.modified < until]
    temporaries = [entry for entry in store.storage.leftovers() if entry.modified < until]
    cleared = _deleted(store, [*old, *temporaries], until) if delete else [*old, *temporaries]
    return Clearing(
        objects=tuple(entry.path for entry in cleared if entry.path in objects),
        temporaries=tuple(entry.path for entry in cleared if entry.path not in objects),
        bytes=sum(entry.size for entry in cleared),
        referenced=len(referenced),
        young=len(unused) - len(old),
        deleted=delete,
    )


def _documents(store: Store, entries: list[StoredFile]) -> Iterator[bytes]:
    """Yield all documents apart from objects. Raises StateError for a damaged manifest."""
    for name in store.names():
        for version in store.versions(name):
            store.manifest(name, version)
    for entry in entries:
        # A tombstone names deleted objects, so it does not keep them.
        tombstone = entry.path.endswith(f"/{TOMBSTONE}")
        if not entry.path.startswith("objects/") and not tombstone:
            yield store.storage.read_bytes(entry.path)


def _deleted(store: Store, entries: list[StoredFile], until: int) -> list[StoredFile]:
    deleted = []
    for number, entry in enumerate(entries):
        report("clear", number, len(entries), entry.path)
        # A release may have reused the object since it was listed.
        now = store.storage.stat(entry.path)
        if now is not None and now.modified < until:
            store.storage.delete(entry.path)
            deleted.append(entry)
    report("clear", len(entries), len(entries))
    return deleted
