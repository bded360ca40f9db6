"""Golden table of changes and their first finding, and natural days that must not be named."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.drift import detect
from headrace.contracts.drift.detectors.units import _far_rows
from headrace.contracts.drift.findings import ACTIONS
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import LEAST_PAST, SHARES, surprise
from headrace.sources.rows import RawRows
from tests.semantic import rides

DAYS = 24
Columns = dict[str, list]


def altered(change: Callable[[Columns], Columns], day: int = DAYS) -> RawRows:
    """Return a day's rows after `change` was applied to its columns."""
    rows = rides.rides(day)
    columns = change({name: rows.table.column(name).to_pylist() for name in rows.columns})
    table = pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})
    count = table.num_rows
    return RawRows(table, np.arange(2, count + 2), tuple(columns), (), count)


def cells(name: str, change: Callable[[int, str], str]) -> Callable[[Columns], Columns]:
    def apply(columns: Columns) -> Columns:
        return {**columns, name: [change(at, text) for at, text in enumerate(columns[name])]}

    return apply


def kept(keep: Callable[[Columns, int], bool]) -> Callable[[Columns], Columns]:
    def apply(columns: Columns) -> Columns:
        places = [at for at in range(len(columns["ride"])) if keep(columns, at)]
        return {name: [texts[at] for at in places] for name, texts in columns.items()}

    return apply


def earlier(columns: Columns) -> Columns:
    rows = rides.rides(DAYS - 1)
    return {name: rows.table.column(name).to_pylist() for name in columns}


def joined(columns: Columns) -> Columns:
    names = list(columns)
    lines = [";".join(row) for row in zip(*columns.values(), strict=True)]
    return {";".join(names): lines}


# name: (change, kind of the first finding, its column; "" for the batch)
CHANGES = {
    "semicolons": (joined, "file_form", ""),
    "header missing": (
        lambda columns: {str(at) + texts[0]: texts for at, texts in enumerate(columns.values())},
        "file_form",
        "",
    ),
    "the day before again": (earlier, "repeated_delivery", ""),
    "values of the day before": (
        lambda columns: {
            name: texts
            if name in {"ride", "called_at", "called", "left"}
            else earlier(columns)[name]
            for name, texts in columns.items()
        },
        "repeated_delivery",
        "degrees",
    ),
    "times a year late": (
        cells("called_at", lambda _, text: text.replace("2024-", "2025-")),
        "wrong_period",
        "called_at",
    ),
    "sign flipped": (cells("fare", lambda _, text: "-" + text), "sign_change", "fare"),
    "sign flipped in a third": (
        cells("fare", lambda at, text: "-" + text if at % 3 == 0 else text),
        "sign_change",
        "fare",
    ),
    "clipped": (
        cells("degrees", lambda _, text: f"{min(float(text), 58.0):.1f}"),
        "clipped",
        "degrees",
    ),
    "zero in a third": (
        cells("degrees", lambda at, text: "0" if at % 3 == 0 else text),
        "sentinel",
        "degrees",
    ),
    "rounded to tens": (
        cells("degrees", lambda _, text: f"{round(float(text) / 10) * 10}"),
        "precision",
        "degrees",
    ),
    "constant": (cells("town", lambda _, __: "Ash"), "constant", "town"),
    "UNKNOWN": (cells("town", lambda _, __: "UNKNOWN"), "constant", "town"),
    "upper case": (cells("town", lambda _, text: text.upper()), "recoding", "town"),
    "a town missing": (
        kept(lambda columns, at: columns["town"][at] != "Birch"),
        "missing_level",
        "town",
    ),
    "a town merged": (
        cells("town", lambda _, text: "Cedar" if text == "Birch" else text),
        "merge",
        "town",
    ),
    "times 1000": (
        cells("fare", lambda _, text: f"{float(text) * 1000:.2f}"),
        "unit_change",
        "fare",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_first_finding_names_the_change(name):
    change, kind, column = CHANGES[name]
    look, text = rides.seen(DAYS, altered(change))
    findings = detect(look, rides.past(DAYS), text)
    assert findings, name
    first = findings[0]
    assert (first.kind, column in first.columns or not column) == (kind, True), [
        f.sentence for f in findings
    ]
    assert first.action == "block"


def test_rows_of_a_part_are_listed():
    look, text = rides.seen(DAYS, altered(CHANGES["sign flipped in a third"][0]))
    (finding,) = detect(look, rides.past(DAYS), text)
    assert finding.lines == tuple(range(2, rides.ROWS + 2, 3))


def test_a_level_far_from_its_past_is_reported_without_a_cause():
    """A gradual factor that no unit suggests is not explained, only reported."""
    change = cells("degrees", lambda _, text: f"{float(text) * 1.37 + 11:.1f}")
    look, text = rides.seen(DAYS, altered(change))
    (finding,) = detect(look, rides.past(DAYS), text)
    assert finding.kind in {"unusual", "far_from_usual"}
    assert finding.columns == ("degrees",)
    assert "No known kind of change explains it." in finding.sentence


@pytest.mark.parametrize("warmer", [1.0, 2.0, 3.0])
def test_a_warm_day_is_not_another_unit(warmer):
    change = cells("degrees", lambda _, text: f"{float(text) + warmer:.1f}")
    look, text = rides.seen(DAYS, altered(change))
    assert not [f for f in detect(look, rides.past(DAYS), text) if f.action == "block"]


def test_every_kind_has_an_action():
    assert {kind for _, kind, _ in CHANGES.values()} <= set(ACTIONS)


@given(
    st.sampled_from(sorted(SHARES)),
    st.lists(st.floats(0, 1), min_size=LEAST_PAST, max_size=42),
    st.data(),
)
def test_a_value_within_the_past_is_no_surprise(kind, past, data):
    now = data.draw(st.floats(min(past), max(past)))
    assert surprise(kind, np.array(past), now, 100) == 0


@given(st.lists(st.floats(1, 1e6), min_size=LEAST_PAST, max_size=42), st.floats(1.5, 100))
def test_surprise_does_not_depend_on_the_unit(past, factor):
    now = 3 * max(past)
    one = surprise("middle", np.array(past), now, 100)
    other = surprise("middle", np.array(past) * factor, now * factor, 100)
    assert one == pytest.approx(other, rel=1e-6)


def test_a_short_past_predicts_nothing():
    assert surprise("middle", np.ones(LEAST_PAST - 1), 1e9, 100) == 0


def test_far_values_of_a_column_are_its_own():
    change = cells("called_at", lambda at, text: text.replace("2024", "2025") if at % 3 else text)
    look, text = rides.seen(DAYS, altered(change))
    case = DriftCase(look, rides.past(DAYS), text)
    assert "range:called_at" in case.excess
    (scope,) = _far_rows(case, "called_at")
    assert int(scope.rows.sum()) == 160
    assert _far_rows(case, "called") == []  # whose name begins with the same letters
