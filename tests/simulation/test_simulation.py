"""A small world lived through in this process: files in a folder, eight days, six incidents."""

import os
from pathlib import Path

import pytest

from headrace.clock import DAY, HOUR, parse_iso
from headrace.datasets.rules import TimeSplits
from headrace.features import FeatureView, Label, Mean, Rows, Window
from headrace.simulation import run
from headrace.simulation.incidents import Incident
from headrace.simulation.outcome import Outcome
from tests.rebuild.worlds import DAYS, RandomWorld, Shape

EVENING = 20 * HOUR


def pipeline(tmp_path: Path) -> RandomWorld:
    """Over a drop folder with eight days, each file of the evening of its day."""
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
    made = RandomWorld(tmp_path, shape)
    made.deliver(DAYS)
    for path in made.drop.iterdir():
        at = (parse_iso(path.stem.rpartition("_")[2]) + EVENING) * 1000
        os.utime(path, ns=(at, at))
    return made


def incident(number: int, kind: str, table: str, day: int, hours: int) -> Incident:
    begins = parse_iso(DAYS[day]) + EVENING
    return Incident(f"i{number}", kind, table, DAYS[day], begins, begins + hours * HOUR)


PLANNED = [
    incident(1, "late", "plan", 1, 24),
    incident(2, "twice, other bytes", "facts", 1, 6),
    incident(3, "renamed column", "facts", 2, 10),
    incident(4, "truncated", "plan", 3, 10),
    incident(5, "down for hours", "facts", 4, 3),
    incident(6, "twice", "plan", 5, 10),
]


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Outcome:
    root = tmp_path_factory.mktemp("lived")
    world = pipeline(root / "project")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "load_pipeline", lambda _module: world.pipeline)
        patched.setattr(run, "plan", lambda *_: PLANNED)
        patched.setattr(run, "build", lambda *_: "")
        patched.setattr("headrace.simulation.engines.build", lambda *_: "")
        return run.simulate(run.Ask("made.up", root / "home", 6, 6, build_every="2d"))


def test_all_is_as_if_nothing_had_happened(lived):
    assert lived.equal
    assert lived.state.rows["plan"] > 100
    assert (lived.published_faults, lived.lost, lived.doubled, lived.unbalanced) == ({}, [], [], [])
    assert lived.waiting == []
    assert lived.ok


def test_a_person_was_woken_once_and_only_where_it_had_to_be(lived):
    assert lived.paged_twice == []
    woken = {page.incident for page in lived.pages}
    assert {"i3"} <= woken <= {"i1", "i3", "i4", "i5"}
    assert lived.became(PLANNED[1]) == "recovered by itself"
    assert lived.became(PLANNED[2]).startswith("paged once")


def test_it_tells_all_of_it(lived):
    told = lived.document()
    assert [one["incident"] for one in told["incidents"]] == [one.name for one in PLANNED]
    assert told["hashes"]["simulated"] == told["hashes"]["undisturbed"]
    assert all(page["at"] > "2024-03-03" for page in told["pages"])
    assert lived.days * DAY > 0
