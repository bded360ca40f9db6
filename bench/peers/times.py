"""Time zones of destinations and splits of the dataset, for both scripts."""

import csv
from datetime import UTC, datetime
from pathlib import Path

NEW_YORK = "America/New_York"
_ZONES = Path(__file__).parents[2] / "pipelines" / "flights" / "reference" / "airport_zones.csv"
with _ZONES.open() as _file:
    ZONES = {row["faa"]: row["zone"] for row in csv.DictReader(_file)}

_BEGIN, _OCTOBER = datetime(2012, 12, 1, tzinfo=UTC), datetime(2013, 10, 1, 4, tzinfo=UTC)
_NOVEMBER, _END = datetime(2013, 11, 1, 4, tzinfo=UTC), datetime(2014, 1, 1, 5, tzinfo=UTC)
# Name, start and end of prediction times (end excluded), and the cutoff of the labels.
SPLITS = (
    ("train", _BEGIN, _OCTOBER, _OCTOBER),
    ("valid", _OCTOBER, _NOVEMBER, _NOVEMBER),
    ("test", _NOVEMBER, _END, datetime(2014, 1, 2, tzinfo=UTC)),
)
