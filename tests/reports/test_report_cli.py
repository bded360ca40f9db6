"""The commands, over the damaged days."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.cli.output import MISUSED, OK
from tests.reports import world

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(flights, monkeypatch, tmp_path):
    """In a copy: what `report` keeps is for its tests alone."""
    monkeypatch.chdir(ROOT)
    shutil.copytree(flights[1].root, tmp_path / "home")
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    return lambda *arguments: CliRunner().invoke(app, ["gate", *arguments])


def test_compare_with_the_last_good_one(run):
    done = run("compare", "schedule", world.KILOMETRES, "--json")
    assert done.exit_code == OK
    found = json.loads(done.stdout)
    assert (found["this"]["slot"], found["other"]["slot"]) == (world.KILOMETRES, "2013-02-10")
    assert found["columns"][0]["name"] == "distance"
    assert found["columns"][0]["distance"] > 0.3


def test_compare_with_a_named_one(run):
    done = run("compare", "weather", world.WIND, "2013-02-10")
    assert done.exit_code == OK
    assert "weather 2013-02-12 (72 rows) against 2013-02-10" in done.stdout
    assert re.search(r"wind_speed is far outside .* the range of good batches", done.stdout)
    assert run("compare", "weather", world.WIND, world.WIND, "--json").exit_code == OK


def test_compare_without_a_good_one_says_so(run):
    done = run("compare", "schedule", world.FIRST)
    assert done.exit_code == MISUSED
    assert f"there is no good batch of schedule before {world.FIRST}" in done.stderr


def test_a_report_as_a_file(run, tmp_path):
    done = run("report", "weather", world.WIND, "--out", str(tmp_path / "a" / "report.html"))
    assert done.exit_code == OK
    page = (tmp_path / "a" / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "wind_speed" in page
    assert run("report", "weather", world.WIND, "--out", "-").stdout.startswith("<!doctype html>")
    assert run("report", "nothing", world.WIND).exit_code == MISUSED
    assert run("report", "weather", "1999-01-01").exit_code == MISUSED


def test_export_says_what_the_gate_said(run):
    found = json.loads(run("export", "weather", world.WIND).stdout)
    failed = [r for r in found["results"] if not r["success"]]
    assert [r["expectation_config"]["meta"]["id"] for r in failed] == ["wind_speed"]
    assert found["meta"]["headrace"]["verdict"] == "QUARANTINE"
    assert failed[0]["result"]["partial_unexpected_index_list"][0]["origin"] == "EWR"


def test_the_server_starts_serves_and_stops(flights):
    command = [sys.executable, "-c", "from headrace.cli.app import main; main()"]
    env = {**os.environ, "HEADRACE_HOME": str(flights[1].root)}
    with subprocess.Popen(
        [*command, "reports", "--port", "0"], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            address = re.search(r"http://\S+", server.stderr.readline())[0]
            page = urllib.request.urlopen(address, timeout=30).read().decode()
            assert "batches waiting" in page
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0


def test_a_public_address_has_to_be_meant():
    done = CliRunner().invoke(app, ["reports", "--host", "0.0.0.0"])
    assert done.exit_code == MISUSED
    assert "reports show rows of data" in done.stderr
