"""The card: what it says, what it does not invent, and whether other tools can read it."""

import json
import logging
from dataclasses import replace
from importlib import import_module

import pyarrow as pa
import pytest

import headrace
from headrace.core.errors import DeclarationError
from headrace.datasets import release
from headrace.datasets.card import Statement, card, load_card
from headrace.datasets.card.statement import FIELDS
from headrace.datasets.governance.privacy import Keep, Pseudonymise
from headrace.datasets.store.store import Store
from headrace.datasets.taint import Recall, note
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame

ROWS = frame(60, last="2013-04-29")
STATED = """
version: 1
statements:
  - field: biases
    text: Airports with a <curfew> report no arrivals at night.
    by: Ana Ruiz, data steward
    on: "2026-03-01"
  - {field: citation, text: "Delays of 2013, airport data team.", by: Ana Ruiz}
"""


def made(root, spec=SPEC, rows=ROWS, **changes):
    given = {"inputs": INPUTS, "definitions": DEFINITIONS, "mode": "declared",
             "code_revision": "r1", **changes}  # fmt: skip
    return release(spec, rows, store=root, **given)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def test_what_nobody_states_is_not_stated(root):
    made(root)
    found = headrace.open("delays", root).card
    assert {found.statement_text(name) for name in FIELDS} == {"not_stated"}
    page, document = found.html(), json.dumps(found.to_json())
    assert page.count("not_stated") >= len(FIELDS)
    for said in ("rai:dataBiases", "rai:dataSocialImpact", "citeAs"):
        assert said in document
    assert found.to_json()["rai:dataBiases"] == ["not_stated"]


def test_a_statement_bears_a_name_and_travels_with_the_release(root, tmp_path):
    path = tmp_path / "card.yaml"
    path.write_text(STATED)
    first = made(root, replace(SPEC, card=load_card(path)))
    found = headrace.open("delays", root).card
    assert found.to_json()["rai:dataBiases"][0].startswith("Airports with a <curfew>")
    page = found.html()
    assert "&lt;curfew&gt;" in page
    assert "stated by Ana Ruiz, data steward, 2026-03-01" in page
    path.write_text(STATED.replace("curfew", "closing time"))
    second = made(root, replace(SPEC, card=load_card(path)))
    assert (second.version, second.reasons) == ("1.0.1", ("card: changed",))
    assert second.content_hash == first.content_hash


@pytest.mark.parametrize(
    "change, says",
    [
        (("biases", "bias"), "'bias' is not allowed here"),
        (("by: Ana Ruiz, data steward", "by: ''"), "expected text"),
        (("version: 1", "version: 2"), "2 is not allowed here"),
        (("citation", "biases"), "stated twice"),
        (("2026-03-01", "soon"), "soon"),
        (("    by: Ana Ruiz, data steward\n", ""), "'by' is missing"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, change, says):
    path = tmp_path / "card.yaml"
    path.write_text(STATED.replace(*change))
    with pytest.raises(DeclarationError, match=says):
        load_card(path)
    with pytest.raises(DeclarationError, match="is not a field of the card"):
        Statement("mood", "fine", "me")


def test_the_page_stands_alone_and_says_what_audits_ask_for(root):
    inputs = {
        **INPUTS,
        "weather": replace(INPUTS["weather"], licence="CC-BY-SA-4.0", owner="met", overrides=()),
    }
    kept = {"until_us": 4_000_000_000_000_000, "because": "weather may be kept for 30 years"}
    spec = replace(SPEC, privacy={"distance": Keep("no person has one")})
    made(root, spec, inputs=inputs, retention=kept)
    page = headrace.open("delays", root).card.html()
    for said in (
        "It may be passed on under CC-BY-SA-4.0 or GPL-3.0-only only",
        "weather, by met, under CC-BY-SA-4.0",
        "share-alike",
        "airport",
        "PASS 3",
        "kept: no person has one",
        "weather may be kept for 30 years",
        "late: from table outcomes",
        "no key is in two splits",
        "with the same features as a training row",
        "2013-03-01",
    ):
        assert said in page, said
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "<script" not in page
    assert "<img" not in page


def test_a_tainted_release_says_so_first(root):
    made(root)
    store = Store(root)
    note(store, Recall("recalled", "outcomes", "b2", "2013-02-12", 1, "ana", "zeros"))
    found = card(store, store.manifest("delays", "1.0.0"))
    assert "Do not use it" in found.html()
    assert any("zeros" in line for line in found.to_json()["rai:dataLimitations"])


def test_no_value_of_a_personal_column_is_shown(root, monkeypatch):
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", "k" * 32)
    rows = ROWS.append_column("who", pa.array([f"person-{n}" for n in range(ROWS.num_rows)]))
    spec = replace(SPEC, privacy={"who": Keep("they agreed"), "flight": Pseudonymise()})
    classes = {"who": {"class": "personal", "treatment": "keep", "because": "they agreed"}}
    made(root, spec, rows, privacy=classes)
    page = headrace.open("delays", root).card.html()
    assert "who (personal): kept: they agreed" in page
    assert "person-" not in page


# mlcroissant has yet to follow rdflib 7 and pandas 3.
graphs = pytest.mark.filterwarnings(
    "ignore:ConjunctiveGraph is deprecated:DeprecationWarning",
    "ignore:The inplace keyword in DataFrame.reset_index is deprecated",
)


@graphs
def test_mlcroissant_reads_the_rows(root, tmp_path, monkeypatch, caplog):
    """Validated and iterated over on a copy of the store, without a network; every cell equal."""
    mlc = import_module("mlcroissant")
    made(root)
    (tmp_path / "elsewhere").mkdir()
    for folder in (root, tmp_path / "elsewhere"):
        found = headrace.open("delays", root).card
        given = found.to_json(None if folder == root else folder)
        path = folder / "croissant.json"
        path.write_text(json.dumps(given))
        with caplog.at_level(logging.WARNING):
            dataset = mlc.Dataset(str(path))
        assert not dataset.metadata.ctx.issues.errors
        assert not dataset.metadata.ctx.issues.warnings
    for split in ("train", "valid", "test"):
        expected = headrace.open("delays", root, split=split).arrow
        rows = list(dataset.records(split))
        assert len(rows) == expected.num_rows
        for name in expected.column_names:
            got = [plain(row[f"{split}/{name}"]) for row in rows]
            assert got == [plain(value) for value in expected[name].to_pylist()], name


def plain(value):
    """Values as numpy, pandas and bytes give them, and as Arrow does."""
    if value is None or value != value:
        return None
    if isinstance(value, bytes):
        return value.decode()
    value = value.item() if hasattr(value, "item") else value
    return value.timestamp() if hasattr(value, "timestamp") else value


@graphs
def test_several_parts_are_one_record_set(root, tmp_path, monkeypatch):
    mlc = import_module("mlcroissant")
    from headrace.datasets.store import split_files

    monkeypatch.setattr(
        split_files, "parts_of", lambda table, key: [table.slice(0, 9), table.slice(9)]
    )
    made(root)
    path = root / "croissant.json"
    path.write_text(json.dumps(headrace.open("delays", root).card.to_json()))
    dataset = mlc.Dataset(str(path))
    expected = headrace.open("delays", root, split="train").arrow
    got = [row["train/flight"].decode() for row in dataset.records("train")]
    assert sorted(got) == sorted(expected["flight"].to_pylist())
