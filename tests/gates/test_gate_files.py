"""A Parquet file judged out of core gets the judgement that its rows get in memory."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gate_batches import conformed, contract, expect, rows, suite
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts import Invariant, RowProblem
from headrace.gates import Judgement, Verdict, judge, judge_file
from headrace.gates.checks.vocabulary import VOCABULARY
from headrace.gates.parquet import column_stream
from tests.examples import examples

QUARANTINE = {"meta": {"action": "quarantine"}}
TOWNS = ["Ulm", "Bonn", "Köln", "", "a" * 100, "a" * 99 + "b", "\U0001f300", None]
MILES = [0.0, -0.0, 1.5, -3.25, 40.0, 1e300, math.inf, -math.inf, math.nan, None]
IDS = [*range(-3, 9), 2**53, 2**53 + 1, -(2**63), 2**63 - 1, None]
IN_YARD = Invariant("yard", "town <> 'Bonn' OR miles < 30", "no long trips to Bonn")
TRIPS = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(TOWNS), st.sampled_from(MILES)), max_size=30
)
EWR = {"row_condition": 'town == "Ulm"', "condition_parser": "pandas"}
ROW_CHECKS = [
    ("column_values_to_not_be_null", {"column": "id"}),
    ("column_values_to_not_be_null", {"column": "miles"}),
    ("column_values_to_be_null", {"column": "town"}),
    ("column_values_to_be_null", {"column": "miles"}),
    ("column_values_to_be_unique", {"column": "id"}),
    ("column_values_to_be_unique", {"column": "miles"}),
    ("column_values_to_be_unique", {"column": "miles", **EWR}),
    ("compound_columns_to_be_unique", {"column_list": ["id", "town"]}),
    ("compound_columns_to_be_unique", {"column_list": ["town", "miles"], "ignore_row_if": "never"}),
    ("column_values_to_be_in_set", {"column": "town", "value_set": ["Ulm", "Köln"]}),
    ("column_values_to_match_regex", {"column": "town", "regex": "^[A-Z]"}),
    ("column_value_lengths_to_be_between", {"column": "town", "max_value": 50}),
    ("column_pair_values_to_be_equal", {"column_A": "at", "column_B": "event_time"}),
    ("column_values_to_be_between", {"column": "id", "min_value": 0, **EWR}),
    ("column_values_to_be_increasing", {"column": "id"}),
    ("column_values_to_be_decreasing", {"column": "at", "strictly": True}),
    (
        "column_value_z_scores_to_be_less_than",
        {"column": "id", "threshold": 1, "double_sided": True},
    ),
    ("column_values_to_match_like_pattern_list", {"column": "town", "like_pattern_list": ["U%"]}),
    (
        "column_pair_values_to_be_in_set",
        {"column_A": "town", "column_B": "id", "value_pairs_set": [["Ulm", 1], [None, 2]]},
    ),
    ("multicolumn_values_to_be_equal", {"column_list": ["at", "event_time"]}),
]
WHOLE_CHECKS = [
    ("table_row_count_to_be_between", {"min_value": 3}),
    ("table_columns_to_match_set", {"column_set": ["id", "town"], "exact_match": False}),
    ("column_min_to_be_between", {"column": "id", "min_value": 0}),
    ("column_max_to_be_between", {"column": "at", "max_value": "1970-01-01T00:05:00Z"}),
    ("column_min_to_be_between", {"column": "miles", "min_value": 0}),
    ("column_max_to_be_between", {"column": "miles", "max_value": 0}),
    ("column_mean_to_be_between", {"column": "miles", "min_value": 0, "max_value": 20}),
    ("column_median_to_be_between", {"column": "id", "min_value": 0}),
    ("column_unique_value_count_to_be_between", {"column": "id", "min_value": 4}),
    ("column_proportion_of_unique_values_to_be_between", {"column": "miles", "min_value": 0.5}),
    ("column_proportion_of_non_null_values_to_be_between", {"column": "miles", "min_value": 0.9}),
    ("column_distinct_values_to_be_in_set", {"column": "town", "value_set": ["Ulm", "Köln"]}),
    ("column_distinct_values_to_equal_set", {"column": "town", "value_set": ["Ulm", "Köln"]}),
    ("column_most_common_value_to_be_in_set", {"column": "town", "value_set": ["Ulm"]}),
    (
        "column_quantile_values_to_be_between",
        {"column": "id", "quantile_ranges": {"quantiles": [0.3], "value_ranges": [[0, 3]]}},
    ),
]
BROKEN = [
    ("column_to_exist", {"column": "no such"}),
    ("column_values_to_not_be_null", {"column": "no such"}),
]
LIMITS = st.one_of(st.integers(-5, 10), st.sampled_from([-1e300, -0.0, 0.5, 2.0**53, 2.0**63]))


@st.composite
def between(draw: st.DrawFn, column: str) -> tuple[str, dict[str, Any]]:
    low, high = sorted([draw(LIMITS), draw(LIMITS)])
    kwargs = {"column": column, "min_value": low, "max_value": high}
    strict = {"strict_min": draw(st.booleans()), "strict_max": draw(st.booleans())}
    return "column_values_to_be_between", {**kwargs, **strict}


@st.composite
def before(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    latest = f"1970-01-01T00:{draw(st.integers(0, 30)):02}:00Z"
    return "column_values_to_be_between", {"column": "at", "max_value": latest}


@st.composite
def suites(draw: st.DrawFn) -> Any:
    """Every check there is, each with some action: what one breaks must not touch the others."""
    of_rows = [*ROW_CHECKS, draw(between("id")), draw(between("miles")), draw(before())]
    of_all = [*WHOLE_CHECKS, *(BROKEN if draw(st.booleans()) else ())]
    chance = draw(st.randoms(use_true_random=False))
    calm = draw(st.booleans())
    expectations = []
    for number, (kind, kwargs) in enumerate([*of_rows, *of_all]):
        row_level = number < len(of_rows)
        actions = ["warn"] if calm else ["warn", "block"]
        action = chance.choice([*actions, "quarantine"] if row_level else actions)
        meta = {"id": f"check {number}", "action": action, "shadow": chance.random() < 0.1}
        if VOCABULARY[f"expect_{kind}"].sliced and chance.random() < 0.2:
            meta |= {"by": "town", "min_rows": chance.choice([1, 3])}
        mostly = {"mostly": chance.choice([0.5, 0.9, 1])} if row_level else {}
        expectations.append(expect(kind, meta=meta, **kwargs, **mostly))
    return suite(*expectations, max_quarantined_share=draw(st.sampled_from([0.1, 1.0])))


WRITERS = st.fixed_dictionaries({
    "row_group_size": st.integers(1, 12),
    "write_statistics": st.sampled_from([True, False, ["id"], ["miles", "town"]]),
    "use_dictionary": st.booleans(),
})  # fmt: skip


def comparable(judgement: Judgement) -> Any:
    """The judgement as JSON values: floats to 12 digits, since sums depend on their order."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.12g}")
        if isinstance(value, list):
            return [rounded(one) for one in value]
        return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value

    return rounded(json.loads(judgement.to_json()))


def file_of(table: pa.Table, folder: str | Path, **options: Any) -> Path:
    path = Path(folder) / "batch.parquet"
    pq.write_table(table, path, **options)
    return path


def plain_rows(table: pa.Table) -> list[str]:
    """Each row as text, in which NaN equals NaN and -0.0 does not equal 0.0."""
    return [repr(row) for row in table.to_pylist()]


@given(trips=TRIPS, checks=suites(), writer=WRITERS, statistics=st.booleans(), bad=st.booleans())
@settings(max_examples=examples(25), deadline=None)
def test_a_file_is_judged_as_its_rows_in_memory(trips, checks, writer, statistics, bad) -> None:
    table = rows(*trips)
    bad_rows = (RowProblem(3, "required", "id is null", "id"),) if bad and len(trips) > 1 else ()
    batch = conformed(table, bad_rows=bad_rows)
    expected = judge(checks, contract(IN_YARD), batch)
    with TemporaryDirectory() as folder:
        to = {"passing": Path(folder) / "passing", "quarantined": Path(folder) / "quarantined"}
        found = judge_file(
            checks,
            contract(IN_YARD),
            file_of(table, folder, **writer),
            about=batch,
            use_statistics=statistics,
            threads=1,
            **to,
        )
        assert comparable(found) == comparable(expected)
        assert (found.passing, found.quarantined) == (None, None)
        parts = {"quarantined": expected.quarantined}
        if expected.verdict.publishes:
            parts["passing"] = expected.passing
        for name, part in parts.items():
            assert to[name].exists() == bool(part.num_rows)
            if part.num_rows:
                written = pq.read_table(to[name])
                assert written.schema.remove_metadata() == part.schema.remove_metadata()
                assert plain_rows(written) == plain_rows(part)
        assert to["passing"].exists() <= expected.verdict.publishes


def by_duckdb(table: pa.Table, path: Path, group: int) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("batch", table)
        connection.execute(f"COPY batch TO '{path}' (ROW_GROUP_SIZE {group})")


def by_polars(table: pa.Table, path: Path, group: int) -> None:
    pl.from_arrow(table).write_parquet(path, row_group_size=group, statistics="full")


@pytest.mark.parametrize("write", [by_duckdb, by_polars])
@given(trips=TRIPS, checks=suites(), group=st.integers(1, 12))
@settings(max_examples=examples(8), deadline=None)
def test_the_footers_of_other_writers_say_the_same(write, trips, checks, group) -> None:
    table = rows(*trips)
    batch = conformed(table)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "batch.parquet"
        write(table, path, group)
        found = judge_file(checks, contract(IN_YARD), path, about=batch)
        scanned = judge_file(checks, contract(IN_YARD), path, about=batch, use_statistics=False)
    expected = comparable(judge(checks, contract(IN_YARD), batch))
    assert comparable(found) == expected
    assert comparable(scanned) == expected


@pytest.mark.parametrize("statistics", [True, False])
def test_nan_that_the_footer_does_not_tell_of_is_seen(tmp_path, statistics) -> None:
    """DuckDB alone concludes from the footer that no value is NaN."""
    table = rows((1, "Ulm", 1.0), (2, "Ulm", math.nan), (3, "Ulm", 2.0))
    checks = suite(
        expect("column_values_to_not_be_null", column="miles", meta={"action": "quarantine"}),
        expect("column_values_to_be_between", column="miles", min_value=0, max_value=9),
    )
    path, to = file_of(table, tmp_path), tmp_path / "quarantined.parquet"
    found = judge_file(checks, contract(), path, quarantined=to, use_statistics=statistics)
    assert [(r.unexpected_count, r.missing_count) for r in found.results[:2]] == [(1, None), (0, 1)]
    assert pq.read_table(to)["id"].to_pylist() == [2]


def test_texts_of_few_values_are_judged_by_value(tmp_path) -> None:
    """Also where many of them, or none at all, are what fails."""
    towns = [*(f"T{number}" for number in range(20)), "it's", None, "Ulm"]
    table = rows(*((number, towns[number % 23], 1.0) for number in range(230)))
    checks = suite(
        expect("column_values_to_be_in_set", column="town", value_set=["Ulm"], **QUARANTINE),
        expect("column_values_to_not_be_null", column="town", **QUARANTINE),
        expect("column_value_lengths_to_be_between", column="town", max_value=3, **QUARANTINE),
        expect("column_distinct_values_to_be_in_set", column="town", value_set=["Ulm"]),
    )
    judged = judge(checks, contract(), conformed(table))
    to = tmp_path / "quarantined.parquet"
    found = judge_file(
        checks, contract(), file_of(table, tmp_path), about=conformed(table), quarantined=to
    )
    assert comparable(found) == comparable(judged)
    assert plain_rows(pq.read_table(to)) == plain_rows(judged.quarantined)


@pytest.mark.parametrize("mixed", [False, True])
def test_keys_are_compared_in_parts(tmp_path, monkeypatch, mixed) -> None:
    monkeypatch.setattr(column_stream, "CHUNK_NUMBERS", 100)
    ids = [(7 * number if mixed else number) % 1000 for number in range(1000)]
    only_once = suite(expect("column_values_to_be_unique", column="id"))
    path = file_of(rows(*((key, "Ulm", 1.0) for key in ids)), tmp_path)
    assert judge_file(only_once, contract(), path).verdict == Verdict.PASS
    twice = [*ids, 500, 3]
    table = rows(*((key, "Ulm", 1.0) for key in twice))
    unique = suite(expect("column_values_to_be_unique", column="id", meta={"action": "quarantine"}))
    to = tmp_path / "quarantined.parquet"
    found = judge_file(unique, contract(), file_of(table, tmp_path), quarantined=to)
    assert (found.verdict, found.quarantined_count) == (Verdict.QUARANTINE, 4)
    assert sorted(pq.read_table(to)["id"].to_pylist()) == [3, 3, 500, 500]


def test_a_file_as_delivered_is_held_to_the_contract(tmp_path) -> None:
    table = rows((1, "Ulm", 1.0), (None, "Ulm", 1.0), (3, "Ulm", 1.0))
    path = file_of(table.drop_columns(["_line", "_batch"]), tmp_path)
    found = judge_file(suite(), contract(), path, quarantined=tmp_path / "bad.parquet")
    assert (found.verdict, found.quarantined_count) == (Verdict.BLOCK, 1)
    assert [(r.id, r.sample[0]["line"]) for r in found.results[:1]] == [("contract:primary_key", 2)]
    assert pq.read_table(tmp_path / "bad.parquet")["_reasons"].to_pylist() == [
        ["contract:primary_key"]
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda t: t.drop_columns(["town"]), "town"),
        (lambda t: t.set_column(0, "id", t["id"].cast(pa.string())), "id"),
        (lambda t: t.append_column("more", t["id"]), "more"),
    ],
)
def test_a_file_of_other_columns_breaks_the_contract(tmp_path, change, field) -> None:
    path = file_of(change(rows((1, "Ulm", 1.0))), tmp_path)
    found = judge_file(suite(), contract(), path, passing=tmp_path / "passing.parquet")
    assert (found.verdict, [v.field for v in found.violations]) == (Verdict.BLOCK, [field])
    assert (found.delivered, found.conformed) == (1, 0)
    assert not (tmp_path / "passing.parquet").exists()


def test_a_clean_file_need_not_be_copied(tmp_path) -> None:
    path = file_of(rows((1, "Ulm", 1.0)), tmp_path)
    to = tmp_path / "passing.parquet"
    assert judge_file(suite(), contract(), path, passing=to, copy_clean=False).verdict == "PASS"
    assert not to.exists()
    judge_file(suite(), contract(), path, passing=to)
    assert pq.read_table(to).equals(pq.read_table(path))


def test_what_great_expectations_answers_is_asked_of_a_file_too(tmp_path) -> None:
    trips = [(1, "{}", 1.0), (2, "no json", 2.0), (3, None, 3.0)]
    checks = [
        expect("column_values_to_be_json_parseable", meta={"action": does}, column="town", **more)
        for does, more in (("quarantine", {}), ("warn", {"mostly": 0.9}))
    ]
    one = suite(*({**c, "meta": {**c["meta"], "id": str(n)}} for n, c in enumerate(checks)))
    table, path = rows(*trips), tmp_path / "trips.parquet"
    pq.write_table(table, path)
    quarantined = tmp_path / "quarantined.parquet"
    about = conformed(table)
    judged = judge_file(one, contract(), path, quarantined=quarantined, about=about)
    assert comparable(judged) == comparable(judge(one, contract(), about))
    assert pq.read_table(quarantined)["_reasons"].to_pylist() == [["0"]]
