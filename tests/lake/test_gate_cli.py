"""`headrace gate lint|shadow|suggest|show` over a project with one table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from kit import SLOTS, SUITE, Meter
from typer.testing import CliRunner

import headrace.pipeline
from headrace.cli.app import app
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest

ROOT = Path(__file__).parents[2]
GOOD = SUITE.replace("LIMIT", "1000").replace("VERSION", "1")
SHADOW = """
  - type: expect_column_max_to_be_between
    kwargs: {column: value, max_value: 14}
    meta: {id: "[small]", shadow: true}
"""


class Project:
    """What `project_pipelines` finds: a pipeline of one table, whose suite is a file."""

    def __init__(self, root: Path) -> None:
        self.meter = Meter(root)
        self.path = root / "suite.yaml"
        self.write(GOOD + SHADOW)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    @property
    def tables(self):
        suite = load_suite(self.path, self.meter.table.contract)
        return (replace(self.meter.table, suite=suite),)


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = Project(tmp_path)
    monkeypatch.setattr(headrace.pipeline, "project_pipelines", lambda: [made])
    monkeypatch.setenv("HEADRACE_HOME", str(made.meter.home.root))
    made.meter.drop_all()
    ingest(made.tables[0], SLOTS, made.meter.home)
    return made


def run(*words: str):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["gate", *words])


def test_lint_is_quiet_about_the_suites_of_this_project(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    done = run("lint", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["ok"]
    # Some are read by no table of a pipeline that is declared, but by a study of detectors.
    files = {str(path) for path in (ROOT / "quality_suites").rglob("*.yaml")}
    assert {one["path"] for one in told["suites"]} | set(told["unread"]) == files


def test_lint_names_a_fault_with_its_place_and_fix(project) -> None:
    assert run("lint").exit_code == 0
    project.write(
        GOOD.replace("expect_column_values_to_be_between", "expect_column_values_to_be_betwen", 1)
    )
    done = run("lint")
    assert done.exit_code == 2
    assert "unknown expectation type 'expect_column_values_to_be_betwen'" in done.output
    assert f"where: {project.path}, expectations[0]" in done.output
    assert "did you mean expect_column_values_to_be_between?" in done.output
    faults = json.loads(run("lint", "--json").stdout)["suites"][0]["faults"]
    assert [fault["where"] for fault in faults] == [f"{project.path}, expectations[0], line 5"]


def test_shadow_tells_days_and_reasons(project) -> None:
    done = run("shadow", "meter")
    assert done.exit_code == 0
    assert "[small] would block 2024-01-12: maximum of value 15 is above 14" in done.output
    told = json.loads(run("shadow", "--json").stdout)["checks"][0]
    assert (told["batches"], told["block"], told["warn"]) == (12, 1, 0)
    told = json.loads(run("shadow", "--rehearse", "--to", SLOTS[3], "--json").stdout)["checks"][0]
    assert (told["batches"], told["last"], told["block"]) == (4, SLOTS[3], 0)
    shown = run("show", "meter", SLOTS[-1])
    assert "in shadow, would BLOCK: [small]: maximum of value 15 is above 14" in shown.output
    assert "all 2 checks passed" in shown.output


def test_suggest_prints_writes_once_and_tells(project, tmp_path) -> None:
    printed = run("suggest", "meter")
    assert printed.exit_code == 0, printed.output
    assert "name: test.meter\n" in printed.stdout
    target = tmp_path / "drafts" / "meter.yaml"
    told = json.loads(run("suggest", "meter", "--json", "--out", str(target)).stdout)
    assert told["out"] == str(target)
    suite = load_suite(target, project.meter.table.contract)
    assert [one["meta"]["id"] for one in told["checks"]] == [one.id for one in suite.expectations]
    again = run("suggest", "meter", "--out", str(target))
    assert again.exit_code == 2
    assert "exists" in again.output
    assert run("suggest", "no_such_table").exit_code == 2


@pytest.mark.parametrize("wrong", ["name: [", "\udcff\udcfe", None])
def test_show_names_a_suite_that_cannot_be_read(project, wrong) -> None:
    """The verdict on record is older than the fault, and says nothing of it."""
    if wrong is None:
        project.path.unlink()
    else:
        project.path.write_bytes(wrong.encode(errors="surrogateescape"))
    done = run("show", "meter", SLOTS[0])
    assert done.exit_code == 0, done.output
    assert "The suite of meter cannot run, so new batches of the table stay pending" in done.stderr
    assert str(project.path) in done.stderr
    assert "fix:   ;" not in done.stderr
    assert json.loads(run("show", "meter", SLOTS[0], "--json").stdout)[0]["verdict"] == "PASS"
