"""Models that were trained elsewhere: kept by their bytes, found again, never loaded."""

import json
import pickle
from pathlib import Path

import pytest
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.cli.project.status import show
from headrace.core.errors import DeclarationError, SourceError, StateError, TaintedError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.datasets.erasure.erase import carry_out
from headrace.datasets.erasure.requests import record, request_of
from headrace.datasets.governance.privacy_key import TEXT, PrivacyKey
from headrace.datasets.store.store import Store
from headrace.datasets.taint import Recall, note
from headrace.lineage.batch_holders import impact
from headrace.models import find_model, list_external, list_models, model_taints, register
from headrace.models.external import artifact_path, load_external
from headrace.reports.status import model_rows
from tests.models.conftest import released

RECALL = Recall("recalled", "weather", "w1", "2013-01-01", 5, "ann", "wrong unit")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights, config = tmp_path / "weights.pkl", tmp_path / "config.json"
    weights.write_bytes(pickle.dumps(Bomb()))
    config.write_bytes(b"{}")
    return [weights, config]


def test_it_is_kept_by_its_bytes_and_never_loaded(home, dataset, files):
    made = register(
        home, "net", dataset, files, framework="torch 2.9", metrics={"auc": 0.8}, principal="ann"
    )
    assert (made.dataset, made.content_hash) == ("delays@1.0.0", dataset.content_hash)
    assert made.principal == "ann"
    for path in files:
        path.unlink()
    assert [one.name for one in made.artifacts] == ["config.json", "weights.pkl"]
    assert artifact_path(made, "config.json").read_bytes() == b"{}"
    assert artifact_path(made, "weights.pkl").read_bytes() == pickle.dumps(Bomb())
    assert list_external(home) == [made]
    assert list_models(home) == []
    assert not Path("exploded").exists()
    (row,) = model_rows(home)
    assert (row["ref"], row["elsewhere"], row["champion"]) == (made.ref, "torch 2.9", False)
    with pytest.raises(DeclarationError, match="trained outside Headrace"):
        find_model(home, made.ref)
    with pytest.raises(DeclarationError, match="has no file 'other'"):
        artifact_path(made, "other")


def test_the_same_again_is_the_same_and_other_metrics_are_another(home, dataset, files):
    first = register(home, "net", dataset, files)
    assert register(home, "net", dataset, list(reversed(files)), principal="bob") == first
    other = register(home, "net", dataset, files, metrics={"auc": 0.9})
    assert {one.ref for one in list_external(home)} == {first.ref, other.ref}


def test_a_batch_finds_it_and_a_recall_taints_it(home, dataset, files):
    made = register(home, "net", dataset, files)
    assert made.ref in impact(home, "w1").models
    assert impact(home, "w1").champions == ()
    assert impact(home, "w9").models == ()
    assert model_taints(home, made) == ()
    note(Store.find(home.store), RECALL)
    assert model_taints(home, made) == (RECALL,)
    assert "wrong unit" in model_rows(home)[0]["tainted"][0]
    with pytest.raises(TaintedError, match="wrong unit"):
        register(home, "late_comer", dataset, files)
    tainted = headrace.open("delays", home.store, allow_tainted="to look at it")
    with pytest.raises(TaintedError):
        register(home, "late_comer", tainted, files)
    assert len(list_external(home)) == 1


def test_what_cannot_be_registered(home, dataset, files, tmp_path):
    for wrong, says in (
        ({"artifacts": []}, "no artifact"),
        ({"artifacts": [files[0], files[0]]}, "two artifacts have the same name"),
        ({"name": "../net"}, "not a model name"),
        ({"content_hash": "0" * 64}, "it was trained on 0000"),
        ({"metrics": {"auc": float("nan")}}, "finite"),
        ({"metrics": {"auc": object()}}, "not a JSON object"),
    ):
        given = {"name": "net", "artifacts": files, **wrong}
        with pytest.raises(DeclarationError, match=says):
            register(home, given.pop("name"), dataset, given.pop("artifacts"), **given)
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SourceError, match="cannot be copied"):
            register(home, "net", dataset, [path])
    assert list_external(home) == []
    left = [path for path in (home.models / "net").rglob("*") if path.is_file()]
    assert left == [], "nothing half-kept is left"
    assert register(home, "net", dataset, files, content_hash=dataset.content_hash)


def test_altered_files_are_told(home, dataset, files):
    made = register(home, "net", dataset, files)
    path = artifact_path(made, "config.json")
    path.write_bytes(b"[]")
    with pytest.raises(StateError, match="was altered after registration"):
        artifact_path(made, "config.json")
    path.write_bytes(b"longer")
    with pytest.raises(StateError, match="altered"):
        list_external(home)
    path.write_bytes(b"{}")
    form = json.loads((made.path / "model.json").read_bytes())
    (made.path / "model.json").write_bytes(canonical_json({**form, "dataset": "delays@2.0.0"}))
    with pytest.raises(StateError, match="altered"):
        load_external(home, "net", made.bundle_id)
    (made.path / "model.json").write_bytes(canonical_json({**form, "format": 2}))
    with pytest.raises(StateError, match="reads up to 1"):
        load_external(home, "net", made.bundle_id)


def test_the_command_registers_and_lists(tmp_path, files, monkeypatch):
    home = Home(tmp_path / "home")
    released(home)
    monkeypatch.setenv("HEADRACE_HOME", str(home.root))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    run = CliRunner().invoke
    given = ["model", "register", "net", "--dataset", "delays@latest", "--framework", "onnx"]
    given += [part for path in files for part in ("--artifact", str(path))]
    done = run(app, [*given, "--metrics", '{"auc": 0.8}', "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["dataset"] == "delays@1.0.0"
    assert found["metrics"] == {"auc": 0.8}
    assert "path" not in found
    (tmp_path / "metrics.json").write_text('{"auc": 0.7}')
    assert run(app, [*given, "--metrics", str(tmp_path / "metrics.json")]).exit_code == 0
    listed = json.loads(run(app, ["model", "ls", "--json"]).output)
    assert [one["elsewhere"] for one in listed] == ["onnx", "onnx"]
    assert "onnx" in run(app, ["model", "ls"]).output
    # What `headrace status` and `headrace run` end with: nobody here judged these models.
    nothing = {"tables": [], "mutes": [], "crowded": [], "unmatched": [], "releases": []}
    show({**nothing, "models": model_rows(home)})
    for wrong in ("[1]", "{", "no such file"):
        refused = run(app, [*given, "--metrics", wrong])
        assert refused.exit_code == 2, wrong
    assert run(app, ["model", "register", "net", "--dataset", "delays@9.0.0", "--artifact",
                     str(files[0])]).exit_code != 0  # fmt: skip


def test_a_batch_finds_it_also_when_somebody_was_erased_since(home, dataset, files, monkeypatch):
    """The release that it was trained on is gone; what it learnt of the batch is not."""
    monkeypatch.setenv(TEXT, "0123456789abcdef0123456789abcdef")
    made, store = register(home, "net", dataset, files), Store.find(home.store)
    for flight in dataset.arrow["flight"].to_pylist()[:2]:
        asked = request_of(
            {"flight": flight}, PrivacyKey.find("a test"), principal="dpo", reason="case 17"
        )
        carry_out(store, record(store, asked))
    assert store.versions("delays") == ["1.0.2"]
    found = impact(home, "w1")
    assert ([one.ref for one in found.releases], found.models) == (["delays@1.0.2"], (made.ref,))
    assert impact(home, "w9").models == ()
    assert model_taints(home, made) == ()
    note(store, RECALL)
    assert model_taints(home, made) == (RECALL,)
