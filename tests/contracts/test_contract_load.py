"""Loading is strict: what is not understood is refused, with the place and the fix."""

import shutil

import pytest

from headrace.contracts import load_contract
from headrace.contracts.expressions import kinds_of
from headrace.contracts.semantic_digest import time_meaning
from headrace.core.errors import DeclarationError
from tests.contracts.given import FLIGHTS, SMALL, flights

COUNT = "properties[4]"


def changed(tmp_path, old, new):
    text = SMALL.read_text()
    assert text.count(old) >= 1, old
    path = tmp_path / "contract.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


REFUSED = [
    # old text,                new text,                      says,                       where
    ("apiVersion: v3.2.0", "apiVersion: v9.0.0", "'v9.0.0' is not allowed here", "apiVersion"),
    ("status: active", "state: active", "unknown key 'state'", "top level"),
    ("version: 1.0.0", "version: 1.0", "expected text, got 1.0", "version"),
    ("version: 1.0.0", "version: one", "'one' is not a version", "version"),
    ("name: readings", "name: readings\nname: readings", "given twice", "contract.yaml"),
    ("logicalType: integer", "logicalType: int", "'int' is not allowed here", "logicalType"),
    (
        "{property: fieldId, value: 14}",
        "{property: fieldId, value: 13}",
        "belongs to 'revision'",
        COUNT,
    ),
    (
        "{property: fieldId, value: 14}",
        "{property: fieldId, value: 4}",
        "expected at least 10",
        COUNT,
    ),
    ("{property: fieldId, value: 14}", "{property: unit, value: x}", "has no fieldId", COUNT),
    ("{property: fieldId, value: 14}", "{property: filedId, value: 14}", "'filedId'", COUNT),
    (
        "{property: maxAbs, value: 1000}",
        "{property: maxAbs, value: many}",
        "expected a number",
        "maxAbs",
    ),
    ("{property: maxAbs, value: 1000}", "{property: maxAbs, value: 0}", "expected 1 to", "maxAbs"),
    (
        "{property: maxAbs, value: 1000.5}",
        "{property: sentinels, value: [0]}",
        "needs a number",
        "scale",
    ),
    (
        "{property: tableKind, value: event}",
        "{property: tableKind, value: log}",
        "'log'",
        "tableKind",
    ),
    ("      - {property: tableKind, value: event}\n", "", "'tableKind' is missing", "schema[0]"),
    ("  - {property: licence, value: CC0-1.0}\n", "", "'licence' is missing", "customProperties"),
    (
        "{property: licence, value: CC0-1.0}",
        "{property: licence, value: 1}",
        "expected text",
        "[licence]",
    ),
    ("primaryKeyPosition: 1", "primaryKeyPosition: 2", "are [2]", "schema[0].properties"),
    ("value: [remark]", "value: [READ_AT]", "the name 'READ_AT' is taken", "properties[9]"),
    ("name: count", "name: known_at", "cannot be a column name", "name"),
    (
        "{property: rounding, value: up}",
        "{property: rounding, value: down}",
        "must not be early",
        "knownAt",
    ),
    (
        "{property: sequence, value: revision}",
        "{property: sequence, value: note}",
        "'note'",
        "sequence",
    ),
    ("transformLogic: step", "transformLogic: stop", "no column 'stop'", "transformLogic"),
    (
        "transformLogic: step",
        "transformLogic: sum(step)",
        "sum() sees several rows",
        "transformLogic",
    ),
    (
        "transformLogic: step",
        "transformLogic: sum(step) OVER ()",
        "window is not",
        "transformLogic",
    ),
    ("transformLogic: step", "transformLogic: (SELECT 1)", "subquery is not", "transformLogic"),
    ("transformLogic: step", "transformLogic: step, step", "got TUPLE", "transformLogic"),
    (
        "transformLogic: step",
        "transformLogic: step FROM range(3)",
        "syntax error",
        "transformLogic",
    ),
    ("transformLogic: step", "transformLogic: step +", "syntax error", "transformLogic"),
    ("transformLogic: step", "transformLogic: nosuch(step)", "nosuch", "transformLogic"),
    (
        "transformLogic: step",
        "transformLogic: step / 2",
        "of type integer, got DOUBLE",
        "transformLogic",
    ),
    ("transformLogic: step", "transformLogic: CAST(random() AS INT)", "random()", "transformLogic"),
    ("transformLogic: step", "transformLogic: year(now())", "now()", "transformLogic"),
    (
        "expression: read_at,",
        "expression: read_at - age(read_at),",
        "may read the clock",
        "eventTime",
    ),
    (
        "transformLogic: step",
        "transformLogic: year(current_date)",
        "current_date",
        "transformLogic",
    ),
    (
        "transformLogic: step",
        "transformLogic: hour(timezone('America/New_York', read_at))",
        "unpinned time zones",
        "transformLogic",
    ),
    (
        "{expression: read_at, ",
        "{expression: note, ",
        "of type timestamp, got VARCHAR",
        "eventTime",
    ),
    ("expression: doubled = 2 * count", "expression: step = 2", "no column 'step'", "invariants"),
    ("required: true", "required: yes", "expected true or false", "required"),
    ("required: true", "unique: true", "unknown key 'unique'", "properties[0]"),
]


@pytest.mark.parametrize(("old", "new", "says", "where"), REFUSED)
def test_refused(tmp_path, old, new, says, where):
    with pytest.raises(DeclarationError) as caught:
        load_contract(changed(tmp_path, old, new))
    assert says in caught.value.what
    assert where in caught.value.where
    assert str(tmp_path) in caught.value.where


def test_an_error_says_how_to_mend_it(tmp_path):
    with pytest.raises(DeclarationError, match="did you mean 'fieldId'"):
        load_contract(
            changed(tmp_path, "{property: fieldId, value: 14}", "{property: filedId, value: 14}")
        )
    with pytest.raises(DeclarationError, match="cannot read it"):
        load_contract(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("change", "means_more"),
    [
        (("team: {name: testers}", "team: {name: others}"), False),
        (("description: A count.", "description: How many."), False),
        (("value: [testing]", "value: [testing, training]"), False),
        (("{property: maxAbs, value: 1000}", "{property: maxAbs, value: 999}"), True),
        (("doubled = 2 * count", "doubled >= 2 * count"), True),
    ],
)
def test_people_and_prose_do_not_change_the_meaning(tmp_path, change, means_more):
    before, after = SMALL.read_text(), SMALL.read_text().replace(*change)
    path = tmp_path / "small.yaml"
    path.write_text(after)
    assert (load_contract(path).meaning_hash != load_contract(SMALL).meaning_hash) == means_more
    assert (load_contract(path).hash != load_contract(SMALL).hash) == (before != after)


def test_every_change_changes_the_hash(tmp_path):
    changes = [
        ("purpose: Everything a column can be.", "purpose: Everything."),
        ("value: 1900", "value: 1901"),
        ("- {property: maxEvents, value: 1000}", "- {property: maxEvents, value: 1001}"),
        ("name: testers", "name: others"),
        ("transformLogic: step", "transformLogic: step + 0"),
        ("name: extra", "name: extras"),
    ]
    hashes = {load_contract(changed(tmp_path, *change)).hash for change in changes}
    assert len(hashes | {load_contract(SMALL).hash}) == len(changes) + 1


def test_comments_and_layout_do_not(tmp_path):
    path = changed(tmp_path, "# One column of every type", "# Another remark\n\n# of every type")
    assert load_contract(path).hash == load_contract(SMALL).hash


def test_a_change_of_a_reference_file_does(tmp_path):
    shutil.copytree(FLIGHTS.parent / "reference", tmp_path / "reference")
    shutil.copytree(FLIGHTS, tmp_path / "contracts")
    path = tmp_path / "contracts" / "outcomes.yaml"
    before = load_contract(path).hash
    zones = tmp_path / "reference" / "airport_zones.csv"
    zones.write_text(zones.read_text().replace("SFO,America/Los_Angeles", "SFO,America/Denver"))
    assert before == flights("outcomes").hash
    assert load_contract(path).hash != before
    zones.write_text(zones.read_text().replace("America/Denver", "America/Denvr", 1))
    with pytest.raises(DeclarationError, match="did you mean 'America/Denver'"):
        load_contract(path)
    zones.write_text("faa,zone,source\nPHX,America/Phoenix,x\nPHX,America/Denver,x\n")
    with pytest.raises(DeclarationError, match="'PHX' appears twice"):
        load_contract(path)


TABLES = ("schedule", "outcomes", "weather", "planes", "airlines", "airports")


@pytest.mark.parametrize("table", TABLES)
def test_the_flights_contracts_declare_what_is_needed(table):
    contract = flights(table)
    assert (contract.table, contract.licence, contract.privacy) == (table, "CC0-1.0", "public")
    assert contract.owner
    assert contract.consumers
    assert contract.purposes
    assert contract.coverage
    assert contract.primary_key
    assert contract.max_events
    schema = contract.arrow_schema()
    assert schema.names[-4:] == ["event_time", "known_at", "_batch", "_line"]
    ids = [int(field.metadata[b"PARQUET:field_id"]) for field in schema]
    assert ids[-4:] == [3, 4, 1, 2]
    assert len(set(ids)) == len(ids)


def test_stored_units_of_scaled_columns():
    contract = load_contract(SMALL)
    assert contract.field("exact").max_abs == 100_050
    assert contract.field("count").sentinels == (-999,)
    assert contract.field("exact").form_text == "number, EUR, scale 2"
    assert [name for name, _ in contract.derivations] == ["step", "doubled"]
    assert "step" not in contract.arrow_schema().names


def test_a_function_that_only_the_zone_makes_unstable_is_taken():
    """As DuckDB 2.0.1 lists them: by the engine's zone, UTC, adding to a moment is stable."""
    kinds = kinds_of(
        [
            ("+", "scalar", "CONSISTENT", ["BIGINT", "BIGINT"]),
            ("+", "scalar", "CONSISTENT_WITHIN_QUERY", ["TIMESTAMP WITH TIME ZONE", "INTERVAL"]),
            ("now", "scalar", "CONSISTENT_WITHIN_QUERY", []),
        ]
    )
    assert kinds["+"] == {("scalar", "CONSISTENT"), ("scalar", None)}
    assert kinds["now"] == {("scalar", "CONSISTENT_WITHIN_QUERY")}


def test_rows_that_delete(tmp_path):
    text = SMALL.read_text()
    rule = "      - {property: deleted, value: {expression: count = 0, description: None left.}}\n"
    mark = "      - {property: sequence,"
    path = tmp_path / "readings.yaml"
    path.write_text(text.replace(mark, rule + mark))
    contract = load_contract(path)
    schema = contract.arrow_schema()
    assert schema.names[-1] == "_deleted"
    assert schema.field("_deleted").metadata == {b"PARQUET:field_id": b"5"}
    assert time_meaning(contract) != time_meaning(load_contract(SMALL))
    path.write_text(text.replace(mark, rule.replace("count = 0", "count") + mark))
    with pytest.raises(DeclarationError, match="boolean"):
        load_contract(path)
    key = "        primaryKey: true\n        primaryKeyPosition: 1\n"
    path.write_text(text.replace(mark, rule + mark).replace(key, ""))
    with pytest.raises(DeclarationError, match="has no rows to delete"):
        load_contract(path)
