"""A project's contracts against an earlier state of it, as a team's CI holds them."""

import json
import subprocess

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.contracts import load_contract
from headrace.contracts.evolution.project_check import check
from headrace.contracts.lint import lint
from tests.contracts.given import SMALL, flights

TEXT = SMALL.read_text()
CENT = ("value: EUR", "value: cent")
WORDS = ("Which meter.", "A meter.")
NAME = "pipelines/one/contracts/readings.yaml"
OLD = "pipelines/one/contracts/readings@1.yaml"


def edited(*changes):
    found = TEXT
    for old, new in changes:
        assert old in found, old
        found = found.replace(old, new, 1)
    return found


def version(text):
    return ("version: 1.0.0", f"version: {text}")


def consumers(names):
    return ("value: [tests]", f"value: {names}")


def held(tmp_path, now, then):
    sides = []
    for side, files in (("now", now), ("then", then)):
        found = {}
        for name, text in files.items():
            path = tmp_path / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            found[name] = path
        sides.append(found)
    (one,) = check(*sides)
    return one


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([], ""),
        ([WORDS], "a PATCH change against 1.0.0, but the version is 1.0.0"),
        ([WORDS, version("1.0.1")], ""),
        ([CENT, version("1.1.0")], "a MAJOR change against 1.0.0, but the version is 1.1.0"),
        ([CENT, version("2.0.0")], ""),
        ([CENT, version("0.9.0")], "a MAJOR change against 1.0.0, but the version is 0.9.0"),
        # Nobody uses it; its own earlier state counts all the same.
        ([CENT, consumers("[]")], "a MAJOR change against 1.0.0, but the version is 1.0.0"),
    ],
)
def test_a_change_is_told_by_the_version(changes, problem, tmp_path):
    found = held(tmp_path, {NAME: edited(*changes)}, {NAME: TEXT})
    assert found.problem == problem
    assert bool(found.fix) is bool(problem)
    assert found.breaks == (("tests",) if CENT in changes else ())


def test_a_version_with_consumers_beside_the_present_one_counts(tmp_path):
    """1.1.0 took the alias away that 1.0.0 lives by; against 1.1.0 the change is words alone."""
    gone = ("[remark]", "[]")
    now = edited(gone, WORDS, version("1.1.1"))
    before = {NAME: edited(gone, version("1.1.0"))}
    live = {OLD: TEXT}
    found = held(tmp_path, {NAME: now} | live, before | live)
    assert found.problem == "a MAJOR change against 1.0.0, but the version is 1.1.1"
    unused = {OLD: edited(consumers("[]"))}
    assert held(tmp_path, {NAME: now} | unused, before | unused).problem == ""


def test_an_earlier_version_is_not_rewritten(tmp_path):
    present = {NAME: edited(CENT, version("2.0.0"))}
    then = present | {OLD: TEXT}
    assert held(tmp_path, present | {OLD: edited(consumers("[]"))}, then).problem == ""
    found = held(tmp_path, present | {OLD: edited(("[-999]", "[-998]"))}, then)
    assert found.problem == f"the earlier version 1.0.0 was changed in {OLD}"


def test_a_version_is_not_taken_away_from_those_who_use_it(tmp_path):
    present = {NAME: edited(CENT, version("2.0.0"))}
    found = held(tmp_path, present, present | {OLD: edited(consumers("[archive]"))})
    assert found.problem == "archive still use the removed version 1.0.0"
    assert found.breaks == ("archive",)
    moved = {NAME: edited(CENT, version("2.0.0"), consumers("[tests, archive]"))}
    then = present | {OLD: edited(consumers("[archive]"))}
    assert "PATCH" in held(tmp_path, moved, then).problem, "the version tells of a new consumer"
    moved = {NAME: edited(CENT, version("2.0.1"), consumers("[tests, archive]"))}
    assert held(tmp_path, moved, then).problem == ""
    retired = edited(consumers("[archive]"), ("status: active", "status: retired"))
    assert held(tmp_path, present, present | {OLD: retired}).problem == ""


def test_three_live_versions(tmp_path):
    """Each version names its own consumers, and each is told what it loses."""
    older = {
        "pipelines/one/contracts/readings@1.yaml": edited(consumers("[archive]")),
        "pipelines/one/contracts/readings@2.yaml": edited(
            CENT, version("2.0.0"), consumers("[forecast, ledger]")
        ),
    }
    now = older | {NAME: edited(("value: EUR", "value: USD"), version("3.0.0"))}
    found = held(tmp_path, now, older)
    assert found.problem == ""
    assert found.breaks == ("forecast", "ledger", "archive")
    back = older | {NAME: edited(version("2.1.0"))}  # what 1.0.0 was, and 2.0.0 was not
    found = held(tmp_path, back, older)
    assert found.problem == "a MAJOR change against 2.0.0, but the version is 2.1.0"
    assert found.breaks == ("forecast", "ledger")


def test_one_version_in_two_files(tmp_path):
    found = held(tmp_path, {NAME: TEXT, OLD: TEXT}, {NAME: TEXT})
    assert found.problem.startswith("version 1.0.0 is in two files")


@pytest.mark.parametrize("status", ["active", "proposed"])
def test_a_proposal_binds_nobody(status, tmp_path):
    now = {NAME: TEXT, OLD: edited(CENT, ("status: active", f"status: {status}"), version("1.0.1"))}
    problem = held(tmp_path, now, {NAME: TEXT}).problem
    assert bool(problem) is (status == "active")
    alone = {NAME: edited(CENT, ("status: active", "status: proposed"))}
    assert "MAJOR" in held(tmp_path, alone, {NAME: TEXT}).problem
    alone = {NAME: edited(WORDS, ("status: active", "status: proposed"), version("1.0.1"))}
    assert "only proposed" in held(tmp_path, alone, {NAME: TEXT}).problem
    assert held(tmp_path, alone, {}).problem == ""


GONE = """      - name: good
        logicalType: boolean
        description: Yes or no.
        customProperties: [{property: fieldId, value: 18}]
"""


def retired(*ids):
    old = "      - {property: maxEvents"
    return (old, f"      - {{property: retiredFieldIds, value: {list(ids)}}}\n{old}")


def test_a_field_id_is_never_used_again(tmp_path):
    without = edited((GONE, ""), version("2.0.0"))
    found = held(tmp_path, {NAME: without}, {NAME: TEXT})
    assert found.problem == "field ids of removed columns are not retired: 18"
    assert found.fix == "add to the table: {property: retiredFieldIds, value: [18]}"
    second = edited((GONE, ""), version("2.0.0"), retired(18))
    assert held(tmp_path, {NAME: second}, {NAME: TEXT}).problem == ""
    third = edited(("name: good", "name: better"), version("3.0.0"))
    found = held(tmp_path, {NAME: third}, {NAME: second})
    assert found.problem == "'better' uses field id 18, retired in 2.0.0"
    forgotten = edited((GONE, ""), version("2.0.1"), WORDS)
    assert "not retired: 18" in held(tmp_path, {NAME: forgotten}, {NAME: second}).problem


def test_what_is_gone_had_consumers(tmp_path):
    found = held(tmp_path, {}, {NAME: TEXT})
    assert found.breaks == ("tests",)
    assert "removed" in found.problem
    assert held(tmp_path, {}, {NAME: edited(("status: active", "status: retired"))}).problem == ""


def test_what_is_new_may_be_anything(tmp_path):
    assert held(tmp_path, {NAME: TEXT}, {}).problem == ""


def test_lint_says_what_is_left_unsaid(tmp_path):
    found = {(hint.field, hint.rule) for hint in lint(load_contract(SMALL))}
    assert found == {
        (None, "no_support"),
        (None, "no_coverage"),
        ("rough", "no_unit"),
        ("plain", "no_unit"),
        ("plain", "no_limit"),
    }
    path = tmp_path / "more.yaml"
    path.write_text(
        edited(
            ("{expression: sent,", "{expression: event_time,"),
            ("Which meter.", "Meter."),
            consumers("[]"),
            ("      - {property: maxEvents, value: 1000}\n", ""),
            ("        primaryKey: true\n        primaryKeyPosition: 1\n", ""),
        )
    )
    more = {hint.rule for hint in lint(load_contract(path))} - {rule for _, rule in found}
    assert more == {"known_at_once", "says_nothing", "no_consumers", "no_max_events", "no_key"}
    assert lint(flights("schedule")) == []


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in a repository of its own, its contract on main."""
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.write_text(TEXT)
    (tmp_path / "pyproject.toml").write_text('[tool.headrace]\npipelines = ["pipelines.one"]\n')
    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-qb", "main"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], check=True)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["contract", *arguments])


def test_the_commands(project):
    assert run("check").exit_code == 0
    project.write_text(edited(CENT))
    done = run("check", "--against", "main", "--json")
    assert done.exit_code == 1
    (told,) = json.loads(done.stdout)
    assert (told["level"], told["ok"], told["breaks"]) == ("MAJOR", False, ["tests"])
    assert told["comparisons"][0]["changes"][0]["rule"] == "unit.changed"
    spoken = run("check").output
    assert "write version: 2.0.0" in spoken
    assert "cent instead of EUR" in spoken
    done = run("diff", f"main:{NAME}", NAME, "--json")
    assert done.exit_code == 1
    assert set(json.loads(done.stdout)["changes"][0]) == {
        "field", "rule", "reader", "trainer", "reason",
    }  # fmt: skip
    assert run("diff", NAME, NAME).exit_code == 0
    assert run("lint").exit_code == 0
    assert run("lint", "--strict").exit_code == 1
    assert json.loads(run("lint", "--json").stdout)[0]["rule"] == "no_support"


def test_what_is_not_there_is_said(project):
    for arguments, says in (
        (("diff", "nowhere:x.yaml", NAME), "'nowhere' is neither a file nor a revision"),
        (("diff", "main:x.yaml", NAME), "there is no 'x.yaml' at main"),
        (("diff", "x.yaml", NAME), "cannot read it"),
        (("check", "--against", "nowhere"), "'nowhere' is neither a file nor a revision"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert says in done.output
    project.write_text(edited(("status: active", "state: active")))
    assert "unknown key 'state'" in run("check").output
