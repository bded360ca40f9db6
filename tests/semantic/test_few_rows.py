"""Batches of few rows: what they prove, and what chance explains."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.drift import Baseline, detect, marked
from headrace.contracts.drift.profile import profile_of
from headrace.contracts.drift.statistics import chance_of
from headrace.sources.rows import RawRows
from tests.semantic import rides

DAYS, ROWS = 30, 8
Columns = dict[str, list[str]]


def rows_of(columns: Columns) -> RawRows:
    table = pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})
    count = table.num_rows
    return RawRows(table, np.arange(2, count + 2), tuple(columns), (), count)


def columns_of(day: int, *, steady: bool) -> Columns:
    """Return a day of few rides; with `steady`, one every three hours."""
    rows = rides.rides(day, ROWS)
    columns = {name: rows.table.column(name).to_pylist() for name in rows.columns}
    if steady:
        columns = at_minutes(columns, day, [180 * place for place in range(ROWS)])
    return columns


def at_minutes(columns: Columns, day: int, minutes: list[int]) -> Columns:
    start = np.datetime64(f"{rides.slot(day)}T00:00:00")
    waits = [int(wait) for wait in columns["wait"]]
    left = [(minute + wait) % 1440 for minute, wait in zip(minutes, waits, strict=True)]
    return {
        **columns,
        "called_at": [str(start + np.timedelta64(minute, "m")) + "Z" for minute in minutes],
        "called": [str(m % 1440 // 60 * 100 + m % 60) for m in minutes],
        "left": [str(m // 60 * 100 + m % 60) for m in left],
    }


@cache
def past(*, steady: bool) -> Baseline:
    reference = Baseline()
    for day in range(DAYS):
        look, _ = rides.seen(day, rows_of(columns_of(day, steady=steady)))
        reference.add(marked(profile_of(look, rides.slot(day)), look, reference))
    return reference


@dataclass(frozen=True)
class Change:
    """Change of a day, with the expected kind and columns of the first finding."""

    apply: Callable[[Columns], Columns]
    kind: str
    columns: tuple[str, ...]
    steady: bool = False


def of(name: str, change: Callable[[str], str]) -> Callable[[Columns], Columns]:
    return lambda columns: {**columns, name: [change(text) for text in columns[name]]}


CHANGES = {
    "another spelling of all": Change(of("town", str.upper), "recoding", ("town",)),
    "a word for all": Change(of("town", lambda _: "UNKNOWN"), "constant", ("town",)),
    "rounded": Change(of("degrees", lambda t: f"{float(t):.0f}0"[:-1]), "precision", ("degrees",)),
    "every row twice": Change(
        lambda columns: {name: texts * 2 for name, texts in columns.items()}, "doubled_rows", ()
    ),
    "an hour late": Change(
        lambda columns: at_minutes(columns, DAYS, [180 * at + 60 for at in range(ROWS)]),
        "zone_shift",
        ("called", "called_at", "left"),
        steady=True,
    ),
    "the first half": Change(
        lambda columns: {name: texts[: ROWS // 2] for name, texts in columns.items()},
        "truncation",
        (),
        steady=True,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_small_batches_are_named(name: str) -> None:
    change = CHANGES[name]
    rows = rows_of(change.apply(columns_of(DAYS, steady=change.steady)))
    findings = detect(*_seen(rows, steady=change.steady))
    assert findings
    assert findings[0].kind == change.kind
    assert set(findings[0].columns) <= set(change.columns)


@pytest.mark.parametrize("steady", [False, True])
def test_usual_small_batches_have_no_findings(steady: bool) -> None:
    for day in range(DAYS, DAYS + 6):
        rows = rows_of(columns_of(day, steady=steady))
        look, text = rides.seen(day, rows)
        assert not [f for f in detect(look, past(steady=steady), text) if f.action == "block"]


def test_a_single_zero_next_to_usual_values_is_chance() -> None:
    columns = columns_of(DAYS, steady=False)
    columns["wait"] = ["0", *columns["wait"][1:]]
    findings = detect(*_seen(rows_of(columns), steady=False))
    assert not [f for f in findings if f.kind == "sentinel"]


def test_most_rows_twice_is_a_warning_and_a_few_are_a_note() -> None:
    columns = columns_of(DAYS, steady=False)
    few = {name: [*texts, texts[0]] for name, texts in columns.items()}
    kinds = {f.kind: f.action for f in detect(*_seen(rows_of(few), steady=False))}
    assert kinds["duplicates"] == "note"
    twice = {name: texts * 2 for name, texts in columns.items()}
    kinds = {f.kind: f.action for f in detect(*_seen(rows_of(twice), steady=False))}
    assert kinds["doubled_rows"] == "warn"


@given(st.integers(0, 30), st.integers(1, 30), st.floats(0, 1))
def test_chance_is_the_sum_of_binomial_probabilities(count: int, rows: int, rate: float) -> None:
    expected = math.fsum(
        math.comb(rows, n) * rate**n * (1 - rate) ** (rows - n) for n in range(count, rows + 1)
    )
    assert chance_of(count, rows, rate) == pytest.approx(expected, abs=1e-9)


def _seen(rows: RawRows, *, steady: bool) -> tuple:
    look, text = rides.seen(DAYS, rows)
    return look, past(steady=steady), text
