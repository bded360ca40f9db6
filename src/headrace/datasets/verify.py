"""Reading all of a release and comparing it with its manifest, a part at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

from headrace.datasets.content_hash import ContentSum, content_sum
from headrace.datasets.loaders.objects import digest_of
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Manifest, Part
from headrace.datasets.store import Store
from headrace.errors import StateError


@dataclass(frozen=True)
class Verification:
    """What `verify` found; `ok` when `problems` is empty."""

    ref: str
    content_hash: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(store: Store, manifest: Manifest) -> Verification:
    """Compare bytes, schema, rows and content of every part of every split with the manifest.

    Nothing that was found earlier counts. No more than a part is in memory.
    """
    names = tuple(column.name for column in manifest.columns)
    whole = Scan(store, manifest, tuple(manifest.splits), names)
    problems: list[str] = []
    sums: list[ContentSum] = []
    for name, entry in manifest.splits.items():
        of_split = []
        for part in entry.parts:
            found = _part(whole, part)
            if isinstance(found, str):
                problems.append(f"{name}: {found}")
            else:
                of_split.append(found)
        sums += of_split
        if len(of_split) == len(entry.parts):
            problems += [f"{name}: {why}" for why in _differs(of_split, entry.rows, entry.row_sum)]
    if problems:
        return Verification(manifest.ref, "", tuple(problems))
    total = reduce(add, sums)
    if total.hash != manifest.content_hash:
        problems.append(f"content: {total.hash} is not the manifest's {manifest.content_hash}")
    if total.rows != manifest.rows:
        problems.append(f"rows: {total.rows} are not the manifest's {manifest.rows}")
    return Verification(manifest.ref, total.hash, tuple(problems))


def _part(scan: Scan, part: Part) -> ContentSum | str:
    """What a part holds, or what is wrong with it."""
    try:
        path = scan.path(part)
        if digest_of(path) != part.object:
            return f"object {part.object[:12]} holds other bytes"
        with scan.file(part) as file:
            found = content_sum(file.read())
    except StateError as error:
        return error.what
    except OSError as error:
        return f"object {part.object[:12]} cannot be read: {error}"
    if f"{found.total:064x}" != part.row_sum:
        return f"object {part.object[:12]} holds other rows than the manifest says"
    return found


def _differs(found: list[ContentSum], rows: int, row_sum: str) -> Iterator[str]:
    total = reduce(add, found)
    if total.rows != rows:
        yield f"{total.rows} rows are not the manifest's {rows}"
    if f"{total.total:064x}" != row_sum:
        yield "the sum of its rows is not the manifest's"
