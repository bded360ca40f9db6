"""Objects and manifests that fit each other and were never released."""

import hashlib
import io
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace
from headrace.core.errors import HeadraceError, StateError
from headrace.datasets import content_hash
from headrace.datasets.store import object_files
from headrace.datasets.store.store import Store
from headrace.datasets.store.verify import verify_ref
from tests.datasets.test_release import made
from tests.datasets.test_store_attacks import PART, at, forge, form_of, object_paths
from tests.examples import examples


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean") / "store"
    made(root)
    return root


@pytest.fixture
def store(clean, tmp_path):
    shutil.copytree(clean, tmp_path / "store")
    return Store(tmp_path / "store")


def poisoned(store, data):
    """A store whose part of train is this file."""
    name = hashlib.sha256(data).hexdigest()
    (store.root / f"objects/{name}.parquet").write_bytes(data)
    form = at(form_of(store), (*PART, "object"), name)
    forge(store, at(form, (*PART, "bytes"), len(data)))
    return store


def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def put(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


FILES = {
    "fewer rows": lambda rows: rows.slice(1),
    "more rows": lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
    "no columns": lambda rows: rows.select([]),
    "another column": lambda rows: rows.append_column("x", pa.array(np.arange(rows.num_rows))),
    "a column less": lambda rows: rows.drop_columns(["late"]),
    "another name": lambda rows: rows.rename_columns(["f", *rows.column_names[1:]]),
    "another order": lambda rows: rows.select(rows.column_names[::-1]),
    "floats": lambda rows: put(rows, "distance", rows["distance"].cast(pa.float64())),
    "narrow": lambda rows: put(rows, "distance", rows["distance"].cast(pa.int32())),
    "lists": lambda rows: put(rows, "distance", pa.array([[1]] * rows.num_rows)),
    "no zone": lambda rows: put(rows, "t", rows["t"].cast(pa.timestamp("us"))),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_another_shape_is_refused(store, file):
    rows = headrace.open("delays", store.root, split="train").arrow
    poisoned(store, parquet(FILES[file](rows)))
    with pytest.raises(StateError):
        _ = headrace.open("delays", store.root).arrow
    assert not verify_ref(store, "delays", "1.0.0").ok


VALUES = {
    "another value": (lambda rows: put(rows, "distance", pa.array([7] * len(rows))), "its rows"),
    "another order": (lambda rows: rows.take(list(range(len(rows)))[::-1]), "not sorted"),
    "another split": (
        lambda rows: put(rows, "split", pa.array(["test"] * len(rows))),
        "rows of another split",
    ),
}


@pytest.mark.parametrize("values", VALUES)
def test_rows_that_are_not_the_released_ones_are_found(store, values):
    change, says = VALUES[values]
    rows = headrace.open("delays", store.root, split="train").arrow
    poisoned(store, parquet(change(rows)))
    found = verify_ref(store, "delays", "1.0.0")
    assert any(says in problem for problem in found.problems)


def test_splits_that_were_exchanged_are_found(store):
    """Sums, rows and content hash are all the same."""
    form = form_of(store)
    train, test = form["splits"]["train"], form["splits"]["test"]
    forge(store, {**form, "splits": {**form["splits"], "train": test, "test": train}})
    problems = verify_ref(store, "delays", "1.0.0").problems
    assert sum("rows of another split" in problem for problem in problems) == 2


def test_text_that_would_fill_the_memory_is_refused(store):
    rows = headrace.open("delays", store.root, split="train").arrow
    cell = "x" * (1 << 24)
    bomb = pa.DictionaryArray.from_arrays(pa.array([0] * len(rows)), pa.array([cell]))
    poisoned(store, parquet(put(rows, "origin", bomb), compression="zstd", store_schema=False,
                            dictionary_pagesize_limit=1 << 26))  # fmt: skip
    assert sum(one.stat().st_size for one in (store.root / "objects").iterdir()) < 1 << 20
    found = verify_ref(store, "delays", "1.0.0")
    assert "decodes to" in found.problems[0]


def test_a_limit_that_is_reached_is_told(store, monkeypatch):
    monkeypatch.setattr(object_files, "MOST_UNFOLDED", 100)
    assert "decodes to" in verify_ref(store, "delays", "1.0.0").problems[0]


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_forged_file_is_refused_or_its_rows_are_found_to_differ(clean, tmp_path_factory, data):
    """Bytes changed anywhere, often in the footer, and the name and the manifest to match."""
    store = Store(shutil.copytree(clean, tmp_path_factory.mktemp("forged") / "store"))
    whole = bytearray(object_paths(store)["train"].read_bytes())
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    start = data.draw(st.sampled_from([0, footer]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(start, len(whole) - 1))] = data.draw(st.integers(0, 255))
    poisoned(store, bytes(whole))
    found = verify_ref(store, "delays", "1.0.0")
    try:
        table = headrace.open("delays", store.root).arrow
    except HeadraceError:
        assert not found.ok
    else:
        same = content_hash(table) == form_of(store)["content_hash"]
        assert same or not found.ok


def test_a_manifest_that_is_whole_passes(store):
    """The forging of these tests is no more than forging: with no change all is well."""
    forge(store, form_of(store))
    poisoned(store, object_paths(store)["train"].read_bytes())
    assert verify_ref(store, "delays", "1.0.0").ok
