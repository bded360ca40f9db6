"""Each kind of address becomes the declaration of a source that reads it."""

import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError
from headrace.scaffold.declarations import declaration, declared
from headrace.scaffold.inspection.column_candidates import inspect_sample
from headrace.sources.sampling.sample import Sample


def seen(kind, form, address, **about):
    columns = {"id": ["1", "2"], "updated_at": ["2024-01-01T00:00:00Z"] * 2, "n": ["a", "b"]}
    table = pa.table(columns)
    return inspect_sample(Sample(address, kind, form, "x", table, complete=True, details=about))


SQL = (
    'TableChanges("x", "sqlite:///a.db", "t", ("id",), producer="not_stated", cursor="updated_at")'
)
API = 'CursorApi("x", "http://h:1", "/v1/x", {"date": "{slot}"}, producer="not_stated")'
CASES = [
    ("file", "csv", "a", {"folder": "/d", "pattern": "a_{slot}.csv"},
     'DropFolder("x", Path("/d"), "a_{slot}.csv", producer="not_stated")'),
    ("file", "csv", "s3://b/a.csv", {"folder": "s3://b"},
     'DropFolder("x", "s3://b", "x_{slot}*.csv", producer="not_stated")'),
    ("file", "csv", "a.zip", {"folder": "/d", "member": "a.csv"},
     'DropFolder("x", Path("/d"), "x_{slot}*.zip", producer="not_stated")'),
    ("file", "json", "a.json", {"folder": "/d"},
     'DropFolder("x", Path("/d"), "x_{slot}*.ndjson", producer="not_stated")'),
    ("file", "parquet", "s3://b/p", {"folder": "s3://b/p", "pattern": "dt={slot}/*.parquet"},
     'ParquetObjects("x", "s3://b/p", "dt={slot}/*.parquet", producer="not_stated")'),
    ("sql", "table", "sqlite:///a.db#t", {}, SQL),
    ("http", "pages", "http://h:1/v1/x?limit=2", {}, API),
    ("http", "csv", "http://h:1/x.csv", {}, ""),
    ("topic", "events", "nats://h#x", {"place": 'NatsSubject("x")'},
     'Stream("x", NatsSubject("x"), producer="not_stated")'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "form", "address", "about", "expected"), CASES)
def test_declarations(kind, form, address, about, expected):
    assert declaration(seen(kind, form, address, **about), "x") == expected


def test_slots_are_days_where_a_name_holds_one():
    there = {"folder": "/d", "pattern": "dt={slot}/*.parquet"}
    assert declared(seen("file", "parquet", "/d", **there), "x").partitioned
    assert not declared(seen("file", "parquet", "/d", folder="/d"), "x").partitioned
    assert not declared(seen("sql", "table", "sqlite:///a.db#t"), "x").partitioned


def test_what_no_source_reads_is_refused_with_a_way_out():
    with pytest.raises(DeclarationError, match="no source reads csv by HTTP") as caught:
        declared(seen("http", "csv", "http://h/x.csv"), "x")
    assert "drop folder" in caught.value.fix


def test_long_declarations_are_written_in_lines():
    made = declared(seen("sql", "table", "sqlite:///a.db#t"), "x", deletions=True)
    text = made.lines("    ")
    assert len(text.splitlines()) == 9
    assert eval(text, {"TableChanges": lambda *a, **k: (a, k)}) == (
        ("x", "sqlite:///a.db", "t", ("id",)),
        {"producer": "not_stated", "cursor": "updated_at", "deletions": True},
    )
