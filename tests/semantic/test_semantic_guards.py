"""A detector or rule that fails drops what it asked, says so, and moves no verdict to ERROR."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts import conform, load_contract
from headrace.contracts.drift import Baseline, detect, examine, glance_at, marked
from headrace.contracts.drift.detectors.codes.categories import level_changes
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.gates import parse_suite
from headrace.gates.judge import judge
from headrace.gates.parquet.judge import judge_file
from headrace.gates.semantic_checks import notes_of, results_of
from headrace.gates.verdict import Judgement, Verdict
from headrace.sources.rows import RawRows
from tests.examples import examples

CONTRACT = load_contract(Path(__file__).with_name("dates.yaml"))
SUITE = parse_suite(
    {
        "name": "dates",
        "meta": {"table": "dates", "max_quarantined_share": 0.5},
        "expectations": [],
    }
)
ROWS, HISTORY = 40, 20
COLUMNS = [field.name for field in CONTRACT.delivered]


def slot(number: int) -> str:
    return f"run {number:03d}"


def raw(columns: dict[str, list]) -> RawRows:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    rows = table.num_rows
    return RawRows(table, np.arange(2, rows + 2), tuple(columns), (), rows)


def sales(number: int, rows: int = ROWS, month: int = 0, day: int = 0) -> dict[str, list]:
    """The sales of a day: the first or second of a month, which changes once in the history."""
    chance = np.random.default_rng(number)
    month, day = month or 1 + number // 10, day or 1 + number % 2
    return {
        "sale": [f"{number}/{n}" for n in range(rows)],
        "sold_at": [f"2024-{month:02d}-{day:02d}T{n % 24:02d}:00:00Z" for n in range(rows)],
        "year": ["2024"] * rows,
        "month": [str(month)] * rows,
        "day": [str(day)] * rows,
        "amount": [str(value) for value in chance.integers(1, 90, rows)],
        "weight": [f"{value:.2f}" for value in chance.uniform(0.1, 4, rows)],
        "shop": [f"s{value}" for value in chance.integers(0, 5, rows)],
    }


def seen(day: int, rows: RawRows, reference: Baseline) -> tuple[Judgement, list[str]]:
    """The verdict with changes of meaning, as a run makes it, and what was not considered."""
    conformed = conform(CONTRACT, rows, "batch")
    glance = glance_at(CONTRACT, rows, conformed, slot(day))
    look = glance.look(CONTRACT)
    examined = examine(look, reference, glance.text)
    results = [*results_of(examined.findings, SUITE, look), *notes_of(examined.notes)]
    return judge(SUITE, CONTRACT, conformed).also(results), list(examined.notes)


@cache
def past(first: int = 1) -> Baseline:
    """Runs with the days `first` and the one after it, in turn."""
    reference = Baseline()
    for day in range(HISTORY):
        rows = raw(sales(day, day=first + day % 2))
        glance = glance_at(CONTRACT, rows, conform(CONTRACT, rows, "batch"), slot(day))
        reference.add(marked(glance.profile, glance.look(CONTRACT), reference))
    return reference


def test_an_exchange_that_makes_dates_that_do_not_exist_explains_nothing():
    """A day whose number is new: with the month in its place it would be usual, and no date."""
    judgement, notes = seen(HISTORY, raw(sales(HISTORY, month=2, day=20)), past())
    assert judgement.verdict is not Verdict.ERROR
    assert notes == []
    assert "swap" not in {result.type for result in judgement.results}


def test_exchanged_month_and_day_are_still_named():
    """Where the delivered dates do not exist, rows that no rule can be asked about break it."""
    rows = sales(HISTORY, month=2, day=13)
    rows["month"], rows["day"] = rows["day"], rows["month"]
    judgement, notes = seen(HISTORY, raw(rows), past(first=13))
    assert "semantic:swap:month+day" in {result.id for result in judgement.results}
    assert notes == []


def test_a_detector_that_raises_drops_its_own_hypothesis(monkeypatch):
    def broken_detector(_case):
        raise ZeroDivisionError("no\nsecond line")

    detectors = sys.modules["headrace.contracts.drift.detect"]
    monkeypatch.setattr(detectors, "_COLUMN_CHANGES", (broken_detector, level_changes))
    rows = sales(HISTORY)
    rows["shop"] = ["elsewhere"] * ROWS
    judgement, notes = seen(HISTORY, raw(rows), past())
    assert notes == [
        "the detector broken_detector failed: ZeroDivisionError: no; it was not considered"
    ]
    assert judgement.verdict is Verdict.WARN
    assert [result.type for result in judgement.failed] == ["new_level"]
    assert notes[0] in judgement.markdown()


def test_nothing_is_compared_in_a_column_that_failed_to_type():
    """The contract's own sentence is the only one: not 'all of it is null', nor a broken rule."""
    rows = sales(HISTORY)
    rows["month"] = ["January"] * ROWS
    judgement, notes = seen(HISTORY, raw(rows), past())
    assert [result.id for result in judgement.failed] == ["contract:month"]
    assert notes == ["cells of month could not be read in their type: nothing was compared"]


def test_a_level_that_no_earlier_batch_could_be_compared_by_is_no_crash():
    """A text that was null in every batch but the last has values and no mark."""
    reference = Baseline()
    for day in range(HISTORY):
        columns = sales(day)
        if day < HISTORY - 1:
            columns["shop"] = [None] * ROWS
        rows = raw(columns)
        glance = glance_at(CONTRACT, rows, conform(CONTRACT, rows, "batch"), slot(day))
        reference.add(marked(glance.profile, glance.look(CONTRACT), reference))
    columns = sales(HISTORY)
    columns["shop"] = ["elsewhere"] * ROWS
    rows = raw(columns)
    glance = glance_at(CONTRACT, rows, conform(CONTRACT, rows, "batch"), slot(HISTORY))
    case = DriftCase(glance.look(CONTRACT), reference)
    assert list(level_changes(case)) == []
    assert detect(glance.look(CONTRACT), reference) is not None


@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_row_that_an_invariant_fails_on_is_quarantined_and_the_others_pass(tmp_path, where):
    columns = sales(0)
    columns["amount"][3] = str(2**62)  # its square overflows
    conformed = conform(CONTRACT, raw(columns), "batch")
    if where == "memory":
        judgement = judge(SUITE, CONTRACT, conformed)
    else:
        path = tmp_path / "rows.parquet"
        pq.write_table(conformed.table, path)
        judgement = judge_file(SUITE, CONTRACT, path)
    (failed,) = judgement.failed
    assert (failed.id, failed.status) == ("invariant:squared", "fail")
    assert judgement.quarantined_count == 1
    assert failed.sample[0]["line"] == 5
    assert "(on 1 of them the expression itself fails)" in failed.reason


WEIRD = st.sampled_from(
    ["0", "-1", "1", "2", "12", "13", "29", "30", "31", "32", "9999", "-999",
     "9223372036854775807", "-9223372036854775808", "1e308", "nan", "inf", "", "x", "NULL", None]
)  # fmt: skip


@st.composite
def batches(draw):
    """A clean day with some columns replaced, gone, or of another length."""
    rows = draw(st.sampled_from([0, 1, 2, ROWS]))
    columns = sales(HISTORY, rows, draw(st.integers(1, 12)))
    for name in draw(st.sets(st.sampled_from(COLUMNS), max_size=4)):
        how = draw(st.sampled_from(["constant", "mixed", "null", "gone", "swapped"]))
        if how == "constant":
            columns[name] = [draw(WEIRD)] * rows
        elif how == "mixed":
            some = draw(st.lists(WEIRD, min_size=1, max_size=4))
            columns[name] = [some[at % len(some)] for at in range(rows)]
        elif how == "null":
            columns[name] = [None] * rows
        elif how == "swapped" and name in columns:
            other = draw(st.sampled_from(sorted(columns)))
            columns[name], columns[other] = columns[other], columns[name]
        elif len(columns) > 1:
            columns.pop(name, None)
    return columns


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(batches())
def test_no_batch_makes_a_detector_raise_or_the_verdict_an_error(columns):
    judgement, notes = seen(HISTORY, raw(columns), past())
    assert judgement.verdict is not Verdict.ERROR
    assert not [note for note in notes if "failed:" in note]
