"""Raw deliveries for both hand-written scripts: files, pages, and rows of a database."""

import http.client
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

DAYS = [(date(2013, 1, 1) + timedelta(n)).isoformat() for n in range(366)]
REFERENCE = {"planes": "tailnum", "airlines": "carrier", "airports": "faa"}
# Maximum page size of the feed: few large pages are faster than many small ones.
PAGE = 1000


@dataclass(frozen=True)
class Pages:
    """Pages of one day of one feed, and the hash of their bytes."""

    name: str
    sha256: str
    bodies: list[bytes]


def schedule_files(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, sha256, content) of the files in the drop folder, without duplicate contents."""
    seen = set()
    for path in sorted((folder / "drop").glob("schedule_*.csv")):
        content = path.read_bytes()
        digest = sha256(content).hexdigest()
        if digest not in seen:
            seen.add(digest)
            yield path.stem, digest, content


def feed(url: str, name: str) -> Iterator[Pages]:
    """Yield all pages of every day of a feed that has records, over one connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for day in DAYS:
        bodies, cursor = [], ""
        while cursor is not None:
            connection.request("GET", f"/v1/{name}?day={day}&limit={PAGE}{cursor}")
            body = connection.getresponse().read()
            bodies.append(body)
            token = body[body.rindex(b'],"next":') + 9 : -1]
            cursor = None if token == b"null" else f"&cursor={token[1:-1].decode()}"
        if not bodies[0].startswith(b'{"records":[]'):
            yield Pages(f"{name}_{day}", sha256(b"\n".join(bodies)).hexdigest(), bodies)
    connection.close()


def reference(folder: Path, table: str) -> tuple[str, list[str], list[tuple[object, ...]]]:
    """Return (sha256, columns, rows in order of the key) of a table of the database."""
    with sqlite3.connect(folder / "reference.db") as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY {REFERENCE[table]}")
        columns = [column[0] for column in found.description]
        rows = found.fetchall()
    return sha256(repr(rows).encode()).hexdigest(), columns, rows
