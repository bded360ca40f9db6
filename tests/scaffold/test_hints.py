"""Hints from deliveries: what is suggested is right, was confirmed later, and is not by chance."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from headrace.contracts.drift import Baseline
from headrace.contracts.load import load_contract, parse_contract
from headrace.gates.suite_reader import parse_suite
from headrace.scaffold.gate_rehearsal import judge_day
from headrace.scaffold.hints import annotated, by_day, find_hints, propose_hints
from headrace.scaffold.proposal import SourceAnswers, draft
from headrace.sources.parsing.csv_rows import csv_rows
from headrace.sources.sampling.sample import Sample

DAYS = 20
SHOPS = {
    "north": ("Bergen", 30),
    "south": ("Rome", 300),
    "west": ("Porto", 900),
    "east": ("Kyiv", 90),
}


def measured(days=DAYS, change=lambda row: row):
    """Return days of readings, in which much depends on something else."""
    rng, files = random.Random(4), {}
    for day in range(days):
        lines = []
        for number in range(40):
            at = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(days=day, minutes=36 * number)
            shop = rng.choice(list(SHOPS))
            city, base = SHOPS[shop]
            net, tax = rng.randrange(100, 900), rng.randrange(5, 60)
            low = rng.randrange(-50, 150) / 10
            row = {
                "id": str(day * 1000 + number),
                "at": at.isoformat().replace("+00:00", "Z"),
                "local_time": at.astimezone(ZoneInfo("Europe/Berlin")).strftime(
                    "%Y-%m-%d %H:%M:%S"
                ),
                "shop": shop,
                "city": city,
                "base": str(base + rng.randrange(3)),
                "net": str(net),
                "tax": str(tax),
                "total": str(net + tax),
                "temp_min": f"{low:.1f}",
                "temp_max": f"{low + rng.choice([0, 0.1, 3, 7]):.1f}",
                "noise": str(rng.randrange(1000)),
                "wind_knots": str(rng.randrange(40)),
                "opens_time": str(100 * rng.randrange(24) + rng.randrange(60)),
                "weekday": at.strftime("%a"),
                "epoch": str(int(at.timestamp())),
            }
            lines.append(change(row))
        header = ",".join(lines[0])
        body = "\n".join(",".join(line.values()) for line in lines)
        files[f"2024-{3 + day // 31:02}-{1 + day % 31:02}"] = f"{header}\n{body}\n".encode()
    return files


def drafted(files):
    """Return the draft of a contract from all rows, without hints."""
    table = csv_rows(whole(files), ("",)).table
    sample = Sample("readings.csv", "file", "csv", "readings", table, complete=True)
    return draft(sample, SourceAnswers("readings", "me", "event", "at", ("id",), "1d", "UTC"))


def whole(files):
    header, *_ = next(iter(files.values())).split(b"\n", 1)
    return header + b"\n" + b"".join(file.split(b"\n", 1)[1] for file in files.values())


@cache
def bare():
    """Return a contract of the columns and types only."""
    contract = parse_contract(drafted(measured(3)).text, Path("readings.yaml"))
    columns = [
        replace(f, unit=None, zone=None, explained_by=(), levels={}) for f in contract.columns
    ]
    return replace(contract, columns=tuple(columns), relations=(), hash="bare")


def hints_of(files):
    return find_hints(bare(), {day: csv_rows(file, ("",)) for day, file in files.items()})


@pytest.fixture(scope="module")
def hints():
    return hints_of(measured())


def test_units_come_from_names_and_values(hints):
    units = {hint.columns[0]: hint.value for hint in hints if hint.kind == "unit" and hint.declared}
    assert units == {
        "temp_min": "degC", "temp_max": "degC", "wind_knots": "knot", "opens_time": "HHMM",
        "epoch": "second",
    }  # fmt: skip


def test_a_unit_that_values_cannot_show_is_a_question(hints):
    (hint,) = [hint for hint in hints if hint.columns[0] == "tax" and hint.kind == "unit"]
    assert not hint.declared
    assert "which currency?" in hint.reason


def test_later_values_that_a_unit_does_not_allow_make_it_a_question():
    files = measured()
    last = list(files)[-4:]
    for day in last:
        files[day] = _fahrenheit(files[day])
    hints = hints_of(files)
    (hint,) = [h for h in hints if h.kind == "unit" and h.columns[0] == "temp_max"]
    assert not hint.declared
    assert hint.evidence.later_holding < hint.evidence.later_rows


def _fahrenheit(file):
    header, *lines = file.decode().splitlines()
    place = header.split(",").index("temp_max")
    rows = [line.split(",") for line in lines]
    for row in rows:
        row[place] = f"{float(row[place]) * 9 / 5 + 132:.1f}"
    return "\n".join([header, *(",".join(row) for row in rows)]).encode() + b"\n"


def test_relations_hold_later_and_not_by_chance(hints):
    relations = {hint.columns: hint for hint in hints if hint.kind == "relation"}
    assert ("total", "net", "tax") in relations
    assert ("temp_min", "temp_max") in relations
    assert ("weekday", "at") in relations
    for hint in relations.values():
        assert hint.evidence.later_holding == hint.evidence.later_rows > 0
        assert hint.evidence.by_chance <= 0.95


def test_a_column_of_noise_has_no_relation_and_no_key(hints):
    assert not [hint for hint in hints if hint.kind != "unit" and "noise" in hint.columns]


def test_a_relation_that_fails_in_later_deliveries_is_not_suggested():
    days = iter(range(DAYS * 40))

    def change(row):
        late = next(days) >= 15 * 40
        return {**row, "total": str(int(row["total"]) + 1)} if late else row

    hints = hints_of(measured(change=change))
    assert not [hint for hint in hints if hint.kind == "relation" and "total" in hint.columns]


def test_keys_predict_later_values(hints):
    keys = {hint.columns[0]: hint.value for hint in hints if hint.kind == "explainedBy"}
    assert keys == {"city": ("shop",), "base": ("shop",), "shop": ("city",)}


def test_a_zone_needs_a_change_of_the_clock(hints):
    """The clocks of Berlin change on 2024-03-31, after the first 20 days and before the 50th."""
    (question,) = [hint for hint in hints if hint.kind == "zone"]
    assert not question.declared
    (zone,) = [hint for hint in hints_of(measured(50)) if hint.kind == "zone"]
    assert (zone.value, zone.declared) == ("Europe/Berlin", True)


def test_closed_sets_are_stable(hints):
    sets = {hint.columns[0]: set(hint.value) for hint in hints if hint.kind == "levels"}
    assert sets["shop"] == set(SHOPS)
    assert not sets.keys() & {"id", "weekday"}  # a weekday comes in 3 of 20 deliveries


def test_a_new_value_in_the_last_half_prevents_a_closed_set():
    days = iter(range(DAYS * 40))

    def change(row):
        return {**row, "shop": "new"} if next(days) > 700 else row

    hints = hints_of(measured(change=change))
    assert not [hint for hint in hints if hint.kind == "levels" and hint.columns[0] == "shop"]


def test_one_delivery_confirms_nothing():
    hints = hints_of(measured(1))
    assert {hint.kind for hint in hints if hint.declared} == {"unit"}
    assert all(hint.evidence.later_rows == 0 for hint in hints)


def test_a_draft_states_hints_with_their_evidence():
    result = drafted(measured())
    assert result.faults == ()
    assert "{property: explainedBy, value: [shop]}" in result.text
    assert "{property: unit, value: knot}" in result.text
    assert "# Question, unit: The name denotes money" in result.text
    assert 'abs(\\"total\\" - (\\"net\\" + \\"tax\\"))' in result.text
    assert "800 rows" not in result.text  # nothing is both suggested and confirmed by all rows
    assert {hint["kind"] for hint in result.as_json()["hints"]} >= {"unit", "relation", "levels"}


def test_a_draft_with_hints_loads(tmp_path):
    text = drafted(measured()).text
    contract = parse_contract(text, tmp_path / "readings.yaml")
    assert "total_is_net_and_tax" in [relation.name for relation in contract.relations]
    assert annotated(text, ()) == text


def test_a_file_is_split_by_day():
    files = measured(3)
    days = by_day(bare(), csv_rows(whole(files), ("",)))
    assert {day: rows.delivered for day, rows in days.items()} == dict.fromkeys(files, 40)


def test_a_bare_contract_with_hints_detects_an_exchange_that_it_missed_before():
    """Exchanged temperatures stay in their ranges: only the relation shows it."""
    files = measured(24)
    contract = bare()
    learnt = {day: csv_rows(file, ("",)) for day, file in list(files.items())[:20]}
    fuller = propose_hints(contract, learnt)
    assert fuller.hash != contract.hash
    assert fuller.field("opens_time").unit == "HHMM"
    swapped = measured(
        24, lambda row: {**row, "temp_min": row["temp_max"], "temp_max": row["temp_min"]}
    )
    assert _columns_of_findings(contract, files, swapped) == set()
    assert _columns_of_findings(fuller, files, swapped) == {"temp_min", "temp_max"}


def _columns_of_findings(contract, files, wrong):
    """Return the columns of all findings on the last day, if it is wrong."""
    document = {"name": "bare", "meta": {"table": contract.table, "version": 1}, "expectations": []}
    suite, reference = parse_suite(document).stored(contract), Baseline()
    *days, last = files
    for day in days:
        _, profile = judge_day(suite, contract, reference, day, files[day])
        reference.add(profile)
    judgement, _ = judge_day(suite, contract, reference, last, wrong[last])
    return {column for result in judgement.failed for column in result.columns}


def test_hints_of_real_flights_agree_with_their_contract(flights_deliveries):
    """A month of the schedule: its contract was written by hand, before there were hints."""
    full = load_contract(Path("pipelines/flights/contracts/schedule.yaml").resolve())
    columns = [replace(f, unit=None, explained_by=()) for f in full.columns]
    contract = replace(full, columns=tuple(columns), relations=(), hash="bare")
    files = sorted(flights_deliveries.glob("drop/schedule_2013-01-??.csv"))
    hints = find_hints(
        contract, {f.stem[-10:]: csv_rows(f.read_bytes(), ("", "NA")) for f in files}
    )
    units = {h.columns[0]: h.value for h in hints if h.kind == "unit" and h.declared}
    assert units == {"sched_dep_time": "HHMM", "sched_arr_time": "HHMM"}
    (question,) = [h for h in hints if h.kind == "unit" and not h.declared]
    assert question.columns == ("distance",)
    keys = {h.columns[0]: h.value for h in hints if h.kind == "explainedBy"}
    assert set(keys["distance"]) == {"origin", "dest"}
