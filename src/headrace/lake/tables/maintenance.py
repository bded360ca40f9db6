"""Maintenance of a lake: remove old snapshots, their files, and files of crashed runs.

A file is needed if a retained snapshot refers to it, if the ledger names it (staged, pending, in
quarantine, published before), or if it is so new that a run may be about to record it. All other
files are deleted. Snapshots that a release pins are always retained, so the input of a release
never changes.

Data files are not compacted: a batch is a single file, and files of several batches are never
merged, because validation, recall and lineage work by batch. Commits merge manifests.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from headrace.core.clock import DAY, now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.ingest.write_lock import deletion_lock
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import plan_path
from headrace.lake.tables.snapshot_retention import RetainedSnapshots, retained_snapshots

KEEP_SNAPSHOTS = 50
# Microseconds; longer than any ingest, commit or read of a snapshot takes.
YOUNG = DAY
WAIT = 60.0
_SCRATCH = re.compile(r"\..*\.tmp")


@dataclass(frozen=True)
class Leftover:
    """Unneeded file, and why it exists."""

    path: Path
    bytes: int
    why: str

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "bytes": self.bytes, "why": self.why}


@dataclass(frozen=True)
class Upkeep:
    """Result of the maintenance of one table, or of its dry run.

    Attributes:
        table: its name; "" for the landed bytes, which belong to no single table.
        snapshots: number of retained snapshots; `pinned` of these have tags.
        forgotten: ids of the snapshots that were removed.
        removed: the files that were removed.
        spared: number of unneeded files that were kept because they are young.
    """

    table: str
    snapshots: int
    pinned: int
    forgotten: tuple[int, ...]
    removed: tuple[Leftover, ...]
    spared: int

    @property
    def bytes(self) -> int:
        return sum(leftover.bytes for leftover in self.removed)

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "snapshots": self.snapshots,
            "pinned": self.pinned,
            "forgotten": list(self.forgotten),
            "files": [leftover.to_json() for leftover in self.removed],
            "bytes": self.bytes,
            "spared": self.spared,
        }


def maintain(
    home: Home,
    tables: Iterable[str],
    *,
    dry: bool = False,
    keep: int = KEEP_SNAPSHOTS,
    young: int = YOUNG,
    wait: float = WAIT,
) -> list[Upkeep]:
    """Remove old snapshots of these tables, and unneeded files; safe to run again.

    Args:
        home: where the state lives.
        tables: names of tables; tables that were never published are skipped.
        dry: True to change nothing and report what would be done.
        keep: number of snapshots that a table keeps besides tagged ones.
        young: files written within this many microseconds are kept.
        wait: seconds to wait for a running ingest.

    Returns:
        One result for each table, then one for the landed bytes.

    Raises:
        StateError: an ingest was still running after `wait` seconds.
    """
    lake, names = Lake(home), list(tables)
    if dry:
        present = {name: retained_snapshots(lake, name, keep, forget=False) for name in names}
        return _swept(lake, present, young, dry=True)
    forgotten = {
        name: retained_snapshots(lake, name, keep, forget=True).forgotten for name in names
    }
    with deletion_lock(home, wait):
        # Read again, because more may have been published or pinned while this run waited.
        now = {name: retained_snapshots(lake, name, sys.maxsize, forget=False) for name in names}
        stay = {
            name: replace(retained, forgotten=forgotten[name]) for name, retained in now.items()
        }
        return _swept(lake, stay, young, dry=False)


def _swept(
    lake: Lake, tables: Mapping[str, RetainedSnapshots], young: int, *, dry: bool
) -> list[Upkeep]:
    until = now_us() - young
    with Ledger(lake.home) as ledger:
        for name, retained in tables.items():
            _refuse_unknown(ledger, name, retained)
        ledger_files, landed = _ledger_files(ledger), _landed(ledger)
    upkeep = [
        _table(lake.home, name, retained, ledger_files, until) for name, retained in tables.items()
    ]
    upkeep.append(_landing(lake.home, landed, until))
    for table in () if dry else upkeep:
        for leftover in table.removed:
            leftover.path.unlink(missing_ok=True)
    return upkeep


def _refuse_unknown(ledger: Ledger, table: str, retained: RetainedSnapshots) -> None:
    """Raise StateError if the catalog lacks a published table: it may belong to another home."""
    published = any(
        row.published_at and row.staged_path for row in ledger.judgements(table).values()
    )
    if published and not retained.snapshot_ids:
        raise StateError(
            f"the ledger says that {table} was published, but the catalog has no such table",
            where="the lake",
            fix="point HEADRACE_CATALOG at the catalog of this home; nothing was deleted",
        )


def _ledger_files(ledger: Ledger) -> set[str]:
    """Return the names of all staged and quarantined files in the ledger's verdicts."""
    rows = ledger.connection.execute(
        "SELECT staged_path FROM judgements UNION SELECT quarantine_path FROM judgements"
        " UNION SELECT staged_path FROM returns"
    )
    return {PurePosixPath(path).name for (path,) in rows if path}


def _landed(ledger: Ledger) -> set[str]:
    rows = ledger.connection.execute("SELECT DISTINCT raw_path FROM batches")
    return {PurePosixPath(path).name for (path,) in rows}


def _table(
    home: Home, table: str, retained: RetainedSnapshots, ledger_files: set[str], until: int
) -> Upkeep:
    sweep = _Sweep({*ledger_files, *retained.needed}, until)
    for folder in (home.staged / table, home.quarantine / table):
        sweep.look(folder, "staged or quarantined file that no snapshot and no verdict needs")
    if retained.metadata:
        sweep.look(Path(retained.metadata), "metadata file that no snapshot needs")
    lists = _Sweep(
        {plan_path(home, table, snapshot).name for snapshot in retained.snapshot_ids}, until
    )
    lists.look(plan_path(home, table, 0).parent, "file list of a removed snapshot")
    removed, spared = (*sweep.leftovers, *lists.leftovers), sweep.spared + lists.spared
    return Upkeep(
        table, len(retained.snapshot_ids), retained.pinned, retained.forgotten, removed, spared
    )


def _landing(home: Home, landed: set[str], until: int) -> Upkeep:
    sweep = _Sweep(landed, until)
    for folder in sorted(home.landing.iterdir()) if home.landing.is_dir() else ():
        sweep.look(folder, "delivered bytes that the ledger never recorded")
    return Upkeep("", 0, 0, (), tuple(sweep.leftovers), sweep.spared)


@dataclass
class _Sweep:
    """Search for unneeded files: files whose names are not in `needed`."""

    needed: set[str]
    until: int
    leftovers: list[Leftover] = field(default_factory=list)
    spared: int = 0

    def look(self, folder: Path, why: str) -> None:
        """Collect the unneeded plain files of this folder, without its subfolders."""
        for path, size, written in _files(folder):
            scratch = _SCRATCH.fullmatch(path.name) is not None
            if path.name in self.needed:
                continue
            if written >= self.until:
                self.spared += 1
                continue
            reason = "temporary file of an interrupted run" if scratch else why
            self.leftovers.append(Leftover(path, size, reason))


def _files(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Yield (path, size, time of writing in microseconds UTC) of plain files, by name."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            stat = path.lstat()
        except FileNotFoundError:  # a run has just renamed its temporary file
            continue
        if path.is_file() and not path.is_symlink():
            yield path, stat.st_size, stat.st_mtime_ns // 1000
