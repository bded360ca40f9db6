import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest

import headrace
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import content_hash
from headrace.datasets.loaders import objects
from headrace.datasets.store.storage import Folder
from headrace.datasets.store.store import Store
from tests.datasets.stores import bucket_root
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


@pytest.mark.parametrize("splits", [("train",), ("train", "valid", "test")])
def test_a_frame_can_be_written_to_and_is_the_table(store, splits):
    rows = headrace.open("delays", store).select(splits=splits)
    frame, table = rows.df, rows.arrow
    assert frame.equals(table.to_pandas())
    for name in frame:
        frame.loc[0, name] = frame.loc[1, name]
    assert rows.arrow.equals(table)


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
        ("../delays@1.0.0", DeclarationError, "not a reference"),
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
    with pytest.raises(StateError, match="is a symbolic link"):
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
             "great_expectations", "requests", "duckdb", "numba", "torch", "datasets", "obstore",
             "pyarrow.compute"}
    print(sorted(heavy & set(sys.modules)))
"""

# As after `pip install headrace`: what the package itself does not require cannot be imported.
BASE = """
    import importlib.metadata, re, sys

    def required(name, seen):
        if name in seen:
            return seen
        seen.add(name)
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            return seen  # for another system
        for one in needed:
            if "extra ==" not in one:
                required(re.match("[A-Za-z0-9._-]+", one)[0].lower().replace("_", "-"), seen)
        return seen

    there = required("headrace", set())
    tops = {top for top, names in importlib.metadata.packages_distributions().items()
            if not {name.lower().replace("_", "-") for name in names} & there}

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in tops:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Missing())
    import headrace
    data = headrace.open("delays@1.0.0", sys.argv[1])
    rows = len(data)
    assert len(data.df) == data.arrow.num_rows == rows
    assert data.sql("SELECT * FROM dataset").num_rows == rows
    assert sum(batch.num_rows for batch in data.batches()) == rows
    assert len(data.select(where=("origin", "=", "EWR"))) < rows
    assert data.verify().ok
    assert data._repr_html_()
    assert data.card.html()
    assert data.diff(data).equal
    for extra in (lambda: data.polars, lambda: data.torch, data.hugging_face):
        try:
            extra()
        except headrace.core.errors.DeclarationError as error:
            assert "pip install" in error.fix
        else:
            raise AssertionError(extra)
    print("opened", "polars" in tops)
"""


def test_what_the_package_requires_is_enough_to_open(store):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BASE), str(store)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "src"},
        check=False,
    )
    assert run.stdout.split() == ["opened", "True"], run.stderr


def test_opening_as_arrow_imports_nothing_heavy(store):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIGHT), str(store)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "src"},
        check=True,
    )
    assert run.stdout.strip() == "[]"


def test_a_notebook_shows_what_it_is(store):
    shown = headrace.open("delays", store, columns=["flight", "late"])._repr_html_()
    assert "delays@1.0.0" in shown
    assert "1,7" in shown
    assert len(shown) < 5000
    assert "weather__wind" not in shown
    narrowed = headrace.open("delays", store, where=("origin", "=", "<b>"))._repr_html_()
    assert "&lt;b&gt;" in narrowed
    assert "<b>&" not in narrowed


def test_hugging_face_has_the_same_rows(store):
    data = headrace.open("delays", store, split="valid", where=("origin", "=", "EWR"))
    whole = data.hugging_face()
    assert whole.column_names == list(data.columns)
    assert whole["flight"][:] == data.arrow.column("flight").to_pylist()
    streamed = data.hugging_face(streaming=True)
    assert [row["flight"] for row in streamed] == data.arrow.column("flight").to_pylist()


def test_a_relation_is_lazy_and_the_callers(store):
    data = headrace.open("delays", store, split="train")
    with duckdb.connect() as connection:
        relation = data.relation(connection)
        assert relation.filter("distance > 2900").count("*").fetchall()[0][0] == len(
            data.select(where=("distance", ">", 2900))
        )


def test_a_query_that_makes_no_sense_is_explained(store):
    with pytest.raises(DeclarationError, match="trian") as caught:
        headrace.open("delays", store).sql("SELECT * FROM trian")
    assert "the views are train, valid, test, dataset" in caught.value.fix


def test_rows_come_in_the_order_of_splits(store):
    splits = headrace.open("delays", store).arrow.column("split").to_pylist()
    assert list(dict.fromkeys(splits)) == ["train", "valid", "test"]


# Bytes are checked before anything is read of them


def test_bytes_are_checked_once_and_again_when_a_file_was_touched(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(objects, "_SETTLED_NS", 0)
    monkeypatch.setattr(objects, "_checked", {})
    read = []
    digest_of = objects.digest_of
    monkeypatch.setattr(objects, "digest_of", lambda path: read.append(path) or digest_of(path))
    data = headrace.open("delays", store)
    _ = data.arrow
    assert len(read) == 3
    _ = data.df
    monkeypatch.setattr(objects, "_checked", {})  # as in a later process
    _ = data.sql("SELECT 1 FROM dataset")
    assert len(read) == 3
    path = first_object(store)
    whole = path.read_bytes()
    time.sleep(0.02)
    path.write_bytes(whole[:-9] + bytes(9))
    with pytest.raises(StateError, match="holds other bytes"):
        _ = data.arrow
    path.write_bytes(whole)
    assert data.arrow.num_rows == len(data)


def test_a_young_file_is_checked_each_time(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    _ = headrace.open("delays", store).arrow
    assert not (tmp_path / "cache").exists()


class Far(Folder):
    """A store that is not on this machine."""

    def local_path(self, path):
        super().local_path(path)

    def open(self, path):
        return (self.root / path).open("rb")


def test_parts_of_a_remote_store_are_fetched_once_and_checked(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    whole = headrace.open("delays", store).arrow
    far = Store(store)
    far.__dict__["storage"] = Far(store)
    data = replace(headrace.open("delays", store), store=far)
    assert data.split("test").arrow.num_rows
    fetched = list((tmp_path / "cache" / "objects").iterdir())
    assert len(fetched) == 1, "only what is asked for is fetched"
    assert data.arrow.equals(whole)
    assert data.sql("SELECT * FROM dataset").equals(whole)
    fetched[0].write_bytes(b"damaged")
    assert data.arrow.equals(whole), "it is fetched anew"
    for path in (tmp_path / "cache" / "objects").iterdir():
        path.unlink()
    first_object(store).write_bytes(bytes(first_object(store).stat().st_size))
    with pytest.raises(StateError, match="holds other bytes"):
        _ = data.arrow
    first_object(store).write_bytes(b"short")
    with pytest.raises(StateError, match=r"is not \d+ bytes"):
        _ = data.arrow
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_bucket_opens_like_a_folder(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    root = bucket_root(monkeypatch)
    made(root)
    here, there = (headrace.open("delays", one) for one in (store, root))
    assert there.arrow.equals(here.arrow)
    assert there.sql("SELECT * FROM valid").equals(here.split("valid").arrow)
    some = there.select(columns=["flight"], where=("distance", ">", 2000))
    assert some.polars.collect().height == len(some) > 0
    assert there.verify().ok
