"""headrace alert: what people and scripts read, and how it exits."""

import json

import pytest
from typer.testing import CliRunner

from headrace.alerts import update_alerts
from headrace.cli.app import app
from headrace.lake.ingest.protocol import ingest
from tests.lake.kit import ROWS, SLOTS


@pytest.fixture
def cli(meter, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(meter.home.root))

    def run(*words):
        return CliRunner().invoke(app, ["alert", *words])

    return run


@pytest.fixture
def told(meter, hook, written):
    written()
    meter.drop(SLOTS[0], [-5] * ROWS)
    ingest(meter.table, [SLOTS[0]], meter.home)
    (alert,) = update_alerts(meter.home, [meter.table]).opened
    return alert


def test_what_is_open(cli, told):
    done = cli("ls")
    assert done.exit_code == 0
    assert told[:8] in done.stdout
    assert "check negative failed" in " ".join(done.stdout.split())
    (row,) = json.loads(cli("ls", "--json").stdout)
    assert (row["alert"], row["state"], row["owner"]) == (told, "open", "metering")
    assert row["messages"] == {"sent": 1}
    assert json.loads(cli("ls", "--json", "--table", "other").stdout) == []


def test_somebody_is_on_it(cli, told, tmp_path, monkeypatch):
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nprincipals:\n  ana: {actions: [ack]}\n")
    monkeypatch.setenv("HEADRACE_POLICY", str(policy))
    refused = cli("ack", told[:6], "--as", "bob")
    assert refused.exit_code == 2
    done = cli("ack", told[:6], "--as", "ana", "--reason", "mine", "--json")
    assert json.loads(done.stdout)["acknowledged_by"] == "ana"
    assert "acknowledged by ana" in cli("ack", told[:6], "--as", "ana").stdout
    assert cli("ack", "ffff").exit_code == 2


def test_nothing_is_open(cli, monkeypatch, tmp_path):
    assert "no open alerts" in cli("ls").stdout
    monkeypatch.setenv("HEADRACE_ALERTS", str(tmp_path / "none.yaml"))
    assert "no alerts are sent" in cli("send").stdout
    assert cli("test").exit_code == 2


def test_a_look_from_the_command_line(cli, told):
    done = cli("send", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"opened": [], "closed": [], "sent": 0, "failed": {}}


def test_a_rehearsal_says_who_took_it(cli, hook, written, monkeypatch):
    monkeypatch.setenv("DEAD", "json://127.0.0.1:9/verysecret")
    written("version: 1\nroutes:\n  ana:\n    - ${PAGER}\n  bob:\n    - ${DEAD}\n")
    done = cli("test", "--json")
    assert done.exit_code == 1
    assert [(one["owner"], one["sent"]) for one in json.loads(done.stdout)] == [
        ("ana", True),
        ("bob", False),
    ]
    assert "verysecret" not in done.stdout
    assert hook.got[0]["title"] == "Headrace test for ana"
    assert cli("test", "ana").exit_code == 0
