"""`headrace features`: what it prints, what it exits with, over a small published world."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace import pipeline as pipelines
from headrace.cli.app import app
from headrace.core.home import Home
from headrace.features import Window, output_columns, training_frame
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.feature_catalog import feature_rows, write_frame
from headrace.verification import proofs
from headrace.verification.proofs import feature_leaks, feature_parity
from tests.serving.world import DAYS, VIEWS, World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("proofs"))
    made.deliver_days()
    made.publish()
    return made


@pytest.fixture
def run(world, monkeypatch):
    """Run a command in a project whose one pipeline is the world's."""
    monkeypatch.setenv("HEADRACE_HOME", str(world.home.root))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    monkeypatch.setattr(pipelines, "project_pipelines", lambda: [world.pipeline])

    def invoke(*arguments):
        group = "verify" if arguments[0] in {"parity", "leaks", "skew", "self-test"} else "features"
        done = CliRunner().invoke(app, [group, *arguments], catch_exceptions=False)
        return done.exit_code, done.stdout

    return invoke


@pytest.mark.parametrize("via", ["tables", "store"])
def test_parity(run, via):
    if via == "store":
        pytest.importorskip("lmdb", reason="the embedded online store needs headrace[online]")
    code, text = run("parity", "--samples", "300", "--backend", via, "--json")
    assert (code, json.loads(text)) == (0, {"compared": 300, "different": 0, "causes": {}})


def test_parity_says_what_differs_and_exits_with_1(run, monkeypatch):
    class Wrong:
        """A path whose windows are those of another definition."""

        def __init__(self, path):
            self.path = path
            service = path.service
            longer = tuple(
                replace(v, features=tuple(replace(f, window=Window("-2d")) for f in v.features))
                if v.name == "stop"
                else v
                for v in VIEWS
            )
            service.views = longer

        def __getattr__(self, name):
            return getattr(self.path, name)

    right = proofs.serving_path
    monkeypatch.setattr(proofs, "serving_path", lambda *about: Wrong(right(*about)))
    code, text = run("parity", "--samples", "200", "--json")
    found = json.loads(text)
    assert code == 1
    assert found["different"] > 50
    assert found["causes"]["another window"] == found["different"]
    assert {name.partition("__")[0] for name in found["features"]} <= {"stop", "busy"}


def test_leaks(run):
    code, text = run("leaks", "--rows", "60", "--json")
    found = json.loads(text)
    assert code == 0
    assert set(found) == {"rows", "moved"}
    assert found["rows"] >= 60
    assert found["moved"] == 0


def test_ls_and_forms(run, world, tmp_path):
    code, text = run("ls", "--json")
    rows = json.loads(text)
    assert code == 0
    assert [row["feature"] for row in rows] == output_columns(VIEWS)
    assert {row["type"] for row in rows} >= {"int64", "double"}
    assert "line__rows_6h" in run("ls")[1]
    code, text = run("forms")
    (tmp_path / "forms.json").write_text(text)
    assert run("diff", str(tmp_path / "forms.json"))[0] == 0
    (tmp_path / "other.json").write_text(text.replace('"fare"', '"taken"'))
    code, text = run("diff", str(tmp_path / "other.json"), "--json")
    assert code == 1
    assert set(json.loads(text)["changed"]) >= {"ahead__fare_sum_1h_ago_to_3h"}
    used = ("releases", "models", "outdated")
    assert all(row.pop(name) == [] for row in rows for name in used)
    assert feature_rows(world.pipeline) == rows
    mean = next(row for row in rows if " mean of " in f" {row['what']}" or "mean of" in row["what"])
    assert mean["columns"]
    assert mean["window"]
    assert mean["pipeline"] == world.pipeline.name


def test_what_it_is_not_told_right(run):
    assert run("parity", "--backend", "magic")[0] == 2
    assert run("frame", "--out", "x.parquet", "--mode", "magic")[0] == 2
    assert run("diff", "no-such-revision")[0] == 2
    assert run("ls", "--pipeline", "nobody")[0] == 2


def test_nothing_published_is_said(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(Home(tmp_path / "empty").root))
    assert run("parity", "--json")[0] == 3
    assert run("leaks", "--json")[0] == 3
    code, text = run("skew", "--json")
    assert (code, json.loads(text)["compared"]) == (0, 0)


def test_a_frame_is_the_pipelines(run, world, tmp_path):
    out = tmp_path / "frame.parquet"
    code, text = run("frame", "--out", str(out), "--from", DAYS[3], "--to", DAYS[4], "--json")
    frame = pq.read_table(out)
    assert code == 0
    assert json.loads(text)["rows"] == frame.num_rows > 40
    context = BuildContext(world.pipeline, world.home)
    assert set(frame.column_names) == {*context.spine.column_names, *output_columns(VIEWS)}
    whole = training_frame(
        context.spine, VIEWS, context.history, world.pipeline.contracts, reasons=True
    )
    done = write_frame(world.pipeline, world.home, out, reasons=True, memory=200_000)
    assert (done["rows"], done["columns"]) == (whole.num_rows, whole.num_columns)
    written = pq.read_table(out)
    assert all(written[name].equals(whole[name]) for name in whole.column_names)


def test_proofs_need_no_command(world):
    home = Home(world.home.root)
    assert feature_parity(world.pipeline, home, samples=50, seed=5).different == 0
    assert not feature_leaks(world.pipeline, home, rows=20, seed=5)
