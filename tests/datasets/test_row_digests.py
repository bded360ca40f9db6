"""The two ways to the sum of row digests are one: hashlib, and machine code where numba is."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.datasets import content_hash
from headrace.datasets.hashing import row_digests
from headrace.datasets.hashing.content_hash import canonical_schema
from headrace.datasets.hashing.row_digests import sum_of_digests
from tests.datasets.reference_hash import reference_hash
from tests.datasets.test_content_hash import column_sets, table
from tests.examples import examples


def both(rows):
    schema = canonical_schema(rows.schema)
    return [sum_of_digests(rows, schema, compiled=way) for way in (False, True)]


@given(column_sets())
@settings(max_examples=examples(25))
def test_both_ways_agree(columns):
    by_hashlib, by_machine_code = both(table(columns))
    assert by_hashlib == by_machine_code


@given(st.lists(st.none() | st.integers(0, 400), min_size=1, max_size=20), st.integers(0, 30))
@settings(max_examples=examples(25))
def test_both_ways_agree_on_texts_of_any_length_and_rows_of_any_width(lengths, more):
    """Ends of blocks of 128 bytes, texts of several blocks side by side, and rows of several."""
    texts = [None if size is None else bytes(n % 251 for n in range(size)) for size in lengths]
    columns = {f"c{n}": pa.array(np.arange(len(texts)) - n) for n in range(more)}
    by_hashlib, by_machine_code = both(pa.table({"text": pa.array(texts, pa.binary()), **columns}))
    assert by_hashlib == by_machine_code


def big(rows):
    rng = np.random.default_rng(7)
    return pa.table(
        {
            "key": [f"id {n}" for n in rng.permutation(rows)],  # none twice
            "word": pa.array([f"word {n % 90}" for n in range(rows)], mask=rng.random(rows) < 0.1),
            "late": [f"text {n}" if n < 5_000 else None for n in range(rows)],  # repeats late
            "number": rng.normal(size=rows),
        }
    )


def test_texts_that_repeat_and_texts_that_do_not_segments_and_threads(monkeypatch):
    monkeypatch.setattr(row_digests, "_MOST_ROWS", 1 << 13)
    monkeypatch.setattr(pa, "cpu_count", lambda: 3)
    rows = big(30_000)
    by_hashlib, by_machine_code = both(rows)
    assert by_hashlib == by_machine_code
    parts = [sum(both(rows.slice(at, 7_001))) for at in range(0, 30_000, 7_001)]
    assert sum(parts) == 2 * by_hashlib


@pytest.mark.parametrize("has", [True, False])
def test_without_numba_the_hash_is_the_same(monkeypatch, has):
    monkeypatch.setattr(row_digests, "WORTH_IT", 0)
    monkeypatch.setattr(row_digests, "MIN_ROWS", 0)
    monkeypatch.setattr(row_digests, "_has_numba", lambda: has)
    columns = {"a": ("int64", [1, None]), "b": ("string", ["x", "é"])}
    assert content_hash(table(columns)) == reference_hash(columns)
