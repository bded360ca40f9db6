"""What a change of a contract is, by a golden table; and what that asks of its version."""

import shutil
from pathlib import Path

import pytest
import yaml

from headrace.contracts import Level, compare, compare_all, load_contract
from headrace.contracts.evolution.compatibility import next_version, rules, step
from tests.contracts.given import FLIGHTS, SMALL, flights

GOLDEN = yaml.safe_load((Path(__file__).with_name("changes.yaml")).read_text())
# What the small contract does not have and the table changes.
STATE = """    properties:
      - name: state
        logicalType: string
        description: A code.
        customProperties:
          - {property: fieldId, value: 30}
          - {property: unit, value: mile}
          - {property: zone, value: America/New_York}
          - {property: levels, value: {A: open, B: shut}}
"""
TABLE = """      - {property: coverage, value: {first: 2024-01-01, last: 2024-12-31}}
      - {property: nullTokens, value: ["", NA]}
      - {property: deleted, value: {expression: count = 0, description: Nothing is left.}}
      - {property: maxEvents,"""
BASE = (
    SMALL.read_text()
    .replace("    properties:\n", STATE)
    .replace("      - {property: maxEvents,", TABLE)
)


def changed(folder, *changes, name="changed"):
    text = BASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return load_contract(path)


def told(comparison):
    return sorted(
        f"{one.field or 'table'} {one.rule} {one.reader.name} {one.trainer.name}"
        for one in comparison.changes
    )


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["what"])
def test_every_change_is_what_the_table_says(entry, tmp_path):
    changes = [(entry["old"], entry["new"]), *([entry["then"]] if "then" in entry else [])]
    before, after = changed(tmp_path, name="base"), changed(tmp_path, *changes)
    for way, comparison in (("there", compare(before, after)), ("back", compare(after, before))):
        assert told(comparison) == sorted(entry[way].split(", "))
        reasons = [change.reason for change in comparison.changes]
        assert not [reason for reason in reasons if "None" in reason or "{" in reason]


def test_the_table_holds_enough_and_every_rule_is_in_it():
    wanted = {text.split()[1] for one in GOLDEN for way in ("there", "back")
              for text in one[way].split(", ")}  # fmt: skip
    assert len(GOLDEN) >= 60
    elsewhere = {"lookup.added", "lookup.changed", "lookup.removed", "unknown.changed"}
    assert rules().keys() - wanted == elsewhere


def test_the_same_contract_is_no_change(tmp_path):
    one = changed(tmp_path, ("version: 1.0.0", "version: 1.0.1"))
    assert compare(changed(tmp_path, name="base"), one).level is Level.NONE
    assert compare(one, one).changes == ()


def test_a_table_that_is_looked_up(tmp_path):
    shutil.copytree(FLIGHTS.parent, tmp_path / "flights", dirs_exist_ok=True)
    path = tmp_path / "flights" / "contracts" / "schedule.yaml"
    zones = tmp_path / "flights" / "reference" / "airport_zones.csv"
    lines = zones.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("BOS,"))
    for what, rule in (
        ("", "lookup.removed"),
        ("BOS,Europe/Paris\n", "lookup.changed"),
        (lines[at] + "XYZ,Europe/Paris\n", "lookup.added"),
    ):
        zones.write_text("".join([*lines[:at], what, *lines[at + 1 :]]))
        found = compare(flights("schedule"), load_contract(path)).changes
        assert {change.rule for change in found} == {rule}


def test_what_no_rule_knows_is_a_break(tmp_path):
    before = changed(tmp_path, name="base")
    after = changed(tmp_path)
    object.__setattr__(after, "meaning_hash", "another")
    found = compare(before, after)
    assert told(found) == ["table unknown.changed MAJOR MAJOR"]
    worded = changed(tmp_path, ("Which meter.", "A meter."), name="worded")
    object.__setattr__(worded, "meaning_hash", "another")
    assert compare(before, worded).level is Level.MAJOR


def test_the_gravest_comes_first_and_decides(tmp_path):
    found = compare(
        changed(tmp_path, name="base"),
        changed(tmp_path, ("Which meter.", "A meter."), ("value: EUR", "value: cent")),
    )
    assert [change.rule for change in found.changes] == ["unit.changed", "description.changed"]
    assert found.level is Level.MAJOR
    assert found.breaks == ("tests",)
    assert "cent instead of EUR" in found.changes[0].reason


@pytest.mark.parametrize(
    ("before", "after", "level", "enough"),
    [
        ("1.0.0", "2.0.0", "MAJOR", True),
        ("1.0.0", "1.1.0", "MAJOR", False),
        ("1.0.0", "1.1.0", "MINOR", True),
        ("1.2.0", "2.0.0", "MINOR", True),
        ("1.0.0", "1.0.1", "MINOR", False),
        ("1.0.9", "1.0.10", "PATCH", True),
        ("1.0.0", "1.0.0", "PATCH", False),
        ("2.0.0", "1.9.0", "PATCH", False),
        ("1.0.0", "1.0.0", "NONE", True),
    ],
)
def test_how_far_a_version_goes(before, after, level, enough):
    assert (step(before, after) >= Level[level]) is enough
    assert step(before, next_version(before, Level[level])) is Level[level]


def test_small_steps_may_break_the_one_who_is_two_behind(tmp_path):
    """Each step is harmless; together the first version's name is gone."""
    plain = "name: plain\n        logicalType: number\n        description: A float as it is.\n"
    props = "        customProperties: [{property: fieldId, value: 17}"
    start = plain + props

    def version(name, number, aliases, consumers="[tests]"):
        alias = f", {{property: aliases, value: {aliases}}}"
        new = start.replace("name: plain", f"name: {name}") + alias
        ver = ("version: 1.0.0", f"version: {number}")
        return changed(
            tmp_path, (start, new), ver, ("value: [tests]", f"value: {consumers}"), name=number
        )

    first = changed(tmp_path, name="first")
    second = version("bare", "1.1.0", "[plain]")
    third = version("naked", "1.2.0", "[bare]")
    assert compare(first, second).level is Level.MINOR
    assert compare(first, third).level is Level.MAJOR
    assert [one.level for one in compare_all(third, [first, second])] == [Level.MAJOR] * 2
    nobody = changed(tmp_path, ("value: [tests]", "value: []"), name="nobody")
    assert compare_all(third, [nobody]) == ()
