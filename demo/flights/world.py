"""Places to which the airport delivers, for a simulation in which deliveries come day by day.

`held` is a folder that `make_deliveries` filled, `live` is the folder that the sources read.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.flights.feed import write_feed
from demo.flights.reference import KEYS, UPDATED_AT
from headrace.core.clock import DAY, HOUR, parse_iso
from headrace.sources.delivery_places import FilePlace, Form, Place, Put
from headrace.sources.files import DropFolder


def places(held: Path, live: Path) -> Mapping[str, Place]:
    """Return a place for every table; create an empty feed and remove the database."""
    live.mkdir(parents=True, exist_ok=True)
    write_feed(live / "feed.sqlite", ())
    with closing(sqlite3.connect(live / "feed.sqlite")) as feed:
        feed.execute("PRAGMA journal_mode=WAL")
    (live / "reference.db").unlink(missing_ok=True)
    pattern = "schedule_{slot}*.csv"
    drops = [DropFolder("schedule", at / "drop", pattern, "") for at in (held, live)]
    return {
        "schedule": FilePlace(*drops),
        **{name: FeedPlace(name, held, live) for name in ("outcomes", "weather")},
        **{name: TablePlace(name, held, live) for name in KEYS},
    }


@dataclass(frozen=True)
class FeedPlace:
    """Place of one feed of `feed.sqlite`; the records of a day come an hour after the day."""

    name: str
    held: Path
    live: Path
    form: Form = "ndjson"
    keeps: bool = False

    def originals(self, slot: str) -> list[Put]:
        with _opened(self.held / "feed.sqlite") as feed:
            query = "SELECT body FROM slots WHERE feed = ? AND day = ?"
            rows = feed.execute(query, (self.name, slot)).fetchall()
        return [Put(zlib.decompress(body), parse_iso(slot) + DAY + HOUR) for (body,) in rows]

    def show(self, slot: str, puts: Sequence[Put]) -> None:
        with _opened(self.live / "feed.sqlite") as feed, feed:
            feed.execute("DELETE FROM slots WHERE feed = ? AND day = ?", (self.name, slot))
            for put in puts[-1:]:
                records = len(put.payload.splitlines())
                row = (self.name, slot, 0, records, zlib.compress(put.payload, 1))
                feed.execute("INSERT INTO slots VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        with _opened(self.live / "feed.sqlite") as feed, feed:
            feed.execute("INSERT OR IGNORE INTO down VALUES (?)", (self.name,))

    def open(self) -> None:
        with _opened(self.live / "feed.sqlite") as feed, feed:
            feed.execute("DELETE FROM down WHERE feed = ?", (self.name,))


@dataclass(frozen=True)
class TablePlace:
    """Place of one complete table of `reference.db`; it is renamed while it is down."""

    name: str
    held: Path
    live: Path
    form: Form = "ndjson"
    keeps: bool = False

    def originals(self, slot: str) -> list[Put]:
        del slot
        with _opened(self.held / "reference.db") as database:
            found = database.execute(f'SELECT * FROM "{self.name}"')  # noqa: S608
            names = [column[0] for column in found.description]
            rows = [json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in found]
        return [Put("".join(rows).encode(), parse_iso(UPDATED_AT))]

    def show(self, slot: str, puts: Sequence[Put]) -> None:
        del slot
        rows = [json.loads(line) for put in puts[-1:] for line in put.payload.splitlines()]
        names = list(rows[0])
        columns = ", ".join(f'"{name}"' for name in names)
        with _opened(self.live / "reference.db") as database, database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(f'DROP TABLE IF EXISTS "{self.name}"')
            database.execute(f'CREATE TABLE "{self.name}" ({columns})')
            database.executemany(
                f'INSERT INTO "{self.name}" VALUES ({", ".join("?" * len(names))})',  # noqa: S608
                [tuple(row[name] for name in names) for row in rows],
            )

    def close(self) -> None:
        self._rename(self.name, f"{self.name} down")

    def open(self) -> None:
        self._rename(f"{self.name} down", self.name)

    def _rename(self, old: str, new: str) -> None:
        with _opened(self.live / "reference.db") as database, database:
            known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
            if database.execute(known, (old,)).fetchone():
                database.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        yield connection
