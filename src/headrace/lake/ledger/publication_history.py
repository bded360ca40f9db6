"""Since when each batch of a table has been shown by which file, as the ledger tells it.

The ledger goes on: a batch that is recalled and restored is shown from its restoration. Who must
know later what it told at some moment, as a release must that was made then, pins that.
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

_SLACK = 2_000  # commits are dated in milliseconds, and never before what they show was judged


@dataclass(frozen=True)
class Shown:
    """A path by which a batch was shown before: since when, and how many such paths ago."""

    path: str
    since: int
    ago: int


@dataclass(frozen=True)
class Span:
    """A path by which a batch was shown, from when until when; int64 microseconds UTC."""

    path: str
    since: int
    until: int


@dataclass(frozen=True)
class Showings:
    """By batch, since when it was shown by which path; and when it last left the table."""

    by_batch: Mapping[str, Sequence[tuple[int, str]]]
    left: Mapping[str, int]

    def since(self, file: LiveFile, committed_at: int | None) -> int | None:
        """When the showing of this file began that a commit at this moment is part of."""
        moments = [at for at, path in self.by_batch.get(file.batch_id, ()) if path == file.path]
        until = committed_at + _SLACK if committed_at is not None else None
        before = [at for at in moments if until is None or at <= until]
        return before[-1] if before else next(iter(moments), committed_at)

    def spans(self, batch_id: str) -> Iterator[Span]:
        """Every time in which the batch was shown by one path and then by another, or by none.

        A path that follows itself was gone in between, from a moment that is not recorded.
        """
        showings = self.by_batch.get(batch_id, ())
        left = self.left.get(batch_id)
        for (since, path), (until, following) in pairwise(showings):
            if path and path != following and Path(path).exists():
                cut = left is not None and since < left < until
                yield Span(path, since, left if cut and left is not None else until)

    def before(self, batch_id: str, moment: int) -> Iterator[Shown]:
        """What the batch was shown by before, back to where it was not shown at all."""
        ago = 0
        for at, path in reversed(self.by_batch.get(batch_id, ())):
            if at >= moment:
                continue
            if not path or at <= self.left.get(batch_id, at - 1):
                return
            if Path(path).exists():
                ago += 1
                yield Shown(path, at, ago)


def showings_of(ledger: Ledger, table: str, pinned: int | None = None) -> Showings:
    """What the ledger tells now; or told when the snapshot `pinned` was pinned, if that is kept."""
    kept = _pinned(ledger, table, pinned) if pinned is not None else None
    return kept or Showings(ledger.showings(table), ledger.withdrawals(table))


def pin_showings(ledger: Ledger, table: str, snapshot_id: int) -> None:
    """Keep what the ledger tells now for this snapshot; what was kept first stays."""
    told = showings_of(ledger, table)
    shown = {
        batch: [[at, relocation.below(path) or path] for at, path in one]
        for batch, one in told.by_batch.items()
    }
    document = canonical_json({"shown": shown, "left": dict(told.left)}).decode()
    ledger.connection.execute(
        "INSERT OR IGNORE INTO pinned VALUES (?,?,?)", (table, snapshot_id, document)
    )


def unpin_showings(ledger: Ledger, table: str, snapshot_id: int) -> None:
    """The snapshot is pinned no more."""
    ledger.connection.execute(
        "DELETE FROM pinned WHERE tbl = ? AND snapshot_id = ?", (table, snapshot_id)
    )


def _pinned(ledger: Ledger, table: str, snapshot_id: int) -> Showings | None:
    row = ledger.connection.execute(
        "SELECT document FROM pinned WHERE tbl = ? AND snapshot_id = ?", (table, snapshot_id)
    ).fetchone()
    if row is None:
        return None
    told, home = json.loads(row[0]), ledger.path.parent
    shown = {
        batch: [
            (at, relocation.here(home, f"/{path.lstrip('/')}") if path else "") for at, path in one
        ]
        for batch, one in told["shown"].items()
    }
    return Showings(shown, told["left"])
