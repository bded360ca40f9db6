"""Drafted suites pass the history they were drawn from, and say where later days contradict."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import yaml
from gate_batches import conformed, contract, rows
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from headrace.gates import judge, parse_suite
from headrace.gates.drafting import (
    Drafted,
    DraftOptions,
    Measure,
    Statistics,
    draft_checks,
    suite_text,
)
from headrace.gates.drafting.limits import MARGINS, Range, confirm, first_part
from tests.examples import examples

KEYED = DraftOptions(key=("id",), skip=frozenset({"at"}))


def measured(deliveries: list[pa.Table], at_once: int = 3) -> Statistics:
    names = ["id", "town", "miles", "at"]
    schema = contract().arrow_schema().empty_table().select(names).schema
    measure = Measure(schema, ["id"])
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for start in range(0, len(deliveries), at_once):
            some = dict(enumerate(deliveries[start : start + at_once], start))
            db.register(
                "given",
                pa.concat_tables(
                    one.append_column("_day", pa.array([n] * one.num_rows, pa.int64()))
                    for n, one in some.items()
                ),
            )
            measure.add(db, "given", "_day", {n: f"day {n:03}" for n in some})
    return measure.statistics


def as_suite(drafted: Drafted):
    text = suite_text("yard.trips", {"table": "trips"}, drafted.accepted, ["a draft", ""])
    return parse_suite(yaml.safe_load(text))


def day(chance: np.random.Generator, size: int, mean: float, town: str = "Ulm") -> pa.Table:
    return rows(
        *(
            (n, chance.choice(["Ulm", "Bonn", town]), float(mean + chance.normal()))
            for n in range(size)
        )
    )


def steady(count: int, **changes) -> list[pa.Table]:
    """Days of 30 to 40 rows; `changes` gives arguments for single days."""
    chance = np.random.default_rng(7)
    return [
        day(chance, int(chance.integers(30, 40)), **{"mean": 100.0, **changes.get(f"d{n}", {})})
        for n in range(count)
    ]


trips = st.lists(
    st.tuples(
        st.integers(-9, 9),
        st.one_of(st.none(), st.sampled_from(["Ulm", "a_b", "no", "1e3", "x: y", '"'])),
        st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=examples(30))
@for_all(st.lists(trips, min_size=1, max_size=14), st.booleans())
def test_what_is_kept_passes_all_that_was_seen(found, shadow) -> None:
    deliveries = [rows(*one) for one in found]
    asked = DraftOptions(key=("id",), skip=frozenset({"at"}), shadow=shadow)
    drafted = draft_checks(measured(deliveries), asked)
    made = as_suite(drafted)
    assert len(made.expectations) == len(drafted.accepted)
    assert all(one.shadow is shadow for one in made.expectations)
    for delivery in deliveries:
        # What is infinite is left out of the limits, and is for a person to decide on.
        if any(abs(miles or 0) == float("inf") for miles in delivery["miles"].to_pylist()):
            continue
        judged = judge(made, contract(), conformed(delivery))
        assert {r.id: r.reason for r in judged.results if r.status != "pass"} == {}


def test_statistics_are_those_of_each_delivery() -> None:
    deliveries = [rows((1, "Ulm", 2.0), (1, None, None)), rows((2, "Köln", float("nan")))]
    found = measured(deliveries)
    assert (found.slots, found.rows, found.repeated) == (["day 000", "day 001"], [2, 1], [1, 0])
    miles, town = found.columns["miles"], found.columns["town"]
    assert (miles.present, miles.mean[0], np.isnan(miles.mean[1])) == ([1, 0], 2.0, True)
    assert (town.present, town.distinct, town.all_levels) == ([1, 1], [1, 1], ["Köln", "Ulm"])
    assert found.columns["at"].levels is None


def test_steady_history_gives_confirmed_limits_with_reasons() -> None:
    drafted = draft_checks(measured(steady(40)), KEYED)
    assert drafted.dropped == ()
    told = {one.meta["id"]: one for one in drafted.accepted}
    assert told.keys() == {
        *("row_count", "one_row_a_key", "town_is_there", "town_known", "levels_town"),
        *("miles_is_there", "miles", "mean_miles"),
    }
    mean = told["mean_miles"]
    assert mean.severity == "warning"
    assert mean.kwargs["min_value"] < 99 < 101 < mean.kwargs["max_value"] < 162
    assert (mean.record.chosen_on, mean.record.confirmed_on) == (24, 16)
    assert "0 of 16 later deliveries would have failed" in mean.meta["reason"]


@pytest.mark.parametrize(
    ("change", "dropped"),
    [({"mean": 400.0}, {"miles", "mean_miles"}), ({"town": "Rom"}, {"town_known"})],
)
def test_what_a_later_day_contradicts_is_dropped_and_told(change, dropped) -> None:
    drafted = draft_checks(measured(steady(40, d30=change)), KEYED)
    told = {
        one.meta["id"]: one.record.document([f"d{n}" for n in range(40)]) for one in drafted.dropped
    }
    assert told.keys() == dropped
    assert all(one["failed_slots"] == ["d30"] for one in told.values())


def test_what_grows_has_no_limits() -> None:
    growing = {f"d{n}": {"mean": 100.0 * 1.3**n} for n in range(40)}
    drafted = draft_checks(measured(steady(40, **growing)), KEYED)
    assert {"miles", "mean_miles"} <= {one.meta["id"] for one in drafted.dropped}


def test_short_history_is_not_said_to_confirm_anything() -> None:
    drafted = draft_checks(measured(steady(4)), KEYED)
    assert drafted.dropped == ()
    assert all(one.record.confirmed_on == 0 for one in drafted.accepted)
    assert not any("later" in one.meta.get("reason", "") for one in drafted.accepted)


series = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40).map(np.array)


@for_all(series, st.sampled_from(MARGINS), st.booleans(), st.booleans())
def test_limits_hold_all_they_were_drawn_from(values, margin, counts, whole) -> None:
    values = np.round(values) if whole else values
    seen = Range(values, values, counts=counts, integral=whole)
    low, high = seen.limits(margin)
    assert seen.failing(low, high) == []
    assert values.min() < 0 or low >= 0
    if whole:
        assert low == int(low)


@for_all(series, st.randoms())
def test_the_rest_of_history_has_no_part_in_the_margin(values, chance) -> None:
    cut = first_part(len(values))
    rest = list(values[cut:])
    chance.shuffle(rest)
    other = np.concatenate([values[:cut], np.array(rest) * 3 + 1])
    one = confirm(Range(values, values), len(values), 0)
    two = confirm(Range(other, other), len(values), 0)
    assert (one.margin, one.steady) == (two.margin, two.steady)
