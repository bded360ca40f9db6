"""`count_raw`: count the deliveries from their bytes, without any code of the pipeline."""

import csv
import json
import sqlite3
import zlib
from operator import itemgetter
from pathlib import Path
from typing import Any

SCHEDULE_KEY = ("year", "month", "day", "carrier", "flight", "origin")


def count_raw(folder: Path | str, page_size: int = 500) -> dict[str, Any]:
    """Count all deliveries.

    Args:
        folder: the folder that `make_deliveries` filled.
        page_size: records per page of the feed; the number of repeated records depends on it.

    Returns:
        `schedule`: files (rows by file name), rows, contents (rows of files of distinct content),
        flights (distinct). `outcomes` and `weather`: slots (records by day), rows, repeated
        (records that come again at page boundaries), delivered (rows + repeated). `planes`,
        `airlines`, `airports`: rows.
    """
    folder = Path(folder)
    return {
        "schedule": _schedule(folder / "drop"),
        **_feed(folder / "feed.sqlite", page_size),
        **_reference(folder / "reference.db"),
    }


def _schedule(drop: Path) -> dict[str, Any]:
    files: dict[str, int] = {}
    contents: dict[bytes, int] = {}
    flights: set[tuple[str, ...]] = set()
    for path in sorted(drop.glob("schedule_*.csv")):
        with path.open(newline="") as stream:
            header, *rows = csv.reader(stream)
        files[path.name] = contents[path.read_bytes()] = len(rows)
        flights.update(map(itemgetter(*map(header.index, SCHEDULE_KEY)), rows))
    rows, distinct = sum(files.values()), sum(contents.values())
    return {"files": files, "rows": rows, "contents": distinct, "flights": len(flights)}


def _feed(path: Path, page_size: int) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT feed, day, repeats, body FROM slots ORDER BY feed, day")
        for feed, day, repeats, body in rows:
            lines = (line for line in zlib.decompress(body).split(b"\n") if line)
            records = json.loads(b"[%b]" % b",".join(lines))
            count = counts.setdefault(feed, {"slots": {}, "rows": 0, "repeated": 0, "delivered": 0})
            again = _repeated(len(records), page_size) if repeats else 0
            count["slots"][day] = len(records)
            count["rows"] += len(records)
            count["repeated"] += again
            count["delivered"] += len(records) + again
    connection.close()
    return counts


def _repeated(records: int, page_size: int) -> int:
    """Count the pages after the first, each of which repeats a record of the page before."""
    again = 0
    last = page_size
    while page_size > 1 and last < records:
        again += 1
        last += page_size - 1
    return again


def _reference(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as connection:
        tables = ("planes", "airlines", "airports")
        query = 'SELECT count(*) FROM "{}"'
        counts = {name: connection.execute(query.format(name)).fetchone()[0] for name in tables}
    connection.close()
    return counts
