"""Suites are read strictly: what is misspelt is refused, with the place and the fix."""

import re

import pytest
import yaml
from gate_batches import contract, expect, suite

from headrace.core.errors import DeclarationError
from headrace.gates import parse_suite, read_suite
from headrace.gates.checks.regex import to_re2

BETWEEN = {"column": "miles", "min_value": 0}


def document(*expectations: dict, **meta) -> dict:
    meta = {"table": "trips", **meta}
    return {"name": "yard.trips", "meta": meta, "expectations": list(expectations)}


def entry(**changes) -> dict:
    return {"type": "expect_column_values_to_be_between", "kwargs": BETWEEN, **changes}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (document(entry(type="expect_miracles")), "unknown expectation type 'expect_miracles'"),
        (document(entry(kwargs={**BETWEEN, "min_val": 1})), "unknown kwarg min_val"),
        (document(entry(kwargs={"min_value": 1})), "kwarg 'column' is missing"),
        (document(entry(severity="fatal")), "unknown severity 'fatal'"),
        (document(entry(meta={"action": "explode"})), "unknown action 'explode'"),
        (document(entry(meta={"acton": "block"})), "unknown key acton"),
        (document(entry(), entry()), "more than one expectation is called"),
        (document(entry(kwargs={**BETWEEN, "mostly": 1.1})), "mostly is 1.1"),
        (document(entry(kwargs={**BETWEEN, "row_condition": "id > 1"})), "no condition_parser"),
        (document(entry(extra=1)), "unknown key extra"),
        (document(max_quarantined_share=3), "max_quarantined_share is 3"),
        ({**document(), "owner": "me"}, "unknown key owner"),
        ({"name": "yard.trips"}, "the suite has no 'table'"),
        ([1], "expected a mapping, got [1]"),
        (
            document(
                {
                    "type": "expect_table_row_count_to_be_between",
                    "kwargs": {"min_value": 1},
                    "meta": {"action": "quarantine"},
                }
            ),
            "it has no rows to quarantine",
        ),
    ],
)
def test_a_wrong_form_is_refused(wrong, message) -> None:
    with pytest.raises(DeclarationError, match=re.escape(message)) as refused:
        parse_suite(wrong, where="trips.yaml")
    assert refused.value.where.startswith("trips.yaml")
    assert refused.value.fix


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("column_values_to_be_between", {"column": "mile", "min_value": 0}, "no column 'mile'"),
        ("column_values_to_be_between", {"column": "miles"}, "neither min_value nor max_value"),
        ("column_values_to_be_between", {"column": "town", "min_value": 0}, "is a string"),
        (
            "column_values_to_be_between",
            {"column": "miles", "min_value": 2, "max_value": 1},
            "greater than max_value",
        ),
        ("column_values_to_be_in_set", {"column": "miles", "value_set": ["a"]}, "'a' cannot be"),
        ("column_values_to_be_in_set", {"column": "town", "value_set": []}, "value_set is []"),
        ("column_values_to_match_regex", {"column": "town", "regex": "("}, "not a regular"),
        ("column_values_to_match_regex", {"column": "town", "regex": "a(?=b)"}, "uses '(?=b'"),
        ("column_values_to_match_regex", {"column": "id", "regex": "a"}, "needs string"),
        ("column_mean_to_be_between", {"column": "town", "min_value": 1}, "needs number"),
        ("compound_columns_to_be_unique", {"column_list": ["id"]}, "column_list is ['id']"),
        (
            "column_pair_values_a_to_be_greater_than_b",
            {"column_A": "id", "column_B": "town"},
            "'id' is a number, 'town' a string",
        ),
        (
            "column_values_to_not_be_null",
            {"column": "id", "row_condition": "id > miles", "condition_parser": "pandas"},
            "outside the supported subset",
        ),
        (
            "column_values_to_not_be_null",
            {"column": "id", "row_condition": "id >", "condition_parser": "pandas"},
            "outside the supported subset",
        ),
        (
            "column_values_to_not_be_null",
            {"column": "id", "row_condition": "mile > 1", "condition_parser": "pandas"},
            "no column 'mile'",
        ),
    ],
)
def test_what_does_not_fit_the_contract_is_refused_on_load(tmp_path, kind, kwargs, message) -> None:
    path = tmp_path / "trips.yaml"
    path.write_text(yaml.safe_dump(document(expect(kind, meta={"id": "wrong"}, **kwargs))))
    with pytest.raises(DeclarationError, match=re.escape(message)):
        read_suite(path, contract())


def test_an_unreadable_suite_is_refused(tmp_path) -> None:
    path = tmp_path / "trips.yaml"
    with pytest.raises(DeclarationError, match="cannot read it"):
        read_suite(path)
    path.write_text("name: [")
    with pytest.raises(DeclarationError, match="not valid YAML"):
        read_suite(path)


def test_the_hash_follows_the_meaning() -> None:
    first = suite(expect("column_values_to_be_between", **BETWEEN))
    assert first.hash == suite(expect("column_values_to_be_between", **BETWEEN)).hash
    others = [
        suite(expect("column_values_to_be_between", column="miles", min_value=1)),
        suite(expect("column_values_to_be_between", "warning", **BETWEEN)),
        suite(expect("column_values_to_be_between", **BETWEEN), max_quarantined_share=0.5),
        suite(expect("column_values_to_be_between", **BETWEEN), version=2),
    ]
    assert len({first.hash, *(other.hash for other in others)}) == 5


def test_defaults() -> None:
    loaded = parse_suite(document(entry(), entry(severity="info", meta={"id": "soft"})))
    assert [(e.id, e.severity, e.action) for e in loaded.expectations] == [
        ("column_values_to_be_between:miles", "critical", "block"),
        ("soft", "info", "warn"),
    ]
    assert (loaded.version, loaded.max_quarantined_share) == (1, 0.01)


@pytest.mark.parametrize(
    ("pattern", "translated"),
    [
        (r"^N[1-9]\d{2,4}$", r"^N[1-9]\p{Nd}{2,4}(?:\n?\z)"),
        (r"[\d\w]\Z", r"[\p{Nd}\p{L}\p{N}_]\z"),
        (r"[]a[]", r"[\]a\[]"),
        ("(?i)a|\\x41\\u00e9$", "(?i)a|\\x{41}\\x{00e9}(?:\\n?\\z)"),
        (r"\.\$\\", r"\.\$\\"),
    ],
)
def test_patterns_are_rewritten(pattern, translated) -> None:
    assert to_re2(pattern) == translated


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bword",
        r"(a)\1",
        r"(?<!a)b",
        r"(?P<x>a)(?P=x)",
        "a$b",
        "a{,3}",
        r"[\W]",
        "(?m)^a$",
        "(?>a)",
    ],
)
def test_patterns_that_mean_something_else_are_refused(pattern) -> None:
    with pytest.raises(DeclarationError):
        to_re2(pattern)
