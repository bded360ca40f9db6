"""Some days of flights, a few of them damaged in ways that on-call will see."""

import csv
import io
import os
import shutil
from pathlib import Path

from headrace.core.clock import days
from headrace.core.home import Home
from headrace.lake.ingest.protocol import ingest
from headrace.pipeline import Pipeline
from pipelines.flights import pipeline

FIRST, LAST = "2013-01-22", "2013-02-14"
KILOMETRES, TORN, RENAMED, WIND = "2013-02-11", "2013-02-12", "2013-02-13", "2013-02-12"
TWICE = "2013-02-05"  # first half of it, then all of it


def make(root: Path, deliveries: Path) -> tuple[Pipeline, Home]:
    """Ingested schedules (one in kilometres, one torn, one with a renamed column) and weather."""
    folder, home = root / "deliveries", Home(root / "home")
    (folder / "drop").mkdir(parents=True)
    for day in days(FIRST, LAST):
        (file,) = (deliveries / "drop").glob(f"schedule_{day}.csv")
        shutil.copy2(file, folder / "drop")
    for name in ("feed.sqlite", "reference.db"):
        (folder / name).symlink_to(deliveries / name)
    whole = folder / "drop" / f"schedule_{TWICE}.csv"
    later = shutil.copy2(whole, folder / "drop" / f"schedule_{TWICE}_2.csv")
    os.utime(later, (whole.stat().st_mtime + 3600,) * 2)
    rewrite(whole, half)
    to_kilometres(folder / "drop" / f"schedule_{KILOMETRES}.csv")
    rewrite(folder / "drop" / f"schedule_{TORN}.csv", lambda t: t[: len(t) // 2].rpartition(",")[0])
    rewrite(folder / "drop" / f"schedule_{RENAMED}.csv", lambda t: t.replace("distance", "far", 1))
    flights = pipeline(folder)
    for table, first in (("schedule", FIRST), ("weather", "2013-02-09")):
        ingest(flights.table(table), days(first, LAST), home)
    return flights, home


def to_kilometres(file: Path) -> None:
    def change(text: str) -> str:
        head, *rows = csv.reader(io.StringIO(text))
        at = head.index("distance")
        for row in rows:
            row[at] = str(round(int(row[at]) * 1.609344))
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([head, *rows])
        return out.getvalue()

    rewrite(file, change)


def half(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[: len(lines) // 2])


def rewrite(file: Path, change) -> None:
    """Other content under the same name and times: deliveries are ordered by them."""
    times = file.stat()
    file.write_text(change(file.read_text()))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
