"""A small pipeline over a drop folder, eight days of deliveries, and what goes wrong with them."""

import os
from pathlib import Path

from headrace.core.clock import HOUR, parse_iso
from headrace.datasets.splits.rules import TimeSplits
from headrace.features import FeatureView, Label, Mean, Rows, Window
from headrace.verification.simulation.incidents import SimulatedIncident
from tests.rebuild.worlds import DAYS, RandomWorld, Shape

EVENING = 20 * HOUR


def declared(root: Path) -> RandomWorld:
    """Contracts, suites and the pipeline; nothing is delivered."""
    features = (Rows(Window("-1d")), Mean("n", Window("-3d")))
    shape = Shape(
        mode="declared",
        scale=0,
        with_sequence=False,
        with_deletions=False,
        with_states=False,
        views=(FeatureView("who", "facts", ("who",), features),),
        splits=TimeSplits("2024-03-03", "2024-03-04", "2024-03-05"),
        evaluation=None,
        label=Label("outcome", "facts", ("who",), ("n",), "6h", "1h"),
        offset="0s",
        seed=1,
    )
    return RandomWorld(root, shape)


def delivered(root: Path) -> RandomWorld:
    """With a file a day and table, each of the evening of its day."""
    made = declared(root)
    made.deliver(DAYS)
    for path in made.drop.iterdir():
        at = (parse_iso(path.stem.rpartition("_")[2]) + EVENING) * 1000
        os.utime(path, ns=(at, at))
    return made


def incident(number: int, kind: str, table: str, day: int, hours: int) -> SimulatedIncident:
    begins = parse_iso(DAYS[day]) + EVENING
    return SimulatedIncident(f"i{number}", kind, table, DAYS[day], begins, begins + hours * HOUR)


PLANNED = [
    incident(1, "late", "plan", 1, 24),
    incident(2, "twice, other bytes", "facts", 1, 6),
    incident(3, "renamed column", "facts", 2, 10),
    incident(4, "truncated", "plan", 3, 10),
    incident(5, "down for hours", "facts", 4, 3),
    incident(6, "twice", "plan", 5, 10),
]
