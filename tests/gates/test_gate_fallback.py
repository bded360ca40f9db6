"""What is not compiled is asked of Great Expectations, and answers like any other check."""

import sys

import pyarrow as pa
import pytest
from gate_batches import conformed, contract, expect, rows, suite

from headrace.gates import Verdict, judge
from headrace.gates.checks.vocabulary import VOCABULARY
from headrace.gates.gx import fallback

TOWNS = ("2013-01-01", "{}", None, "13", '{"a": 1}')
TRIPS = [(number, town, 10.0 * number) for number, town in enumerate(TOWNS)]
JSON = expect("column_values_to_be_json_parseable", meta={"id": "json"}, column="town")
FIRST = expect(
    "column_values_to_match_json_schema",
    meta={"id": "schema"},
    column="town",
    json_schema={"type": "object"},
)
SPREAD = {"bins": [0, 25, 100], "weights": [0.6, 0.4]}
NEAR = expect(
    "column_kl_divergence_to_be_less_than",
    meta={"id": "near"},
    column="miles",
    partition_object=SPREAD,
    threshold=0.1,
)
FAR = expect(
    "column_kl_divergence_to_be_less_than",
    "warning",
    meta={"id": "far"},
    column="miles",
    partition_object={**SPREAD, "weights": [0.01, 0.99]},
    threshold=0.1,
)


def answer(*checks: dict, table: pa.Table | None = None):
    batch = rows(*TRIPS) if table is None else table
    return judge(suite(*checks, max_quarantined_share=0.9), contract(), conformed(batch))


def test_failing_rows_are_quarantined_with_their_reason() -> None:
    quarantining = {**JSON, "meta": {"id": "json", "action": "quarantine"}}
    judged = answer(quarantining)
    assert judged.verdict is Verdict.QUARANTINE
    kept = judged.quarantined.select(["id", "_reasons"]).to_pylist()
    assert kept == [{"id": 0, "_reasons": ["json"]}]
    result = judged.failed[0]
    assert (result.unexpected_count, result.missing_count, result.element_count) == (1, 1, 5)
    assert result.reason == "1 of 4 rows fail 'column values to be json parseable', as 2013-01-01"
    assert result.sample == ({"line": 2, "key": {"id": 0}, "values": {"town": "2013-01-01"}},)


def test_it_looks_at_the_rows_of_a_condition_and_at_mostly() -> None:
    only = {**JSON["kwargs"], "row_condition": "id > 0", "condition_parser": "pandas"}
    assert answer({**JSON, "kwargs": only}).verdict is Verdict.PASS
    assert answer({**JSON, "kwargs": {**JSON["kwargs"], "mostly": 0.75}}).verdict is Verdict.PASS


def test_values_are_held_against_limits_and_two_checks_of_one_kind_do_not_mix() -> None:
    judged = answer(NEAR, FAR)
    assert {r.id: r.status for r in judged.results} == {"near": "pass", "far": "fail"}
    assert judged.verdict is Verdict.WARN


def test_a_crash_there_is_an_error_and_leaves_the_others_alone() -> None:
    judged = answer(FIRST, JSON, expect("table_row_count_to_equal", value=5))
    assert judged.verdict is Verdict.ERROR
    assert [r.status for r in judged.results] == ["error", "fail", "pass"]
    assert "Great Expectations: " in judged.results[0].reason


def test_a_missing_column_is_an_error() -> None:
    judged = answer({**JSON, "kwargs": {"column": "no_such_column"}})
    assert judged.verdict is Verdict.ERROR
    assert "there is no column 'no_such_column'" in judged.failed[0].reason


def test_empty_batches_are_answered() -> None:
    assert answer(JSON, table=rows()).verdict is Verdict.PASS


def test_without_the_library_it_is_an_error_that_says_how_to_install_it(monkeypatch) -> None:
    fallback._library.cache_clear()
    monkeypatch.setitem(sys.modules, "great_expectations", None)
    judged = answer(JSON, expect("table_row_count_to_equal", value=5))
    fallback._library.cache_clear()
    assert judged.verdict is Verdict.ERROR
    assert [r.status for r in judged.results] == ["error", "pass"]
    assert "pip install 'headrace[gx]'" in judged.results[0].reason


def test_the_whole_vocabulary_of_the_library_is_known_here() -> None:
    """Each of its types is compiled, asked of it, or refused with a reason."""
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    from headrace.gates.checks.vocabulary import ELSEWHERE

    theirs = set(list_registered_expectation_implementations())
    assert theirs <= VOCABULARY.keys() | ELSEWHERE.keys()
    assert not VOCABULARY.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("pattern", "escape", "matching"),
    [
        ("a%", None, {"a", "ab", "a\nb", "a%"}),
        ("_", None, {"a", "b", "É", "%", "日"}),
        ("a!%", "!", {"a%"}),
        ("%É%", None, {"É", "xÉy"}),
        ("", None, {""}),
    ],
)
def test_like_patterns(pattern, escape, matching) -> None:
    words = ["a", "ab", "a\nb", "a%", "É", "%", "日", "xÉy", "", None, "b"]
    table = rows(*((number, word, 1.0) for number, word in enumerate(words)))
    kwargs = {"column": "town", "like_pattern": pattern} | ({"escape": escape} if escape else {})
    several = {**kwargs, "like_pattern_list": [pattern, "no such"]}
    del several["like_pattern"]
    given = {word for word in words if word is not None}
    for kind, options, expected in (
        ("column_values_to_match_like_pattern", kwargs, matching),
        ("column_values_to_not_match_like_pattern", kwargs, given - matching),
        ("column_values_to_match_like_pattern_list", several, matching),
        ("column_values_to_match_like_pattern_list", {**several, "match_on": "all"}, set()),
        ("column_values_to_not_match_like_pattern_list", several, given - matching),
    ):
        judged = answer(expect(kind, meta={"action": "quarantine"}, **options), table=table)
        assert set(judged.passing["town"].to_pylist()) - {None} == expected, kind
