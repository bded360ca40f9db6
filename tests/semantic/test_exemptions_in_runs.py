"""Decisions of people on findings in real runs: accepted, muted in a season, ended, replayed."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from headrace.core.clock import DAY, from_us, now_us
from headrace.core.errors import DeclarationError, RefusedError
from headrace.gates.exemptions import Days, Season
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.overrides.mute_listing import mute_rows
from headrace.lake.overrides.pinned_actions import override_sentence, overrides_in
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from headrace.operations.exemptions import end_exemptions
from tests.lake.kit_oncall import wait
from tests.semantic import rides
from tests.semantic.people import DAYS, SLOTS, WHO, warm_firm
from tests.semantic.test_semantic_in_runs import suite


@pytest.fixture
def firm(tmp_path):
    return warm_firm(tmp_path)


def _day(later):
    return f"{from_us(now_us() + later * DAY - 1):%Y-%m-%d}"


def test_what_a_person_called_right_is_accepted_in_other_batches_on_record(firm):
    done = firm.approve(DAYS)
    assert any("far from usual of degrees" in what for what in done["accepted"])
    firm.deliver(16, warmer=30)
    assert firm.run(16) == ["PASS"]
    judgement = firm.judgement(16)
    today = f"{_day(0)} until {_day(90)}"
    assert {r.note for r in judgement.exempted} == {f"accepted by ann on {today}: heat wave"}
    assert {r.columns for r in judgement.exempted} == {("degrees",)}
    assert "accepted by ann" in judgement.summary()
    assert "accepted by ann" in judgement.markdown()
    assert table_status(firm.home, firm.table)["pending"] == 0


def test_without_the_word_that_the_data_are_right_nothing_is_accepted(firm):
    batch_actions.release(firm.home, firm.table, SLOTS[DAYS], **WHO)
    firm.deliver(16, warmer=30)
    assert firm.run(16) == ["BLOCK"]


@pytest.mark.parametrize("warmer", [60, -30])
def test_what_was_not_accepted_blocks_as_before(firm, warmer):
    """Far more than accepted, and as much on the other side."""
    firm.approve(DAYS)
    firm.deliver(16, warmer=warmer)
    assert firm.run(16) == ["BLOCK"]


def test_another_fault_beside_the_accepted_one_blocks(firm):
    """In the same column, too: the accepted statistic must not hide another one."""
    firm.approve(DAYS)
    firm.deliver(16, warmer=30, rows=120)
    firm.deliver(17, warmer=30)
    path = firm.drop / f"rides_{SLOTS[17]}.csv"
    lines = path.read_text().splitlines()
    at = lines[0].split(",").index("degrees")
    cells = [line.split(",") for line in lines]
    for row in cells[1::2]:
        row[at] = ""
    path.write_text("\n".join(",".join(row) for row in cells) + "\n")
    assert firm.run(16, 17) == ["BLOCK", "BLOCK"]
    blocking = [r for r in firm.judgement(17).failed if not r.verdict.publishes]
    assert {r.columns for r in blocking} == {("degrees",)}


def test_an_acceptance_ends(firm, monkeypatch):
    firm.approve(DAYS, days=10)
    wait(monkeypatch, 11 * DAY)
    firm.deliver(16, warmer=30)
    assert firm.run(16) == ["BLOCK"]


def test_an_acceptance_is_ended_by_a_person(firm):
    firm.approve(DAYS)
    (row,) = mute_rows(firm.home, ["rides"])
    assert (row["form"], row["principal"], row["slot"]) == ("accepted findings", "ann", SLOTS[DAYS])
    firm.deliver(17, warmer=30)
    firm.run(17)
    assert mute_rows(firm.home, ["rides"])[0]["applied"] == [SLOTS[17]]
    end_exemptions(firm.home, firm.table, [row["id"]], **WHO)
    assert mute_rows(firm.home, ["rides"]) == []
    assert mute_rows(firm.home, ["rides"], everything=True)[0]["state"] == "ended"
    firm.deliver(16, warmer=30)  # the accepted day is not before it
    assert firm.run(16) == ["BLOCK"]
    with pytest.raises(RefusedError, match="no such mute"):
        end_exemptions(firm.home, firm.table, [row["id"]], **WHO)


def test_a_batch_that_no_decision_admits_any_more_leaves_the_table(firm):
    firm.approve(DAYS)
    firm.deliver(16, warmer=30)
    firm.run(16)
    rows = table_status(firm.home, firm.table)["published"]
    (row,) = mute_rows(firm.home, ["rides"])
    end_exemptions(firm.home, firm.table, [row["id"]], **WHO)
    assert firm.rerun(16)["state"] == "pending"
    status = table_status(firm.home, firm.table)
    assert (status["published"], status["pending"]) == (rows - rides.ROWS, rides.ROWS)


def test_new_rules_give_the_verdict_of_the_decisions_on_record_at_that_time(firm, monkeypatch):
    """A later decision changes no earlier verdict, and the end of a decision neither."""
    firm.deliver(16, warmer=30)
    assert firm.run(16) == ["BLOCK"]
    firm.approve(DAYS, days=10)
    firm.deliver(17, warmer=30)
    assert firm.run(17) == ["PASS"]
    wait(monkeypatch, 20 * DAY)
    changed = replace(firm.table, suite=suite(duplicates="off"))
    assert firm.run(16, 17, table=changed) == ["BLOCK", "PASS"]
    assert firm.judgement(17).exempted
    # A person who asks for it gets the decisions of now: there are none any more.
    assert firm.rerun(17)["state"] == "pending"


def test_a_repeated_run_and_a_repeated_command_change_nothing(firm):
    firm.approve(DAYS)
    firm.approve(DAYS, days=30)
    firm.deliver(16, warmer=30)
    firm.run(16)
    before = firm.judgement(16)
    assert firm.run(16) == ["PASS"]
    assert firm.judgement(16) == before
    with Ledger(firm.home) as ledger:
        trail = [action.action for action in actions(ledger, "rides")]
    assert trail == ["release", "accept"]


def test_a_later_command_can_accept_what_was_approved_before(firm):
    batch_actions.release(firm.home, firm.table, SLOTS[DAYS], **WHO)
    done = firm.approve(DAYS)
    assert (done["changed"], bool(done["accepted"])) == (False, True)
    firm.deliver(16, warmer=30)
    assert firm.run(16) == ["PASS"]


def test_a_warning_can_be_accepted_although_nothing_is_to_be_approved(firm):
    firm.deliver(17, warmer=15)
    assert firm.run(17) == ["WARN"]
    done = firm.approve(17)
    assert (done["changed"], done["state"]) == (False, "published")
    assert all(what.startswith("unusual of degrees") for what in done["accepted"])
    firm.deliver(16, warmer=15)
    assert firm.run(16) == ["PASS"]
    firm.deliver(18, warmer=90)
    assert firm.run(18) == ["WARN"]  # as before, for the two warm days are in its past


def test_who_may_not_accept_approves_nothing_by_that_command(firm):
    with pytest.raises(RefusedError, match="may not accept"):
        firm.approve(DAYS, principal="bob")
    assert table_status(firm.home, firm.table)["pending"] == rides.ROWS
    with pytest.raises(DeclarationError, match="more than two years"):
        firm.approve(DAYS, days=800)
    with pytest.raises(DeclarationError, match="would have ended"):
        firm.approve(DAYS, days=-1)


def test_a_release_names_the_decision_by_which_its_rows_are_in(firm):
    firm.approve(DAYS)
    firm.deliver(16, warmer=30)
    firm.run(16)
    live = Lake(firm.home).live("rides")
    with Ledger(firm.home) as ledger:
        sentences = [override_sentence(o) for o in overrides_in(ledger, "rides", live)]
    assert any(s.startswith("accept of rides") and "heat wave" in s for s in sentences)


# Approved batches are part of the past; rejected ones are not.


@pytest.mark.parametrize(("decision", "later"), [("release", "PASS"), ("reject", "BLOCK")])
def test_only_an_approved_batch_is_part_of_the_past(firm, decision, later):
    getattr(batch_actions, decision)(firm.home, firm.table, SLOTS[DAYS], **WHO)
    firm.deliver(DAYS + 1, warmer=29)
    assert firm.run(DAYS + 1) == [later]


# Mutes


def test_a_season_turns_a_block_into_a_note(firm):
    day = SLOTS[17][5:]
    action = firm.mute(["far_from_usual"], columns=["degrees"], period=Season(day, day))
    firm.deliver(16, warmer=60)
    firm.deliver(17, warmer=60)
    assert firm.run(16, 17) == ["BLOCK", "PASS"]
    (note,) = {r.note for r in firm.judgement(17).exempted}
    assert note.startswith("muted by ann on ")
    assert note.endswith(f"(from {day} to {day} of each year): heat wave")
    assert {r.decision for r in firm.judgement(17).exempted} == {action.id}


def test_a_mute_of_days_kinds_and_columns_covers_no_others(firm):
    firm.mute(["far_from_usual"], period=Days(SLOTS[17], SLOTS[18]))
    firm.mute(["far_from_usual"], columns=["fare"], expires=now_us() + DAY)
    firm.mute(["nulls"], expires=now_us() + DAY)
    firm.deliver(16, warmer=60)
    firm.deliver(17, warmer=60)
    assert firm.run(16, 17) == ["BLOCK", "PASS"]


def test_a_mute_covers_no_break_of_the_contract(firm):
    for kind in ("far_from_usual", "nulls", "unusual", "truncation"):
        firm.mute([kind], period=Season("01-01", "12-31"))
    firm.deliver(16, ride=["same"] * rides.ROWS)
    assert firm.run(16) != ["PASS"]
    assert table_status(firm.home, firm.table)["published"] == 17 * rides.ROWS


def test_mutes_last_a_year_and_at_most_two(firm):
    made = firm.mute(["nulls"], period=Season("12-20", "01-06"))
    assert made.expires_at is not None
    assert 364 * DAY < made.expires_at - now_us() <= 365 * DAY
    for options, error in (
        ({}, "the mute has no end"),
        ({"expires": now_us() + 800 * DAY}, "more than two years"),
        ({"expires": now_us() - 1}, "would have ended"),
        ({"columns": ["speed"], "expires": now_us() + DAY}, "no column 'speed'"),
        ({"reason": " ", "expires": now_us() + DAY}, "has no reason"),
    ):
        with pytest.raises(DeclarationError, match=error):
            firm.mute(["nulls"], **options)
    with pytest.raises(DeclarationError, match="no kind of finding 'types'"):
        firm.mute(["types"], period=Season("12-20", "01-06"))
    with pytest.raises(RefusedError, match="may not mute"):
        firm.mute(["nulls"], principal="bob", expires=now_us() + DAY)


def test_a_decision_that_waits_for_a_run_is_later_than_what_the_run_has_read(firm):
    """Else the run would not use it, and a validation under new rules would."""
    with ThreadPoolExecutor(1) as pool, Ledger(firm.home) as ledger:
        with ledger.transaction():
            waiting = pool.submit(firm.mute, ["nulls"], period=Season("12-20", "01-06"))
            time.sleep(0.5)
            read_at = now_us()
        assert waiting.result().at >= read_at
