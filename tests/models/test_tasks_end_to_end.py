"""A count, a number and a class of each hour of flights, from deliveries to monitors."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import headrace
from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.models import champion, history, open_model
from headrace.monitoring import DecisionLedger
from headrace.monitoring.profiles.prediction_losses import kept_losses
from headrace.operations.monitor_run import run_monitors
from headrace.pipeline import build_release, train_model
from headrace.pipeline.serving.endpoint import endpoint
from headrace.pipeline.serving.services import audit_served, feature_service, served_log
from headrace.reports.monitor.facts import monitor_report
from headrace.reports.monitor.page import render
from headrace.reports.status import model_rows
from headrace.retraining.service import retrain_by_hand
from headrace.serving import answer
from headrace.serving.http import ApiKeys, create_app
from headrace.verification.drift_study import histories
from tests.models.hours_world import TASKS, TURNED, HoursWorld
from tests.serving_http.server import serving

NOW = parse_iso("2013-05-26")
AT = parse_iso("2013-04-10T12:00:00Z")
REQUEST = {"origin": "JFK", "hour": "2013-04-10T14:00:00Z", "planned": 21}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Models of all tasks, monitored; and in `other` a weak champion before each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HEADRACE_STORE", raising=False)
        world = HoursWorld(tmp_path_factory.mktemp("hours"))
        world.publish()
        weak = world.declare(features=("clock",), context=(), num_rounds=3)
        for label in TASKS:
            build_release(world.pipeline.for_dataset(f"hour_{label}"), world.home)
        world.other = Home(world.root / "other")
        shutil.copytree(world.home.root, world.other.root, dirs_exist_ok=True)
        world.trained, world.first, world.second, world.monitored = {}, {}, {}, {}
        for label in TASKS:
            world.first[label] = train_model(weak.for_model(f"model_{label}"), world.other)
            world.second[label] = train_model(part(world, label), world.other)
            world.trained[label] = train_model(part(world, label), world.home)
            world.monitored[label] = run_monitors(monitor(world, label), world.home, NOW)
        yield world


def part(world, label):
    return world.pipeline.for_model(f"model_{label}")


def monitor(world, label):
    return world.pipeline.for_monitor(f"monitor_{label}")


@pytest.mark.parametrize(
    ("label", "kind", "title"),
    [
        ("delay", "float64", "mean squared error"),
        ("late", "int64", "mean Poisson deviance"),
        ("mood", "string", "log loss"),
    ],
)
def test_a_better_model_replaces_the_champion(world, label, kind, title):
    dataset = headrace.open(f"hour_{label}@latest", store=world.home.store)
    columns = {column.name: column.type for column in dataset.manifest.columns}
    assert columns[label] == kind
    first, second = world.first[label].metadata, world.second[label].metadata
    assert (first["promoted"], first["why"]) == (True, "first model")
    assert second["promoted"], second["why"]
    assert second["why"].startswith(f"{title} against the champion -")
    assert "of 40 days" in second["why"]
    assert title in second["test"]["md"]
    record = champion(world.other, f"model_{label}")
    assert record.ref == second["model"] == world.trained[label].metadata["model"]
    assert len(history(world.other, record.name)) == 2
    assert record.metrics["against_baseline"]["beats"]
    assert record.metrics["against_constant"]["beats"]
    if label != "mood":
        assert record.metrics["against_last_value"]["beats"]


def test_the_report_has_plots_of_the_task(world):
    reports = {label: world.second[label].metadata["test"]["md"] for label in TASKS}
    for label in ("delay", "late"):
        assert "![predicted and observed]" in reports[label]
        assert "![residuals]" in reports[label]
        assert "| last value |" in reports[label]
    for name in ("early", "late", "jammed"):
        assert f"![reliability of {name}]" in reports["mood"]


def test_status_has_the_task_and_metrics_of_each_model(world, monkeypatch):
    from headrace.cli import commands  # noqa: F401 - registers the commands
    from headrace.cli.app import app

    rows = {row["ref"]: row for row in model_rows(world.home)}
    assert len(model_rows(world.other)) == 6
    for label, fields in TASKS.items():
        record = champion(world.home, f"model_{label}")
        row = rows[record.ref]
        assert row["champion"]
        assert row["task"] == fields["task"]
        assert row["loss"] == record.task.loss
        assert row["metrics"] == record.metrics["model"]
        assert row["baseline"] == record.metrics["baseline"]
        assert row["test"].get("last_value") == record.metrics.get("last_value")
    monkeypatch.setenv("HEADRACE_HOME", str(world.home.root))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [world.pipeline])
    shown = CliRunner().invoke(app, ["status"])
    assert shown.exit_code == 0, shown.output
    for text in ("poisson_deviance", "accuracy", "rmse", "multiclass"):
        assert text in shown.output
    listed = CliRunner().invoke(app, ["model", "ls"])
    assert "regression" in listed.output


@pytest.mark.parametrize("label", TASKS)
def test_an_endpoint_answers_and_logs_predictions_of_the_task(world, label):
    pipeline = part(world, label)
    record = open_model(world.home, f"model_{label}")
    expected = answer(feature_service(pipeline, world.home), record, REQUEST, AT).prediction
    log = served_log(pipeline, world.home, share=1)
    before = log.table().num_rows
    made = endpoint(pipeline, world.home, keys=ApiKeys(), log_share=0, source="tables")
    with serving(create_app(replace(made, log=log))) as client:
        status, body = client.predictions(REQUEST, at=AT)
        document = client.ask("GET", "/openapi.json")[1]
    assert status == 200, body
    assert body["predictions"] == [expected]
    with_log = served_log(pipeline, world.home)
    (row,) = with_log.table(after=before).to_pylist()
    with_log.close()
    responses = document["paths"]["/v1/predictions"]["post"]["responses"]["200"]
    schema = responses["content"]["application/json"]["schema"]["properties"]["predictions"]
    assert schema["items"]["required"] == list(expected)
    if label == "mood":
        assert sum(expected["probabilities"].values()) == pytest.approx(1)
        assert expected["class"] in {"early", "late", "jammed"}
        assert row["score"] is None
        assert json.loads(row["probabilities"]) == expected["probabilities"]
    else:
        assert list(expected) == ["prediction"]
        assert row["score"] == expected["prediction"]
        assert row["probabilities"] is None
    assert audit_served(pipeline, world.home).differences == ()


@pytest.mark.parametrize("label", TASKS)
def test_a_monitor_judges_the_loss_and_says_what_it_does_not(world, label):
    pipeline, record = monitor(world, label), champion(world.home, f"model_{label}")
    losses = kept_losses(world.home, f"monitor_{label}")
    profile = losses.profiles[record.bundle_id]
    dataset = headrace.open(f"hour_{label}@latest", store=world.home.store)
    test = dataset.split("test").arrow
    assert profile.totals[:, 1].sum() > test.num_rows
    own = (profile.days >= day("2013-03-15")) & (profile.days < day("2013-04-15"))
    mean = profile.totals[own, 2].sum() / profile.totals[own, 1].sum()
    assert mean == pytest.approx(record.metrics["model"][record.task.primary], rel=0.3)
    markdown = world.monitored[label].metadata["plots"]["md"]
    assert "![loss]" in markdown
    assert "![ranking]" not in markdown
    assert f"evaluated by {record.task.title}" in markdown
    assert "their segments and their distribution are not evaluated for this task" in markdown
    page = render(monitor_report(pipeline, world.home))
    assert f"monitor_{label}" in page


def day(text):
    return parse_iso(text) // (24 * 3600 * 1_000_000)


def test_outcomes_that_turned_are_evidence_about_the_model(world):
    entries = DecisionLedger(world.home).entries("monitor_late")
    found = [
        (entry.window.text[:10], finding.kind, finding.subject)
        for entry in entries
        for finding in entry.evidence
        if finding.kind in {"performance", "concept"}
    ]
    assert ("2013-05-14", "performance", "loss") in found
    assert not [finding for finding in found if finding[:2] < ("2013-04-23", "")], found
    assert TURNED < "2013-05-14"


@pytest.mark.parametrize("label", TASKS)
def test_a_second_run_of_a_monitor_records_nothing(world, label):
    before = kept_losses(world.home, f"monitor_{label}").profiles
    again = run_monitors(monitor(world, label), world.home, NOW)
    assert not again.changed
    after = kept_losses(world.home, f"monitor_{label}").profiles
    assert before.keys() == after.keys()
    for name, profile in before.items():
        assert np.array_equal(profile.totals, after[name].totals)


@pytest.mark.parametrize("label", TASKS)
def test_a_retraining_compares_by_the_loss_of_the_task(world, label):
    pipeline = monitor(world, label)
    outcome = retrain_by_hand(
        pipeline, world.home, "ana", "spring", as_of="2013-05-10T00:00:00Z", key=label
    )
    title = pipeline.model.kind.title
    assert outcome.steps["compared"]["because"].startswith(f"{title} against the champion")
    assert outcome.steps["compared"]["comparison"]["metric"] == title
    assert outcome.state in {"kept", "watching"}
    assert title[1:] in render(monitor_report(pipeline, world.home))


def test_the_study_of_monitors_says_what_it_leaves_out(world, monkeypatch):
    monkeypatch.setattr(histories, "project_pipelines", lambda: [world.pipeline])
    monkeypatch.setattr(histories, "study_modules", list)
    with pytest.raises(DeclarationError, match="monitor_delay is not studied: faults exist only"):
        histories.studied(world.home)


def test_a_monitored_model_needs_a_test_split_that_can_promote_it(world):
    with pytest.raises(DeclarationError, match="promotes it only after 30 days") as caught:
        replace(world.pipeline, retraining=replace(world.pipeline.retraining, test="14d"))
    assert 'Retraining(test="30d")' in caught.value.fix
