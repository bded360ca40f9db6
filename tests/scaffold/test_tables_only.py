"""`headrace new project --tables-only`: a project with a contract, a gate and a table, no model."""

import json

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.scaffold import new_project, new_source
from tests.scaffold.shop import ask, orders
from tests.scaffold.test_new import run_in

DAYS = 12
COMMAND = "from headrace.cli import main; main()"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables_only")
    data = orders(folder / "orders.csv", days=DAYS)
    return new_project("shop", ask(data, entity=()), folder, tables_only=True)


def test_it_has_no_features_and_asks_for_no_target(made):
    modules = {path for path in made.written if path.endswith(".py")}
    assert modules == {
        "pipelines/__init__.py",
        *(f"pipelines/shop/{name}.py" for name in ("__init__", "definitions", "sources")),
        *(f"tests/shop/{name}.py" for name in ("conftest", "test_contracts")),
    }
    assert not {"target", "entity", "horizon"} & set(made.decided)
    assert "spine" not in (made.root / "pipelines/shop/__init__.py").read_text()


def test_it_runs_and_its_tests_pass(made):
    done = run_in(made.root, "-c", COMMAND, "run", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (table,) = report["tables"]
    assert report["ok"]
    assert table["delivered"] == table["published"] == DAYS * 8
    assert [run["job"] for run in report["runs"][0]["runs"]] == ["ingest"]
    again = json.loads(run_in(made.root, "-c", COMMAND, "run", "--json").stdout)
    assert again["runs"][0]["runs"] == []
    status = run_in(made.root, "-c", COMMAND, "status")
    assert status.returncode == 0, status.stderr
    assert "nothing released" not in status.stdout
    tests = run_in(made.root, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout + tests.stderr


def test_its_code_location_loads_as_the_ui_loads_it(made):
    done = run_in(made.root, "-c", COMMAND, "automation", "ls", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    rows = rows["automation"] if isinstance(rows, dict) else rows
    assert {row["name"] for row in rows} == {
        "deliveries", "alerts", "daily_ingest", "nightly_maintenance",
    }  # fmt: skip


def test_a_table_is_added(made, tmp_path):
    data = orders(tmp_path / "returns.csv", days=DAYS)
    added = new_source(ask(data), None, made.root)
    assert "quality_suites/shop/returns.yaml" in added.written
    assert 'table("returns", folder)' in (made.root / "pipelines/shop/__init__.py").read_text()


def test_the_command_needs_no_target(tmp_path):
    data = orders(tmp_path / "orders.csv", days=DAYS)
    options = ["--time", "ordered_at", "--key", "Order ID", "--out", str(tmp_path)]
    words = ["new", "project", "till", "--tables-only", "--data", str(data), *options, "--json"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "till/pipelines/till/__init__.py").is_file()
    assert not (tmp_path / "till/pipelines/till/model.py").exists()
