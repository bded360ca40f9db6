"""A model is told to a real MLflow store, once, with the release that it learned from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from headrace.core.errors import StateError
from headrace.models import Trainer, mlflow_export, promote, train
from headrace.models.mlflow_export import BUNDLE, export, flat, mark_champion
from tests.models.conftest import MODEL
from tests.models.learner_project import constant


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # the database store warns of SQLAlchemy 2.1, which errors here; the same client speaks to both
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def test_an_export_tells_everything_and_only_once(record, home, uri):
    told = export(home, record, uri)
    assert (told.experiment, told.version, told.new) == ("late", "1", True)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.get_run(told.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["num_leaves"] == "7"
    assert run.data.params["rounds"] == str(record.rounds)
    assert run.data.metrics["model.log_loss"] == record.metrics["model"]["log_loss"]
    assert run.data.tags["headrace.content_hash"] == record.content_hash
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == record.dataset
    assert record.content_hash.startswith(given.dataset.digest)
    assert json.loads(given.dataset.source)["content_hash"] == record.content_hash
    version = client.get_model_version("late", told.version)
    assert version.tags[BUNDLE] == record.bundle_id
    assert version.run_id == told.run_id
    text = Path(client.download_artifacts(told.run_id, "model/model.txt")).read_text()
    assert text == record.text()
    again = export(home, record, uri)
    assert (again.run_id, again.version, again.new) == (told.run_id, "1", False)
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_what_a_crash_left_out_is_logged_the_next_time(record, home, uri, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_args):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(mlflow_export, "_log_dataset", die)
        with pytest.raises(Killed):
            export(home, record, uri)
    told = export(home, record, uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.get_run(told.run_id)
    assert run.info.status == "FINISHED"
    assert len(run.inputs.dataset_inputs) == 1
    assert len(client.search_runs([run.info.experiment_id])) == 1
    assert len(client.search_model_versions("name = 'late'")) == 1


def test_the_champion_here_is_the_champion_there(record, home, uri):
    told = export(home, record, uri)
    assert not mark_champion(home, "late", told)
    promote(home, record, "first")
    assert mark_champion(home, "late", told)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert client.get_model_version_by_alias("late", "champion").run_id == told.run_id


def test_a_store_that_refuses_is_named(record, home, uri, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    with pytest.raises(
        StateError, match="MLflow reports an error: The filesystem tracking backend"
    ):
        export(home, record, uri)


def test_numbers_by_their_path():
    nested = {"rows": 3, "model": {"auc": 0.5, "says": "well", "beats": True}, "bins": [1]}
    assert dict(flat(nested)) == {"rows": 3.0, "model.auc": 0.5}


def test_the_files_of_a_teams_code_are_exported(home, dataset, project, uri):
    learner = Trainer(constant(project))
    spec = replace(MODEL, params={}, num_rounds=300, early_stopping=30, learner=learner)
    record = train(dataset, spec, home)
    run = export(home, record, uri).run_id
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    copy = Path(client.download_artifacts(run, "model"))
    for name in ("learner.json", "model/rate.json", "baseline/rate.json", "source/rates.py"):
        assert (copy / name).read_bytes() == (record.path / name).read_bytes()
    assert json.loads(client.get_run(run).data.params["learner"])["entry"] == "rates:train"
