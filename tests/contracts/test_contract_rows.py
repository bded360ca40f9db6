"""Repeats, aliases, provenance, conservation: what happens to rows as a whole."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts import conform, load_contract
from tests.contracts.given import HOUR, OUTCOME, PLAN, SMALL, conformed, flights, raw
from tests.examples import examples

READING = {
    "meter": "a",
    "read_at": "2013-01-01T00:00:00Z",
    "sent": "2013-01-01T00:05:00Z",
    "revision": "1",
    "count": "5",
    "exact": "1.25",
    "rough": "1.25",
    "plain": "1.25",
    "good": "true",
    "note": "hello",
}
CONTRACT = load_contract(SMALL)


def test_equal_rows_are_dropped_and_counted():
    result = conformed(
        CONTRACT, READING, READING | {"meter": "b"}, READING, READING | {"exact": "1.250"}
    )
    assert (result.repeated, result.delivered, result.violations) == (2, 4, ())
    assert result.table.column("_line").to_pylist() == [2, 3]
    assert conformed(CONTRACT, READING).repeated == 0


def test_a_sequence_orders_versions_of_one_moment():
    result = conformed(CONTRACT, READING, READING | {"revision": "2", "count": "6"})
    assert (result.violations, result.table.num_rows) == ((), 2)


def test_problems_of_a_dropped_row_are_told_once():
    bad = READING | {"plain": "inf"}
    result = conformed(CONTRACT, bad, bad)
    assert (result.repeated, [problem.line for problem in result.bad_rows]) == (1, [2])


def test_rows_without_a_known_at_are_quarantined_and_do_not_clash():
    lost = READING | {"sent": None}
    result = conformed(CONTRACT, lost, lost | {"count": "6"}, lost)
    assert (result.violations, result.repeated) == ((), 1)
    assert [(problem.line, problem.rule) for problem in result.bad_rows] == [
        (2, "known_at"),
        (3, "known_at"),
    ]


def test_an_alias_is_accepted_and_two_names_at_once_are_not():
    renamed = {("remark" if name == "note" else name): value for name, value in READING.items()}
    result = conformed(CONTRACT, renamed)
    assert result.table.column("note").to_pylist() == ["hello"]
    (violation,) = conformed(CONTRACT, READING | {"remark": "x"}).violations
    assert violation.got == "columns note, remark"


def test_a_column_that_may_be_absent():
    assert conformed(CONTRACT, READING).table.column("extra").to_pylist() == [None]
    assert conformed(CONTRACT, READING | {"extra": "x"}).table.column("extra").to_pylist() == ["x"]


def test_known_before_it_happened_warns():
    early = READING | {"sent": "2012-12-31T00:00:00Z"}
    result = conformed(CONTRACT, READING | {"meter": "b"}, early)
    assert result.warnings == ("1 rows are known before they happen, first on line 3",)
    assert conformed(flights("schedule"), PLAN).warnings == ()


def test_what_is_too_great_does_not_reach_derivations():
    result = conformed(CONTRACT, READING | {"count": "1001"})
    assert result.table.to_pylist()[0]["count"] == 1001  # kept for quarantine
    assert result.table.to_pylist()[0]["doubled"] is None
    derived = conformed(CONTRACT, READING | {"count": "960"})
    assert [(problem.rule, problem.field) for problem in derived.bad_rows] == [
        ("max_abs", "doubled")
    ]


def test_every_table_has_the_declared_schema_and_provenance():
    for table, row in (("outcomes", OUTCOME), ("weather", HOUR)):
        result = conform(flights(table), raw([row]), "some batch")
        assert result.table.schema.equals(flights(table).arrow_schema(), check_metadata=True)
        assert result.table.column("_batch").to_pylist() == ["some batch"]


ROW = st.fixed_dictionaries(
    {
        "meter": st.sampled_from(["a", "b", None]),
        "revision": st.sampled_from(["1", "2"]),
        "count": st.sampled_from(["5", "1001"]),
    }
)


@given(st.lists(ROW, max_size=12))
@settings(max_examples=examples(150), deadline=None)
def test_rows_are_conserved_and_conforming_again_changes_nothing(changes):
    rows = raw([READING | change for change in changes], list(READING))
    first, second = (conform(CONTRACT, rows, "b") for _ in range(2))
    assert first == second
    if first.table is None:
        assert {violation.field for violation in first.violations} == {"count"}
    else:
        assert first.delivered == first.table.num_rows + first.repeated
        lines = set(first.table.column("_line").to_pylist())
        assert {problem.line for problem in first.bad_rows} <= lines
