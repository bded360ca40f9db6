"""A simulated time is told in its own simulation, and nowhere else."""

import os
from pathlib import Path

import pytest

from headrace.core.clock import CLOCK, DAY, HOUR, SECOND, VIRTUAL_TIME, iso, now_us, parse_iso
from headrace.core.errors import StateError
from headrace.core.home import Home

MOMENT = "2013-03-04T05:06:07Z"


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "simulated"
    root.mkdir()
    (root / VIRTUAL_TIME).write_text("{}")
    (root / "clock").write_text(MOMENT + "\n")
    monkeypatch.setenv(CLOCK, str(root / "clock"))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    return root


def test_it_runs_on_from_the_moment_in_the_file(simulated: Path) -> None:
    first, second = now_us(), now_us()
    assert parse_iso(MOMENT) <= first <= second < parse_iso(MOMENT) + HOUR
    written = (simulated / "clock").stat().st_mtime - 10
    os.utime(simulated / "clock", (written, written))
    assert now_us() >= parse_iso(MOMENT) + 10 * SECOND


def test_a_simulation_is_opened_under_it(simulated: Path) -> None:
    Home(simulated)
    assert iso(now_us()).startswith("2013-03-04")


def test_without_the_variable_time_is_real(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CLOCK)
    Home(simulated)
    assert now_us() > parse_iso(MOMENT) + 365 * DAY


def test_another_home_is_not_opened(simulated: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    with pytest.raises(StateError, match="belongs to another home"):
        Home(tmp_path / "real")
    assert not list((tmp_path / "real").iterdir())
    assert Home(simulated / ".").root


def test_releases_stay_in_the_simulation(simulated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORE", "s3://releases")
    with pytest.raises(StateError, match="cannot use another store"):
        Home(simulated)


def test_without_the_mark_there_is_no_time_at_all(simulated: Path) -> None:
    (simulated / VIRTUAL_TIME).unlink()
    with pytest.raises(StateError, match="no file virtual-time"):
        now_us()


@pytest.mark.parametrize("text", ["", "yesterday", "2013-13-01"])
def test_a_clock_that_cannot_be_read_is_an_error(simulated: Path, text: str) -> None:
    (simulated / "clock").write_text(text)
    with pytest.raises(StateError, match="virtual time cannot be read"):
        now_us()


def test_a_clock_that_is_gone_is_an_error(simulated: Path) -> None:
    (simulated / "clock").unlink()
    with pytest.raises(StateError, match="virtual time cannot be read"):
        now_us()
