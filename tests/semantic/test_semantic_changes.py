"""Each kind of change is named, with columns and evidence, and clean days are left alone."""

from dataclasses import replace

import pyarrow as pa
import pytest

from headrace.contracts import conform
from headrace.contracts.drift import Baseline, detect, examine, look_at, marked
from headrace.contracts.drift.profile import profile_of
from headrace.contracts.drift.view_reader import delivered_texts
from headrace.verification.injected_faults import faults_of
from headrace.verification.injected_faults.run import is_named
from tests.semantic import rides

DAYS = 24
# Nothing in the batch tells them: a level's rows convert to what others have, a constant column.
BEYOND = {
    "unit: wait in hour",  # whole minutes become fractions of an hour that are rounded away
}
FAULTS = [
    fault
    for fault in faults_of(rides.contract())
    if fault.label not in BEYOND and fault.plant(rides.day(DAYS)) is not None
]


@pytest.mark.parametrize("number", range(DAYS, DAYS + 6))
def test_a_clean_day_is_left_alone(number):
    look, text = rides.seen(number, rides.rides(number))
    assert detect(look, rides.past(DAYS), text) == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.label)
def test_a_planted_change_is_named(fault):
    look, text = rides.seen(DAYS, fault.plant(rides.day(DAYS)))
    found = detect(look, rides.past(DAYS), text)
    assert is_named(fault, rides.contract(), found), [one.sentence for one in found]


def test_nothing_is_said_before_there_is_a_past():
    fault = FAULTS[0]
    look, text = rides.seen(5, fault.plant(rides.day(5)))
    assert detect(look, rides.past(5), text) == ()


def test_a_sentence_says_what_by_how_much_and_why():
    fault = next(f for f in FAULTS if f.label == "unit: miles in kilometre")
    look, text = rides.seen(DAYS, fault.plant(rides.day(DAYS)))
    (found,) = detect(look, rides.past(DAYS), text)
    assert found.sentence.startswith(
        "miles looks like kilometre instead of mile: divided by 1.60934"
    )
    assert found.evidence["factor"] == pytest.approx(1.609344)
    assert found.evidence["left"] < 0.05 * found.evidence["misfits"]


def test_a_slice_is_named_with_its_rows():
    fault = next(f for f in FAULTS if f.label.startswith("unit: miles in kilometre, rows"))
    planted = fault.plant(rides.day(DAYS))
    look, text = rides.seen(DAYS, planted)
    (found,) = detect(look, rides.past(DAYS), text)
    assert found.evidence["rows"] == len(found.lines) > 0


def test_new_names_in_a_column_of_many_are_no_sentinels():
    """Of so many texts none has a name by its token alone."""
    look, text = rides.seen(DAYS, rides.rides(DAYS, 600))
    kinds = [one.kind for one in detect(look, rides.past(DAYS), text)]
    assert "sentinel" not in kinds


def test_a_declared_sentinel_is_no_surprise():
    """It is null by declaration, also where another row is refused and texts are looked at."""
    columns = tuple(
        replace(f, sentinels=(-5,), max_abs=1000) if f.name == "wait" else f
        for f in rides.contract().columns
    )
    contract = replace(rides.contract(), columns=columns, hash="with a sentinel")
    rows = rides.rides(DAYS)
    waits = rows.table.column("wait").to_pylist()
    waits[3], waits[4], waits[9] = "-5", "-5", "5000"
    at = rows.table.schema.get_field_index("wait")
    table = rows.table.set_column(at, "wait", pa.array(waits))
    planted = replace(rows, table=table)
    conformed = conform(contract, planted, "batch")
    assert conformed.bad_rows
    look = look_at(contract, planted, conformed, rides.slot(DAYS))
    found = detect(look, rides.past(DAYS), delivered_texts(planted, look))
    assert not [one for one in found if one.kind == "sentinel"]


@pytest.mark.parametrize("name", [f.name for f in rides.contract().delivered])
def test_a_batch_without_a_column_is_examined_whole(name):
    """Findings and marks, also of a table of states, and of a key that is not there."""
    contract = replace(rides.contract(), kind="state", hash="of states")
    rows = rides.rides(DAYS)
    table = rows.table.rename_columns(["other" if n == name else n for n in rows.columns])
    planted = replace(rows, table=table, columns=tuple(table.column_names))
    look = look_at(contract, planted, conform(contract, planted, "batch"), rides.slot(DAYS))
    found = examine(look, rides.past(DAYS), delivered_texts(planted, look))
    assert [(f.kind, f.evidence["new"]) for f in found.findings] == [("rename", "other")]
    assert found.marks


def says_one_thing(rows, name, value=None):
    """The rows with one reading in a column: the first one, or another."""
    at = rows.table.column_names.index(name)
    first = value or rows.table[name][0].as_py()
    made = rows.table.set_column(at, name, pa.array([first] * rows.table.num_rows, pa.string()))
    return replace(rows, table=made)


@pytest.mark.parametrize("name", ["miles", "wait", "degrees", "fare"])
def test_a_measure_with_one_reading_all_day_is_stuck_also_in_a_table_of_events(name):
    assert rides.contract().kind == "event"
    look, text = rides.seen(DAYS, says_one_thing(rides.rides(DAYS), name))
    found = next(f for f in detect(look, rides.past(DAYS), text) if f.columns == (name,))
    assert (found.kind, found.evidence["rows"]) == ("frozen", rides.ROWS)
    assert "in all 240 rows" in found.sentence


def test_a_measure_that_often_says_one_thing_may_do_so_all_day():
    """Dry days have one amount of rain; a day with it throughout is weather."""
    reference = Baseline()
    for number in range(DAYS):
        rows = rides.rides(number)
        if number % 5:
            rows = says_one_thing(rows, "degrees", "60.0")
        look, _ = rides.seen(number, rows)
        reference.add(marked(profile_of(look, rides.slot(number)), look, reference))
    look, text = rides.seen(DAYS, says_one_thing(rides.rides(DAYS), "degrees", "60.0"))
    assert not [f for f in detect(look, reference, text) if f.kind == "frozen"]


def test_few_rows_that_agree_are_no_stuck_sensor():
    look, text = rides.seen(DAYS, says_one_thing(rides.rides(DAYS, 2), "wait"))
    assert not [f for f in detect(look, rides.past(DAYS), text) if f.kind == "frozen"]
