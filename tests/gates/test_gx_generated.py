"""Compiled expectations against the reference on data that hypothesis thinks of.

Nulls, NaN, infinity, empty batches, whole numbers around 2**53, moments in two zones, any text; and
`mostly` exactly at the share that passes, and a hair above it. Limits stay within 2**53: the
reference holds whole numbers against them as floats, which beyond are not exact; ours are.
"""

import math
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from gx_reference import GxBatch, ours
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from test_gx_conformance import compare

from headrace.gates.checks.vocabulary import VOCABULARY

BIG = 2**53
small = st.integers(-4, 6)
near = st.one_of(st.integers(BIG - 2, BIG + 2), st.integers(-BIG - 2, -BIG + 2), small)
floats = st.one_of(st.sampled_from([0.0, -0.0, 0.5, math.nan, math.inf, 2.5]), st.floats(-9, 9))
words = st.one_of(st.sampled_from(["", "a", "A1", "É", "E\u0301", "x y"]), st.text(max_size=4))
moments = st.integers(0, 48 * 60).map(
    lambda minutes: datetime(2013, 3, 9, tzinfo=UTC) + timedelta(minutes=minutes)
)
COLUMNS = {
    "i": (small, pa.int64(), True),
    "k": (near, pa.int64(), False),
    "x": (floats, pa.float64(), True),
    "s": (words, pa.string(), True),
    "t": (moments, pa.timestamp("us", "UTC"), True),
    "w": (moments, pa.timestamp("us", "America/New_York"), True),
    "b": (st.booleans(), pa.bool_(), False),
}


@st.composite
def batches(draw) -> pa.Table:
    rows = draw(st.integers(0, 12))

    def column(values: st.SearchStrategy, *, nulls: bool) -> list:
        one = st.one_of(st.none(), values) if nulls else values
        return draw(st.lists(one, min_size=rows, max_size=rows))

    return pa.table(
        {
            name: pa.array(column(values, nulls=nulls), kind)
            for name, (values, kind, nulls) in COLUMNS.items()
        }
    )


def on(columns: str, kind: str, **options: object) -> list[tuple[str, dict]]:
    return [(f"expect_{kind}", {"column": name, **options}) for name in columns]


SWITCH = "2013-03-10T07:00:00Z"  # clocks in New York are put forward
CASES = [
    *on("ixstwb", "column_values_to_not_be_null"),
    *on("ixst", "column_values_to_be_null"),
    *on("ix", "column_values_to_be_between", min_value=0, max_value=3, strict_max=True),
    *on("k", "column_values_to_be_between", min_value=2 - BIG, max_value=BIG - 2),
    *on("k", "column_values_to_be_between", max_value=BIG - 1, strict_max=True),
    *on("tw", "column_values_to_be_between", min_value=SWITCH),
    *on("ix", "column_values_to_be_in_set", value_set=[1, 2, 2.5]),
    *on("k", "column_values_to_be_in_set", value_set=[BIG, BIG + 1, 0]),
    *on("k", "column_values_to_not_be_in_set", value_set=[BIG + 1, -BIG - 1]),
    *on("s", "column_values_to_be_in_set", value_set=["a", "É", ""]),
    *on("s", "column_values_to_match_regex", regex=r"^\w*$"),
    *on("s", "column_values_to_match_regex", regex=r"\s"),
    *on("s", "column_values_to_match_regex_list", regex_list=[r"\d$", "^É"], match_on="any"),
    *on("s", "column_values_to_not_match_regex_list", regex_list=[r"\d", "[a-z]"]),
    *on("s", "column_value_lengths_to_be_between", min_value=1, max_value=2),
    *on("ikxstwb", "column_values_to_be_unique"),
    *on("iktw", "column_values_to_be_increasing"),
    *on("iktw", "column_values_to_be_decreasing", strictly=True),
    *on("i", "column_value_z_scores_to_be_less_than", threshold=1.01, double_sided=True),
    ("expect_compound_columns_to_be_unique", {"column_list": ["i", "s", "w"]}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["b", "x"], "ignore_row_if": "never"}),
    *(
        (f"expect_column_pair_values_{kind}", {"column_A": a, "column_B": b})
        for kind in ("a_to_be_greater_than_b", "to_be_equal")
        for a, b in ("tw", "ix")
    ),
    ("expect_multicolumn_values_to_be_equal", {"column_list": ["t", "w"]}),
    (
        "expect_select_column_values_to_be_unique_within_record",
        {"column_list": ["i", "x"], "ignore_row_if": "never"},
    ),
    ("expect_multicolumn_sum_to_equal", {"column_list": ["i", "x"], "sum_total": 3}),
    *on("k", "column_min_to_be_between", min_value=2 - BIG),
    *on("k", "column_max_to_be_between", max_value=BIG - 2),
    *on("tw", "column_max_to_be_between", max_value=SWITCH),
    *on("ik", "column_sum_to_be_between", min_value=0),
    *on("i", "column_mean_to_be_between", min_value=0, max_value=2),
    *on("i", "column_median_to_be_between", min_value=0, max_value=2),
    *on("ikstb", "column_unique_value_count_to_be_between", min_value=2, max_value=5),
    *on("ixs", "column_proportion_of_unique_values_to_be_between", min_value=0.5),
    *on("ixst", "column_proportion_of_non_null_values_to_be_between", min_value=0.5),
    *on("s", "column_distinct_values_to_contain_set", value_set=["a", "É"]),
    *on("k", "column_distinct_values_to_contain_set", value_set=[BIG, BIG + 1]),
    *on("k", "column_distinct_values_to_equal_set", value_set=[BIG, BIG + 1, 0]),
    *on("s", "column_distinct_values_to_be_in_set", value_set=["a", "É", ""]),
    *on("ikb", "column_most_common_value_to_be_in_set", value_set=[], ties_okay=True),
    *on(
        "i",
        "column_quantile_values_to_be_between",
        quantile_ranges={"quantiles": [0.1, 0.5, 0.75], "value_ranges": [[-4, 0], [0, 2], [1, 6]]},
    ),
    ("expect_table_row_count_to_be_between", {"min_value": 2}),
]
SETS = {"i": [1, 2, 3], "k": [BIG, 0, 1], "b": [True]}
CASES = [
    (kind, {**kwargs, "value_set": SETS[kwargs["column"]]} if "most_common" in kind else kwargs)
    for kind, kwargs in CASES
]


def at_its_share(table: pa.Table, case: tuple[str, dict], *, above: bool) -> tuple[str, dict]:
    """The case with `mostly` at the share that passes, or just above it."""
    kind, kwargs = case
    if not VOCABULARY[kind].row_level:
        return case
    outcome = ours(table, [case])[0].outcome
    assert outcome is not None
    looked_at = (outcome.elements or 0) - (outcome.missing or 0)
    share = (looked_at - (outcome.unexpected or 0)) / looked_at if looked_at else 0.5
    return kind, {**kwargs, "mostly": min(1.0, math.nextafter(share, 2)) if above else share}


def check(table: pa.Table, above: bool) -> None:
    reference = GxBatch(table)
    compare(table, reference, CASES)
    rows = [case for case in CASES if VOCABULARY[case[0]].row_level]
    compare(table, reference, [at_its_share(table, case, above=above) for case in rows])


# A batch takes the reference seconds: what fails is told as it was found.
once = settings(
    deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


# What is on record of the reference is compared in every run: see `test_gx_conformance`.
@pytest.mark.slow
@settings(once, max_examples=40)
@for_all(batches(), st.booleans())
def test_generated_batches_are_answered_as_the_reference_does(table, above) -> None:
    check(table, above)
