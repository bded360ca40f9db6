"""alerts.yaml, read strictly; windows of mutes by the wall clock."""

from pathlib import Path

import pytest

from headrace.alerts.config import Config, address, load_config
from headrace.alerts.model import Condition
from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError

GIVEN = """\
version: 1
routes:
  ana@example.com:
    - ${PAGER}
  "*":
    - ${MAIL}
quiet: [WARN]
mute:
  - {why: night, verdicts: [MISSING], daily: 22:00-07:00, zone: Europe/Berlin, days: [fri, sat]}
  - {why: move, tables: [weather], from: 2024-06-01T00:00:00Z, until: 2024-06-02T00:00:00Z}
"""


def condition(table="meter", verdict="MISSING"):
    return Condition(table, "2024-01-01", "slot:2024-01-01", "missing", verdict, "w", "r", "o")


@pytest.fixture
def config(tmp_path) -> Config:
    path = tmp_path / "alerts.yaml"
    path.write_text(GIVEN)
    return load_config(path)


def test_owners_and_everybody_else(config):
    assert config.targets("ana@example.com") == ("PAGER",)
    assert config.targets("bob@example.com") == ("MAIL",)
    assert config.quiet == {"WARN"}


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2024-06-07T19:59:59Z", None),  # Friday, 21:59 in Berlin
        ("2024-06-07T20:00:00Z", "2024-06-08T05:00:00Z"),
        ("2024-06-08T04:59:59Z", "2024-06-08T05:00:00Z"),  # Saturday, the end of Friday's night
        ("2024-06-08T05:00:00Z", None),
        ("2024-06-09T04:00:00Z", "2024-06-09T05:00:00Z"),  # Sunday, the end of Saturday's
        ("2024-06-09T21:00:00Z", None),
        ("2024-01-05T20:59:59Z", None),  # winter: an hour later by UTC
        ("2024-01-05T21:00:00Z", "2024-01-06T06:00:00Z"),
    ],
)
def test_a_night_by_the_wall_clock(config, moment, until):
    found = config.muted_until(condition(), parse_iso(moment))
    assert found == (None if until is None else parse_iso(until))


@pytest.mark.parametrize(
    ("table", "verdict", "moment", "held"),
    [
        ("weather", "BLOCK", "2024-06-01T12:00:00Z", True),
        ("weather", "BLOCK", "2024-06-02T00:00:00Z", False),
        ("weather", "BLOCK", "2024-05-31T23:59:59Z", False),
        ("meter", "BLOCK", "2024-06-01T12:00:00Z", False),
    ],
)
def test_a_mute_of_one_table(config, table, verdict, moment, held):
    assert (config.muted_until(condition(table, verdict), parse_iso(moment)) is not None) == held


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\n", "2 is not allowed here"),
        ("version: 1\nroute: {}\n", "unknown key 'route'"),
        ("version: 1\nroutes: {a: ['mailto://u:hush@h']}\n", r"not \$\{NAME\}"),
        ("version: 1\nquiet: [LOUD]\n", "'LOUD' is not allowed"),
        ("version: 1\nmute: [{why: for ever}]\n", "no end"),
        ("version: 1\nmute: [{why: x, daily: '25:00-07:00'}]\n", "not a range of hours"),
        ("version: 1\nmute: [{why: x, until: tomorrow}]\n", "not a timestamp"),
        ("version: 1\nmute: [{why: x, daily: 22:00-07:00, zone: Mars/X}]\n", "unknown time zone"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_repeated(tmp_path, text, said):
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=said) as caught:
        load_config(path)
    assert "hush" not in str(caught.value)
    assert str(path) in caught.value.where


def test_a_file_of_comments_has_no_routes(tmp_path):
    path = tmp_path / "alerts.yaml"
    path.write_text("version: 1\nroutes:\n  # nobody yet\nmute:\n")
    assert load_config(path).targets("x") == ()


def test_the_commented_file_of_a_new_project_and_ours_tell_nobody_yet(tmp_path):
    from headrace.scaffold.templates import fill

    written = tmp_path / "alerts.yaml"
    written.write_text(fill("alerts.yaml"))
    ours = Path(__file__).parents[2] / "alerts.yaml"
    for path in (written, ours):
        found = load_config(path)
        assert (found.targets("x"), found.quiet, found.mutes) == ((), {"WARN", "QUARANTINE"}, ())
    assert written.read_text() == ours.read_text()


def test_its_examples_are_right_when_the_marks_are_taken_away(tmp_path):
    from headrace.scaffold.templates import fill

    lines = fill("alerts.yaml").splitlines()
    live = [line.replace("# ", "", 1) if line.startswith("  # ") else line for line in lines]
    text = "\n".join(line for line in live if "an owner, " not in line and "else:" not in line)
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    found = load_config(path)
    assert found.targets("schedule-planning") == ("SCHEDULE_PAGER",)
    assert found.targets("anybody") == ("DATA_TEAM_MAIL",)
    assert len(found.mutes) == 2


@pytest.mark.parametrize("line", ["PAGER=json://h/x", "PAGER = 'json://h/x'", 'PAGER="json://h/x"'])
def test_addresses_may_stand_in_the_env_file_of_the_project(tmp_path, monkeypatch, line):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / ".env").write_text(f"# PAGER=old\nOTHER=1\n{line}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAGER", raising=False)
    assert address("PAGER") == "json://h/x"
    monkeypatch.setenv("PAGER", "json://other")
    assert address("PAGER") == "json://other"
    with pytest.raises(DeclarationError, match="NOBODY is not set"):
        address("NOBODY")
