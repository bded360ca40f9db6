"""Exemptions: an acceptance covers what was accepted and nothing more; a season knows its days."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.drift import ACTIONS, DriftFinding
from headrace.core.errors import DeclarationError
from headrace.gates.exemptions import (
    AcceptedFinding,
    Days,
    Exemption,
    Exemptions,
    Observation,
    Season,
)

COLUMNS = ("distance",)
NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
SHARES = st.floats(0.01, 1.0)


def statistic(value, low, high, kind="far_from_usual", name="middle"):
    evidence = {"statistic": name, "value": value, "low": low, "high": high, "score": 9.0}
    return Observation(kind, COLUMNS, evidence, 100)


def stored(finding):
    return AcceptedFinding.from_document(json.loads(json.dumps(finding.document())))


@st.composite
def unusual_values(draw):
    low, high = sorted((draw(NUMBERS), draw(NUMBERS)))
    value = draw(NUMBERS.filter(lambda x: not low <= x <= high))
    return value, low, high


@given(unusual_values())
def test_an_acceptance_covers_its_own_finding(case):
    observed = statistic(*case)
    accepted = stored(AcceptedFinding.of(observed))
    assert accepted.covers(observed)
    assert accepted.covers(replace(observed, kind="unusual"))


@given(unusual_values(), NUMBERS)
def test_a_statistic_is_covered_up_to_a_quarter_of_the_distance_beyond(case, later):
    value, low, high = case
    accepted = stored(AcceptedFinding.of(statistic(*case)))
    edge = high if value > high else low
    margin = 0.25 * min(abs(value - edge), abs(value))
    covered = accepted.covers(statistic(later, low, high))
    beyond = later - value if value > high else value - later
    is_same_side = (later > high) if value > high else (later < low)
    if beyond > margin * (1 + 1e-9) + 1e-9 or not is_same_side:
        assert not covered
    elif beyond < margin * (1 - 1e-9) - 1e-9:
        assert covered


@given(unusual_values())
def test_no_other_column_kind_statistic_or_side_is_covered(case):
    value, _low, high = case
    observed = statistic(*case)
    accepted = AcceptedFinding.of(observed)
    assert not accepted.covers(replace(observed, columns=("delay",)))
    assert not accepted.covers(replace(observed, columns=()))
    assert not accepted.covers(replace(observed, kind="nulls"))
    assert not accepted.covers(statistic(*case, name="low"))
    # The past has moved beyond the accepted value: what was high is now low.
    moved = (value + 1, value + 2) if value > high else (value - 2, value - 1)
    assert not accepted.covers(statistic(value, *moved))


def test_a_mild_finding_does_not_cover_a_severe_one():
    assert not AcceptedFinding.of(statistic(5.0, 1.0, 2.0, "unusual")).covers(
        statistic(5.0, 1.0, 2.0)
    )


def test_few_rows_do_not_cover_none():
    accepted = AcceptedFinding.of(Observation("truncation", (), {"rows": 100, "least": 1000}, 100))
    assert accepted.covers(Observation("truncation", (), {"rows": 80, "least": 1000}, 80))
    assert not accepted.covers(Observation("truncation", (), {"rows": 70, "least": 1000}, 70))
    assert not accepted.covers(Observation("truncation", (), {"rows": 0, "least": 1000}, 0))


# Kind, accepted evidence, evidence that is covered, evidence that is not; in batches of 100 rows.
CASES = [
    ("unit_change", {"factor": 1.609344, "offset": 0.0, "from": "mi", "to": "km",
                     "scope": "the whole column", "rows": 90, "misfits": 80.0, "left": 1.0},
     {"rows": 100, "misfits": 70.0}, {"factor": 1000.0}),
    ("unit_change", {"factor": 1.609344, "offset": 0.0, "from": "mi", "to": "km",
                     "scope": "carrier AA", "rows": 9},
     {"rows": 60}, {"scope": "the whole column"}),
    ("zone_shift", {"hours": -5, "misfits": 9.0}, {"misfits": 12.0}, {"hours": 5}),
    ("missing_level", {"level": "'AA'", "rows": 0, "usual": 20.0}, {"usual": 30.0},
     {"level": "'DL'"}),
    ("missing_level", {"level": "'AA'", "rows": 8, "usual": 20.0}, {"rows": 7}, {"rows": 0}),
    ("nulls", {"share": 0.4, "usual": 0.1}, {"share": 0.47}, {"share": 0.6}),
    ("sentinel", {"value": "-999", "rows": 8}, {"rows": 9}, {"value": "-1"}),
    ("sentinel", {"value": "-999", "rows": 8}, {"rows": 2}, {"rows": 11}),
    ("sign_change", {"rows": 40}, {"rows": 50}, {"rows": 51}),
    ("new_level", {"new": "'XX'", "rows": 10}, {"rows": 12}, {"new": "'YY'"}),
    ("frozen", {"run": 40, "usual": 20}, {"run": 45}, {"run": 60}),
    ("precision", {"grain": 10.0}, {"grain": 10}, {"grain": 1.0}),
    ("key_shift", {"jump": -5000.0, "usual": 100.0}, {"jump": -6000.0}, {"jump": 5000.0}),
    ("missing_hours", {"first_hour": 3, "last_hour": 6, "lost": 40.0, "by": "event"},
     {"first_hour": 4, "lost": 30.0}, {"last_hour": 7}),
    ("wrong_period", {"days": 1, "by": "event"}, {}, {"days": 2}),
    ("swap", {"misfits": 90.0, "left": 2.0}, {"misfits": 50.0}, {"new fact": 1}),
    ("recoding", {"share": 0.3, "examples": ["'a'"]}, {"examples": ["'b'"]}, {"share": 0.9}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "accepted", "within", "beyond"), CASES)
def test_facts_must_be_equal_and_measures_within_their_range(kind, accepted, within, beyond):
    first = Observation(kind, COLUMNS, accepted, 100)
    acceptance = stored(AcceptedFinding.of(first))
    assert acceptance.covers(first)
    assert acceptance.covers(replace(first, evidence={**accepted, **within}))
    assert not acceptance.covers(replace(first, evidence={**accepted, **beyond}))
    assert kind.replace("_", " ") in acceptance.words


def test_facts_that_nobody_knows_must_be_equal():
    first = Observation("brand_new", COLUMNS, {"phase": 3, "usual": 1.0}, 100)
    acceptance = AcceptedFinding.of(first)
    assert acceptance.covers(first)
    assert not acceptance.covers(replace(first, evidence={"phase": 4, "usual": 1.0}))
    assert not acceptance.covers(replace(first, evidence={"usual": 1.0}))


@given(st.sampled_from(sorted(ACTIONS)), SHARES, SHARES)
def test_a_greater_share_is_never_covered_beyond_its_margin(kind, share, later):
    first = Observation(kind, COLUMNS, {"share": share, "usual": 0.0}, 100)
    covered = AcceptedFinding.of(first).covers(
        replace(first, evidence={"share": later, "usual": 0.0})
    )
    assert covered == (later <= 1.25 * share)


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=3)
KEYS = st.sampled_from(
    ["statistic", "value", "low", "high", "usual", "share", "run", "rows", "level", "jump", "lost"]
)


@given(st.sampled_from(sorted(ACTIONS)), st.dictionaries(KEYS, JSON), st.integers(0, 10))
def test_evidence_of_any_form_raises_nothing(kind, evidence, rows):
    """An error here would let the batch pass without a comparison."""
    observed = Observation(kind, COLUMNS, evidence, rows)
    assert AcceptedFinding.of(observed).covers(observed) in {True, False}


# Periods


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_a_season_across_new_year(day):
    season = Season("12-20", "01-06")
    start = date(day.year if day.month == 12 else day.year - 1, 12, 20)
    assert season.contains(day.isoformat()) == (0 <= (day - start).days <= 17)


@given(st.dates(), st.dates(), st.integers(0, 400))
def test_days_hold_what_lies_between(day, first, length):
    last = min(first + timedelta(min(length, (date.max - first).days)), date.max)
    days = Days(first.isoformat(), last.isoformat())
    assert days.contains(day.isoformat()) == (first <= day <= last)


@pytest.mark.parametrize("text", ["13-01", "02-30", "1-1", "2026-01-01", "", "12/20"])
def test_a_season_needs_days_of_the_year(text):
    with pytest.raises(DeclarationError, match="not a day of the year"):
        Season(text, "01-06")


def test_a_season_may_end_on_a_leap_day():
    assert Season("02-01", "02-29").contains("2025-02-28")


@pytest.mark.parametrize("text", ["2026-12-26..2026-12-24", "12-24", "soon", "2026-02-30"])
def test_days_are_days_in_order(text):
    with pytest.raises(DeclarationError):
        Days.parse(text)
    assert Days.parse("2026-12-24") == Days("2026-12-24", "2026-12-24")


# Exemptions


FINDING = DriftFinding("nulls", ("delay", "gate"), "", {"share": 0.4, "usual": 0.1})


@pytest.mark.parametrize(
    ("exemption", "covers"),
    [
        (Exemption(1, "", kinds=("nulls",)), True),
        (Exemption(1, "", kinds=("unusual",)), False),
        (Exemption(1, "", kinds=("nulls",), columns=("gate",)), True),
        (Exemption(1, "", kinds=("nulls",), columns=("carrier",)), False),
        (Exemption(1, "", kinds=("nulls",), period=Season("12-20", "01-06")), True),
        (Exemption(1, "", kinds=("nulls",), period=Season("06-01", "08-31")), False),
        (Exemption(1, "", kinds=("nulls",), period=Days("2026-12-24", "2026-12-26")), True),
        (Exemption(1, "", kinds=("nulls",), period=Days("2025-12-24", "2025-12-26")), False),
        (Exemption(1, ""), False),
    ],
)
def test_a_mute_covers_its_kinds_columns_and_days(exemption, covers):
    assert (Exemptions("2026-12-25", (exemption,)).of(FINDING, 100) is exemption) == covers
