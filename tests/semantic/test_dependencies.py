"""Dependencies that no contract declares, and the changes that break them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts import Contract, conform
from headrace.contracts.drift import Baseline, BatchView, detect, look_at, marked
from headrace.contracts.drift.dependencies import assumed, entity_of
from headrace.contracts.drift.hypothesis_trial import date_parts
from headrace.contracts.drift.profile import profile_of
from headrace.core.clock import parse_iso
from headrace.sources.rows import RawRows
from tests.semantic import rides

DAYS = 20


@cache
def contract() -> Contract:
    """Return the contract of the rides without a hint on what depends on what."""
    declared = rides.contract()
    columns = tuple(replace(column, explained_by=()) for column in declared.columns)
    return replace(declared, columns=columns, relations=())


def view(rows: RawRows, day: int = DAYS) -> BatchView:
    return look_at(contract(), rows, conform(contract(), rows, "batch"), rides.slot(day))


@cache
def past() -> Baseline:
    reference = Baseline()
    for day in range(DAYS):
        look = view(rides.rides(day), day)
        reference.add(marked(profile_of(look, rides.slot(day)), look, reference))
    return reference


def altered(**columns: list[str]) -> BatchView:
    """Return the view of a day with other texts in some columns."""
    rows = rides.rides(DAYS)
    table = rows.table
    for name, texts in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(texts, pa.string()))
    return view(replace(rows, table=table))


def texts(name: str) -> list[str]:
    return rides.rides(DAYS).table.column(name).to_pylist()


def exchanged(name: str, first: str, second: str) -> list[str]:
    names = {first: second, second: first}
    return [names.get(text, text) for text in texts(name)]


def test_columns_that_a_category_fixes_are_assumed_to_depend_on_it():
    pairs = set(assumed(view(rides.rides(DAYS))))
    assert {("town", ("route",)), ("miles", ("route",))} <= pairs
    assert not any(name in {"wait", "degrees", "fare"} for name, _ in pairs)


def test_a_declared_dependency_is_not_assumed():
    rows = rides.rides(DAYS)
    look = look_at(rides.contract(), rows, conform(rides.contract(), rows, "b"), rides.slot(DAYS))
    assert ("miles", ("route",)) not in assumed(look)


def test_the_entity_is_the_text_of_a_key_with_other_columns():
    look = view(rides.rides(DAYS))
    assert entity_of(look) == ()
    positions = {"route": 1, "called": 2}
    columns = tuple(
        replace(column, primary_key_position=positions.get(column.name))
        for column in contract().columns
    )
    look = replace(look, contract=replace(contract(), columns=columns))
    assert entity_of(look) == ("route",)


@pytest.mark.parametrize(
    ("name", "first", "second"), [("town", "Ash", "Birch"), ("route", "R03", "R10")]
)
def test_exchanged_codes_are_named(name, first, second):
    finding = detect(altered(**{name: exchanged(name, first, second)}), past())[0]
    assert (finding.kind, finding.columns) == ("recoding", (name,))
    assert set(finding.evidence["levels"]) == {first, second}
    places = [at for at, text in enumerate(texts(name)) if text in {first, second}]
    assert finding.lines == tuple(2 + at for at in places)


def test_a_code_merged_into_another_is_named():
    merged = ["R10" if text == "R03" else text for text in texts("route")]
    finding = detect(altered(route=merged), past())[0]
    assert (finding.kind, finding.columns) == ("merge", ("route",))


@pytest.mark.parametrize("by", [1, -1])
def test_values_one_row_too_far_are_named(by):
    moved = np.roll(np.array(texts("miles")), by).tolist()
    finding = detect(altered(miles=moved), past())[0]
    assert (finding.kind, finding.columns) == ("shifted_rows", ("miles",))
    assert finding.evidence["rows"] == by


def test_a_broken_dependency_without_a_cause_is_reported():
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(np.array(texts("miles"))).tolist()
    kinds = {finding.kind for finding in detect(altered(miles=shuffled), past())}
    assert kinds == {"dependency"}


@settings(max_examples=25, deadline=None)
@given(st.integers(DAYS, 400))
def test_clean_days_break_no_dependency(day):
    findings = detect(view(rides.rides(day), day), past())
    assert not [finding.sentence for finding in findings]


@pytest.mark.parametrize(
    ("slot", "values", "parts"),
    [
        ("2024-02-01", [2.0], {"month", "day"}),
        ("2024-02-01", [1.0, 2.0], {"month", "day"}),
        ("2024-03-05", [3.0], {"month"}),
        ("2024-03-05", [5.0], {"day"}),
        ("2024-03-05", [2024.0], {"year"}),
        ("2024-03-05", [7.0], set()),
        ("2024-03-05", [4.0, 5.0, 6.0], set()),
    ],
)
def test_parts_of_a_date_are_recognised(slot, values, parts):
    assert date_parts(np.array(values), parse_iso(slot)) == parts
