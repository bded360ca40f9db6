"""The flights suites on the year itself: no real day is stopped, the faults they are for are."""

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from demo.flights.imperfections import PARTIAL_FIRST
from headrace.contracts import Contract, conform, load_contract
from headrace.core.clock import days
from headrace.gates import Judgement, Suite, judge, load_suite
from headrace.sources.base import Delivery
from headrace.sources.parse import read_rows
from pipelines.flights import PIPELINE, pipeline

ROOT = Path(__file__).parents[2]
YEAR = days("2013-01-01", "2014-01-01")
# Every seventh day, and those that are unlike others: the edges, the storm, the wind of 1048 mph.
SOME = sorted({*YEAR[::7], "2013-02-08", "2013-02-09", "2013-02-10", "2013-02-12", "2014-01-01"})
TABLES = ("schedule", "outcomes", "weather", "planes", "airlines", "airports")


def rules(table: str) -> tuple[Contract, Suite]:
    contract = load_contract(ROOT / "pipelines" / "flights" / "contracts" / f"{table}.yaml")
    return contract, load_suite(ROOT / "quality_suites" / "flights" / f"{table}.yaml", contract)


def judged(contract: Contract, suite: Suite, delivery: Delivery) -> Judgement:
    raw = read_rows(delivery, null_tokens=contract.null_tokens)
    return judge(suite, contract, conform(contract, raw, delivery.batch_id))


@pytest.fixture(scope="module")
def sources(flights_deliveries):
    return {table.name: table.source for table in pipeline(flights_deliveries).tables}


@pytest.fixture(scope="module")
def schedules(sources) -> list[Delivery]:
    """The last delivery of each day of 2013: the whole one."""
    return [sources["schedule"].deliveries(day)[-1] for day in YEAR[:-1]]


def rewritten(delivery: Delivery, change) -> Delivery:
    """The delivery with `change` applied to its list of rows."""
    text = delivery.payload.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(change(rows))
    return replace(delivery, payload=out.getvalue().encode())


def in_kilometres(rows: list[dict]) -> list[dict]:
    return [{**row, "distance": str(round(float(row["distance"]) * 1.609344))} for row in rows]


def failures(judgement: Judgement) -> set[str]:
    return {result.id for result in judgement.failed}


def test_each_table_has_a_suite_that_fits_its_contract() -> None:
    for table in TABLES:
        contract, suite = rules(table)
        assert (suite.table, suite.name) == (contract.table, f"flights.{table}")
    assert {table.name for table in PIPELINE.tables} == set(TABLES)


# Every day of the year takes a minute; one of each month tells most of it. That every day passes as
# it is, the accounts of the year say.
every_day = pytest.mark.parametrize("step", [28, pytest.param(1, marks=pytest.mark.slow)])


@every_day
def test_every_day_of_the_schedule_passes(schedules, step) -> None:
    contract, suite = rules("schedule")
    verdicts = Counter(judged(contract, suite, day).verdict.value for day in schedules[::step])
    assert verdicts == {"PASS": len(schedules[::step])}


@every_day
def test_half_a_day_is_blocked_on_every_day(schedules, step) -> None:
    contract, suite = rules("schedule")
    for day in schedules[::step]:
        for half in (lambda rows: rows[: len(rows) // 2], lambda rows: rows[len(rows) // 2 :]):
            judgement = judged(contract, suite, rewritten(day, half))
            assert judgement.verdict == "BLOCK", day.slot
            assert "row_count" in failures(judgement)


@every_day
def test_a_day_in_kilometres_is_blocked_on_every_day(schedules, step) -> None:
    contract, suite = rules("schedule")
    for day in schedules[::step]:
        judgement = judged(contract, suite, rewritten(day, in_kilometres))
        assert judgement.verdict == "BLOCK", day.slot
        assert {"mean_distance", "median_distance"} <= failures(judgement)


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (lambda rows: [row for row in rows if row["origin"] != "LGA"], "all_origins"),
        (lambda rows: [{**row, "day": str(1 + n % 2)} for n, row in enumerate(rows)], "one_day"),
        (lambda rows: [{**rows[0], "carrier": "ZZ"}, *rows[1:]], "known_carriers"),
        (lambda rows: [{**rows[0], "distance": "5001"}, *rows[1:]], "distance"),
        (lambda rows: [{**rows[0], "dest": "nowhere"}, *rows[1:]], "dest"),
    ],
)
def test_other_faults_are_named(schedules, change, caught) -> None:
    contract, suite = rules("schedule")
    assert caught in failures(judged(contract, suite, rewritten(schedules[200], change)))


def test_a_half_file_that_came_first_is_blocked(sources) -> None:
    contract, suite = rules("schedule")
    for day in PARTIAL_FIRST:
        first, whole = sources["schedule"].deliveries(day)
        assert judged(contract, suite, first).verdict == "BLOCK"
        assert judged(contract, suite, whole).verdict == "PASS"


def test_no_real_slot_of_the_feed_is_blocked(sources) -> None:
    found = {}
    for table in ("outcomes", "weather"):
        contract, suite = rules(table)
        for slot in SOME:
            for delivery in sources[table].deliveries(slot):
                found[table, slot] = judged(contract, suite, delivery)
    unusual = {key: j.verdict.value for key, j in found.items() if j.verdict != "PASS"}
    assert unusual == {
        ("outcomes", "2013-02-09"): "WARN",
        ("outcomes", "2014-01-01"): "WARN",
        ("weather", "2013-02-12"): "QUARANTINE",
    }
    windy = found["weather", "2013-02-12"].quarantined
    assert windy.select(["origin", "wind_speed", "_reasons"]).to_pylist() == [
        {"origin": "EWR", "wind_speed": 1048.36058, "_reasons": ["wind_speed"]}
    ]


@pytest.mark.parametrize("table", ["planes", "airlines", "airports"])
def test_the_reference_tables_pass(sources, table) -> None:
    (delivery,) = sources[table].deliveries("snapshot")
    assert judged(*rules(table), delivery).verdict == "PASS"
