"""What is read from a file: types, times, keys; and what is refused, with the way out."""

from datetime import UTC, datetime

import pytest

from headrace.contracts.model import Contract
from headrace.core.errors import DeclarationError
from headrace.scaffold import Ask
from headrace.scaffold.contract import draft_contract
from headrace.scaffold.inspection.facts import Facts, facts
from headrace.scaffold.inspection.file_inspection import Look, look


def write(tmp_path, header, *rows):
    path = tmp_path / "given.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def looked(tmp_path, header, *rows, **more) -> Look:
    given = {"time": "at", "key": ("id",), **more}
    return look(Ask(write(tmp_path, header, *rows), **given))


def held(seen: Look) -> Facts:
    return facts(seen, draft_contract(seen, pipeline="p", consumers=["c"]))


NOON = datetime(2024, 7, 5, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2024, 7, 5, tzinfo=UTC)
BERLIN = datetime(2024, 7, 5, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("2024-07-05T12:00:00Z", {}, NOON),
        ("2024-07-05 14:00:00+02:00", {}, NOON),
        ("2024-07-05T12:00:00.000Z", {"zone": "Europe/Berlin"}, NOON),
        ("2024-07-05 12:00", {}, NOON),
        ("2024-07-05 12:00:00", {"zone": "Europe/Berlin"}, BERLIN),
        ("2024-07-05", {}, MIDNIGHT),
        ("2024/07/05", {}, MIDNIGHT),
        ("20240705", {}, MIDNIGHT),
        ("Jul 5 2024", {}, MIDNIGHT),
        ("07/25/2024 12:00", {}, NOON.replace(day=25)),
        ("25.07.2024 12:00", {"zone": "Europe/Berlin"}, BERLIN.replace(day=25)),
        ("05/07/2024", {"time_format": "%d/%m/%Y"}, MIDNIGHT),
        ("1720180800", {}, NOON),
        ("1720180800000", {}, NOON),
    ],
)
def test_times(tmp_path, text, more, expected):
    found = held(looked(tmp_path, "id,at", f"a,{text}", f"b,{text}", **more))
    assert found.table["event_time"].to_pylist() == [expected, expected]


def test_a_local_time_keeps_its_seconds(tmp_path):
    found = held(looked(tmp_path, "id,at", "a,2024-07-05 12:00:01.25", zone="Europe/Berlin"))
    assert found.table["event_time"].to_pylist() == [BERLIN.replace(second=1, microsecond=250_000)]


@pytest.mark.parametrize(
    ("values", "kind", "scale", "limit"),
    [
        (["1", "20", ""], "integer", None, 1000),
        (["1.5", "20.25", ""], "number", 2, 1000),
        (["1.5", "NA", "2"], "number", 1, 100),
        (["1.5", "nil", "2"], "number", 1, 100),
        (["1e3", "2.5", ""], "number", None, None),
        (["0.1234567", "1", ""], "number", None, None),
        (["007", "012", ""], "string", None, None),
        (["true", "false", ""], "boolean", None, None),
        (["a", "1", ""], "string", None, None),
        (["2024-01-01T00:00:00Z", "", ""], "timestamp", None, None),
    ],
)
def test_types(tmp_path, values, kind, scale, limit):
    rows = [f"{n},2024-07-05,{value}" for n, value in enumerate(values)]
    seen = looked(tmp_path, "id,at,x", *rows)
    column = seen.column("x")
    assert (column.type, column.scale, column.max_abs) == (kind, scale, limit)
    assert held(seen).table.num_rows == 3


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Order Date", "order_date"),
        ("event_time", "event_time_given"),
        ("a__b", "a_b"),
        ("%", "column"),
        ("2nd", "n_2nd"),
        ("Fine", "Fine"),
    ],
)
def test_names(tmp_path, header, name):
    seen = looked(tmp_path, f"id,at,{header}", "1,2024-07-05,x")
    assert seen.columns[2].name == name
    contract: Contract = held(seen).contract
    assert contract.field(name).aliases == (() if name == header else (header,))


@pytest.mark.parametrize(
    ("header", "rows", "more", "what"),
    [
        ("id,at", ["1,05/07/2024"], {}, "both '%m/%d/%Y' and '%d/%m/%Y' fit"),
        ("id,at", ["1,soon"], {}, "no known format fits"),
        ("id,at", ["1,2024-07-05"], {"time_format": "%d/%m"}, "the format '%d/%m' does not fit"),
        ("id,at", ["1,2024-07-05"], {"time": "when"}, "no column 'when'"),
        ("id,at", ["1,2024-07-05"], {"key": ("nr",)}, "no column 'nr'"),
        ("id,at", ["1,2024-07-05", "1,2024-07-06"], {}, "rows that repeat another row's key: 1"),
        ("id,at", ["1,2024-07-05,9"], {}, "line 2: expected 2 fields, got 3"),
        ("id;at", ["1;2024-07-05"], {}, "columns: 1, rows: 1"),
        ("id,at", [], {}, "columns: 2, rows: 0"),
    ],
)
def test_refusals(tmp_path, header, rows, more, what):
    with pytest.raises(DeclarationError) as refused:
        looked(tmp_path, header, *rows, **more)
    assert what in str(refused.value)
    assert refused.value.fix


def test_a_key_that_would_do_is_named(tmp_path):
    with pytest.raises(DeclarationError, match="identify every row: --key 'id' --key 'at'"):
        looked(tmp_path, "id,n,at", "1,3,2024-07-05", "1,3,2024-07-06")


def test_rows_without_a_time_are_set_aside(tmp_path):
    rows = [f"{n},2024-07-{1 + n % 28:02}" for n in range(200)]
    found = held(looked(tmp_path, "id,at", *rows, "999,later"))
    assert found.table.num_rows == 200
    assert found.undated == (202,)
