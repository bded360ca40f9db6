"""`headrace verify monitors` on a small made history."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.monitoring.decisions.policy import Policy
from headrace.verification.drift_study import histories
from headrace.verification.drift_study.histories import Studied
from tests.monitoring.study.histories import made


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    one = Studied(made(), Policy(), Path("none.yaml"))
    monkeypatch.setattr(histories, "studied", lambda _home: [one])


@pytest.mark.usefixtures("small")
def test_scripts_get_natural_rates_faults_and_peers():
    done = CliRunner().invoke(app, ["verify", "monitors", "--quick", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["natural"]["windows"] == 36
    assert {"windows", "data_alarms", "concept_alarms"} <= set(found["natural"])
    assert found["peers"] == []
    for one in found["faults"]:
        assert one["kind"] in {"data", "concept", "both"}
        assert one["injected"] == 2
        assert 0 <= one["attributed"] <= one["detected"] <= one["injected"]
    assert len(found["faults"]) == 12
    assert found["decisions"]["retrained_on_data_faults"] == 0


@pytest.mark.usefixtures("small")
def test_people_get_tables(monkeypatch):
    monkeypatch.setattr("headrace.verification.drift_study.study.QUICK", ("column renamed",))
    done = CliRunner().invoke(app, ["verify", "monitors", "--quick"])
    assert done.exit_code == 0
    assert "unmodified windows" in done.stdout
    assert "column renamed" in done.stdout
    assert "0 retrainings in 2 data faults" in done.stdout
