"""Two datasets with the same views, three models and their monitors in one pipeline."""

import json
import shutil
from dataclasses import replace

import dagster as dg
import pytest
from typer.testing import CliRunner

import headrace
from headrace.core.clock import iso, parse_iso
from headrace.core.home import Home
from headrace.dagster import definitions, retraining_sensor
from headrace.dagster.execute import run_pipeline
from headrace.datasets.store.store import Store
from headrace.features import Spine
from headrace.lake.ledger.ledger import Ledger
from headrace.lineage.batch_holders import impact
from headrace.lineage.batch_impact import reached_rows
from headrace.lineage.downstream import readers, stores
from headrace.lineage.rebuild import rebuild
from headrace.lineage.row_trace.release_trace import trace
from headrace.models import champion
from headrace.models.retraining_config import Retraining
from headrace.monitoring import DecisionLedger
from headrace.operations.online_store import fill, online_status
from headrace.pipeline import Pipeline, build_release, train_model
from headrace.pipeline.serving.endpoint import endpoint
from headrace.pipeline.serving.services import audit_served, online_parts
from headrace.pipeline.staleness import is_current
from headrace.reports.monitor.facts import monitor_report
from headrace.reports.status import model_rows, overview
from headrace.retraining.service import asked_by, retrain_by_hand
from headrace.serving.http import ApiKeys
from headrace.serving.log import Entry
from tests.serving.world import DAYS, SPINE, World

LATER = Spine("plan", "-1h", SPINE.columns)
AT = parse_iso("2024-03-13T12:00:00Z")


def several(single: Pipeline) -> Pipeline:
    """Each trip two hours before it is due, with all views, and one hour before, with two."""
    early = replace(single.dataset, spine=single.spine)
    late = replace(early, name="late_notice", spine=LATER, views=("line", "stop", "busy"))
    model = single.model
    few = replace(model, features=("line__*", "stop__*"), baseline=("line",), context=())
    return Pipeline(
        name=single.name,
        tables=single.tables,
        views=single.views,
        datasets=(early, late),
        models=(
            model,
            replace(few, name="line_late_small", num_rounds=5),
            replace(few, name="late_notice_model", dataset="late_notice"),
        ),
        monitors=(
            replace(single.monitor, model=model.name),
            replace(single.monitor, name="late_notice", model="late_notice_model"),
        ),
        first_slot=single.first_slot,
        last_slot=single.last_slot,
    )


class Built:
    """One lake, built once as a pipeline with one of each part, and once with several."""

    def __init__(self, root):
        self.world = World(root)
        self.world.deliver_days()
        self.world.publish()
        self.single = Home(root / "single")
        shutil.copytree(self.world.home.root, self.single.root, dirs_exist_ok=True)
        build_release(self.world.pipeline, self.single)
        train_model(self.world.pipeline, self.single)
        self.home, self.pipeline = self.world.home, several(self.world.pipeline)
        self.defs = definitions(self.pipeline, home=lambda: self.home)
        self.outcome = run_pipeline(self.pipeline, self.home, defs=self.defs, project=root)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HEADRACE_STORE", raising=False)
        root = tmp_path_factory.mktemp("several")
        patch.setenv("HEADRACE_HOME", str(root / "home"))
        yield Built(root)


@pytest.fixture
def command(built, monkeypatch):
    from headrace.cli import commands  # noqa: F401 - registers the commands
    from headrace.cli.app import app

    monkeypatch.setenv("HEADRACE_HOME", str(built.home.root))
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [built.pipeline])
    monkeypatch.setattr("headrace.pipeline.load.project_pipelines", lambda: [built.pipeline])

    def run(*words, code=0):
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == code, done.output + repr(done.exception)
        return done

    return run


def test_a_run_builds_every_part(built):
    assert built.outcome.ok, built.outcome.lines()
    assert is_current(built.pipeline, built.home)
    refs = [row["ref"] for row in overview([built.pipeline], built.home)["releases"]]
    assert sorted(refs) == ["late_notice@1.0.0", "line_lateness@1.0.0"]
    assert {m.name for m in built.pipeline.models} == {
        row["name"] for row in model_rows(built.home) if row["champion"]
    }


def test_a_dataset_and_its_model_are_what_they_are_alone(built):
    """Other parts beside it move neither the content hash, nor the manifest, nor the model."""
    alone, beside = (Store.find(home.store) for home in (built.single, built.home))
    first, second = (
        store.manifest("line_lateness", "1.0.0").to_json() for store in (alone, beside)
    )
    assert second["content_hash"] == first["content_hash"]
    assert second == first
    models = [champion(home, "line_late") for home in (built.single, built.home)]
    assert models[0].bundle_id == models[1].bundle_id
    first_views = built.home.root / "features" / "lines"
    assert sorted(path.name for path in first_views.iterdir() if path.is_dir()) == [
        "ahead", "gauge", "line", "rows", "stop",
    ]  # fmt: skip
    assert sorted(path.name for path in (first_views / "rows" / "late_notice").iterdir()) == [
        "line",
        "stop",
    ]


def test_each_dataset_has_the_columns_of_its_views(built):
    early = headrace.open("line_lateness@latest", store=built.home.store)
    late = headrace.open("late_notice@latest", store=built.home.store)
    assert set(late.manifest.features) < set(early.manifest.features)
    assert {name.partition("__")[0] for name in late.manifest.features} == {"line", "stop", "busy"}
    gap = early.df.set_index("trip")["t"] - late.df.set_index("trip")["t"]
    assert set(gap.dropna().astype("int64")) == {gap.dropna().astype("int64").iloc[0]}


def test_the_graph_has_an_asset_for_each_part(built):
    graph = built.defs.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {"datasets/line_lateness", "datasets/late_notice"} <= keys
    assert {"models/line_late", "models/line_late_small", "models/late_notice_model"} <= keys
    assert {"monitoring/lines/decision", "monitoring/lines/late_notice/decision"} <= keys

    def parents(*path):
        return {key.to_user_string() for key in graph.get(dg.AssetKey(list(path))).parent_keys}

    assert parents("datasets", "late_notice") == {
        "features/line", "features/stop", "tables/plan", "tables/arrivals",
    }  # fmt: skip
    assert parents("models", "line_late_small") == {"datasets/line_lateness"}
    assert parents("models", "late_notice_model") == {"datasets/late_notice"}
    assert parents("monitoring", "lines", "late_notice", "drift") == {
        "monitoring/lines/late_notice/profiles",
        "models/late_notice_model",
    }
    repository = built.defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {"retrain", "retrain_late_notice"} <= jobs
    sensors = [s for s in repository.sensor_defs if s.name.startswith("retraining")]
    assert {sensor.name: sensor.job_name for sensor in sensors} == {
        "retraining": "retrain",
        "retraining_late_notice": "retrain_late_notice",
    }


def test_the_sensor_of_a_further_monitor_configures_its_own_job(built):
    class Trigger:
        sequence, trigger_id, reason = 1, "t1", "drift"

    part = built.pipeline.for_monitor("late_notice")
    sensor = retraining_sensor(part, lambda: built.home, lambda: [Trigger()], suffix="_late_notice")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        (request,) = sensor.evaluate_tick(context).run_requests
    job = built.defs.resolve_job_def(sensor.job_name)
    assert dg.validate_run_config(job, request.run_config)["ops"].keys() == {
        "retrain_model_late_notice"
    }


def test_status_has_the_task_and_the_figures_of_each_model(built, command):
    rows = json.loads(command("status", "--json").stdout)["models"]
    by_name = {row["name"]: row for row in rows}
    assert set(by_name) == {"line_late", "line_late_small", "late_notice_model"}
    row = by_name["late_notice_model"]
    assert (row["task"], row["champion"]) == ("binary", True)
    assert row["ref"].startswith("late_notice_model@")
    assert row["metrics"]["log_loss"] > 0
    assert row["baseline"]["log_loss"] > 0


def test_a_command_for_one_part_asks_which(built, command, tmp_path):
    for words, kind, names in (
        (("features", "frame", "--out", "x"), "dataset", "line_lateness, late_notice"),
        (("monitor", "explain"), "monitor", "lines, late_notice"),
        (("retrain", "--reason", "x"), "model", "line_late, line_late_small, late_notice_model"),
    ):
        done = command(*words, code=2)
        assert f"--{kind} with one of {names}" in done.stderr
    path = tmp_path / "frame.parquet"
    written = command("features", "frame", "--dataset", "late_notice", "--out", str(path), "--json")
    late = headrace.open("late_notice@latest", store=built.home.store)
    assert json.loads(written.stdout)["rows"] >= late.manifest.rows
    released = json.loads(command("dataset", "release", "--json").stdout)["releases"]
    assert [row["ref"] for row in released] == ["line_lateness@1.0.0", "late_notice@1.0.0"]
    assert all(row["unchanged"] for row in released)
    reports = json.loads(command("monitor", "status", "--json", code=1).stdout)["monitors"]
    assert [report["monitor"] for report in reports] == ["lines", "late_notice"]
    assert "no dataset 'x'" in command("dataset", "release", "--dataset", "x", code=2).stderr


def test_rows_of_both_datasets_are_traced_and_rebuilt(built):
    for name in ("line_lateness", "late_notice"):
        dataset = headrace.open(f"{name}@latest", store=built.home.store)
        row = dataset.df.iloc[len(dataset.df) // 2]
        traced = trace(dataset.ref, {"trip": int(row["trip"])}, built.home, built.pipeline)
        assert traced.pipeline.dataset.name == name
        rebuilt = rebuild(dataset.ref, [built.pipeline], built.home)
        assert rebuilt.content_hash == dataset.content_hash


def test_a_batch_reaches_every_part_that_reads_its_table(built):
    held = impact(built.home, first_batch(built.home, "gauges"))
    assert [release.ref for release in held.releases] == ["line_lateness@1.0.0"]
    held = impact(built.home, first_batch(built.home, "arrivals"))
    assert {release.ref for release in held.releases} == {
        "line_lateness@1.0.0",
        "late_notice@1.0.0",
    }
    assert len(held.models) == 3
    reached = reached_rows(built.home, held, [built.pipeline], ["arrivals"])
    assert all(answer.used for answer in reached.values())
    rows = {row["dataset"]: row for row in readers([built.pipeline], "gauges")}
    assert rows["line_lateness"]["views"] == ["gauge"]
    assert rows["late_notice"]["views"] == []
    assert rows["line_lateness"]["model"] == "line_late, line_late_small"


def first_batch(home: Home, table: str) -> str:
    with Ledger(home) as ledger:
        return next(key for key, row in ledger.batches(table).items() if row.slot == DAYS[6])


def test_each_model_is_served_and_its_log_is_audited(built):
    parts = online_parts(built.pipeline)
    assert [part.dataset.name for part in parts] == ["line_lateness", "late_notice"]
    for part in parts:
        fill(part, built.home)
        status = online_status(part, built.home)
        assert (status["state"], status["older_stores"]) == ("filled", [])
    assert len(stores([built.pipeline], built.home, "arrivals")) == 2
    assert len(stores([built.pipeline], built.home, "gauges")) == 1
    for part in built.pipeline.each_model():
        made = endpoint(part, built.home, keys=ApiKeys(), log_share=1.0, source="tables")
        dataset = headrace.open(f"{part.dataset.name}@latest", store=built.home.store)
        row = dataset.df.iloc[0]
        request = {name: row[name] for name in ("trip", "line", "stop")}
        request |= {
            "trip": int(row["trip"]),
            "due": row["due"].isoformat().replace("+00:00", "Z"),
            "fare": None,
        }
        vector = made.service.vector(request, AT)
        assert set(vector.values) == set(dataset.manifest.features)
        assert made.scorer.name == part.model.name
        (score,) = made.scorer.current(made.service.definitions).scores([vector])
        assert 0 < score < 1
        made.log.append([Entry(vector, model=part.model.name, score=score)])
        made.log.close()
    logs = sorted(path.name for path in (built.home.root / "served").glob("*.sqlite"))
    assert logs == ["lines.late_notice.sqlite", "lines.sqlite"]
    report = audit_served(built.pipeline, built.home)
    assert (report.compared, report.differences) == (3, ())


def test_each_monitor_has_its_report_and_its_retraining(built):
    options = [monitor_report(part, built.home).options for part in built.pipeline.each_monitor()]
    assert options == ["--pipeline lines --monitor lines", "--pipeline lines --monitor late_notice"]
    part = built.pipeline.for_monitor("late_notice")
    request = asked_by(part, built.home, "ana", "a new line", as_of=iso(AT), key="k")
    other = asked_by(
        built.pipeline.for_monitor("lines"), built.home, "ana", "a new line", as_of=iso(AT), key="k"
    )
    assert request.trigger_id != other.trigger_id
    entries = {
        name: len(DecisionLedger(built.home).entries(name)) for name in ("lines", "late_notice")
    }
    assert entries["lines"] == entries["late_notice"] > 0


def test_a_retraining_moves_the_splits_of_its_own_dataset_alone(built, tmp_path):
    home = Home(tmp_path / "home")
    shutil.copytree(built.home.root, home.root, dirs_exist_ok=True)
    plan = Retraining(valid="2d", test="2d", recent=None)
    pipeline = replace(built.pipeline, retraining=plan)
    part = pipeline.for_monitor("late_notice")
    outcome = retrain_by_hand(part, home, "ana", "a new line", as_of="2024-03-08", key="k")
    released = outcome.steps["released"]["dataset"]
    assert released.startswith("late_notice@")
    assert released != "late_notice@1.0.0"
    assert not DecisionLedger(home).steps("lines")
    for dataset, versions in (("line_lateness", 1), ("late_notice", 2)):
        build_release(pipeline.for_dataset(dataset), home)
        assert len(Store.find(home.store).versions(dataset)) == versions
    trained = {part.model.name: train_model(part, home) for part in pipeline.each_model()}
    assert "a retraining made this release" in trained["late_notice_model"].metadata["why"]
    assert not any(trained[name].changed for name in trained)
