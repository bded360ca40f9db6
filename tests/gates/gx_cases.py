"""What the compiled expectations and Great Expectations are both asked: batches, and cases."""

import math
import random
import re
from datetime import UTC, datetime

import pyarrow as pa

from tests.gates.gx_reference import ours

WORDS = (
    *("a", "b", "A1", "N123AA", "n9", "", " ", "x y", "a\n", "0", "10:30"),
    *("Zürich", "É", "e\u0301", "日本語", "٣", "\u2028", "\U0001f6eb", "a\u00a0b"),
)
FLOATS = (math.nan, 0.0, -0.0, 0.5, 1.0, 2.5, -7.25, 1e9, 2.0**60, math.inf)
LIMITS = (
    {"min_value": -1},
    {"max_value": 2.5},
    {"min_value": 0, "max_value": 3},
    {"min_value": 0, "max_value": 3, "strict_min": True},
    {"min_value": 0, "max_value": 3, "strict_max": True},
    {"min_value": 1, "max_value": 1},
)
CONDITIONS = (
    "j > 1",
    'i != 2 and u == "a"',
    "(i >= 0 and y < 2.5) or j in [1, 2, -3]",
    "s.notnull()",
    "x.isnull() and b == True",
)
ORDER = ["i", "j", "x", "y", "s", "u", "t", "b", "z", "y2", "t2"]
MOMENTS = ("2013-01-02T00:00:00Z", "2013-01-04T00:00:00Z")


def batch(seed: int, rows: int, nulls: float) -> pa.Table:
    """i, x, s, t hold nulls (x NaN and infinity too); j, y, u, b do not; z is always null."""
    chance = random.Random(f"{seed} {rows} {nulls}")

    def column(draw, kind, share):
        return pa.array([None if chance.random() < share else draw() for _ in range(rows)], kind)

    def moment():
        return datetime(2013, 1, chance.randint(1, 5), tzinfo=UTC)

    return pa.table(
        {
            "i": column(lambda: chance.randint(-3, 8), pa.int64(), nulls),
            "j": column(lambda: chance.randint(-3, 8), pa.int64(), 0),
            "x": column(lambda: chance.choice(FLOATS), pa.float64(), nulls),
            "y": column(lambda: chance.choice(FLOATS[1:7]), pa.float64(), 0),
            "s": column(lambda: chance.choice(WORDS), pa.string(), nulls),
            "u": column(lambda: chance.choice(WORDS), pa.string(), 0),
            "t": column(moment, pa.timestamp("us", "UTC"), nulls),
            "b": column(lambda: chance.random() < 0.5, pa.bool_(), 0),
            "z": column(lambda: None, pa.float64(), 1),
            "y2": column(lambda: chance.choice(FLOATS[1:7]), pa.float64(), nulls),
            "t2": column(moment, pa.timestamp("us", "UTC"), nulls),
        }
    )


BATCHES = {
    f"{rows}rows-{nulls:.0%}null": batch(seed, rows, nulls)
    for seed, rows, nulls in [
        *((0, rows, 0.0) for rows in (0, 1, 60)),
        *((1, rows, 0.25) for rows in (3, 40, 150)),
        (2, 25, 1.0),
    ]
}
FULL, HOLES, EMPTY = "60rows-0%null", "40rows-25%null", "25rows-100%null"
EDGES = ("0rows-0%null", "1rows-0%null")


def on(columns: str, kind: str, *options: dict) -> list[tuple[str, dict]]:
    return [(kind, {"column": name, **extra}) for name in columns for extra in (options or ({},))]


def named(letters: str) -> list[str]:
    """The columns of 'ijy2': i, j, y2."""
    return re.findall(r"[a-z]2?", letters)


IGNORED: tuple[dict[str, str], ...] = (
    {},
    {"ignore_row_if": "any_value_is_missing"},
    {"ignore_row_if": "never"},
)
IGNORED_PAIRS: tuple[dict[str, str], ...] = (
    {},
    {"ignore_row_if": "either_value_is_missing"},
    {"ignore_row_if": "neither"},
)
ROWS = [
    *on("ixst", "expect_column_values_to_not_be_null"),
    *on("ixst", "expect_column_values_to_be_null"),
    *on("ijxyz", "expect_column_values_to_be_between", *LIMITS),
    *on(
        "t",
        "expect_column_values_to_be_between",
        {"min_value": MOMENTS[0], "max_value": MOMENTS[1]},
        {"min_value": MOMENTS[0], "strict_min": True},
    ),
    *on("ijxy", "expect_column_values_to_be_in_set", {"value_set": [1, 2, 2.5]}),
    *on("su", "expect_column_values_to_be_in_set", {"value_set": ["a", "Zürich", "É", "it's"]}),
    *on("ijxy", "expect_column_values_to_not_be_in_set", {"value_set": [1, 2, 2.5]}),
    *on("su", "expect_column_values_to_not_be_in_set", {"value_set": ["a", "Zürich", "É"]}),
    *on(
        "su",
        "expect_column_values_to_match_regex",
        {"regex": r"^\w+$"},
        {"regex": r"^[\w\s]*$"},
        {"regex": r"\d"},
        {"regex": r"^[^\d\s]"},
        {"regex": r"\S\s?$"},
        {"regex": r"(?i)^(É|[a-z]{0,2})$"},
        {"regex": "[\\u00c0-\\u017f]"},
        {"regex": r"^(?P<carrier>[A-Z]\d{2,4}|a)[]A]*\Z"},
        {"regex": r"\W"},
    ),
    *on("su", "expect_column_values_to_not_match_regex", {"regex": r"^\D*$"}, {"regex": "a."}),
    *on("su", "expect_column_value_lengths_to_be_between", {"min_value": 1, "max_value": 2}),
    *on("su", "expect_column_value_lengths_to_be_between", {"min_value": 2, "strict_min": True}),
    *on("su", "expect_column_value_lengths_to_equal", {"value": 2}),
    *on("ijxystb", "expect_column_values_to_be_unique"),
    *(
        ("expect_compound_columns_to_be_unique", {"column_list": list(columns), **extra})
        for columns in ("ix", "js", "ixst")
        for extra in IGNORED
    ),
    *(
        (kind, {"column_A": first, "column_B": second, **extra})
        for kind in (
            "expect_column_pair_values_a_to_be_greater_than_b",
            "expect_column_pair_values_to_be_equal",
        )
        for first, second in ("ij", "xy", "ix")
        for extra in IGNORED_PAIRS
    ),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "i", "column_B": "j", "or_equal": True},
    ),
    *on(
        "su",
        "expect_column_values_to_match_regex_list",
        {"regex_list": [r"^\w+$", r"\d"]},
        {"regex_list": [r"^\w+$", r"\d"], "match_on": "all"},
        {"regex_list": ["^a"], "match_on": "any"},
    ),
    *on("su", "expect_column_values_to_not_match_regex_list", {"regex_list": [r"\s", "^É"]}),
    *(
        ("expect_column_pair_values_to_be_in_set", {"column_A": a, "column_B": b, **pairs, **extra})
        for a, b, pairs in (
            ("i", "j", {"value_pairs_set": [[1, 2], [2, 1], [None, 3], [-1, -1]]}),
            ("s", "j", {"value_pairs_set": [["a", 2], ["Zürich", 1], [None, 1], ["", -3]]}),
        )
        for extra in IGNORED_PAIRS
    ),
    *(
        (kind, {"column_list": list(names), **more, **extra})
        for kind, lists, more in (
            ("expect_multicolumn_sum_to_equal", ("ij", "ix", "ijy", "yy2"), {"sum_total": 3}),
            ("expect_multicolumn_values_to_be_equal", ("ij", "ix", "su", "tt2"), {}),
            (
                "expect_select_column_values_to_be_unique_within_record",
                ("ij", "ix", "ijx", "su"),
                {},
            ),
        )
        for names in map(named, lists)
        for extra in IGNORED
    ),
    *on(
        "ijxyt",
        "expect_column_values_to_be_increasing",
        {},
        {"strictly": True},
    ),
    *on("ijxyt", "expect_column_values_to_be_decreasing", {}, {"strictly": True}),
    *on(
        "ijxyz",
        "expect_column_value_z_scores_to_be_less_than",
        {"threshold": 1.3, "double_sided": True},
        {"threshold": 0.7, "double_sided": False},
        {"threshold": -1.1, "double_sided": True},
    ),
]
COLUMNS = [
    ("expect_table_row_count_to_be_between", {"min_value": 2, "max_value": 100}),
    ("expect_table_row_count_to_equal", {"value": 60}),
    ("expect_table_columns_to_match_set", {"column_set": ["i", "j"]}),
    ("expect_table_columns_to_match_set", {"column_set": ORDER[::-1]}),
    ("expect_table_columns_to_match_set", {"column_set": ["i", "j"], "exact_match": False}),
    ("expect_table_columns_to_match_set", {"column_set": ["i", "q"], "exact_match": False}),
    *on("iq", "expect_column_to_exist"),
    *on("ijxyz", "expect_column_mean_to_be_between", *LIMITS[:3]),
    *on("ijxyz", "expect_column_median_to_be_between", *LIMITS[:3]),
    *on("ijxyz", "expect_column_stdev_to_be_between", *LIMITS[:3]),
    *on("ijxyz", "expect_column_sum_to_be_between", *LIMITS),
    *on("ijxyz", "expect_column_min_to_be_between", *LIMITS),
    *on("ijxyz", "expect_column_max_to_be_between", *LIMITS),
    *on("t", "expect_column_min_to_be_between", {"min_value": MOMENTS[0]}),
    *on("t", "expect_column_max_to_be_between", {"max_value": MOMENTS[1], "strict_max": True}),
    *on("ijxystbz", "expect_column_unique_value_count_to_be_between", LIMITS[2]),
    *on(
        "ijxystbz",
        "expect_column_proportion_of_unique_values_to_be_between",
        {"min_value": 0.1, "max_value": 0.9},
        {"max_value": 1, "strict_max": True},
    ),
    *on(
        "ijxystz",
        "expect_column_proportion_of_non_null_values_to_be_between",
        {"min_value": 0.5},
    ),
    *on("su", "expect_column_distinct_values_to_be_in_set", {"value_set": ["a", "b", "É"]}),
    *on("ijxy", "expect_column_distinct_values_to_be_in_set", {"value_set": [1, 2, 0.5, 0]}),
    *(
        case
        for kind in (
            "expect_column_distinct_values_to_contain_set",
            "expect_column_distinct_values_to_equal_set",
        )
        for case in (
            *on("su", kind, {"value_set": ["a", "b", "É"]}, {"value_set": [""]}),
            *on("ijy", kind, {"value_set": [1, 2, 0.5, 0]}, {"value_set": list(range(-3, 9))}),
        )
    ),
    *on(
        "ijxy",
        "expect_column_most_common_value_to_be_in_set",
        {"value_set": [1, 2, 0.5]},
        {"value_set": [*range(-3, 9), 0.5, 2.5], "ties_okay": True},
    ),
    *on("su", "expect_column_most_common_value_to_be_in_set", {"value_set": ["a", "", "É"]}),
    # One a column: the reference takes the quantiles of one for those of another.
    *on(
        "iy",
        "expect_column_quantile_values_to_be_between",
        {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 3]]}},
    ),
    *on(
        "jxz",
        "expect_column_quantile_values_to_be_between",
        {
            "quantile_ranges": {
                "quantiles": [0.0, 0.1, 0.25, 0.75, 0.9, 1.0],
                "value_ranges": [[None, 0], [-3, 1], [0, 0], [1, None], [2.5, 5], [None, None]],
            }
        },
    ),
    ("expect_table_columns_to_match_ordered_list", {"column_list": ["i", "j"]}),
    ("expect_table_columns_to_match_ordered_list", {"column_list": ORDER}),
    ("expect_table_columns_to_match_ordered_list", {"column_list": [*ORDER, "q"]}),
    ("expect_table_columns_to_match_ordered_list", {"column_list": ORDER[::-1]}),
    ("expect_table_column_count_to_be_between", {"min_value": 2, "max_value": 11}),
    ("expect_table_column_count_to_be_between", {"min_value": 12}),
    ("expect_table_column_count_to_equal", {"value": 11}),
    *on("ij", "expect_column_to_exist", {"column_index": 1}, {"column_index": -11}),
    *on("ij", "expect_column_to_exist", {"column_index": 40}, {"column_index": 0}),
]
CONDITIONED = [
    (kind, {**kwargs, "row_condition": condition, "condition_parser": "pandas"})
    for number, (kind, kwargs) in enumerate((ROWS + COLUMNS)[::2])
    if not kind.startswith(("expect_table_column", "expect_column_to_exist"))
    # With a condition the reference cannot write down its own answer to this one, and crashes.
    and kind != "expect_column_pair_values_to_be_in_set"
    for condition in [CONDITIONS[number % len(CONDITIONS)]]
]


def at_their_shares(table: pa.Table) -> list[tuple[str, dict]]:
    """Each check of rows with `mostly` at the share that passes, and a hair above it."""
    cases: list[tuple[str, dict]] = []
    for (kind, kwargs), finding in zip(ROWS, ours(table, ROWS), strict=True):
        outcome = finding.outcome
        considered = outcome.elements - (outcome.missing or 0)
        share = (considered - outcome.unexpected) / considered if considered else 0.5
        edges = (share, min(1.0, math.nextafter(share, 2)))
        cases.extend((kind, {**kwargs, "mostly": mostly}) for mostly in edges)
    return cases
