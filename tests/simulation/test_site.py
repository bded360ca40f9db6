"""The folder of a simulation, the pager, and the places where producers deliver."""

import json
import os
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.core.clock import CLOCK, DAY, iso, now_us, parse_iso
from headrace.core.errors import SourceError, StateError
from headrace.sources.delivery_places import FilePlace, Put, came
from headrace.sources.files import DropFolder
from headrace.verification.simulation.home import PAGER, SIMULATION, SimulationSite
from headrace.verification.simulation.pager import Pager

NOON = parse_iso("2013-03-01T12:00:00Z")


def test_what_is_no_simulation_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StateError, match="not empty and does not hold a simulation"):
        SimulationSite.begin(tmp_path, {})
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_simulation_is_begun_anew(tmp_path: Path):
    SimulationSite.begin(tmp_path / "one", {"seed": 1})
    (tmp_path / "one" / "left").write_text("left")
    site = SimulationSite.begin(tmp_path / "one", {"seed": 2})
    assert json.loads((site.root / SIMULATION).read_text()) == {"format": 1, "seed": 2}
    assert not (site.root / "left").exists()


def test_inside_its_own_time_and_store_outside_everything_as_before(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "store"))
    site = SimulationSite.begin(tmp_path / "one", {})
    site.set_clock(NOON)
    with site.entered("json://pager/") as home:
        assert iso(now_us()).startswith("2013-03-01T12:")
        assert home.store == site.root / "store"
        assert os.environ[PAGER] == "json://pager/"
    assert CLOCK not in os.environ
    assert os.environ["HEADRACE_STORE"] == str(tmp_path / "store")


def test_the_pager_tells_pages_from_notes():
    with Pager() as pager:
        for kind in ("opened", "closed"):
            body = json.dumps({"kind": kind, "alert": "a"}).encode()
            request = urllib.request.Request(pager.url.replace("json", "http"), data=body)
            urllib.request.urlopen(request).close()
        assert [one["kind"] for _, one in pager.messages] == ["opened", "closed"]
        assert [one["kind"] for _, one in pager.pages] == ["opened"]


def test_files_appear_change_and_go_and_a_folder_may_be_away(tmp_path: Path):
    held, live = tmp_path / "held", tmp_path / "live"
    held.mkdir()
    (held / "t_2013-03-01.csv").write_bytes(b"a\n1\n")
    drops = [DropFolder("t", at, "t_{slot}*.csv", "") for at in (held, live)]
    place = FilePlace(*drops)
    (original,) = place.originals("2013-03-01")
    first, second = Put(original.payload, NOON), Put(b"a\n2\n", NOON + 1)
    place.show("2013-03-01", [first, second])
    seen = drops[1].deliveries("2013-03-01")
    assert [(one.payload, one.arrived_at) for one in seen] == [
        (first.payload, NOON),
        (second.payload, NOON + 1),
    ]
    place.close()
    with pytest.raises(SourceError):
        drops[1].deliveries("2013-03-01")
    place.show("2013-03-01", [second])
    place.open()
    assert [one.payload for one in drops[1].deliveries("2013-03-01")] == [second.payload]


def test_a_table_that_comes_whole_may_be_disturbed_several_times(tmp_path: Path):
    """Of two incidents of one slot neither is forgotten."""
    from headrace.core.clock import HOUR
    from headrace.verification.simulation.incidents import SimulatedIncident
    from headrace.verification.simulation.producers import ProducerWorld
    from tests.simulation.small import declared

    table = replace(declared(tmp_path).pipeline.tables[0], partitioned=False)
    drops = [DropFolder("facts", tmp_path / at, "facts_{slot}.csv", "") for at in ("held", "live")]
    (tmp_path / "held").mkdir()
    path = tmp_path / "held" / "facts_snapshot.csv"
    path.write_text("id,part,happened,n\n1,a,2024-01-01T00:00:00Z,7\n")
    os.utime(path, (0, 0))
    world = ProducerWorld(
        {"facts": table}, {"facts": FilePlace(*drops)}, {"facts": ["snapshot"]}, seed=1
    )
    planned = [
        SimulatedIncident(
            f"i{n}", kind, "facts", "snapshot", NOON + n * HOUR, NOON + (n + 1) * HOUR - 1
        )
        for n, kind in ((1, "type changed"), (3, "renamed column"))
    ]
    world.prepare(planned, NOON)
    seen = []
    for hour in range(6):
        world.advance(NOON + hour * HOUR)
        (one,) = drops[1].deliveries("snapshot")
        seen.append(one.payload == path.read_bytes())
    assert seen == [True, False, True, False, True, True]


def test_a_file_that_was_copied_long_after_came_on_the_morning_after_its_day():
    day = parse_iso("2024-03-01")
    assert came("2024-03-01", day + 3 * DAY) == day + 3 * DAY
    assert came("2024-03-01", day + 600 * DAY) == day + DAY + DAY // 4
    assert came("all", day + 600 * DAY) == day + 600 * DAY
