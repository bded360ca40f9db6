"""Consistency check of a manifest: types, ids and sums, without reading objects."""

import re
from collections.abc import Iterator, Mapping

from headrace.core.errors import StateError
from headrace.datasets.hashing.cell_encoding import TAGS
from headrace.datasets.hashing.content_hash import MODULUS, ContentSum
from headrace.datasets.manifest import Manifest, Part, SplitEntry
from headrace.datasets.vocabulary import NAME

_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def check_consistent(manifest: Manifest, where: str) -> None:
    """Raise StateError for a manifest that contradicts itself or has invalid values.

    The content hash covers the schema, the row count and the sums of all parts, so a part cannot
    be exchanged without changing the hash.
    """
    try:
        problem = next(_problems(manifest), "")
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
        problem = f"a value is of the wrong kind: {error}"
    if problem:
        raise StateError(
            f"the manifest is inconsistent: {problem}",
            where=where,
            fix="restore it from a copy of the store",
        )


def _problems(manifest: Manifest) -> Iterator[str]:
    if not (NAME.fullmatch(manifest.name) and _VERSION.fullmatch(manifest.version)):
        yield f"its name or version is invalid: {manifest.ref!r}"
    yield from _ids(manifest)
    for name, split in manifest.splits.items():
        yield from _of_split(name, split)
    yield from _columns(manifest)
    rows = sum(split.rows for split in manifest.splits.values())
    total = sum(int(split.row_sum, 16) for split in manifest.splits.values()) % MODULUS
    if type(manifest.rows) is not int or rows != manifest.rows:
        yield f"its splits have {rows} rows, but it states a total of {manifest.rows!r}"
    schema = tuple(sorted((column.name, column.type) for column in manifest.columns))
    if ContentSum(schema, rows, total).hash != manifest.content_hash:
        yield "the row sums of its splits do not give its content hash"


def _ids(manifest: Manifest) -> Iterator[str]:
    digests = {
        "lineage": manifest.lineage,
        "coverage": manifest.coverage,
        "card": manifest.card,
        **{f"fit {name}": digest for name, digest in manifest.fits.items()},
        **{f"batches of {name}": source.batch_list for name, source in manifest.inputs.items()},
    }
    for what, digest in digests.items():
        if digest and not _SHA256.fullmatch(digest):
            yield f"{what}: {digest!r} is not a sha256"


def _columns(manifest: Manifest) -> Iterator[str]:
    names = [column.name for column in manifest.columns]
    if len(set(names)) < len(names):
        yield "a column occurs twice"
    for column in manifest.columns:
        if not isinstance(column.name, str) or column.type not in TAGS:
            yield f"column {column.name!r} is of type {column.type!r}"
    if not isinstance(manifest.label, Mapping) or manifest.target not in names:
        yield "its label is not among its columns"


def _of_split(name: str, split: SplitEntry) -> Iterator[str]:
    if not split.parts:
        yield f"split {name} has no parts"
    for part in split.parts:
        yield from (f"{name}: {problem}" for problem in _of_part(part))
    if sum(part.rows for part in split.parts) != split.rows:
        yield f"the parts of {name} do not have as many rows as the split"
    total = sum(int(part.row_sum, 16) for part in split.parts) % MODULUS
    if f"{total:064x}" != split.row_sum:
        yield f"the row sums of the parts of {name} do not add up to its row sum"


def _of_part(part: Part) -> Iterator[str]:
    for digest in (part.object, part.row_sum):
        if not _SHA256.fullmatch(digest):
            yield f"{digest!r} is not a digest"
    for number in (part.bytes, part.rows):
        if type(number) is not int or number < 0:
            yield f"{number!r} is not a valid number of bytes or rows"
