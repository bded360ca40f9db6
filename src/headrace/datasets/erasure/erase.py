"""Carry an erasure out in a store: each release that holds such rows gets a successor without.

For each release: (1) read it, tell the rows; (2) store the successor and publish it; (3) read the
successor back and prove by subtraction that it is the old content less exactly those rows; (4) put
the proof on the record; (5) bury the old release. Whoever is killed in between runs it again: what
is done stays done, and what was begun is finished, with the same result.

A successor has the number of the next free patch, so that it comes right after the release it takes
the place of, and `@latest` means the same content as before. Successors are made newest first for
the same reason.
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
    Mask,
    Request,
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
class Held:
    """A release that holds rows to be erased: how many, by split."""

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
    """`held`: releases with such rows. `unsearched`: those in which nobody can tell.

    They lack a column that the request names, or have it generalised, in a type that names nobody
    (neither text nor whole numbers), or as pseudonyms of a key that is not given.
    """

    held: tuple[Held, ...]
    unsearched: tuple[str, ...]
    searched: int = 0


def search(store: Store, request: Request) -> Searched:
    """Which releases of the store hold rows that `request` means; nothing is changed."""
    key, held, lacking, searched = key_of(request), [], [], 0
    ids = {one.id for one in PrivacyKey.given(str(request))}
    for manifest in releases(store):
        if not request.meant(manifest.name):
            continue
        if not set(request.columns) <= _tellable(manifest, ids):
            lacking.append(manifest.ref)
            continue
        searched += 1
        rows = {}
        for split in manifest.splits:
            found = _columns(store, manifest, split, tuple(request.columns))
            if count := int(rows_meant(found, request, key).sum()):
                rows[split] = count
        if rows:
            held.append(Held(manifest, rows))
    return Searched(tuple(held), tuple(lacking), searched)


def _tellable(manifest: Manifest, keys: Collection[str]) -> set[str]:
    """The columns in which somebody can be told: not generalised, nor a pseudonym of a lost key."""
    facts = {column.name: manifest.privacy.get(column.name, {}) for column in manifest.columns}
    return {
        column.name
        for column in manifest.columns
        if column.type in TELLABLE
        and facts[column.name].get("treatment") != "generalise"
        and facts[column.name].get("key_id", "") in {"", *keys}
    }


def carry_out(store: Store, request: Request) -> list[Replaced]:
    """Replace every release that holds rows `request` means; those replaced now, oldest first.

    Raises:
        StateError: an object is damaged, or a proof fails; what was replaced by then stays so.
    """
    for stone in tombstones(store):
        if stone.erasure == request.id:
            bury(store, stone)  # a crash may have left some of it
    held = search(store, request).held
    numbers = _numbers(store, [one.manifest for one in held])
    done = []
    for place, one in enumerate(reversed(held)):
        report("erasure", place, len(held), one.manifest.ref)
        done.append(_replace(store, request, one.manifest, numbers[one.manifest.ref]))
    report("erasure", len(held), len(held))
    return done[::-1]


def finish(store: Store) -> list[Replaced]:
    """Carry out all erasures on the record, as far as they are not: also those cut short."""
    return [one for request in requests(store) for one in carry_out(store, request)]


def without_late(store: Store, manifest: Manifest, asked: Collection[str]) -> Manifest:
    """A release without whom an erasure named while it was made; `asked`: those known before.

    The erasure was recorded before it looked for releases, and this one is visible now: whichever
    came second sees the other.
    """
    late = [one for one in requests(store) if one.id not in asked and one.meant(manifest.name)]
    for request in late:
        carry_out(store, request)
    while stone := tombstone(store, manifest.name, manifest.version):
        manifest = store.manifest(*store.resolve(stone.successor))
    return manifest


def _numbers(store: Store, manifests: list[Manifest]) -> dict[str, str]:
    """{ref: version of its successor}: the next free patch, in the order of the releases."""
    taken = {(release.name, release.version) for release in releases(store)}
    taken |= {(one.name, one.version) for one in tombstones(store)}
    found: dict[str, str] = {}
    for one in sorted(
        manifests, key=lambda manifest: (manifest.name, parse_version(manifest.version))
    ):
        version = bumped(one.version, "PATCH")
        while (one.name, version) in taken:
            version = bumped(version, "PATCH")
        taken.add((one.name, version))
        found[one.ref] = version
    return found


def _replace(store: Store, request: Request, old: Manifest, version: str) -> Replaced:
    successor, erased = _successor(store, request, old, version)
    proof = _proof(store, request, old, successor, erased)
    path = f"{FOLDER}/{request.id}/{old.id}.json"
    store.storage.put_new(path, canonical_json(proof) + b"\n")
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
    store: Store, request: Request, old: Manifest, version: str
) -> tuple[Manifest, ContentSum]:
    """The release without the rows, published; and the content of the rows that are gone."""
    key = key_of(request)
    mark = {**request.entry(), "from": old.ref}
    for before in releases(store, old.name):  # of a run that was killed before the burial
        if before.previous == old.id and mark in before.erasures:
            return before, _content(store, old) - _content(store, before)
    splits, splits_cut, gone = {}, {}, []
    for name, entry in old.splits.items():
        rows = _columns(store, old, name, tuple(column.name for column in old.columns))
        meant: Mask = rows_meant(rows, request, key)
        gone.append(content_sum(rows.filter(pa.array(meant))))
        cut = cut_split(rows.filter(pa.array(~meant)).combine_chunks(), old.key, entry.left_out)
        splits[name], splits_cut[name] = store_split(store, cut, old.key), cut
    content, erased = total(cut.content for cut in splits_cut.values()), total(gone)
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
        # Measured with the erased rows, and it may name the person.
        coverage="",
    )
    store.publish(manifest)
    return manifest, erased


def _fits(store: Store, old: Manifest, train: pa.Table) -> dict[str, str]:
    """The fits on the rows that are left; none where they were made by hand."""
    try:
        return refitted(store, old, train)
    except (KeyError, TypeError):  # no document of ours
        return {}


def _proof(
    store: Store, request: Request, old: Manifest, new: Manifest, erased: ContentSum
) -> dict[str, Any]:
    """Subtract, with sums of rows as they are read back. Raises StateError if it does not come out.

    The sums are digests of whole rows added up: whoever knows every cell of a row can recognise it
    in a sum of one, and nobody else can.
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
            f"the erasure of {old.ref} is not proven: {problem}",
            where=store.storage.address,
            fix="headrace dataset verify both; the old release stays until the proof comes out",
        )
    return proof


def disproof(proof: Mapping[str, Any]) -> str:
    """What is wrong with a proof; "" if it holds: old - erased = new, and the hashes are of these.

    It needs no data: only the document.
    """
    schema = tuple((str(name), str(kind)) for name, kind in proof["schema"])
    old, erased, new = (
        ContentSum(schema, proof[side]["rows"], int(proof[side]["sum"], 16))
        for side in ("old", "erased", "new")
    )
    if old.hash != proof["old"]["content_hash"]:
        return f"the old content gives {old.hash}"
    if new.hash != proof["new"]["content_hash"]:
        return f"the new content gives {new.hash}"
    if erased.rows < 1:
        return "no row was erased"
    left = old - erased
    return "" if left == new else f"{left.rows} rows are left, and the successor has {new.rows}"


def proofs(store: Store, request: Request) -> list[dict[str, Any]]:
    """The proofs on the record, by the old release."""
    import json

    found = [
        json.loads(store.storage.read_bytes(one.path))
        for one in store.storage.walk(f"{FOLDER}/{request.id}")
        if not one.path.endswith("/request.json")
    ]
    return sorted(found, key=lambda proof: str(proof["old"]["ref"]))


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
    """Rows of a split, read past every mark on the release: a tainted one is erased, too."""
    return Dataset(store, manifest, (split,), columns).arrow
