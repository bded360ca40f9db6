"""What a sample shows, and that drafts of it hold it."""

import json

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.contracts import load_contract
from headrace.gates import load_suite
from headrace.scaffold.inspection.column_candidates import inspect_sample
from headrace.sources.sampling.sample import Sample


def seen(*rows, keys=(), **columns):
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return inspect_sample(Sample("here", "file", "csv", "given", table, complete=True, keys=keys))


def test_types_nulls_and_ranges_are_those_of_numbers():
    found = seen(x=["9", "10", None, "NA"], y=["1.5", "2.25", "", "3"])
    x, y = found.columns
    assert (x.column.type, x.nulls, x.distinct, x.minimum, x.maximum) == (
        "integer",
        2,
        2,
        "9",
        "10",
    )
    assert (y.column.type, y.column.scale, y.nulls) == ("number", 2, 1)


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        ({"n": ["1", "2"], "order_id": ["a", "b"]}, ("order_id",)),
        ({"a": ["1", "1", "2"], "b": ["x", "y", "x"]}, ("a", "b")),
        ({"a": ["1", "1"], "price": ["1.5", "2.5"]}, None),
        ({"a": ["1", "1"], "b": ["1", "1"]}, ("a",)),  # the second row is a copy
    ],
)
def test_keys(columns, keys):
    found = seen(**columns).keys
    assert (found[0] if found else None) == keys


def test_declared_keys_come_first():
    assert seen(id=["1", "2"], code=["a", "b"], keys=(("code",),)).keys == (("code",), ("id",))


def test_times_and_cursors():
    found = seen(
        last_updated=["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"],
        ordered_at=["2024-01-02 10:00", "2024-01-03 11:00"],
        odd=["05/07/2024", "06/07/2024"],
        size=["20240101", "20240102"],
        name=["a", "b"],
    )
    assert found.times == ("ordered_at", "odd", "last_updated")
    assert found.cursors == ("last_updated",)
    assert "unclear" in found.column("odd").time
    assert "without a zone" in found.column("ordered_at").time


def run(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["source", "inspect", *arguments])


def test_try_says_what_is_there(data):
    told = run(str(data)).output
    assert "480 rows, the whole source" in told
    assert "key    Order ID" in told
    assert 'declare DropFolder("orders"' in told


def test_drafts_hold_what_was_seen(data, tmp_path):
    done = run(str(data), "--json", "--rows", "200", "--draft", str(tmp_path), "--key", "Order ID")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["rows_read"], told["whole"], len(told["preview"])) == (200, False, 5)
    contract = load_contract(tmp_path / "contracts/orders.yaml")
    suite = load_suite(tmp_path / "quality_suites/orders.yaml", contract)
    assert contract.primary_key == ("order_id",)
    assert "row_count" not in {one.id for one in suite.expectations}, "a sample counts nothing"


def test_what_a_draft_needs_is_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n1,3\n")
    done = run(str(tmp_path / "a.csv"), "--draft", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "give --time COLUMN; columns: a, b" in done.output
    assert not (tmp_path / "out").exists()


def test_errors_end_in_a_sentence(tmp_path):
    done = run(str(tmp_path / "none.csv"))
    assert done.exit_code == 3
    assert "there is nothing at" in done.output
    assert run("ftp://x").exit_code == 2
