"""`headrace gate approve` and the others as a person types them."""

import csv
import io
import json

import pytest
import yaml

from headrace import pipeline as pipelines
from headrace.core.permissions import local_user
from tests.gate_commands import document, gate_of
from tests.lake.kit import SLOTS
from tests.lake.kit_oncall import counts, run, values

DAY = SLOTS[0]
WHY = ("--reason", "the meter was replaced")


@pytest.fixture
def gate(meter, monkeypatch, tmp_path):
    return gate_of(meter.table, meter.home, monkeypatch, tmp_path, pipelines)


def test_from_the_block_to_the_log(meter, gate):
    meter.drop(DAY, [1, -5, 2000, 3])
    run(meter, [DAY])
    rows = document(gate, "rows", "meter", DAY)
    assert [(r["line"], r["key"], r["values"]["value"], r["fate"]) for r in rows] == [
        (3, {"id": 1}, -5, "pending"),
        (4, {"id": 2}, 2000, "pending"),
    ]
    assert [r["reasons"][0]["check"] for r in rows] == ["negative", "limit"]
    done = document(gate, "release", "meter", DAY, *WHY)
    assert (done["verdict"], done["action"]["principal"]) == ("QUARANTINE", local_user())
    assert document(gate, "rows", "meter", DAY, "--check", "limit")[0]["fate"] == "quarantined"
    assert document(gate, "release", "meter", DAY, "--line", "4", *WHY)["quarantined"] == 1
    assert values(meter) == [1, 3, 2000]
    assert document(gate, "reject", "meter", DAY, "--check", "negative", *WHY)["quarantined"] == 0
    assert document(gate, "quarantine", "meter", DAY, "--where", "id=3", *WHY)["quarantined"] == 1
    assert counts(meter) == (2, 1, 0, 1)
    log = document(gate, "log")
    assert [(a["action"], a["scope"]) for a in log] == [
        ("release", {}),
        ("release", {"lines": [4]}),
        ("reject", {"checks": ["negative"]}),
        ("quarantine", {"where": {"id": "3"}, "lines": [5]}),
    ]
    assert {(a["reason"], a["allowed"]) for a in log} == {(WHY[1], True)}
    code, text, _ = gate("log", "--table", "meter")
    assert code == 0
    assert WHY[1] in text


def test_rows_as_csv_hold_everything(meter, gate):
    meter.drop(DAY, [*range(-59, 0), 1])
    run(meter, [DAY])
    code, text, _ = gate("rows", "meter", DAY, "--format", "csv")
    found = list(csv.DictReader(io.StringIO(text)))
    assert (code, len(found)) == (0, 59)
    assert found[0] == {
        "line": "2",
        "fate": "pending",
        "id": "0",
        "value": "-59",
        "read_at": "2024-01-01T00:00:00Z",
        "event_time": "2024-01-01T00:00:00Z",
        "known_at": "2024-01-01T00:10:00Z",
        "reasons": found[0]["reasons"],
    }
    assert found[0]["reasons"].startswith("negative: ")
    code, text, _ = gate("rows", "meter", DAY)
    assert "9 more" in text


def test_a_principal_the_policy_does_not_list_is_refused(meter, gate, tmp_path):
    meter.drop(DAY, [1, -5])
    run(meter, [DAY])
    people = {"ana": {"actions": "all", "tables": ["meter"]}, "bob": {"actions": ["ack"]}}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"version": 1, "principals": people}))
    code, _, error = gate("release", "meter", DAY, *WHY)
    assert code == 2
    assert f"refused: {local_user()} is not listed in the policy" in error
    assert gate("release", "meter", DAY, *WHY, "--as", "bob")[0] == 2
    assert values(meter) == []
    log = document(gate, "log")
    assert [(a["principal"], a["allowed"]) for a in log] == [(local_user(), False), ("bob", False)]
    assert "may not release" in log[1]["note"]
    assert document(gate, "release", "meter", DAY, *WHY, "--as", "ana")["state"] == "published"


def test_mutes_by_name_and_day(meter, gate):
    held = document(gate, "mute", "meter", "negative", "--until", "2999-01-01", *WHY)
    assert held["action"]["expires_at"] == "2999-01-02T00:00:00Z"
    meter.drop(DAY, [1, -5])
    assert run(meter, [DAY])[0].verdict == "PASS"
    code, text, _ = gate("unmute", "meter", "negative", *WHY)
    assert code == 0
    assert "headrace gate rerun" in text
    assert document(gate, "rerun", "meter", DAY, *WHY)["state"] == "pending"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("release", "meter", DAY), "--reason"),
        (("release", "meter", DAY, "--reason", " "), "has no reason"),
        (("release", "gas", DAY, *WHY), "no table 'gas'"),
        (("release", "meter", "2024-01-09", *WHY), "has no batch in slot"),
        (("release", "meter", DAY, *WHY, "--until", "soon"), "is not a day"),
        (("release", "meter", DAY, *WHY, "--until", "2020-01-01"), "would have expired"),
        (("quarantine", "meter", DAY, *WHY), "no rows are selected"),
        (("quarantine", "meter", DAY, *WHY, "--where", "id"), "has no value"),
        (("mute", "meter", "nonsense", *WHY, "--until", "2999-01-01"), "no check 'nonsense'"),
    ],
)
def test_misuse_exits_with_2_and_says_what_to_write(meter, gate, words, error):
    meter.drop(DAY, [1, 2])
    run(meter, [DAY])
    code, _, said = gate(*words)
    assert code == 2
    assert error in said
    assert document(gate, "log") == []


def test_only_what_would_be_accepted_is_offered(meter, gate, tmp_path):
    meter.drop(DAY, [1, 2])
    path = next(meter.folder.iterdir())
    path.write_bytes(path.read_bytes().replace(b",2,", b",two,"))
    meter.drop(SLOTS[1], [1, -5, 3])
    run(meter, SLOTS[:2])
    code, text, _ = gate("show", "meter", DAY)
    assert code == 1
    assert "It cannot be approved" in text
    assert "has no typed rows: it breaks its contract" in text
    assert "gate release" not in text
    assert "gate reject" in text
    assert gate("release", "meter", DAY, *WHY)[0] == 2
    _, text, _ = gate("show", "meter", SLOTS[1])
    assert "headrace gate approve meter" in text
    offers = json.loads(gate("show", "meter", SLOTS[1], "--json")[1])[0]["actions"]
    assert [name for name, offer in offers.items() if offer["allowed"]] == [
        "release", "reject", "rerun", "ack", "mute",
    ]  # fmt: skip
    (tmp_path / "policy.yaml").write_text(
        "version: 1\nprincipals:\n  local-user: {actions: [ack]}\n"
    )
    _, text, _ = gate("show", "meter", SLOTS[1])
    assert f"It cannot be approved: {local_user()} may not release" in text


def test_a_file_that_no_source_reads_is_named_where_its_batch_is_missed(meter, gate):
    (meter.folder / "meter_20240101.csv").write_bytes(b"id\n")
    code, _, error = gate("show", "meter", DAY)
    assert code == 2
    assert "no source reads 1 file in its folder" in error
    assert f"{meter.folder}/meter_20240101.csv (write the day as YYYY-MM-DD" in error


def test_the_local_user_acts_by_that_word_and_is_recorded_by_name(meter, gate, tmp_path):
    meter.drop(DAY, [1, -5])
    run(meter, [DAY])
    (tmp_path / "policy.yaml").write_text("version: 1\nprincipals:\n  local-user: {actions: all}\n")
    done = document(gate, "release", "meter", DAY, "--as", "local-user", *WHY)
    assert done["action"]["principal"] == local_user()
    assert [line["principal"] for line in document(gate, "log")] == [local_user()]
