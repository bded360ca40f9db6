"""Acceptances and mutes as a person types them, and where their reason is shown."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from headrace import pipeline as pipelines
from headrace.core.permissions import local_user
from headrace.dagster import metadata
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.reports.batch.summary import why
from tests.gate_commands import document, gate_of
from tests.semantic.people import DAYS, SLOTS, warm_firm

WHY = ("--reason", "heat wave")


@pytest.fixture
def firm(tmp_path):
    return warm_firm(tmp_path)


@pytest.fixture
def gate(firm, monkeypatch, tmp_path):
    return gate_of(firm.table, firm.home, monkeypatch, tmp_path, pipelines)


def test_from_the_approval_to_the_next_batch_and_the_end(firm, gate):
    code, text, _ = gate("approve", "rides", SLOTS[DAYS], *WHY, "--data-right")
    assert code == 0
    assert "accepted in later batches: far from usual of degrees" in text
    (row,) = document(gate, "mutes")
    assert (row["action"], row["principal"], row["state"]) == ("accept", local_user(), "in force")
    firm.deliver(16, warmer=30)
    assert firm.run(16) == ["PASS"]
    code, text, _ = gate("show", "rides", SLOTS[16])
    assert code == 0
    assert f"(accepted by {local_user()} on " in text
    summaries = {batch["slot"]: batch["summary"] for batch in document(gate, "ls", "--all")}
    assert "heat wave" in summaries[SLOTS[16]]
    (shown,) = document(gate, "show", "rides", SLOTS[16])
    assert {r["decision"] for r in shown["judgement"]["results"]} == {row["id"]}
    code, text, _ = gate("mutes")
    assert code == 0
    assert "accepted findings" in text
    assert document(gate, "unmute", "rides", str(row["id"]), *WHY)["ended"] == [row["id"]]
    assert document(gate, "mutes") == []
    assert [r["state"] for r in document(gate, "mutes", "--all")] == ["ended"]
    assert document(gate, "rerun", "rides", SLOTS[16], *WHY)["state"] == "pending"
    code, text, _ = gate("log")
    assert "mutes" in text


def test_a_mute_of_a_season_as_a_person_types_it(firm, gate):
    day = SLOTS[17][5:]
    made = document(
        gate, "mute", "rides", "--kind", "far_from_usual", "--column", "degrees",
        "--from", day, "--to", day, *WHY,
    )  # fmt: skip
    assert made["scope"] == {
        "kinds": ["far_from_usual"],
        "columns": ["degrees"],
        "season": [day, day],
    }
    code, text, _ = gate("mute", "rides", "--kind", "nulls", "--on", "2026-12-24..2026-12-26", *WHY)
    assert code == 0
    assert "nulls on 2026-12-24 to 2026-12-26, until " in text
    firm.deliver(17, warmer=60)
    assert firm.run(17) == ["PASS"]
    assert [row["applied"] for row in document(gate, "mutes")] == [[SLOTS[17]], []]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("mute", "rides", "--kind", "nulls"), "the mute has no end"),
        (("mute", "rides", "some_check"), "the mute has no end"),
        (("mute", "rides", "--until", "7d"), "no kind is named"),
        (("mute", "rides", "--kind", "keys", "--until", "7d"), "no kind of finding 'keys'"),
        (("mute", "rides", "a", "--kind", "nulls", "--until", "7d"), "cannot be combined"),
        (("mute", "rides", "--kind", "nulls", "--from", "12-20"), "only one end"),
        (("mute", "rides", "--kind", "nulls", "--from", "12-20", "--to", "1-6"), "day of the year"),
        (
            ("mute", "rides", "--kind", "nulls", "--on", "2026-12-24", "--from", "12-20"),
            "in a season or on days",
        ),
        (("mute", "rides", "--kind", "nulls", "--until", "2999-01-01"), "more than two years"),
        (("unmute", "rides", "77"), "no such mute of rides is in force"),
        (("approve", "rides", SLOTS[3], "--data-right"), "nothing that could be accepted"),
        (
            ("approve", "rides", SLOTS[DAYS], "--data-right", "--right-until", "2020-01-01"),
            "would have ended",
        ),
    ],
)
def test_misuse_exits_with_2_and_says_what_to_write(gate, words, error):
    code, _, said = gate(*words, *WHY)
    assert code == 2
    assert error in said
    assert "fix:" in said


def test_the_page_and_dagster_show_the_reason(firm, gate):
    document(gate, "approve", "rides", SLOTS[DAYS], *WHY, "--data-right")
    firm.deliver(16, warmer=30)
    (result,) = ingest(firm.table, [SLOTS[16]], firm.home)
    judgement = firm.judgement(16)
    section = str(why(SimpleNamespace(failed=judgement.failed, judgement=judgement)))
    assert "because a person decided" in section
    assert f"Accepted by {local_user()} on " in section
    assert "heat wave" in section
    assert "would not have passed" not in section
    shown = metadata.slot_report(result)
    assert f"accepted by {local_user()} on " in shown["not counted"]
    assert "PASS (accepted)" in shown["checks"].value
    status = table_status(firm.home, firm.table)
    assert "heat wave" in metadata.run_report([result], status)["not counted"]
    assert "not counted" not in metadata.slot_report(replace(result, judgement=None))
