"""Stored profiles of batches, and the baseline that each batch is compared with."""

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

# States of good batches. Only profiles of good batches become part of a baseline.
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
    """Return the sort key of a profile: its partition, and the arrival time for a snapshot."""
    return f"{slot} {arrived_at:020d}" if slot == "snapshot" else slot


@dataclass(frozen=True)
class StoredProfile:
    """Profile to store for a batch; `place` is its sort key."""

    batch_id: str
    place: str
    profile: BatchProfile


def save_profiles(home: Home, contract: Contract, profiles: Iterable[StoredProfile]) -> None:
    """Store profiles; each replaces an earlier one of its batch."""
    rows = [
        (
            contract.table,
            stored.batch_id,
            stored.place,
            contract.meaning_hash,
            to_bytes(stored.profile),
        )
        for stored in profiles
    ]
    if rows:
        with closing(open_database(home.batch_profiles, MIGRATIONS)) as db, transaction(db):
            db.executemany("INSERT OR REPLACE INTO profiles VALUES (?,?,?,?,?)", rows)


def load_profile(home: Home, table: str, batch_id: str) -> BatchProfile | None:
    """Return the profile of a batch, if it has one."""
    with closing(open_database(home.batch_profiles, MIGRATIONS)) as db:
        row = db.execute(
            "SELECT profile FROM profiles WHERE tbl = ? AND batch_id = ?", (table, batch_id)
        ).fetchone()
    return from_bytes(row[0]) if row else None


def load_profiles(home: Home, table: str, batches: Collection[str]) -> dict[str, BatchProfile]:
    """Return the profile of each of these batches that has one."""
    with closing(open_database(home.batch_profiles, MIGRATIONS)) as db:
        query = "SELECT profile FROM profiles WHERE tbl = ? AND batch_id = ?"
        profiles = {batch: db.execute(query, (table, batch)).fetchone() for batch in batches}
    return {batch: from_bytes(row[0]) for batch, row in profiles.items() if row}


def earlier(home: Home, contract: Contract, place: str, good: Sequence[str]) -> list[BatchProfile]:
    """Return up to WINDOW profiles of `good` batches that sort before `place`, oldest first."""
    with closing(open_database(home.batch_profiles, MIGRATIONS)) as db:
        rows = db.execute(
            "SELECT batch_id, profile FROM profiles WHERE tbl = ? AND meaning = ? AND place < ?"
            " ORDER BY place DESC, batch_id DESC",
            (contract.table, contract.meaning_hash, place),
        )
        allowed = set(good)
        profiles: list[BatchProfile] = []
        for batch_id, data in rows:
            if batch_id in allowed:
                profiles.append(from_bytes(data))
            if len(profiles) == WINDOW:
                break
    return profiles[::-1]


@dataclass
class Baselines:
    """Baselines for successive batches of one table, in the order of their places.

    Batches of one day are not compared with each other: a corrected delivery repeats rows of the
    delivery that it corrects, and would be reported as stale.
    """

    home: Home
    contract: Contract
    ledger: Ledger
    place: str = ""
    reference: Baseline = field(default_factory=Baseline)
    waiting: list[StoredProfile] = field(default_factory=list)
    unsaved: list[StoredProfile] = field(default_factory=list)
    loaded: bool = False

    def before(self, place: str) -> Baseline:
        """Return the baseline for a batch at `place`."""
        if not self.loaded or place < self.place:
            self.save()
            states = self.ledger.batches(self.contract.table).values()
            good = [batch.batch_id for batch in states if batch.state in _GOOD]
            profiles = earlier(self.home, self.contract, place, good)
            self.reference, self.loaded = reference_of(profiles), True
            self.waiting = []
        elif place > self.place:
            for stored in self.waiting:
                self.reference.add(stored.profile)
            self.waiting = []
        self.place = place
        return self.reference

    def keep(self, stored: StoredProfile, *, good: bool) -> None:
        """Queue a profile to be saved; if `good`, add it to the baseline of later batches."""
        self.unsaved.append(stored)
        if good:
            self.waiting.append(stored)

    def save(self) -> None:
        save_profiles(self.home, self.contract, self.unsaved)
        self.unsaved = []
