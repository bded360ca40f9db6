"""Make a release again from what it pins, somewhere else, and compare: the proof that it can be.

Read are the pinned snapshots alone, whatever was published since; no view that is kept on disk is
used. The content hash says whether the content is the same; if not, the cells are found.
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
from headrace.datasets.store.audit import Stored, read_stored
from headrace.datasets.store.store import Store
from headrace.datasets.table_diff import Differences, locate
from headrace.datasets.taint import note, taints
from headrace.lake.tables.lake import Lake
from headrace.lineage.file_integrity import Altered, altered
from headrace.lineage.reproducibility import as_released, check_not_ended, check_pins
from headrace.pipeline.build import release_from
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline


@dataclass(frozen=True)
class Rebuilt:
    """What came of it.

    Attributes:
        content_hash: of what was made now.
        released: of the release, as its manifest says.
        fits: names of fits that came out otherwise.
        stored: of what the store holds now, and what is wrong with its objects; None if that was
            not asked for.
        same_bytes: whether the objects are the same files, byte for byte. Another version of the
            Parquet writer may lay out the same content otherwise.
        differences: the cells, if the content differs.
        altered: if what was made is not what was released, cells of published files that are not
            what was delivered.
        snapshots: what was read, by table.
        tainted: recalls that the release holds.
        store: where it lies; "" if it was thrown away.
    """

    ref: str
    content_hash: str
    released: str
    rows: int
    same_bytes: bool
    snapshots: Mapping[str, int]
    fits: tuple[str, ...] = ()
    stored: Stored | None = None
    differences: Differences | None = None
    altered: tuple[Altered, ...] = ()
    tainted: tuple[str, ...] = ()
    store: str = ""

    @property
    def equal(self) -> bool:
        """Whether all that was compared is the same."""
        untouched = self.stored is None or self.stored.is_whole(self.released)
        return self.content_hash == self.released and not self.fits and untouched

    @property
    def says(self) -> str:
        if self.equal:
            return "the same content"
        if self.fits:
            return f"fits came out otherwise: {', '.join(self.fits)}"
        if self.content_hash == self.released:
            return "the rebuild gives what was released; what the store holds was altered since"
        if self.stored is not None and not self.stored.is_whole(self.released):
            return "neither the rebuild nor what the store holds is what was released"
        if self.altered:
            return "files of the tables were altered since they were published"
        return "the tables, or the code, give something else than they did then"

    def to_json(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            "equal": self.equal,
            "content_hash": self.content_hash,
            "released": self.released,
            "says": self.says,
            "rows": self.rows,
            "same_bytes": self.same_bytes,
            "snapshots": dict(self.snapshots),
            "fits": list(self.fits),
            "stored": self.stored.to_json() if self.stored else None,
            "differences": self.differences.to_json() if self.differences else None,
            "altered": [vars(one) for one in self.altered],
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
        pipelines: of the project; one of them made the release.
        home: whose tables hold the pinned snapshots.
        check: read what the store holds as well, and find the cells that differ.
        to: a folder, which becomes a store with this release if it comes out equal; without it
            what was made is thrown away.
        threads: to compute with; the answer is the same.
        store: where the release lies; the home's by default.

    Raises:
        DeclarationError: what is declared now means something else than what made the release, or
            nothing here made it.
        StateError: a snapshot is gone, or an erasure ended that it can be made again.
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
        _keep_out(source, work / "store", manifest)
        made = release_from(
            context,
            work / "store",
            _inputs(source, manifest),
            [Withheld.from_json(one) for one in manifest.withheld],
        )
        report("rebuild", 1, 2, manifest.ref)
        stored, differences, wrong = None, None, []
        if check:
            stored = read_stored(source, manifest)
            if not (stored.is_whole(manifest.content_hash) and _same(made, manifest)):
                differences = _located(Store(work / "store"), made, stored.table, manifest)
            if not _same(made, manifest):
                wrong = altered(home, pipeline.tables, pins)
        found = Rebuilt(
            ref=manifest.ref,
            content_hash=made.content_hash,
            released=manifest.content_hash,
            rows=made.rows,
            same_bytes=_objects(made) == _objects(manifest),
            snapshots=pins,
            fits=_other_fits(made, manifest) if _same(made, manifest) else (),
            stored=stored,
            differences=differences,
            altered=tuple(wrong),
            tainted=tuple(map(str, taints(source, manifest))),
        )
        if to is not None and _same(made, manifest):
            _keep(work / "store", made, manifest, source, to)
            found = replace(found, store=str(to))
    report("rebuild", 2, 2, manifest.ref)
    return found


def _inputs(store: Store, manifest: Manifest) -> dict[str, InputTable]:
    """What the release took, with its batches spelled out again."""
    return {
        table: replace(
            given,
            batches=tuple(store.get_json(given.batch_list)) if given.batch_list else (),
            batch_count=0,
            batch_list="",
        )
        for table, given in manifest.inputs.items()
    }


def _keep_out(source: Store, work: Path, manifest: Manifest) -> None:
    """Who was erased before the release was made is kept out again."""
    ids = {erasure["id"] for erasure in manifest.erasures}
    for request in requests(source) if ids else ():
        if request.id in ids:
            record(Store(work), request)


@contextmanager
def _folder(to: Path | None) -> Iterator[Path]:
    """A folder to work in, which goes again; beside the result, so that moving is renaming."""
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".headrace-rebuild-", dir=to) as work:
        yield Path(work)


def _same(made: Manifest, manifest: Manifest) -> bool:
    return made.content_hash == manifest.content_hash


def _other_fits(made: Manifest, manifest: Manifest) -> tuple[str, ...]:
    names = {*made.fits, *manifest.fits}
    return tuple(sorted(n for n in names if made.fits.get(n) != manifest.fits.get(n)))


def _objects(manifest: Manifest) -> list[str]:
    return [part.object for split in manifest.splits.values() for part in split.parts]


def _located(
    made_in: Store, made: Manifest, stored: pa.Table | None, manifest: Manifest
) -> Differences | None:
    if stored is None:
        return None
    rebuilt = read_stored(made_in, made).table
    return None if rebuilt is None else locate(stored, rebuilt, manifest.key)


def _keep(work: Path, made: Manifest, manifest: Manifest, source: Store, to: Path) -> None:
    """Make `to` a store with this release, under its own version, and with what taints it."""
    target = Store(to.absolute())
    if manifest.version in target.versions(manifest.name):
        return
    for path in [work / entry.path for entry in Store(work).storage.walk("objects")]:
        target.adopt(path, path.suffix.removeprefix("."))
    others = (*manifest.fits.values(), manifest.lineage, manifest.coverage, manifest.card)
    for digest in filter(None, others):
        target.put_json(source.get_json(digest))
    for taint in taints(source, manifest):
        note(target, taint)
    same = _objects(made) == _objects(manifest)
    target.publish(manifest if same else replace(manifest, splits=made.splits, format=made.format))
