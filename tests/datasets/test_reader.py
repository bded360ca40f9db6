import json
import os
import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest

import headrace
from headrace.datasets import content_hash
from headrace.datasets.store import Store
from headrace.errors import DeclarationError, StateError
from tests.datasets.test_release import made


@pytest.fixture
def store(tmp_path):
    made(tmp_path / "store")
    return tmp_path / "store"


def test_pandas_arrow_and_duckdb_agree(store):
    dataset = headrace.open("delays@1.0.0", store)
    frame = dataset.df
    assert len(frame) == len(dataset)
    assert str(frame["t"].dt.tz) == "UTC"
    assert content_hash(dataset.sql("SELECT * FROM dataset")) == dataset.content_hash
    counts = dataset.sql("SELECT (SELECT count(*) FROM train), (SELECT count(*) FROM test)")
    assert [column[0].as_py() for column in counts.columns] == [
        len(dataset.split("train")),
        len(dataset.split("test")),
    ]


def test_batches_are_the_same_rows(store):
    dataset = headrace.open("delays", store, columns=["late", "t"])
    streamed = list(dataset.batches(100))
    assert max(batch.num_rows for batch in streamed) == 100
    assert pa.Table.from_batches(streamed).equals(dataset.arrow)


def test_selection_is_pushed_down(store):
    dataset = headrace.open("delays", store, split="valid", columns=["weather__wind", "late"])
    assert dataset.arrow.column_names == dataset.schema.names == ["weather__wind", "late"]
    assert dataset.sql("SELECT * FROM valid").num_rows == len(dataset) == dataset.arrow.num_rows
    for unread in ("train", "test"):
        for part in dataset.manifest.splits[unread].parts:
            dataset.scan.path(part).unlink()
    assert dataset.arrow.num_rows == len(dataset)


def test_sql_sees_no_variables_of_the_caller(store):
    hidden = pa.table({"a": [1]})
    assert hidden.num_rows
    with pytest.raises(Exception, match="hidden"):
        headrace.open("delays", store).sql("SELECT * FROM hidden")


@pytest.mark.parametrize(
    "ref, error, says",
    [
        ("delays@9.9.9", StateError, "delays has 1.0.0, @latest"),
        ("delays@champion", StateError, "delays has 1.0.0, @latest"),
        ("other@1.0.0", StateError, "this store has delays"),
        ("../delays@1.0.0", DeclarationError, "no reference"),
        ("delays@../../x", StateError, "there is no"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(store, ref, error, says):
    with pytest.raises(error, match=says):
        headrace.open(ref, store)


def test_an_empty_store_says_so(tmp_path):
    with pytest.raises(StateError, match="this store is empty"):
        headrace.open("delays", tmp_path)


def test_unknown_columns_and_splits_are_named(store):
    with pytest.raises(DeclarationError, match="no column 'wind'"):
        headrace.open("delays", store, columns=["wind"])
    with pytest.raises(DeclarationError, match="choose from train, valid, test"):
        headrace.open("delays", store, split="dev")


def test_aliases(store):
    Store(store).set_alias("delays", "champion", "1.0.0")
    assert headrace.open("delays@champion", store).ref == "delays@1.0.0"
    assert headrace.open("delays@latest", store).ref == headrace.open("delays", store).ref
    with pytest.raises(StateError, match=r"no delays@3\.0\.0"):
        Store(store).set_alias("delays", "champion", "3.0.0")


def test_the_store_moves(store, tmp_path, monkeypatch):
    moved = store.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("HEADRACE_STORE", str(moved))
    assert headrace.open("delays").verify().ok


def first_object(store):
    return min((store / "objects").glob("*.parquet"), key=lambda path: path.stat().st_size)


def test_a_changed_object_is_found(store):
    path = first_object(store)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    found = headrace.open("delays", store).verify()
    assert not found.ok
    assert "holds other bytes" in found.problems[0]


def test_a_cut_swapped_linked_or_missing_object_is_refused(store):
    path = first_object(store)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(StateError, match="restore it"):
        _ = headrace.open("delays", store).arrow
    path.write_bytes(bytes(len(whole)))
    with pytest.raises(StateError, match="holds other bytes"):
        _ = headrace.open("delays", store).arrow
    path.unlink()
    assert not headrace.open("delays", store).verify().ok
    path.symlink_to("/etc/hostname")
    with pytest.raises(StateError, match="is a link"):
        _ = headrace.open("delays", store).arrow


def test_an_altered_manifest_is_refused(store):
    path = store / "datasets/delays/1.0.0/manifest.json"
    form = json.loads(path.read_text())
    path.write_text(json.dumps({**form, "rows": form["rows"] + 1}))
    with pytest.raises(StateError, match="altered"):
        headrace.open("delays", store)
    path.write_text(json.dumps({**form, "format": 99}))
    with pytest.raises(StateError, match="upgrade headrace"):
        headrace.open("delays", store)


LIGHT = """
    import sys
    import headrace
    table = headrace.open("delays@1.0.0", sys.argv[1]).arrow
    assert table.num_rows
    heavy = {"pandas", "pyiceberg", "dagster", "lightgbm", "sklearn", "sqlalchemy", "polars",
             "great_expectations", "requests", "duckdb"}
    print(sorted(heavy & set(sys.modules)))
"""


def test_opening_as_arrow_imports_nothing_heavy(store):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIGHT), str(store)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "src"},
        check=True,
    )
    assert run.stdout.strip() == "[]"


def test_rows_come_in_the_order_of_splits(store):
    splits = headrace.open("delays", store).arrow.column("split").to_pylist()
    assert list(dict.fromkeys(splits)) == ["train", "valid", "test"]
