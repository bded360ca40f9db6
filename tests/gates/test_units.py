"""Limits and values in the units of the contract, over integers as the table stores them."""

import json
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.gates import Judgement, judge, load_suite
from headrace.gates.contract_units import condition_in, converted, to_contract, to_stored
from headrace.gates.gx.results import gx_document
from headrace.gates.lint import lint
from headrace.gates.suite_reader import fitted
from headrace.gates.unit_rewrite import conversion
from tests.gates.gate_batches import conformed, contract, expect, rows, suite

BETWEEN = "column_values_to_be_between"
SCALES = {"miles": 2}
WRITTEN = """# Limits of the yard.
name: yard.trips
meta: {table: trips, max_quarantined_share: 1.0}
expectations:
  - type: expect_column_values_to_be_between
    kwargs: {column: miles, min_value: 50, max_value: 2362}  # nobody drives farther
    meta: {id: miles, action: quarantine}
  - type: expect_column_mean_to_be_between
    kwargs:
      column: miles
      max_value: 500.0
      row_condition: miles > 75 and town != "Bonn"
      condition_parser: pandas
    severity: warning
  - type: expect_table_row_count_to_be_between
    kwargs: {min_value: 1, max_value: 5000}
"""


def scaled(scale: int = 2):
    declared = contract()
    columns = [
        replace(one, scale=scale, max_abs=10**12) if one.name == "miles" else one
        for one in declared.columns
    ]
    return replace(declared, columns=tuple(columns), hash=f"scale {scale}")


def trips(*miles):
    """Rows whose miles are these stored integers."""
    table = rows(*((number, "Ulm", 0.0) for number in range(len(miles))))
    place = table.schema.get_field_index("miles")
    return conformed(table.set_column(place, "miles", pa.array(miles, pa.int64())))


def judged(*checks, miles, scale=2, **meta):
    made = suite(*checks, max_quarantined_share=1, **meta)
    return judge(made, scaled(scale), trips(*miles))


def limit(value, units="contract", **more):
    about = {"column": "miles", "max_value": value, **more}
    return fitted(suite(expect(BETWEEN, **about), **({"units": units} if units else {})), scaled())


def test_a_limit_is_written_in_the_unit_of_the_contract():
    check = expect(BETWEEN, column="miles", max_value=500, meta={"action": "quarantine"})
    found = judged(check, miles=[500, 2362, 30000, 50001], units="contract")
    assert found.quarantined_count == 1
    assert judged(check, miles=[500, 2362, 30000, 50001]).quarantined_count == 3  # as 0.1.0 read it


@given(
    st.integers(1, 6),
    st.decimals(-(10**6), 10**6, places=9, allow_nan=False),
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=5),
    st.booleans(),
)
def test_a_limit_compares_as_real_numbers_do(scale, bound, miles, strict):
    near = int(bound.scaleb(scale))
    values = [*miles, near, near - 1, near + 1]
    check = expect(BETWEEN, column="miles", max_value=str(bound), strict_max=strict)
    check["meta"] = {"action": "quarantine"}
    found = judged(check, miles=values, scale=scale, units="contract")
    real = [Decimal(value).scaleb(-scale) for value in values]
    assert found.quarantined_count == sum(one >= bound if strict else one > bound for one in real)


@given(st.integers(1, 18), st.one_of(st.integers(-(2**63), 2**63), st.floats(-1e15, 1e15)))
def test_every_stored_number_has_an_exact_form_in_the_contracts_unit(scale, stored):
    again = to_stored(to_contract(stored, scale), scale)
    assert again == stored
    assert type(again) is type(stored)


def test_a_limit_that_no_float_holds_is_refused():
    with pytest.raises(DeclarationError, match="more digits than can be compared exactly"):
        to_stored("123456789012345678.9", 0)
    assert to_stored("1234567890123456.78", 2) == 123456789012345678


@pytest.mark.parametrize(
    ("kind", "stored", "contract_units"),
    [
        (BETWEEN, {"min_value": 50, "max_value": 2362}, {"min_value": 0.5, "max_value": 23.62}),
        ("column_mean_to_be_between", {"max_value": 500.5}, {"max_value": 5.005}),
        ("column_values_to_be_in_set", {"value_set": [100, 2362]}, {"value_set": [1, 23.62]}),
        ("column_unique_value_count_to_be_between", {"max_value": 9}, {"max_value": 9}),
        (
            "column_quantile_values_to_be_between",
            {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[50, None]]}},
            {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0.5, None]]}},
        ),
        (
            "column_values_to_not_be_null",
            {"row_condition": "miles >= -2362 and miles in [5, 10.5] or town == 'A'"},
            {"row_condition": "miles >= -23.62 and miles in [0.05, 0.105] or town == 'A'"},
        ),
    ],
)
def test_limits_sets_and_conditions_are_converted_there_and_back(kind, stored, contract_units):
    about = {"column": "miles"}
    made = converted(f"expect_{kind}", {**about, **stored}, SCALES, to_contract)
    assert made == {**about, **contract_units}
    assert converted(f"expect_{kind}", made, SCALES, to_stored) == {**about, **stored}


def test_pairs_and_sums_are_converted_by_their_columns():
    pairs = {"column_A": "town", "column_B": "miles", "value_pairs_set": [["Ulm", 2362]]}
    made = converted("expect_column_pair_values_to_be_in_set", pairs, SCALES, to_contract)
    assert made["value_pairs_set"] == [["Ulm", 23.62]]
    total = {"column_list": ["miles", "more"], "sum_total": 1050}
    scales = {"miles": 2, "more": 2}
    made = converted("expect_multicolumn_sum_to_equal", total, scales, to_contract)
    assert made["sum_total"] == 10.5
    with pytest.raises(DeclarationError, match="different scales: miles 2, more 0"):
        converted("expect_multicolumn_sum_to_equal", total, SCALES, to_contract)


def test_a_condition_keeps_its_text():
    written = '  miles > 4496.0 and (town == "Köln" or miles in [1, 2])'
    there = condition_in(written, SCALES, to_contract)
    assert there == '  miles > 44.960 and (town == "Köln" or miles in [0.01, 0.02])'
    assert condition_in(there, SCALES, to_stored) == written


@pytest.mark.parametrize("units", ["contract", None])
def test_all_that_is_shown_is_in_the_unit_of_the_contract(units):
    bound = 20 if units else 2000
    about = {"column": "miles", "max_value": bound}
    more = {"units": units} if units else {}
    where = {"row_condition": f"miles > {bound // 20}", "condition_parser": "pandas"}
    found = judged(
        expect(BETWEEN, **about, **where),
        expect("column_mean_to_be_between", **about),
        expect("column_distinct_values_to_be_in_set", column="miles", value_set=[bound]),
        expect("column_values_to_be_unique", column="miles", meta={"id": "once"}),
        miles=[2362, 2362, 2000],
        **more,
    )
    between, mean, levels, once = found.results
    assert between.expected == "miles is at most 20 where miles > 1"
    assert between.sample[0]["values"] == {"miles": 23.62}
    assert mean.observed == pytest.approx(22.4133333)
    assert mean.reason == "mean of miles 22.4133 is above 20"
    assert levels.observed == ["23.62"]
    assert "every value of miles is one of 20" in levels.expected
    assert once.sample[1]["values"] == {"miles": 23.62}
    exported = gx_document(
        found,
        fitted(suite(expect(BETWEEN, **about), **more), scaled()),
        {"table": "trips", "slot": "1", "batch": "b", "origin": "o"},
        ["id"],
        SCALES,
    )
    assert exported["results"][0]["result"]["partial_unexpected_list"] == [23.62, 23.62]


def test_great_expectations_document_has_the_units_of_the_contract():
    made = fitted(suite(expect(BETWEEN, column="miles", max_value=2000)), scaled())
    found = judge(made, scaled(), trips(2362))
    about = {"table": "trips", "slot": "1", "batch": "b", "origin": "o"}
    (result,) = (r for r in gx_document(found, made, about, [], SCALES)["results"] if r["result"])
    assert result["expectation_config"]["kwargs"]["max_value"] == 20


def test_a_verdict_of_before_is_read_in_the_unit_of_the_contract():
    check = expect("column_mean_to_be_between", column="miles", max_value=2000)
    found = json.loads(judged(check, miles=[2362]).to_json())
    del found["units"]
    (result,) = found["results"]
    result |= {"observed": 2362.0, "reason": "mean of miles 2362 is above 2000"}
    before = Judgement.from_json(json.dumps(found)).readable(SCALES)
    assert before.results[0].observed == 23.62
    assert before.results[0].reason.endswith("above 2000 (miles in steps of 0.01)")
    assert before.readable(SCALES) == before


def test_the_hash_is_that_of_the_stored_form():
    assert limit(23.62).hash == limit(2362, units=None).hash
    assert limit(23.63).hash != limit(2362, units=None).hash


def written(tmp_path, text=WRITTEN):
    path = tmp_path / "trips.yaml"
    path.write_text(text)
    return load_suite(path, scaled())


def test_a_suite_is_converted_without_a_change_of_its_hash(tmp_path):
    before = written(tmp_path)
    assert [one["fix"] for one in lint(before, scaled())["warnings"]] == [
        "headrace gate convert-units trips"
    ]
    made = conversion(before, scaled())
    assert "{column: miles, min_value: 0.5, max_value: 23.62}  # nobody drives farther" in made.new
    assert 'max_value: "5.000"' in made.new  # the float that was there
    assert "miles > 0.75 and town" in made.new
    assert "{min_value: 1, max_value: 5000}" in made.new
    assert made.new.startswith("# Limits of the yard.\n")
    after = written(tmp_path, made.new)
    assert after.hash == before.hash
    assert lint(after, scaled())["warnings"] == []
    assert conversion(after, scaled()).new == made.new
    assert conversion(after, scaled()).changes == ()


def test_a_suite_that_compares_columns_of_different_scales_is_not_converted(tmp_path):
    text = WRITTEN + (
        "  - type: expect_column_pair_values_to_be_equal\n"
        "    kwargs: {column_A: id, column_B: miles}\n"
    )
    with pytest.raises(DeclarationError, match="different scales: id 0, miles 2"):
        conversion(written(tmp_path, text), scaled())


def test_units_that_are_not_known_are_a_fault(tmp_path):
    found = written(tmp_path, WRITTEN.replace("table: trips,", "table: trips, units: cents,"))
    assert "unknown units 'cents'" in str(found.fault)
