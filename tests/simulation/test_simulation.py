"""A small world lived through: files in a folder, eight days, what goes wrong with them."""

from pathlib import Path

import pytest

from headrace.core.clock import HOUR, parse_iso
from headrace.verification.simulation import run
from headrace.verification.simulation.incidents import SimulatedIncident
from headrace.verification.simulation.outcome import SimulationOutcome
from tests.rebuild.worlds import DAYS
from tests.simulation.small import EVENING, PLANNED, delivered


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> SimulationOutcome:
    root = tmp_path_factory.mktemp("lived")
    world = delivered(root / "project")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "load_pipeline", lambda _module: world.pipeline)
        patched.setattr(run, "plan", lambda *_: PLANNED)
        patched.setattr(run, "build", lambda *_: "")
        patched.setattr(run, "try_build", lambda *_: "")
        patched.setattr("headrace.verification.simulation.engines.try_build", lambda *_: "")
        return run.simulate(run.SimulationRequest("made.up", root / "home", 6, 6, build_every="2d"))


def test_all_is_as_if_nothing_had_happened(lived):
    assert lived.equal
    assert lived.state.rows["plan"] > 100
    assert (
        lived.published_faults,
        lived.lost_deliveries,
        lived.duplicate_deliveries,
        lived.unbalanced,
    ) == ({}, [], [], [])
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


@pytest.mark.slow
def test_through_the_daemon_killed_and_without_power(tmp_path: Path, monkeypatch):
    """The same days with real runs; the daemon is killed, and then everything."""
    world = delivered(tmp_path / "project")
    begins = parse_iso(DAYS[4]) + EVENING
    machine = [
        SimulatedIncident("i7", "daemon killed", "", "", begins - 12 * HOUR, begins),
        SimulatedIncident("i8", "power lost", "", "", begins + 12 * HOUR, begins + 24 * HOUR),
        SimulatedIncident("i9", "disk full", "", "", begins + 36 * HOUR, begins + 48 * HOUR),
    ]
    monkeypatch.setattr(run, "load_pipeline", lambda _module: world.pipeline)
    monkeypatch.setattr(run, "plan", lambda *_: [*PLANNED, *machine])
    ask = run.SimulationRequest("tests.simulation.made_up", tmp_path / "home", 6, 9, daemon=True)
    found = run.simulate(ask)
    assert found.ok, found.document()
    assert found.runs["ingest success"] >= 6
    assert not {name for name in found.runs if name.endswith(("started", "starting", "queued"))}
