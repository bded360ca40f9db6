"""Rebuild of a release from its pinned snapshots, to prove that it is reproducible.

The rebuild runs in a separate folder, reads only the pinned snapshots and uses no cached view. If
its content hash differs from the release's, the differing cells are located.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.compute import limited_to
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.datasets.erasure.requests import record, requests
from headrace.datasets.governance.privacy import require_keys
from headrace.datasets.manifest import InputTable, Manifest
from headrace.datasets.splits.rolling import Withheld
from headrace.datasets.store.audit import AuditedRows, read_stored
from headrace.datasets.store.store import Store
from headrace.datasets.table_diff import Differences, locate
from headrace.datasets.taint import note, taints
from headrace.lake.tables.lake import Lake
from headrace.lineage.file_integrity import AlteredCell, altered_cells
from headrace.lineage.reproducibility import as_released, check_not_ended, check_pins
from headrace.pipeline.build import release_from
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline


@dataclass(frozen=True)
class Rebuilt:
    """Result of a rebuild.

    Attributes:
        content_hash: hash of the rebuilt content.
        released: hash of the released content, from the manifest.
        fits: names of fitted transforms that differ from the release's.
        stored: the present content of the store, and damage to its objects; None if the store was
            not checked.
        same_bytes: True if the objects are the same files, byte for byte. Two versions of the
            Parquet writer may write the same content as different bytes.
        differences: the differing cells, if the content differs.
        altered_cells: if the content differs, cells of published files that differ from their
            delivery.
        snapshots: the snapshots that were read, by table.
        tainted: recalls of batches that the release holds.
        store: path of the rebuilt store; "" if it was deleted.
    """

    ref: str
    content_hash: str
    released: str
    rows: int
    same_bytes: bool
    snapshots: Mapping[str, int]
    fits: tuple[str, ...] = ()
    stored: AuditedRows | None = None
    differences: Differences | None = None
    altered_cells: tuple[AlteredCell, ...] = ()
    tainted: tuple[str, ...] = ()
    store: str = ""

    @property
    def equal(self) -> bool:
        """True if everything that was compared is the same."""
        untouched = self.stored is None or self.stored.is_whole(self.released)
        return self.content_hash == self.released and not self.fits and untouched

    @property
    def summary(self) -> str:
        if self.equal:
            return "the same content"
        if self.fits:
            return f"the fitted transforms differ: {', '.join(self.fits)}"
        if self.content_hash == self.released:
            return "the rebuild equals the release, but the stored content was altered since"
        if self.stored is not None and not self.stored.is_whole(self.released):
            return "neither the rebuild nor the stored content equals the release"
        if self.altered_cells:
            return "files of the tables were altered since they were published"
        return "the tables or the code now give content that differs from the release"

    def to_json(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            "equal": self.equal,
            "content_hash": self.content_hash,
            "released": self.released,
            "says": self.summary,
            "rows": self.rows,
            "same_bytes": self.same_bytes,
            "snapshots": dict(self.snapshots),
            "fits": list(self.fits),
            "stored": self.stored.to_json() if self.stored else None,
            "differences": self.differences.to_json() if self.differences else None,
            "altered": [vars(cell) for cell in self.altered_cells],
            "tainted": list(self.tainted),
            "store": self.store,
        }


def rebuild(
    ref: str,
    pipelines: Iterable[Pipeline],
    home: Home,
    *,
    check: bool = True,
    to: Path | None = None,
    threads: int | None = None,
    store: Path | str | None = None,
) -> Rebuilt:
    """Rebuild the release `ref` and compare it with its manifest.

    Args:
        ref: as in `headrace.open`.
        pipelines: the pipelines of the project; one of them made the release.
        home: the home whose tables have the pinned snapshots.
        check: True to also read the content of the store and locate the cells that differ.
        to: folder that becomes a store with the rebuilt release if the content is equal; None to
            delete the rebuilt release.
        threads: number of threads; it does not change the result.
        store: the store of the release; the home's by default.

    Raises:
        DeclarationError: the present declarations differ from those of the release, or none of
            the pipelines made the release.
        StateError: a snapshot is gone, or the release is not reproducible after an erasure.
    """
    source = Store.find(store or home.store)
    manifest = source.manifest(*source.resolve(ref))
    check_not_ended(source, manifest)
    require_keys(manifest.ref, manifest.privacy)
    pipeline = as_released(pipelines, manifest)
    pins = check_pins(Lake(home), manifest)
    report("rebuild", 0, 2, manifest.ref)
    with _folder(to) as work, limited_to(threads):
        context = BuildContext(pipeline, home, pins=pins, cache=work / "views")
        _copy_erasures(source, work / "store", manifest)
        rebuilt = release_from(
            context,
            work / "store",
            _inputs(source, manifest),
            [Withheld.from_json(document) for document in manifest.withheld],
        )
        report("rebuild", 1, 2, manifest.ref)
        stored, differences, wrong = None, None, []
        if check:
            stored = read_stored(source, manifest)
            if not (stored.is_whole(manifest.content_hash) and _same_content(rebuilt, manifest)):
                differences = _located(Store(work / "store"), rebuilt, stored.table, manifest)
            if not _same_content(rebuilt, manifest):
                wrong = altered_cells(home, pipeline.tables, pins)
        outcome = Rebuilt(
            ref=manifest.ref,
            content_hash=rebuilt.content_hash,
            released=manifest.content_hash,
            rows=rebuilt.rows,
            same_bytes=_objects(rebuilt) == _objects(manifest),
            snapshots=pins,
            fits=_other_fits(rebuilt, manifest) if _same_content(rebuilt, manifest) else (),
            stored=stored,
            differences=differences,
            altered_cells=tuple(wrong),
            tainted=tuple(map(str, taints(source, manifest))),
        )
        if to is not None and _same_content(rebuilt, manifest):
            _keep(work / "store", rebuilt, manifest, source, to)
            outcome = replace(outcome, store=str(to))
    report("rebuild", 2, 2, manifest.ref)
    return outcome


def _inputs(store: Store, manifest: Manifest) -> dict[str, InputTable]:
    """Return the inputs of the release, with their lists of batches loaded."""
    return {
        table: replace(
            input_table,
            batches=tuple(store.get_json(input_table.batch_list)) if input_table.batch_list else (),
            batch_count=0,
            batch_list="",
        )
        for table, input_table in manifest.inputs.items()
    }


def _copy_erasures(source: Store, work: Path, manifest: Manifest) -> None:
    """Copy the erasures that the release applied, so that the rebuild applies them too."""
    ids = {erasure["id"] for erasure in manifest.erasures}
    for request in requests(source) if ids else ():
        if request.id in ids:
            record(Store(work), request)


@contextmanager
def _folder(to: Path | None) -> Iterator[Path]:
    """Create a temporary folder; inside `to` if given, so that results are moved by a rename."""
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".headrace-rebuild-", dir=to) as work:
        yield Path(work)


def _same_content(rebuilt: Manifest, manifest: Manifest) -> bool:
    return rebuilt.content_hash == manifest.content_hash


def _other_fits(rebuilt: Manifest, manifest: Manifest) -> tuple[str, ...]:
    names = {*rebuilt.fits, *manifest.fits}
    return tuple(sorted(n for n in names if rebuilt.fits.get(n) != manifest.fits.get(n)))


def _objects(manifest: Manifest) -> list[str]:
    return [part.object for split in manifest.splits.values() for part in split.parts]


def _located(
    work_store: Store, rebuilt: Manifest, stored: pa.Table | None, manifest: Manifest
) -> Differences | None:
    if stored is None:
        return None
    rebuilt_table = read_stored(work_store, rebuilt).table
    return None if rebuilt_table is None else locate(stored, rebuilt_table, manifest.key)


def _keep(work: Path, rebuilt: Manifest, manifest: Manifest, source: Store, to: Path) -> None:
    """Make `to` a store that has this release, with its version and its taints."""
    target = Store(to.absolute())
    if manifest.version in target.versions(manifest.name):
        return
    for path in [work / entry.path for entry in Store(work).storage.walk("objects")]:
        target.adopt(path, path.suffix.removeprefix("."))
    documents = (*manifest.fits.values(), manifest.lineage, manifest.coverage, manifest.card)
    for digest in filter(None, documents):
        target.put_json(source.get_json(digest))
    for taint in taints(source, manifest):
        note(target, taint)
    same_objects = _objects(rebuilt) == _objects(manifest)
    target.publish(
        manifest
        if same_objects
        else replace(manifest, splits=rebuilt.splits, format=rebuilt.format)
    )
