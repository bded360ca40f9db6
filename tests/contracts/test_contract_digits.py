"""Digits beyond a column's scale are counted, shown and rounded; errors name a scale that fits."""

import re
from decimal import ROUND_HALF_EVEN, Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts import Field, conform, load_contract
from headrace.contracts.typed_cells import needed_scale, parse
from headrace.core.errors import DeclarationError
from headrace.gates import parse_suite
from headrace.gates.judge import judge
from headrace.lake.ingest.object_batches import _summed
from tests.contracts.given import SMALL, conformed, raw
from tests.examples import examples

ROW = {"meter": "m", "read_at": "2024-01-01T00:00:00Z", "sent": "2024-01-01T00:00:00Z"}
SUITE = parse_suite({"name": "small", "meta": {"table": "small"}, "expectations": []})


def rows(exact: tuple[str | None, ...] = (), rough: tuple[str | None, ...] = ()) -> list[dict]:
    blank = dict.fromkeys(field.name for field in load_contract(SMALL).delivered) | ROW
    count = max(len(exact), len(rough))
    pairs = zip(exact or ("1",) * count, rough or ("1",) * count, strict=True)
    return [
        blank | {"revision": str(at), "exact": one, "rough": other}
        for at, (one, other) in enumerate(pairs)
    ]


def test_the_gate_warns_with_a_count_an_example_and_a_scale_that_keeps_them():
    given = rows(("1.25", "1.2500", "1.2345", "-0.005", None, "2.001"), ("0.1",) * 6)
    found = conformed(load_contract(SMALL), *given)
    assert found.table["exact"].to_pylist() == [125, 125, 123, 0, None, 200]
    judgement = judge(SUITE, load_contract(SMALL), found)
    (result,) = judgement.failed
    line = found.table["_line"][2].as_py()
    assert (judgement.verdict, judgement.passing.num_rows) == ("WARN", 6)
    assert (result.id, result.unexpected_count) == ("digits_beyond_scale:exact", 3)
    assert result.sample == ({"line": line, "key": {}, "values": {"exact": "1.2345"}},)
    assert result.reason == (
        f"3 cells have digits beyond scale 2 of exact, first 1.2345 on line {line}: they are"
        " rounded (a scale of 4 keeps them all, if sums then still fit)"
    )


def test_noise_of_binary_arithmetic_in_a_float_is_no_digit():
    noise = ("0.30000000000000004", "0.1", "2.675", "999999.9990000001")
    contract = load_contract(SMALL)
    assert conformed(contract, *rows(rough=noise)).rounded == ()
    (found,) = conformed(contract, *rows(rough=(*noise, "0.0004", "1.23456"))).rounded
    assert (found.field, found.count, found.text) == ("rough", 2, "0.0004")


def test_events_and_pieces_of_a_file_are_counted_alike():
    contract = load_contract(SMALL)
    first, second = raw(rows(("1", "1.234"))), raw(rows(("1.2345", "1")))
    parts = [conform(contract, part, "b", by_row=True) for part in (first, second)]
    (found,) = _summed(parts).rounded
    assert (found.count, found.text, found.needed) == (2, "1.234", 4)


NUMBERS = st.one_of(
    st.decimals(-900, 900, places=4).map(str),
    st.tuples(st.integers(-99999, 99999), st.integers(-8, 1)).map(lambda p: f"{p[0]}e{p[1]}"),
    st.integers(-(10**65), 10**65).map(lambda n: f"{n}e-64"),
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.one_of(NUMBERS, st.none()), max_size=8), st.integers(0, 6))
def test_a_cell_counts_exactly_if_rounding_changes_it(cells, scale):
    column = Field("x", "number", 10, "", "", scale=scale, max_abs=2**62)
    found = parse(column, pa.array(cells, pa.string()))
    quantum = Decimal(1).scaleb(-scale)
    lost = [
        at
        for at, cell in enumerate(cells)
        if cell is not None
        and Decimal(cell).quantize(quantum, rounding=ROUND_HALF_EVEN) != Decimal(cell)
    ]
    assert found.rounded.tolist() == lost


def test_the_scale_that_is_needed():
    assert needed_scale(pa.array(["1.2300", "-0.5", "7", "1e9", ".1250"])) == 3
    assert needed_scale(pa.array(["1e9"])) == 0


@pytest.mark.parametrize(
    ("column", "scale", "limit", "fitting"),
    [("exact", 19, "1000.5", 15), ("exact", 3, "10000000000000000", 2), ("rough", 9, "50000000", 8),
     ("exact", 2, "9300000000000000000", None)],
)  # fmt: skip
def test_an_error_about_a_scale_names_one_that_fits(tmp_path, column, scale, limit, fitting):
    def declared(scale: int) -> str:
        before, name, after = SMALL.read_text().partition(f"- name: {column}\n")
        after = re.sub(r"scale, value: \d+", f"scale, value: {scale}", after, count=1)
        return (
            before
            + name
            + re.sub(r"maxAbs, value: [\d.]+", f"maxAbs, value: {limit}", after, count=1)
        )

    path = tmp_path / "small.yaml"
    path.write_text(declared(scale))
    with pytest.raises(DeclarationError) as error:
        load_contract(path)
    if fitting is None:
        assert re.search(r"declare a maxAbs above 0, and of at most [\d.]+$", error.value.fix)
        return
    assert error.value.fix == f"declare scale {fitting}, the greatest that fits this maxAbs"
    path.write_text(declared(fitting))
    load_contract(path)
    path.write_text(declared(fitting + 1))
    with pytest.raises(DeclarationError):
        load_contract(path)


@pytest.mark.parametrize(
    ("scale", "limit"), [(2, "90071992547409.91"), (6, "9007199254.740991"), (2, "1000.25")]
)
def test_a_greatest_value_keeps_every_digit_of_the_file(tmp_path, scale, limit):
    path = tmp_path / "small.yaml"
    old = "{property: scale, value: 2}\n          - {property: maxAbs, value: 1000.5}"
    text = SMALL.read_text()
    assert old in text
    new = old.replace("value: 2", f"value: {scale}").replace("1000.5", limit)
    path.write_text(text.replace(old, new))
    exact = next(field for field in load_contract(path).fields if field.name == "exact")
    assert exact.max_abs == Decimal(limit) * 10**scale
