"""Keep a lake from growing by what nothing needs: old snapshots, their files, what crashes left.

A file is needed if a snapshot that is not forgotten leads to it, if the ledger names it (staged,
pending, in quarantine, shown before), or if it is young: somebody may be about to name it. All the
rest goes. Snapshots that a release pins are never forgotten, so whatever a release was made of
stays as it is.

A batch is one file from the start, so within a batch there is nothing to compact; files of several
batches are never merged, because the batch is what a table is judged, recalled and traced by.
Manifests are merged by the commits themselves.
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
from headrace.lake.ingest.write_lock import alone
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import plan_path
from headrace.lake.tables.snapshot_retention import Known, known

KEEP_SNAPSHOTS = 50
# Longer than any ingest, commit or read of a snapshot takes.
YOUNG = DAY
WAIT = 60.0
_SCRATCH = re.compile(r"\..*\.tmp")


@dataclass(frozen=True)
class Leftover:
    """A file that nothing needs, and what it was."""

    path: Path
    bytes: int
    why: str

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "bytes": self.bytes, "why": self.why}


@dataclass(frozen=True)
class Upkeep:
    """What was done to a table, or would be.

    Attributes:
        table: its name; "" for what belongs to no single one, the landed bytes.
        snapshots: how many are known afterwards; `pinned` of them by tags.
        forgotten: ids of the snapshots that went.
        removed: the files that went.
        spared: files that nothing seems to need, and that are young.
    """

    table: str
    snapshots: int
    pinned: int
    forgotten: tuple[int, ...]
    removed: tuple[Leftover, ...]
    spared: int

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.removed)

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "snapshots": self.snapshots,
            "pinned": self.pinned,
            "forgotten": list(self.forgotten),
            "files": [one.to_json() for one in self.removed],
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
    """Forget old snapshots of these tables, and delete what nothing needs; safe to run again.

    Args:
        home: where the state lives.
        tables: names; one that was never published is passed over.
        dry: change nothing, and say what would be done.
        keep: how many snapshots a table keeps besides those that are tagged.
        young: a file that was written within so many microseconds is needed.
        wait: seconds to wait for an ingest at work.

    Returns:
        One for each table, then one for the landed bytes.

    Raises:
        StateError: an ingest was at work all the while.
    """
    lake, names = Lake(home), list(tables)
    if dry:
        return _swept(lake, {name: known(lake, name, keep, forget=False) for name in names},
                      young, dry=True)  # fmt: skip
    forgotten = {name: known(lake, name, keep, forget=True).forgotten for name in names}
    with alone(home, wait):
        # Read once more: what was published or pinned while this one waited is needed, too.
        now = {name: known(lake, name, sys.maxsize, forget=False) for name in names}
        stay = {name: replace(one, forgotten=forgotten[name]) for name, one in now.items()}
        return _swept(lake, stay, young, dry=False)


def _swept(lake: Lake, tables: Mapping[str, Known], young: int, *, dry: bool) -> list[Upkeep]:
    until = now_us() - young
    with Ledger(lake.home) as ledger:
        for name, one in tables.items():
            _refuse_unknown(ledger, name, one)
        named, landed = _named(ledger), _landed(ledger)
    found = [_table(lake.home, name, one, named, until) for name, one in tables.items()]
    found.append(_landing(lake.home, landed, until))
    for done in () if dry else found:
        for gone in done.removed:
            gone.path.unlink(missing_ok=True)
    return found


def _refuse_unknown(ledger: Ledger, table: str, one: Known) -> None:
    """A catalog that is not the one of this home knows of no file that must stay."""
    shown = any(row.published_at and row.staged_path for row in ledger.judgements(table).values())
    if shown and not one.kept:
        raise StateError(
            f"the ledger says that {table} was published, and the catalog has no such table",
            where="the lake",
            fix="point HEADRACE_CATALOG at the catalog of this home; nothing was deleted",
        )


def _named(ledger: Ledger) -> set[str]:
    """Names of all staged and quarantined files that a verdict has, whatever became of it."""
    rows = ledger.connection.execute(
        "SELECT staged_path FROM judgements UNION SELECT quarantine_path FROM judgements"
        " UNION SELECT staged_path FROM returns"
    )
    return {PurePosixPath(path).name for (path,) in rows if path}


def _landed(ledger: Ledger) -> set[str]:
    rows = ledger.connection.execute("SELECT DISTINCT raw_path FROM batches")
    return {PurePosixPath(path).name for (path,) in rows}


def _table(home: Home, table: str, one: Known, named: set[str], until: int) -> Upkeep:
    sweep = _Sweep({*named, *one.needed}, until)
    for folder in (home.staged / table, home.quarantine / table):
        sweep.look(folder, "staged, and of no snapshot and no verdict")
    if one.metadata:
        sweep.look(Path(one.metadata), "metadata of no snapshot")
    lists = _Sweep({plan_path(home, table, snapshot).name for snapshot in one.kept}, until)
    lists.look(plan_path(home, table, 0).parent, "list of files of a forgotten snapshot")
    removed, spared = (*sweep.found, *lists.found), sweep.spared + lists.spared
    return Upkeep(table, len(one.kept), one.pinned, one.forgotten, removed, spared)


def _landing(home: Home, landed: set[str], until: int) -> Upkeep:
    sweep = _Sweep(landed, until)
    for folder in sorted(home.landing.iterdir()) if home.landing.is_dir() else ():
        sweep.look(folder, "landed, and never recorded")
    return Upkeep("", 0, 0, (), tuple(sweep.found), sweep.spared)


@dataclass
class _Sweep:
    """What is found in folders, held against the names of what is needed."""

    needed: set[str]
    until: int
    found: list[Leftover] = field(default_factory=list)
    spared: int = 0

    def look(self, folder: Path, why: str) -> None:
        """Files of this folder, not of folders in it; links and other things are left alone."""
        for path, size, written in _files(folder):
            scratch = _SCRATCH.fullmatch(path.name) is not None
            if path.name in self.needed:
                continue
            if written >= self.until:
                self.spared += 1
                continue
            reason = "left by a run that was cut short" if scratch else why
            self.found.append(Leftover(path, size, reason))


def _files(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Path, size and time of writing (int64 microseconds UTC) of plain files, by name."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            known = path.lstat()
        except FileNotFoundError:  # a run that ends moves its scratch into place
            continue
        if path.is_file() and not path.is_symlink():
            yield path, known.st_size, known.st_mtime_ns // 1000
