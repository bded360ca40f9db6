"""From the gate's verdict to the message and its end, over a real ledger and a real webhook."""

from dataclasses import replace

import pytest

from headrace.alerts import AlertStore, Condition, report_unreadable_sources, update_alerts
from headrace.core.clock import DAY, MINUTE, now_us, parse_iso
from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.operations.batch_actions import release
from tests.alerts.conftest import ROUTES
from tests.lake.kit import ROWS, SLOTS
from tests.lake.kit_oncall import wait

ANA = PermissionPolicy({"ana": Grant(frozenset(ACTIONS))})
BAD = [-5] * ROWS
GOOD = range(ROWS)


def alerts(meter, **wanted):
    with AlertStore(meter.home) as store:
        found = store.alerts()
    return [a for a in found if all(getattr(a, key) == value for key, value in wanted.items())]


def run(meter, *slots):
    return ingest(meter.table, list(slots), meter.home)


def test_a_blocked_batch_is_told_once(meter, hook, written):
    written()
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    first = update_alerts(meter.home, [meter.table])
    assert (len(first.opened), first.sent, first.failed) == (1, 1, {})
    run(meter, SLOTS[0])
    again = update_alerts(meter.home, [meter.table])
    assert (again.opened, again.sent) == ([], 0)
    (got,) = hook.got
    (alert,) = alerts(meter)
    assert got["alert"] == alert.alert_id == first.opened[0]
    assert got["title"] == "BLOCK meter 2024-01-01: check negative failed"
    assert alert.notified_at
    assert alert.messages == {"sent": 1}
    body = got["message"].splitlines()
    assert body[1] == "Rows held: 5. Readers keep the last good version. Read by tests."
    page = f"http://127.0.0.1:3070/batch/meter/{alert.condition.batch_id}"
    assert body[2:4] == [page, f"Decide: {page}#act"]
    assert "/assets/tables/meter?view=partitions&partition=2024-01-01" in body[4]
    assert body[5] == f"alert {alert.alert_id}"


def test_a_range_that_blocks_one_day_and_passes_the_next_still_tells(meter, hook, written):
    """What passed in the same run is no next batch: nobody has been told yet."""
    written()
    meter.drop(SLOTS[0], BAD)
    meter.drop(SLOTS[1], GOOD)
    run(meter, *SLOTS[:2])
    update_alerts(meter.home, [meter.table])
    assert len(hook.ids) == 1
    assert [one.state for one in alerts(meter)] == ["open"]


def test_the_next_batch_that_passes_closes(meter, hook, written):
    written()
    meter.drop(SLOTS[1], BAD)
    run(meter, SLOTS[1])
    update_alerts(meter.home, [meter.table])
    meter.drop(SLOTS[0], GOOD)
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    assert not hook.closed, "an earlier slot is no next batch"
    meter.drop(SLOTS[2], GOOD)
    run(meter, SLOTS[2])
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids
    (alert,) = alerts(meter)
    assert alert.closed_by == "the next batch passed: 2024-01-03 PASS"
    assert not update_alerts(meter.home, [meter.table]).opened, (
        "still pending, and told once for ever"
    )


def test_a_corrected_delivery_closes(meter, hook, written):
    written()
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    meter.drop(SLOTS[0], GOOD, name="b", arrived=10)
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    (alert,) = alerts(meter, state="closed")
    assert alert.closed_by.startswith("superseded by ")
    assert hook.got[-1]["type"] == "success"
    assert hook.got[-1]["title"] == "Closed: meter 2024-01-01: check negative failed"


def test_a_rejected_batch_closes(meter, hook, written):
    written()
    meter.drop(SLOTS[0], BAD)
    (result,) = run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    with Ledger(meter.home) as ledger:
        ledger.reject("meter", result.batches[0], "broken meter")
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids
    assert alerts(meter)[0].closed_by.startswith("rejected")


def test_the_end_of_a_release_is_told(meter, hook, written, monkeypatch):
    written()
    meter.drop(SLOTS[0], [-5, *GOOD])
    (result,) = run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    who = {"principal": "ana", "reason": "for today", "policy": ANA}
    release(meter.home, meter.table, result.batch, expires=now_us() + MINUTE, **who)
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids
    wait(monkeypatch, 2 * MINUTE)

    def later():
        return now_us() + 2 * MINUTE

    (result,) = run(meter, SLOTS[0])
    assert result.state == "pending"
    update_alerts(meter.home, [meter.table], clock=later)
    assert hook.got[-1]["title"] == "BLOCK meter 2024-01-01: override expired"
    assert "the override by ana expired: for today" in hook.got[-1]["message"]
    assert not update_alerts(meter.home, [meter.table], clock=later).opened


def test_another_cause_of_the_same_batch_is_another_alert(meter, hook, written):
    written()
    meter.drop(SLOTS[0], [5000] * ROWS)
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    meter.table = replace(meter.table, suite=_minimum_of_6000(meter))
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    causes = [(one.condition.cause, one.state) for one in alerts(meter)]
    assert causes == [("quarantined_share", "closed"), ("negative", "open")]
    assert alerts(meter)[0].closed_by == "re-validated: BLOCK, check negative failed"
    assert len(hook.ids) == len(set(hook.ids)) == 2


def _minimum_of_6000(meter):
    suite = meter.with_limit(9000).suite
    (limit, negative) = suite.expectations
    kwargs = {**negative.kwargs, "min_value": 6000}
    return replace(suite, expectations=(limit, replace(negative, kwargs=kwargs)))


def test_quiet_verdicts_are_not_told_unless_asked_for(meter, hook, written):
    written()
    meter.drop(SLOTS[0], [1, 2, 3, 4, 5000])
    run(meter, SLOTS[0])
    assert not update_alerts(meter.home, [meter.table]).opened
    written(ROUTES + "quiet: []\n")
    meter.drop(SLOTS[1], [1, 2, 3, 4, 5000])
    run(meter, SLOTS[1])
    update_alerts(meter.home, [meter.table])
    (got,) = hook.got
    assert got["title"] == "QUARANTINE meter 2024-01-02: check limit failed"
    assert got["message"].splitlines()[1] == (
        "Rows quarantined: 1. The other rows are published. Read by tests."
    )
    meter.drop(SLOTS[2], GOOD)
    run(meter, SLOTS[2])
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids


def test_a_hole_is_told_and_filled(meter, hook, written):
    written()
    for slot in (SLOTS[0], SLOTS[2]):
        meter.drop(slot, GOOD)
    run(meter, *SLOTS[:3])
    update_alerts(meter.home, [meter.table])
    assert [one["title"] for one in hook.got] == ["MISSING meter 2024-01-02: no delivery"]
    meter.drop(SLOTS[1], GOOD)
    run(meter, SLOTS[1])
    update_alerts(meter.home, [meter.table])
    assert alerts(meter)[0].closed_by.startswith("delivered: ")
    assert len(hook.closed) == 1


@pytest.mark.parametrize(("today", "found"), [("2024-01-05", 1), ("2024-03-01", 0)])
def test_the_end_of_a_feed_is_missing_while_it_is_alive(meter, hook, written, today, found):
    written()
    meter.drop_all(SLOTS[:3])
    run(meter, *SLOTS[:3])
    moment = parse_iso(today) + MINUTE
    done = update_alerts(meter.home, [meter.table], clock=lambda: moment)
    assert len(done.opened) == found


def test_a_source_that_fails_is_told(meter, hook, written, monkeypatch):
    from headrace.core.errors import SourceError

    written()
    kind = type(meter.table.source)
    with monkeypatch.context() as broken:
        broken.setattr(kind, "deliveries", lambda self, slot: _raise(SourceError("no route")))
        report_unreadable_sources(meter.home, meter.table, run(meter, SLOTS[0]))
        update_alerts(meter.home, [meter.table])
    assert hook.got[0]["title"] == "ERROR meter 2024-01-01: the source cannot be read"
    meter.drop(SLOTS[0], GOOD)
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids


def test_an_outage_is_over_when_the_source_answers_also_if_it_has_nothing_new(
    meter, hook, written, monkeypatch
):
    from headrace.core.errors import SourceError

    written()
    meter.drop(SLOTS[0], GOOD)
    run(meter, SLOTS[0])
    with monkeypatch.context() as broken:
        kind = type(meter.table.source)
        broken.setattr(kind, "deliveries", lambda self, slot: _raise(SourceError("no route")))
        report_unreadable_sources(meter.home, meter.table, run(meter, SLOTS[0]))
        update_alerts(meter.home, [meter.table])
    assert len(hook.ids) == 1
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids
    assert alerts(meter)[0].closed_by == "the source can be read again"


def test_a_file_that_cannot_be_read_fails_a_look_and_no_run(meter, written, caplog):
    from headrace.alerts import update_alerts_quietly
    from headrace.core.errors import DeclarationError

    written("version: 9")
    report_unreadable_sources(meter.home, meter.table, run(meter, SLOTS[0]))
    assert update_alerts_quietly(meter.home, [meter.table]).failed
    assert caplog.text.count("9 is not allowed here") == 2
    with pytest.raises(DeclarationError, match="is not allowed here"):
        update_alerts(meter.home, [meter.table])


def _raise(error):
    raise error


def test_a_crash_is_told_as_one_and_never_as_bad_data(meter, hook, written, monkeypatch):
    written()
    meter.drop(SLOTS[0], GOOD)
    with monkeypatch.context() as broken:
        broken.setattr("headrace.lake.ingest.validator.judge", lambda *_a, **_k: 1 / 0)
        run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    (got,) = hook.got
    assert got["title"] == "ERROR meter 2024-01-01: the gate crashed"
    assert "ZeroDivisionError" in got["message"]
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    assert hook.closed == hook.ids
    assert alerts(meter)[0].closed_by == "published"


def test_an_unreadable_suite_is_told_as_an_error(meter, hook, written, tmp_path):
    written()
    file = tmp_path / "meter.yaml"
    file.write_text("name: test.meter\nmeta: {table: meter, version: 1}\nexpectations: 7\n")
    meter.table = replace(meter.table, suite=load_suite(file))
    meter.drop(SLOTS[0], GOOD)
    run(meter, SLOTS[0])
    update_alerts(meter.home, [meter.table])
    (got,) = hook.got
    assert got["title"] == "ERROR meter 2024-01-01: the suite cannot be read"
    assert "expectations is not a list" in got["message"]


def test_acknowledged_alerts_send_no_more(meter, hook, written, monkeypatch):
    from headrace.alerts.acknowledge import acknowledge
    from headrace.core.errors import RefusedError
    from headrace.lake.overrides.audit_trail import actions

    written()
    hook.status = 500
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    done = update_alerts(meter.home, [meter.table])
    assert "PAGER" in done.failed
    assert "s3cr3t" not in done.failed["PAGER"]
    policy = PermissionPolicy({"ana": Grant(frozenset({"ack"}))})
    start = done.opened[0][:6]
    with pytest.raises(RefusedError, match="bob is not listed"):
        acknowledge(meter.home, start, principal="bob", policy=policy)
    acked = acknowledge(meter.home, start, principal="ana", policy=policy)
    assert (acked.state, acked.acknowledged_by) == ("acknowledged", "ana")
    acknowledge(meter.home, start, principal="ana", policy=policy)
    with Ledger(meter.home) as ledger:
        told = [(one.principal, one.action, one.allowed) for one in actions(ledger, "meter")]
    assert told == [("bob", "ack", False), ("ana", "ack", True)]
    hook.status = 200
    later = now_us() + DAY
    update_alerts(meter.home, [meter.table], clock=lambda: later)
    meter.drop(SLOTS[1], GOOD)
    run(meter, SLOTS[1])
    update_alerts(meter.home, [meter.table], clock=lambda: later)
    assert hook.got == [], "not told before, so not of the end either"


def test_failures_are_tried_again_later(meter, hook, written):
    written()
    hook.status = 503
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    start = now_us()
    assert update_alerts(meter.home, [meter.table], clock=lambda: start).failed
    hook.status = 200
    assert update_alerts(meter.home, [meter.table], clock=lambda: start + MINUTE // 3).sent == 0
    assert update_alerts(meter.home, [meter.table], clock=lambda: start + MINUTE).sent == 1
    (alert,) = alerts(meter)
    assert alert.messages == {"sent": 1}
    assert alert.error == ""


def test_many_at_once_come_as_one_message(meter, hook, written, monkeypatch):
    written()
    for slot in SLOTS[:6]:
        meter.drop(slot, BAD)
    run(meter, *SLOTS[:6])
    # As it was before incidents: six faults of their own.
    monkeypatch.setattr(Condition, "fault", property(lambda one: one.batch_id))
    done = update_alerts(meter.home, [meter.table])
    assert len(done.opened) == 6
    (got,) = hook.got
    assert got["title"] == "6 alerts: meter"
    assert set(got["alerts"].split()) == set(done.opened)
    assert all(one.notified_at for one in alerts(meter))


def test_mail_and_webhook_both(meter, hook, mails, written):
    written(ROUTES + "    - ${MAIL}\n")
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    done = update_alerts(meter.home, [meter.table])
    assert done.sent == 2
    (mail,) = mails.got
    assert mail["Subject"] == "BLOCK meter 2024-01-01: check negative failed"
    assert mail["X-Headrace-Alert"] == done.opened[0]
    assert f"alert {done.opened[0]}" in mail.get_payload(decode=True).decode()


def test_a_dead_target_does_not_hold_up_another(meter, hook, written, monkeypatch):
    monkeypatch.setenv("DEAD", "json://127.0.0.1:9/")
    written(ROUTES + "    - ${DEAD}\n    - ${UNSET}\n")
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    done = update_alerts(meter.home, [meter.table])
    assert (done.sent, set(done.failed)) == (1, {"DEAD", "UNSET"})
    assert "UNSET is not set" in done.failed["UNSET"]


def test_without_a_file_nothing_is_touched(meter, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_ALERTS", str(tmp_path / "none.yaml"))
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    assert not update_alerts(meter.home, [meter.table]).opened
    assert not meter.home.alerts.exists()


def test_a_mute_holds_the_message_back_until_it_ends(meter, hook, written):
    written(
        ROUTES
        + "mute:\n  - {why: move, tables: [meter], from: 2024-01-05, until: 2024-01-06T06:00:00Z}\n"
    )
    meter.drop(SLOTS[0], BAD)
    run(meter, SLOTS[0])
    within, after = parse_iso("2024-01-05T12:00:00Z"), parse_iso("2024-01-06T06:00:00Z")
    assert update_alerts(meter.home, [meter.table], clock=lambda: within).sent == 0
    assert (
        update_alerts(meter.home, [meter.table], clock=lambda: after).sent == 2
    )  # and that nothing came since
