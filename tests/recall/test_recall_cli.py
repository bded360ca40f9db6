"""`headrace gate recall` and `restore`, `dataset` and `model`, as a person runs them."""

import json

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.dagster.asset_names import table_key
from headrace.dagster.checks.ledger_days import report_decision
from headrace.dagster.instance import open_instance, prepare
from headrace.datasets.taint import openings
from headrace.lake.ledger.ledger import Ledger
from headrace.models import champion, train
from headrace.pipeline import build_release, train_model
from tests.serving.world import DAYS, World

PROJECT = """
from pathlib import Path
from tests.serving.world import World

PIPELINE = World(Path({root!r})).pipeline
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("lines"))
    made.deliver_days()
    made.publish()
    build_release(made.pipeline, made.home)
    train_model(made.pipeline, made.home)
    (made.root / "pyproject.toml").write_text('[tool.headrace]\npipelines = ["recall_lines"]\n')
    (made.root / "recall_lines.py").write_text(PROJECT.format(root=str(made.root)))
    return made


@pytest.fixture
def run(world, monkeypatch):
    monkeypatch.chdir(world.root)
    monkeypatch.syspath_prepend(world.root)
    monkeypatch.setenv("HEADRACE_HOME", str(world.home.root))
    for name in ("HEADRACE_PRINCIPAL", "HEADRACE_STORE", "HEADRACE_ONLINE", "HEADRACE_POLICY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(app, words)


def test_a_recall_and_its_end(run, world):
    """One story: each command is asked what the one before has changed."""
    bad, day = ("gate", "recall", "arrivals"), DAYS[5]
    dry = run(*bad, day, "--reason", "a loose sensor", "--dry-run")
    assert dry.exit_code == 0, dry.output
    for told in ("40 rows published", "line_lateness@1.0.0", "(champion)", "nothing was changed"):
        assert told in dry.output
    found = json.loads(run(*bad, day, "--reason", "x", "--dry-run", "--json").stdout)
    assert (found["dry_run"], found["state"], found["slot"]) == (True, "published", day)

    refused = run(*bad, day, "--reason", "x", "--as", "eve")
    assert (refused.exit_code, "eve is not listed" in refused.output) == (2, True)
    assert run(*bad, "1999-01-01", "--reason", "x").exit_code == 2
    assert run(*bad, day).exit_code == 2  # without a reason

    done = run(*bad, day, "--reason", "a loose sensor")
    assert done.exit_code == 0, done.output
    for told in ("recalled by", "a loose sensor", "keeps answering", "headrace run"):
        assert told in done.output
    again = json.loads(run(*bad, found["batch"][:12], "--reason", "again", "--json").stdout)
    assert (again["decided_now"], again["action"]["reason"]) == (False, "a loose sensor")

    assert "recalled: a loose sensor" in run("gate", "show", "arrivals", day).output
    listed = run("dataset", "ls")
    assert "line_lateness@1.0.0 TAINTED" in listed.output
    assert "a loose sensor" in listed.output
    (release,) = json.loads(run("dataset", "ls", "--json").stdout)["releases"]
    assert release["tainted"][0].startswith("batch ")
    assert "TAINTED by batch" in run("dataset", "show", "line_lateness").output
    status = json.loads(run("status", "--json").stdout)
    (table,) = [one for one in status["tables"] if one["table"] == "arrivals"]
    assert table["recalled"] == {"batches": 1, "rows": 40}
    assert table["rejected"] == 40
    assert "TAINTED" in run("status").output
    assert "TAINTED" in run("model", "ls").output

    back = run("gate", "restore", "arrivals", day, "--reason", "it was fine")
    assert (back.exit_code, "restored by" in back.output) == (0, True), back.output
    assert "TAINTED" not in run("status").output
    assert "already restored" in run("gate", "restore", "arrivals", day, "--reason", "again").output
    assert run("gate", "restore", "arrivals", DAYS[0], "--reason", "x").exit_code == 2
    with Ledger(world.home) as ledger:
        assert [b.state for b in ledger.batches("arrivals").values()] == ["published"] * len(DAYS)


def test_a_model_is_put_in_charge_by_hand(run, world):
    import headrace

    first = champion(world.home, "line_late")
    release = headrace.open("line_lateness", world.home.store)
    from dataclasses import replace

    other = train(release, replace(world.pipeline.model, seed=11), world.home)
    done = run("model", "promote", other.ref, "--reason", "it is calmer", "--as", "ana")
    assert done.exit_code == 0, done.output
    assert "ana: it is calmer" in done.output
    assert champion(world.home, "line_late") == other
    run("gate", "recall", "arrivals", DAYS[3], "--reason", "a loose sensor")
    refused = run("model", "promote", first.ref, "--reason", "roll back")
    assert (refused.exit_code, "is tainted" in refused.output) == (1, True)
    words = ("model", "promote", first.ref, "--reason", "roll back")
    assert run(*words, "--allow-tainted", "the other one crashes").exit_code == 0
    assert champion(world.home, "line_late") == first
    (line,) = openings(world.home.models / "line_late" / "opened.ndjson")
    assert line["reason"] == f"{first.ref}: the other one crashes"


def test_a_recall_and_its_end_show_in_dagster(run, world, monkeypatch):
    """As an approval does: once each, where Dagster was ever opened."""
    reported = []

    def report(home, pipelines, table, outcome):
        reported.append((table, outcome["action"]["action"]))
        report_decision(home, pipelines, table, outcome)

    monkeypatch.setattr("headrace.dagster.checks.ledger_days.report_decision", report)
    prepare(world.home, world.root)
    day = DAYS[6]
    for verb, why in (("recall", "a loose sensor"), ("restore", "it was not")):
        for _ in range(2):
            assert run("gate", verb, "arrivals", day, "--reason", why).exit_code == 0
    assert reported == [("arrivals", verb) for verb in ("recall", "recall", "restore", "restore")]
    with open_instance(world.home) as instance:
        records = instance.fetch_materializations(table_key("arrivals"), limit=9).records
    (shown,) = [record.asset_materialization for record in records]
    assert (shown.partition, shown.description.partition(" by ")[0]) == (day, "restore")
