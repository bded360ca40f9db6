"""Carry out an erasure: replace each affected release by a successor without the erased rows.

For each release: (1) read it and find the rows; (2) store and publish the successor; (3) read both
releases back and prove by subtraction that the new content is the old content minus exactly the
erased rows; (4) store the proof; (5) replace the old release by a tombstone. After a crash, run the
same command again: it keeps finished steps and completes the others, with the same result.

A successor gets the next free patch version, so it directly follows the release that it replaces.
The newest release is replaced first. So `@latest` opens the newest data at every moment.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.core.progress import report
from headrace.datasets.erasure.requests import (
    FOLDER,
    TELLABLE,
    ErasureRequest,
    Mask,
    key_of,
    requests,
    rows_meant,
)
from headrace.datasets.erasure.tombstone import (
    Tombstone,
    bury,
    objects_of,
    releases,
    tombstone,
    tombstones,
)
from headrace.datasets.fits.release_fits import refitted
from headrace.datasets.governance.privacy_key import PrivacyKey
from headrace.datasets.hashing.content_hash import ContentSum, content_sum
from headrace.datasets.manifest import FORMAT as MANIFEST
from headrace.datasets.manifest import Manifest
from headrace.datasets.reader import Dataset
from headrace.datasets.store.split_files import cut_split, store_split, total
from headrace.datasets.store.store import Store
from headrace.datasets.version import bumped, parse_version

PROOF_FORMAT = 1


@dataclass(frozen=True)
class AffectedRelease:
    """A release that holds rows to erase; `rows` counts them by split."""

    manifest: Manifest
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True)
class Replaced:
    """A release that was replaced: `old` and `new` are refs, `erased` counts rows."""

    old: str
    new: str
    erased: int
    proof: Mapping[str, Any]


@dataclass(frozen=True)
class Searched:
    """Result of a search: `affected` releases hold matching rows; `unsearched` ones may hold some.

    A release cannot be searched if a column of the request is missing, generalised, pseudonymised
    with a key that is not configured, or of a type other than text and numbers.
    """

    affected: tuple[AffectedRelease, ...]
    unsearched: tuple[str, ...]
    searched: int = 0


def search(store: Store, request: ErasureRequest) -> Searched:
    """Find the releases of the store that hold rows of `request`, without changing anything."""
    key, affected, lacking, searched = key_of(request), [], [], 0
    ids = {privacy_key.id for privacy_key in PrivacyKey.find_all(str(request))}
    for manifest in releases(store):
        if not request.covers(manifest.name):
            continue
        if not set(request.columns) <= _tellable(manifest, ids):
            lacking.append(manifest.ref)
            continue
        searched += 1
        rows = {}
        for split in manifest.splits:
            table = _columns(store, manifest, split, tuple(request.columns))
            if count := int(rows_meant(table, request, key).sum()):
                rows[split] = count
        if rows:
            affected.append(AffectedRelease(manifest, rows))
    return Searched(tuple(affected), tuple(lacking), searched)


def _tellable(manifest: Manifest, keys: Collection[str]) -> set[str]:
    """Columns that can be searched: not generalised, and not pseudonymised with an unknown key."""
    facts = {column.name: manifest.privacy.get(column.name, {}) for column in manifest.columns}
    return {
        column.name
        for column in manifest.columns
        if column.type in TELLABLE
        and facts[column.name].get("treatment") != "generalise"
        and facts[column.name].get("key_id", "") in {"", *keys}
    }


def carry_out(store: Store, request: ErasureRequest) -> list[Replaced]:
    """Replace every release that holds rows of `request`; return those replaced, oldest first.

    Raises:
        StateError: an object is damaged, or a proof fails. Releases that were already
            replaced stay replaced.
    """
    for stone in tombstones(store):
        if stone.erasure == request.id:
            bury(store, stone)  # completes a removal that a crash interrupted
    affected = search(store, request).affected
    numbers = _numbers(store, [release.manifest for release in affected])
    replaced = []
    for place, release in enumerate(reversed(affected)):
        report("erasure", place, len(affected), release.manifest.ref)
        replaced.append(_replace(store, request, release.manifest, numbers[release.manifest.ref]))
    report("erasure", len(affected), len(affected))
    return replaced[::-1]


def finish(store: Store) -> list[Replaced]:
    """Carry out all recorded erasures that are not yet complete."""
    return [replacement for request in requests(store) for replacement in carry_out(store, request)]


def without_late(store: Store, manifest: Manifest, known_ids: Collection[str]) -> Manifest:
    """Apply the erasures that were recorded while the release was made; return the final release.

    `known_ids` are the erasures that were recorded when the release began. No erasure is missed.
    An erasure is recorded before it searches for releases, and this function looks for erasures
    after the release was published. So either the erasure finds the release, or this function
    finds the erasure.
    """
    late = [
        request
        for request in requests(store)
        if request.id not in known_ids and request.covers(manifest.name)
    ]
    for request in late:
        carry_out(store, request)
    while stone := tombstone(store, manifest.name, manifest.version):
        manifest = store.manifest(*store.resolve(stone.successor))
    return manifest


def _numbers(store: Store, manifests: list[Manifest]) -> dict[str, str]:
    """{ref: version of its successor}: the next free patch, assigned in release order."""
    occupied = {(release.name, release.version) for release in releases(store)}
    occupied |= {(stone.name, stone.version) for stone in tombstones(store)}
    numbers: dict[str, str] = {}
    for manifest in sorted(
        manifests, key=lambda manifest: (manifest.name, parse_version(manifest.version))
    ):
        version = bumped(manifest.version, "PATCH")
        while (manifest.name, version) in occupied:
            version = bumped(version, "PATCH")
        occupied.add((manifest.name, version))
        numbers[manifest.ref] = version
    return numbers


def _replace(store: Store, request: ErasureRequest, old: Manifest, version: str) -> Replaced:
    successor, erased = _successor(store, request, old, version)
    proof = _proof(store, request, old, successor, erased)
    path = f"{FOLDER}/{request.id}/{old.id}.json"
    store.storage.create(path, canonical_json(proof) + b"\n")
    stone = Tombstone(
        kind="erased",
        name=old.name,
        version=old.version,
        manifest_id=old.id,
        content_hash=old.content_hash,
        rows=old.rows,
        at=request.at,
        principal=request.principal,
        reason=request.reason,
        successor=successor.ref,
        erasure=request.id,
        objects=tuple(sorted(objects_of(store, old))),
    )
    bury(store, stone)
    return Replaced(old.ref, successor.ref, erased.rows, proof)


def _successor(
    store: Store, request: ErasureRequest, old: Manifest, version: str
) -> tuple[Manifest, ContentSum]:
    """Publish the successor without the rows; return it and the content sum of the erased rows."""
    key = key_of(request)
    mark = {**request.entry(), "from": old.ref}
    # A run that was killed before `bury` may already have published the successor.
    for before in releases(store, old.name):
        if before.previous == old.id and mark in before.erasures:
            return before, _content(store, old) - _content(store, before)
    splits, splits_cut, erased_sums = {}, {}, []
    for name, entry in old.splits.items():
        rows = _columns(store, old, name, tuple(column.name for column in old.columns))
        mask: Mask = rows_meant(rows, request, key)
        erased_sums.append(content_sum(rows.filter(pa.array(mask))))
        cut = cut_split(rows.filter(pa.array(~mask)).combine_chunks(), old.key, entry.left_out)
        splits[name], splits_cut[name] = store_split(store, cut, old.key), cut
    content, erased = total(cut.content for cut in splits_cut.values()), total(erased_sums)
    manifest = replace(
        old,
        format=MANIFEST,
        version=version,
        change="PATCH",
        reasons=(f"{request}: {erased.rows} rows of {old.ref} are gone",),
        previous=old.id,
        content_hash=content.hash,
        rows=content.rows,
        splits=splits,
        erasures=(*old.erasures, mark),
        fits=_fits(store, old, splits_cut["train"].table),
        # The old report was computed with the erased rows and may name the person.
        coverage="",
    )
    store.publish(manifest)
    return manifest, erased


def _fits(store: Store, old: Manifest, train: pa.Table) -> dict[str, str]:
    """Transforms refitted on the remaining rows; empty if Headrace did not write the old fits."""
    try:
        return refitted(store, old, train)
    except (KeyError, TypeError):  # not a document of Headrace
        return {}


def _proof(
    store: Store, request: ErasureRequest, old: Manifest, new: Manifest, erased: ContentSum
) -> dict[str, Any]:
    """Read both releases back and prove that old content minus erased rows is the new content.

    The proof stores the sum of the digests of the erased rows. Even if only one row was erased, the
    sum identifies this row only to a person who already knows all of its cells.

    Raises:
        StateError: the proof fails.
    """
    before = _content(store, old)
    after = _content(store, new)
    proof = {
        "format": PROOF_FORMAT,
        "erasure": request.id,
        "schema": [list(column) for column in before.schema],
        "old": _side(old, before),
        "erased": {"rows": erased.rows, "sum": f"{erased.total:064x}"},
        "new": _side(new, after),
    }
    if problem := disproof(proof):
        raise StateError(
            f"the proof of the erasure of {old.ref} fails: {problem}",
            where=store.storage.address,
            fix="run headrace dataset verify on both; the old release stays until a proof succeeds",
        )
    return proof


def disproof(proof: Mapping[str, Any]) -> str:
    """Error in a proof; "" if old - erased = new and the hashes match the sums.

    The check needs only the document, no data.
    """
    schema = tuple((str(name), str(kind)) for name, kind in proof["schema"])
    old, erased, new = (
        ContentSum(schema, proof[side]["rows"], int(proof[side]["sum"], 16))
        for side in ("old", "erased", "new")
    )
    if old.hash != proof["old"]["content_hash"]:
        return f"the sum of the old release gives another content hash, {old.hash}"
    if new.hash != proof["new"]["content_hash"]:
        return f"the sum of the new release gives another content hash, {new.hash}"
    if erased.rows < 1:
        return "no row was erased"
    remainder = old - erased
    return (
        ""
        if remainder == new
        else f"the {remainder.rows} remaining rows are not the {new.rows} rows of the successor"
    )


def proofs(store: Store, request: ErasureRequest) -> list[dict[str, Any]]:
    """The recorded proofs, ordered by the old release."""
    import json

    documents = [
        json.loads(store.storage.read_bytes(entry.path))
        for entry in store.storage.walk(f"{FOLDER}/{request.id}")
        if not entry.path.endswith("/request.json")
    ]
    return sorted(documents, key=lambda proof: str(proof["old"]["ref"]))


def _side(manifest: Manifest, content: ContentSum) -> dict[str, Any]:
    return {
        "ref": manifest.ref,
        "manifest_id": manifest.id,
        "content_hash": manifest.content_hash,
        "rows": content.rows,
        "sum": f"{content.total:064x}",
    }


def _content(store: Store, manifest: Manifest) -> ContentSum:
    names = tuple(column.name for column in manifest.columns)
    return total(content_sum(_columns(store, manifest, split, names)) for split in manifest.splits)


def _columns(store: Store, manifest: Manifest, split: str, columns: tuple[str, ...]) -> pa.Table:
    """Rows of a split; tainted releases can be read too, because erasures apply to them."""
    return Dataset(store, manifest, (split,), columns).arrow
