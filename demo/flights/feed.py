"""Storage and paging of the airport's feed: records of a day, a cursor, repeats at page boundaries.

`feed.sqlite` has one row for each feed and UTC day with the JSON text of its records, one per line,
in the order in which they were reported. The feed promises *at least once* delivery: on days marked
`repeats`, the last record of a page comes again as the first record of the next page. A feed that
is listed in the table `down` does not answer.
"""

import base64
import binascii
import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

FEEDS = ("outcomes", "weather")
LIMIT, MOST = 500, 1000


class DownError(RuntimeError):
    """Error of a feed that is down."""


class BadRequestError(ValueError):
    """Error of a request that the feed cannot answer; the client gets its text."""


@dataclass(frozen=True)
class Slot:
    """One day of one feed: its records as JSON text; `repeats` is True for repeated records."""

    records: tuple[bytes, ...]
    repeats: bool

    def stride(self, limit: int) -> int:
        """Return the number of records from the start of a page to the start of the next."""
        return limit - 1 if self.repeats and limit > 1 else limit


def write_feed(path: Path, slots: Iterable[tuple[str, str, bool, int, bytes]]) -> None:
    """Write (feed, day, repeats, number of records, text with one record per line) for each day."""
    temporary = path.with_name(path.name + ".part")
    temporary.unlink(missing_ok=True)
    with sqlite3.connect(temporary) as connection:
        connection.execute(
            "CREATE TABLE slots (feed TEXT, day TEXT, repeats INTEGER, records INTEGER, body BLOB,"
            " PRIMARY KEY (feed, day)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE down (feed TEXT PRIMARY KEY) WITHOUT ROWID")
        rows = ((*slot[:4], zlib.compress(slot[4], 1)) for slot in slots)
        connection.executemany("INSERT INTO slots VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    temporary.replace(path)


class Feed:
    """Reader of the pages in `feed.sqlite`, which several threads may use."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no feed at {path}\n  fix:   make it: make_deliveries(folder)"
            )
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = threading.Lock()
        self.slot = lru_cache(maxsize=16)(self._slot)
        self._version = self._seen()

    def close(self) -> None:
        self._connection.close()

    def days(self, feed: str) -> list[str]:
        """Return the days that have records, in order."""
        with self._lock:
            query = "SELECT day FROM slots WHERE feed = ? ORDER BY day"
            return [day for (day,) in self._connection.execute(query, (feed,))]

    def page(self, feed: str, day: str, limit: int = LIMIT, cursor: str = "") -> bytes:
        """Return a page `{"records": [...], "next": cursor or null}`, empty for an empty day.

        Raises:
            BadRequestError: the day is not a date, the limit is out of range, or the cursor is not
                from this feed and day.
            DownError: this feed is down.
        """
        _require_date(day)
        self._refresh(feed)
        if not 1 <= limit <= MOST:
            raise BadRequestError(f"limit must be from 1 to {MOST}, got {limit}")
        slot = self.slot(feed, day)
        start = _start(cursor, feed, day, len(slot.records)) if cursor else 0
        following = start + slot.stride(limit)
        last = start + limit >= len(slot.records)
        token = b"null" if last else b'"' + _cursor(feed, day, following).encode() + b'"'
        records = b",".join(slot.records[start : start + limit])
        return b'{"records":[' + records + b'],"next":' + token + b"}"

    def _refresh(self, feed: str) -> None:
        """Clear the cache after a write of another connection; raise DownError for a down feed."""
        if (version := self._seen()) != self._version:
            self._version = version
            self.slot.cache_clear()
        with self._lock:
            known = "SELECT 1 FROM sqlite_master WHERE name = 'down'"
            down = "SELECT 1 FROM down WHERE feed = ?"
            if not self._connection.execute(known).fetchone():
                return  # the file was made by a version without this table
            if self._connection.execute(down, (feed,)).fetchone():
                raise DownError(f"{feed} is down for maintenance")

    def _seen(self) -> int:
        """Return a number that changes with every write of another connection."""
        with self._lock:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _slot(self, feed: str, day: str) -> Slot:
        with self._lock:
            query = "SELECT body, repeats FROM slots WHERE feed = ? AND day = ?"
            found = self._connection.execute(query, (feed, day)).fetchone()
        if found is None:
            return Slot((), repeats=False)
        return Slot(tuple(zlib.decompress(found[0]).splitlines()), bool(found[1]))


def _require_date(day: str) -> None:
    try:
        if date.fromisoformat(day).isoformat() == day:
            return
    except ValueError:
        pass
    raise BadRequestError(f"day must be a date such as 2013-01-31, got {json.dumps(day)}")


def _cursor(feed: str, day: str, start: int) -> str:
    return base64.urlsafe_b64encode(f"{feed}/{day}/{start}".encode()).decode().rstrip("=")


def _start(cursor: str, feed: str, day: str, records: int) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        of_feed, of_day, start = text.split("/")
        if (of_feed, of_day) == (feed, day) and 0 < int(start) < records:
            return int(start)
    except (ValueError, binascii.Error):
        pass
    raise BadRequestError("this cursor was not given for this feed and day")
