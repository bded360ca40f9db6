"""The stored profiles of batches, and what each batch is held against."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from headrace.contracts import Contract
from headrace.contracts.drift import (
    WINDOW,
    Baseline,
    BatchProfile,
    from_bytes,
    reference_of,
    to_bytes,
)
from headrace.core.home import Home
from headrace.core.sqlite import open_database, transaction
from headrace.lake.ledger.ledger import Ledger

# A profile is of use where its batch is good: published, or about to be.
_GOOD = ("judged", "published")

MIGRATIONS = (
    """
    CREATE TABLE profiles (
        tbl TEXT NOT NULL, batch_id TEXT NOT NULL, place TEXT NOT NULL, meaning TEXT NOT NULL,
        profile BLOB NOT NULL, PRIMARY KEY (tbl, batch_id));
    CREATE INDEX profiles_by_place ON profiles (tbl, meaning, place)
    """,
)


def place_of(slot: str, arrived_at: int) -> str:
    """What orders profiles: days by themselves, deliveries of a whole table by their arrival."""
    return f"{slot} {arrived_at:020d}" if slot == "snapshot" else slot


@dataclass(frozen=True)
class Kept:
    """A profile to store. `place` orders it, `meaning` says which contract it was made under."""

    batch_id: str
    place: str
    profile: BatchProfile


def save_profiles(home: Home, contract: Contract, kept: Iterable[Kept]) -> None:
    """Keep profiles, each in the place of an earlier one of its batch."""
    rows = [
        (contract.table, one.batch_id, one.place, contract.meaning_hash, to_bytes(one.profile))
        for one in kept
    ]
    if rows:
        with closing(open_database(home.batch_profiles, MIGRATIONS)) as db, transaction(db):
            db.executemany("INSERT OR REPLACE INTO profiles VALUES (?,?,?,?,?)", rows)


def load_profile(home: Home, table: str, batch_id: str) -> BatchProfile | None:
    """The profile of a batch, if it has one."""
    with closing(open_database(home.batch_profiles, MIGRATIONS)) as db:
        row = db.execute(
            "SELECT profile FROM profiles WHERE tbl = ? AND batch_id = ?", (table, batch_id)
        ).fetchone()
    return from_bytes(row[0]) if row else None


def load_profiles(home: Home, table: str, batches: Collection[str]) -> dict[str, BatchProfile]:
    """The profiles of some batches, of those that have one."""
    with closing(open_database(home.batch_profiles, MIGRATIONS)) as db:
        query = "SELECT profile FROM profiles WHERE tbl = ? AND batch_id = ?"
        profiles = {batch: db.execute(query, (table, batch)).fetchone() for batch in batches}
    return {one: from_bytes(row[0]) for one, row in profiles.items() if row}


def earlier(home: Home, contract: Contract, place: str, good: Sequence[str]) -> list[BatchProfile]:
    """The last profiles before a place, oldest first: of good batches, of the same meaning."""
    with closing(open_database(home.batch_profiles, MIGRATIONS)) as db:
        rows = db.execute(
            "SELECT batch_id, profile FROM profiles WHERE tbl = ? AND meaning = ? AND place < ?"
            " ORDER BY place DESC, batch_id DESC",
            (contract.table, contract.meaning_hash, place),
        )
        allowed = set(good)
        found: list[BatchProfile] = []
        for batch_id, data in rows:
            if batch_id in allowed:
                found.append(from_bytes(data))
            if len(found) == WINDOW:
                break
    return found[::-1]


@dataclass
class Past:
    """The reference of batch after batch of one table, in the order of their places.

    Batches of one day do not count against each other: a corrected delivery repeats rows of the
    one that it corrects, and there is nothing stale about them.
    """

    home: Home
    contract: Contract
    ledger: Ledger
    place: str = ""
    reference: Baseline = field(default_factory=Baseline)
    waiting: list[Kept] = field(default_factory=list)
    unsaved: list[Kept] = field(default_factory=list)
    loaded: bool = False

    def before(self, place: str) -> Baseline:
        """What a batch at `place` is held against."""
        if not self.loaded or place < self.place:
            self.save()
            states = self.ledger.batches(self.contract.table).values()
            good = [batch.batch_id for batch in states if batch.state in _GOOD]
            profiles = earlier(self.home, self.contract, place, good)
            self.reference, self.loaded = reference_of(profiles), True
            self.waiting = []
        elif place > self.place:
            for kept in self.waiting:
                self.reference.add(kept.profile)
            self.waiting = []
        self.place = place
        return self.reference

    def keep(self, kept: Kept, *, good: bool) -> None:
        """Remember a profile; a good one counts for later batches."""
        self.unsaved.append(kept)
        if good:
            self.waiting.append(kept)

    def save(self) -> None:
        save_profiles(self.home, self.contract, self.unsaved)
        self.unsaved = []
