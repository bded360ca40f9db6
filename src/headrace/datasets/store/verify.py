"""Verification of a release against its manifest: every byte and every row, part by part."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.core.errors import HeadraceError
from headrace.core.progress import report
from headrace.datasets.hashing.content_hash import ContentSum, content_sum
from headrace.datasets.manifest import Manifest, Part
from headrace.datasets.store.object_files import check_unfolding, opened_part, reading, text_of
from headrace.datasets.store.parts import ends_of
from headrace.datasets.store.store import Store

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Verification:
    """Result of `verify`. `rows` and `bytes` count what was read."""

    ref: str
    content_hash: str
    problems: tuple[str, ...]
    objects: int = 0
    rows: int = 0
    bytes: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            "ok": self.ok,
            "problems": list(self.problems),
            "content_hash": self.content_hash,
            "objects": self.objects,
            "rows": self.rows,
            "bytes": self.bytes,
        }


def verify(store: Store, manifest: Manifest) -> Verification:
    """Read every object of a release and compare it with the manifest, one part at a time.

    Checks object bytes, footers, columns, row order, splits, row sums, the content hash, and the
    JSON objects that the manifest names.
    """
    problems: list[str] = []
    total = ContentSum(_schema(manifest), 0, 0)
    parts = [(name, part) for name, split in manifest.splits.items() for part in split.parts]
    for number, (name, part) in enumerate(parts):
        report("verify", number, len(parts), f"{manifest.ref} {name}")
        part_sum, wrong = _of_part(store, manifest, name, part)
        problems += [f"{name}: {problem}" for problem in wrong]
        total = total + part_sum if part_sum else total
    report("verify", len(parts), len(parts), manifest.ref)
    problems += _of_documents(store, manifest)
    content = total.hash if total.rows == manifest.rows else ""
    if not problems and content != manifest.content_hash:
        problems.append(f"content: {content} is not the manifest's {manifest.content_hash}")
    size = sum(part.bytes for _, part in parts)
    return Verification(manifest.ref, content, tuple(problems), len(parts), total.rows, size)


def verify_ref(store: Store, name: str, version: str) -> Verification:
    """Like `verify`, but an unreadable manifest is reported as a problem of the release."""
    try:
        manifest = store.manifest(name, version)
    except HeadraceError as error:
        return Verification(f"{name}@{version}", "", (f"manifest: {error.what}",))
    return verify(store, manifest)


def _of_part(
    store: Store, manifest: Manifest, split: str, part: Part
) -> tuple[ContentSum | None, list[str]]:
    """Content sum of a part, and its problems; None if the part cannot be read."""
    name = store.object_name(part.object, "parquet")
    try:
        if store.storage.size(name) == part.bytes and _sha256(store, name) != part.object:
            return None, [f"object {part.object[:12]} holds other bytes"]
        with opened_part(store, manifest, part) as file, reading(part, name):
            _check_sizes(store, manifest, name, file.num_row_groups)
            return _of_rows(manifest, split, part, file.iter_batches())
    except HeadraceError as error:
        return None, [error.what]


def _check_sizes(store: Store, manifest: Manifest, name: str, groups: int) -> None:
    text = text_of(manifest)
    if text:
        with pq.ParquetFile(store.storage.open(name), read_dictionary=text) as file:
            for group in range(groups):
                check_unfolding(file, group)


def _of_rows(
    manifest: Manifest, split: str, part: Part, batches: Iterator[pa.RecordBatch]
) -> tuple[ContentSum | None, list[str]]:
    """Check rows block by block, so that a part may decompress to more than memory holds."""
    content: ContentSum | None = None
    problems: dict[str, None] = {}
    before: dict[str, Any] | None = None
    first: tuple[Any, ...] = ()
    last: tuple[Any, ...] = ()
    order = ("t", *manifest.key)
    for batch in batches:
        table = pa.table(batch)
        if not table.num_rows:
            continue
        content = content_sum(table) if content is None else content + content_sum(table)
        starts, last = ends_of(table, manifest.key)
        first = first or starts
        if not pc.all(pc.equal(table.column("split"), split)).as_py():
            problems["it holds rows of another split"] = None
        head = table.select(order)
        if before is not None:
            head = pa.concat_tables([pa.Table.from_pylist([before], head.schema), head])
        if not _ordered(head):
            problems["its rows are not sorted by time and key"] = None
        before = head.slice(head.num_rows - 1).to_pylist()[0]
    if content is None:
        content = ContentSum(_schema(manifest), 0, 0)
    if f"{content.total:064x}" != part.row_sum:
        problems["its rows do not have the row sum of the manifest"] = None
    if part.first and (first, last) != (part.first, part.last):
        problems["its first or last row differs from the manifest"] = None
    return content, list(problems)


def _schema(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((column.name, column.type) for column in manifest.columns))


def _ordered(rows: pa.Table) -> bool:
    by = [(name, "ascending") for name in rows.column_names]
    places = pc.sort_indices(rows, by)
    return bool((places.to_numpy() == np.arange(len(places))).all())


def _of_documents(store: Store, manifest: Manifest) -> list[str]:
    """Problems of the JSON objects that a manifest names."""
    problems = []
    for what, digest in documents_of(manifest).items():
        try:
            store.get_json(digest)
        except HeadraceError as error:
            problems.append(f"{what}: {error.what}")
    return problems


def documents_of(manifest: Manifest) -> Mapping[str, str]:
    """{description: sha256} of every JSON object that a manifest names."""
    digests = {
        **{f"batches of {name}": source.batch_list for name, source in manifest.inputs.items()},
        **{f"fit {name}": digest for name, digest in manifest.fits.items()},
        "lineage": manifest.lineage,
        "coverage": manifest.coverage,
        "card": manifest.card,
    }
    return {what: digest for what, digest in digests.items() if digest}


def _sha256(store: Store, name: str) -> str:
    digest = hashlib.sha256()
    with store.storage.open(name) as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
