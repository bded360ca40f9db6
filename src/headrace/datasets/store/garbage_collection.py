"""Clearing a store of what nothing refers to: leftovers of crashes and of lost races.

An object is kept if anything in the store can reach it: manifests, recalls, records of erasures,
objects that are kept. Tombstones alone do not count: they say what is to go. It is kept, too, while
it is young: a release writes its objects before its manifest, and makes those that it finds there
look new. `GRACE` is longer than any release takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.core.clock import HOUR, now_us
from headrace.core.errors import DeclarationError
from headrace.core.progress import report
from headrace.datasets.store.reachable_objects import reachable
from headrace.datasets.store.storage import Entry
from headrace.datasets.store.store import TOMBSTONE, Store

GRACE = 24 * HOUR
_LEAST_GRACE = HOUR


@dataclass(frozen=True)
class Clearing:
    """What can go, and whether it has gone.

    Attributes:
        objects, temporaries: paths in the store, and why nobody misses them: nothing names them.
        bytes: of both.
        kept: objects that something refers to.
        young: objects that nothing refers to, but which are too new to tell.
        deleted: whether they have gone; otherwise it was only looked at.
    """

    objects: tuple[str, ...]
    temporaries: tuple[str, ...]
    bytes: int
    kept: int
    young: int
    deleted: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "deleted": self.deleted,
            "objects": list(self.objects),
            "temporaries": list(self.temporaries),
            "bytes": self.bytes,
            "kept": self.kept,
            "young": self.young,
        }


def clear(store: Store, *, delete: bool = False, grace: int = GRACE) -> Clearing:
    """Find what nothing refers to, and remove it with `delete`.

    `grace` is in microseconds: what was written within it is left alone.

    Raises:
        StateError: a manifest or a record cannot be read, so that nobody knows what it refers to;
            nothing was removed.
        DeclarationError: the grace is under an hour.
    """
    if grace < _LEAST_GRACE:
        raise DeclarationError(
            "a grace of less than an hour may take objects from under a release at work",
            fix="--grace 24h",
        )
    until = now_us() - grace
    every = store.storage.walk("")
    objects = {one.path: one for one in every if one.path.startswith("objects/")}
    names = {path.removeprefix("objects/") for path in objects}
    kept = {f"objects/{name}" for name in reachable(store, _documents(store, every), names)}
    unused = [entry for path, entry in sorted(objects.items()) if path not in kept]
    old = [entry for entry in unused if entry.modified < until]
    left = [entry for entry in store.storage.leftovers() if entry.modified < until]
    gone = _deleted(store, [*old, *left], until) if delete else [*old, *left]
    return Clearing(
        objects=tuple(one.path for one in gone if one.path in objects),
        temporaries=tuple(one.path for one in gone if one.path not in objects),
        bytes=sum(one.size for one in gone),
        kept=len(kept),
        young=len(unused) - len(old),
        deleted=delete,
    )


def _documents(store: Store, every: list[Entry]) -> Iterator[bytes]:
    """All that is no object. Manifests have to be what was released: a damaged one hides names."""
    for name in store.names():
        for version in store.versions(name):
            store.manifest(name, version)
    for entry in every:
        # A tombstone names what has gone, and keeps nothing.
        tombstone = entry.path.endswith(f"/{TOMBSTONE}")
        if not entry.path.startswith("objects/") and not tombstone:
            yield store.storage.read_bytes(entry.path)


def _deleted(store: Store, entries: list[Entry], until: int) -> list[Entry]:
    gone = []
    for number, entry in enumerate(entries):
        report("clear", number, len(entries), entry.path)
        # A release may have found it useful since it was listed.
        now = store.storage.stat(entry.path)
        if now is not None and now.modified < until:
            store.storage.delete(entry.path)
            gone.append(entry)
    report("clear", len(entries), len(entries))
    return gone
