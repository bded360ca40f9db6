"""What only a person can decide is marked, listed, and keeps a contract from being in force."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.contracts import load_contract
from headrace.contracts.authoring.open_questions import must_be_decided
from headrace.contracts.lint import lint_file
from headrace.core.errors import DeclarationError
from headrace.lake.ingest.protocol import ingest
from tests.contracts.given import SMALL
from tests.lake.kit import SLOTS, Meter

TEXT = SMALL.read_text()
UNIT = ("value: EUR", 'value: "TODO: which currency"')
DRAFT = ("status: active", "status: draft")
PROPOSED = ("status: active", "status: proposed")


@pytest.fixture
def written(tmp_path):
    def write(*changes):
        text = TEXT
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "readings.yaml"
        path.write_text(text)
        return path

    return write


def test_in_force_nothing_is_undecided(written):
    with pytest.raises(DeclarationError, match=r"open questions \(1\)") as wrong:
        load_contract(written(UNIT))
    assert "properties[exact].customProperties[unit].value" in wrong.value.where
    assert load_contract(written(UNIT, DRAFT)).field("exact").unit == "TODO: which currency"


def test_nothing_is_published_under_a_proposal(written):
    with pytest.raises(DeclarationError, match="is only proposed"):
        must_be_decided(load_contract(written(PROPOSED)))
    must_be_decided(load_contract(written(DRAFT)))
    must_be_decided(load_contract(written()))


@pytest.mark.parametrize(
    "change",
    [
        ("{property: tableKind, value: event}", "{property: tableKind, value: TODO}"),
        ("expression: read_at,", 'expression: "TODO: of read_at, sent",'),
        ("        logicalType: boolean", "        logicalType: TODO"),
    ],
)
def test_what_must_be_known_to_load_is_listed_all_the_same(written, change):
    path = written(change, UNIT, PROPOSED)
    with pytest.raises(DeclarationError, match="this is not decided yet"):
        load_contract(path)
    found = lint_file(path)
    assert [hint.rule for hint in found].count("undecided") == 2
    assert {"proposed", "does_not_load"} <= {hint.rule for hint in found}


def test_lint_lists_it(written):
    path = written(UNIT, PROPOSED)
    done = CliRunner().invoke(app, ["contract", "lint", str(path), "--json"])
    assert done.exit_code == 0
    first = json.loads(done.stdout)[0]
    assert (first["field"], first["rule"]) == ("exact", "undecided")


def test_a_file_that_is_wrong_otherwise_is_still_an_error(written):
    with pytest.raises(DeclarationError, match="unknown key"):
        lint_file(written(("status: active", "state: active")))


def test_the_id_of_a_column_that_is_gone_is_not_taken(written):
    retired = "      - {property: retiredFieldIds, value: [%s]}\n      - {property: maxEvents"
    old = "      - {property: maxEvents"
    assert load_contract(written((old, retired % "22, 30"))).retired_ids == (22, 30)
    with pytest.raises(DeclarationError, match="'note' uses the field id 19") as wrong:
        load_contract(written((old, retired % "19, 30")))
    assert wrong.value.fix.endswith("31")


def test_a_run_refuses_a_proposal(tmp_path):
    meter = Meter(tmp_path)
    meter.drop_all(SLOTS[:1])
    proposed = replace(meter.table, contract=replace(meter.table.contract, status="proposed"))
    with pytest.raises(DeclarationError, match=r"meter 1\.0\.0 is only proposed"):
        ingest(proposed, SLOTS[:1], meter.home)
    assert [one.verdict for one in ingest(meter.table, SLOTS[:1], meter.home)] == ["PASS"]
