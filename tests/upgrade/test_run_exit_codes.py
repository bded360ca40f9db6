"""`headrace run` ends with the code that docs/reference/exit-codes.md promises."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from tests.upgrade.test_archived_project import headrace

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--from", "yesterday"), "'yesterday' is not a day"),
        (("--from", "20130101"), "write a day of the calendar as YYYY-MM-DD"),
        (("--to", "2013-02-30"), "where: --to"),
        (("--from", "2013-03-01", "--to", "2013-02-01"), "fix: --from 2013-02-01 --to 2013-03-01"),
        (("--from", "2031-01-01", "--to", "2031-12-31"), "no table expects a delivery"),
        (("--to", "1999-12-31"), "deliveries are expected from 2013-01-01 to 2014-01-01"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(monkeypatch, tmp_path, words, says):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["run", *words])
    assert done.exit_code == 2
    assert says in done.output
    assert not (tmp_path / "home").exists()


def test_a_day_that_is_blocked_since_an_earlier_run_is_named_again(archived):
    ingest = ("run", "--stage", "ingest", "--json")
    for _ in range(2):
        told = json.loads(headrace(archived, *ingest, "--from", "2024-04-08", code=1))
        assert not told["ok"]
        (problem,) = told["problems"]
        assert (problem["table"], problem["slot"]) == ("orders", "2024-04-08")
        assert problem["verdict"] == "BLOCK"
    assert told["runs"][0]["ok"], "the second run did nothing, and failed in nothing"
    clean = json.loads(headrace(archived, *ingest, "--to", "2024-04-07"))
    assert (clean["ok"], clean["problems"]) == (True, [])


def test_days_of_which_nothing_was_delivered_are_not_up_to_date(archived):
    for file in (archived / "deliveries").rglob("*.csv"):
        file.unlink()
    told = json.loads(headrace(archived, "run", "--stage", "ingest", "--json",
                               home=archived / "new", code=1))  # fmt: skip
    (problem,) = told["problems"]
    assert problem["says"].startswith("nothing was delivered for any expected day from 2024-03-01")
