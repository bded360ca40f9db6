"""What a diff says apart from rows: meaning, governance, versions; as JSON, page and command."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.datasets import Leakage, open_release, release
from headrace.datasets.card.statement import Statement
from headrace.datasets.diff import diff
from headrace.datasets.diff.model import MetadataChange
from headrace.reports.diff.wording import changed
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame, put

RUN = CliRunner()


def released(store, table, **given):
    facts = {"inputs": INPUTS, "definitions": DEFINITIONS, "mode": "recorded", "code_revision": "r"}
    release(SPEC, table, store=store, **{**facts, **given})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three releases: as first made; a cell changed and a flight gone; another meaning."""
    folder = tmp_path_factory.mktemp("diff") / "store"
    table = frame(600)
    released(folder, table)
    wind = table["weather__wind"].to_pylist()
    wind[100] += 1e-9
    edited = put(table, "weather__wind", pa.array(wind)).filter(
        pa.array([n != 7 for n in range(600)])
    )
    weather = replace(INPUTS["weather"], batches=("w1", "w2"), owner="<b>met</b>")
    released(folder, edited, inputs={**INPUTS, "weather": weather}, code_revision="later")
    named = edited.rename_columns(
        ["weather__gale" if n == "weather__wind" else n for n in edited.column_names]
    )
    released(folder, named, definitions={**DEFINITIONS, "weather": "c" * 64})
    return folder


def between(store, a, b, **options):
    return diff(*(open_release(f"delays@{v}", store) for v in (a, b)), **options)


def test_a_release_equals_itself(store):
    found = between(store, "1.0.0", "1.0.0")
    assert found.equal
    assert found.content_equal
    assert found.change == "NONE"
    assert found.rows.same == found.rows.skipped == found.rows.before


def test_rows_governance_and_origin(store):
    found = between(store, "1.0.0", "1.1.0")
    assert (found.rows.removed, found.rows.changed, found.rows.added) == (1, 1, 0)
    assert [c.name for c in found.columns if c.changed] == ["weather__wind"]
    assert [(c.name, c.before, c.after) for c in found.governance] == [
        ("weather.owner", "", "<b>met</b>")
    ]
    origin = {(c.group, c.name): (c.before, c.after) for c in found.origin}
    assert origin["release", "code_revision"] == ("r", "later")
    assert origin["batches new", "weather"] == (None, ["w2"])
    assert not found.meaning
    assert (found.change, [step.version for step in found.steps]) == ("MINOR", ["1.1.0"])


def test_meaning_schema_and_the_way_back(store):
    found = between(store, "1.1.0", "2.0.0")
    assert [(c.group, c.name) for c in found.meaning] == [("definition", "weather")]
    assert sorted((c.column, c.what) for c in found.schema) == [
        ("weather__gale", "added"), ("weather__wind", "removed"),
    ]  # fmt: skip
    assert (found.rows.changed, found.rows.same) == (0, found.rows.before)
    assert found.rows.skipped == 0
    back = between(store, "2.0.0", "1.0.0")
    assert back.steps == ()
    assert back.rows.added == 1


def test_numbers_are_those_of_the_whole_column(store):
    found = between(store, "1.0.0", "1.1.0")
    for column in found.columns:
        whole = open_release("delays@1.1.0", store).arrow[column.name]
        assert column.after.nulls == whole.null_count
        if column.type == "float64":
            assert column.after.mean == pytest.approx(pa.compute.mean(whole).as_py())
            assert column.after.high == pa.compute.max(whole).as_py()


def test_the_page_needs_nothing_and_escapes_what_comes_from_data(store):
    page = between(store, "1.0.0", "1.1.0").html()
    assert "<script" not in page
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "&lt;b&gt;met" in page
    assert "<b>met" not in page
    assert "weather__wind" in page
    assert "<svg" in page
    assert "nothing differs" in between(store, "1.0.0", "1.0.0").html().lower()


def run(store, *args):
    return RUN.invoke(app, ["dataset", "diff", *args], env={"HEADRACE_STORE": str(store)})


def test_moments_and_spans_of_a_rule_are_told_as_people_write_them():
    rolled = MetadataChange("split rule", "test_until_us", 1267574400000000, None)
    assert changed(rolled) == ("split rule test_until", "2010-03-03 00:00", "")
    apart = MetadataChange("split rule", "embargo_us", 0, 86_400_000_000)
    assert changed(apart) == ("split rule embargo", "0us", "1d")
    assert changed(MetadataChange("release", "mode", "a", "b")) == ("release mode", "a", "b")


def test_the_command(store, tmp_path):
    same = run(store, "delays@1.0.0", "delays@1.0.0")
    assert same.exit_code == 0
    assert "nothing differs" in same.output
    page = tmp_path / "out" / "diff.html"
    other = run(store, "delays@1.0.0", "delays", "--html", str(page))
    assert other.exit_code == 1
    for said in ("weather__wind", "removed", "definition", "1 change of meaning"):
        assert said in other.output
    assert page.read_text().startswith("<!doctype html>")
    missing = run(store, "delays@1.0.0", "delays@9.0.0")
    assert missing.exit_code > 1


def test_its_document(store):
    found = run(store, "delays@1.0.0", "delays@1.1.0", "--json", "--rows", "0")
    document = json.loads(found.stdout)
    assert found.exit_code == 1
    assert document["rows"]["changed"] == 1
    assert document["rows"]["examples_changed"] == []
    assert document == json.loads(json.dumps(between(store, "1.0.0", "1.1.0", rows=0).to_json()))


def test_two_stores(store, tmp_path):
    released(tmp_path, frame(600))
    found = run(store, "delays@1.0.0", "delays@1.0.0", "--store", str(tmp_path))
    assert found.exit_code == 0


def test_what_alone_makes_a_new_version_is_a_difference(tmp_path):
    """Nobody is told that two releases are equal of which card or allowed leaks differ."""
    table = frame(400)
    stated = replace(SPEC, card=(Statement("citation", "as delays", "ann"),))
    because = replace(stated, leakage=Leakage(because="sisters fly together"))
    for spec in (SPEC, stated, because):
        facts = {"inputs": INPUTS, "definitions": DEFINITIONS, "mode": "recorded"}
        release(spec, table, store=tmp_path, code_revision="r", **facts)
    for a, b, name in (
        ("1.0.0", "1.0.1", "card"),
        ("1.0.1", "1.0.2", "leakage that is allowed"),
    ):
        found = between(tmp_path, a, b)
        assert (found.content_equal, found.equal, found.change) == (True, False, "PATCH")
        assert [one.name for one in found.governance] == [name]
