"""Publication history from the ledger: the published files of each batch over time.

Each dataset release stores the history as it is at that time, so that the release can be rebuilt.
The ledger's own history may change: a batch that is recalled and restored counts as published since
the restoration.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from headrace.core.files import canonical_json
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables import relocation
from headrace.lake.tables.snapshot_files import LiveFile

_SLACK = 2_000  # microseconds; commit times are rounded to milliseconds


@dataclass(frozen=True)
class EarlierPath:
    """Earlier published file of a batch, with its start of publication (us).

    `ago` counts back from the present file: 1 is the file before the present one.
    """

    path: str
    since: int
    ago: int


@dataclass(frozen=True)
class PublicationSpan:
    """Published file of a batch, and its interval of publication in int64 microseconds UTC."""

    path: str
    since: int
    until: int


@dataclass(frozen=True)
class Showings:
    """Published paths of each batch with their times, and when each batch last left the table."""

    by_batch: Mapping[str, Sequence[tuple[int, str]]]
    withdrawals: Mapping[str, int]

    def since(self, file: LiveFile, committed_at: int | None) -> int | None:
        """Return the last start of the publication of `file` up to the time `committed_at` (us)."""
        moments = [at for at, path in self.by_batch.get(file.batch_id, ()) if path == file.path]
        until = committed_at + _SLACK if committed_at is not None else None
        before = [at for at in moments if until is None or at <= until]
        return before[-1] if before else next(iter(moments), committed_at)

    def spans(self, batch_id: str) -> Iterator[PublicationSpan]:
        """Yield the intervals in which a file of the batch was published that was later replaced.

        Another file, or none, replaced it. If the same path follows, the interval is omitted,
        because its end is not recorded.
        """
        showings = self.by_batch.get(batch_id, ())
        withdrawn_at = self.withdrawals.get(batch_id)
        for (since, path), (until, following) in pairwise(showings):
            if path and path != following and Path(path).exists():
                cut = withdrawn_at is not None and since < withdrawn_at < until
                yield PublicationSpan(
                    path, since, withdrawn_at if cut and withdrawn_at is not None else until
                )

    def before(self, batch_id: str, moment: int) -> Iterator[EarlierPath]:
        """Yield the paths published before `moment` (us) without an absence since, latest first."""
        ago = 0
        for at, path in reversed(self.by_batch.get(batch_id, ())):
            if at >= moment:
                continue
            if not path or at <= self.withdrawals.get(batch_id, at - 1):
                return
            if Path(path).exists():
                ago += 1
                yield EarlierPath(path, at, ago)


def showings_of(ledger: Ledger, table: str, pinned: int | None = None) -> Showings:
    """Return the present publication history, or that stored with the pinned snapshot `pinned`."""
    stored = _pinned(ledger, table, pinned) if pinned is not None else None
    return stored or Showings(ledger.showings(table), ledger.withdrawals(table))


def pin_showings(ledger: Ledger, table: str, snapshot_id: int) -> None:
    """Store the present publication history for this snapshot; an earlier record stays."""
    showings = showings_of(ledger, table)
    by_batch = {
        batch: [[at, relocation.below(path) or path] for at, path in moments]
        for batch, moments in showings.by_batch.items()
    }
    document = canonical_json({"shown": by_batch, "left": dict(showings.withdrawals)}).decode()
    ledger.connection.execute(
        "INSERT OR IGNORE INTO pinned VALUES (?,?,?)", (table, snapshot_id, document)
    )


def unpin_showings(ledger: Ledger, table: str, snapshot_id: int) -> None:
    """Delete the stored publication history of a snapshot that is no longer pinned."""
    ledger.connection.execute(
        "DELETE FROM pinned WHERE tbl = ? AND snapshot_id = ?", (table, snapshot_id)
    )


def _pinned(ledger: Ledger, table: str, snapshot_id: int) -> Showings | None:
    row = ledger.connection.execute(
        "SELECT document FROM pinned WHERE tbl = ? AND snapshot_id = ?", (table, snapshot_id)
    ).fetchone()
    if row is None:
        return None
    document, home = json.loads(row[0]), ledger.path.parent
    by_batch = {
        batch: [
            (at, relocation.home_path(home, f"/{path.lstrip('/')}") if path else "")
            for at, path in moments
        ]
        for batch, moments in document["shown"].items()
    }
    return Showings(by_batch, document["left"])
