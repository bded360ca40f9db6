"""The audit trail: all of it comes back, and none of it can be changed."""

import sqlite3

import pytest

from headrace.core.errors import DeclarationError
from headrace.core.sqlite import open_database
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.schema import MIGRATIONS
from headrace.lake.overrides.audit_trail import Action, actions, record

RELEASE = Action(
    "ana",
    "release",
    "meter",
    "the sensor was replaced",
    batch_id="b1",
    slot="2024-01-01",
    rule_hash="r",
    suite_hash="s",
    scope={"lines": [3, 4], "checks": ["limit"]},
    expires_at=2_000,
)


def test_actions_come_back_as_they_were_recorded(meter):
    with Ledger(meter.home) as ledger:
        first = record(ledger, RELEASE)
        other = record(ledger, Action("eve", "mute", "gas", "x", allowed=False, note="refused"))
        assert actions(ledger) == (first, other)
        assert actions(ledger, "meter") == actions(ledger, batch_id="b1") == (first,)
        assert actions(ledger, "meter", "b2") == ()
    assert (first.id, other.id) == (1, 2)
    assert first.at > 0
    assert first.scope == RELEASE.scope


def test_an_action_is_in_force_until_it_expires_and_never_if_refused():
    assert RELEASE.in_force(1_999)
    assert not RELEASE.in_force(2_000)
    assert Action("a", "ack", "t", "r").in_force(10**18)
    assert not Action("a", "ack", "t", "r", allowed=False).in_force(0)


@pytest.mark.parametrize("statement", ["DELETE FROM actions", "UPDATE actions SET reason = 'x'"])
def test_the_trail_is_append_only(meter, statement):
    with Ledger(meter.home) as ledger:
        record(ledger, RELEASE)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            ledger.connection.execute(statement)
        assert actions(ledger)[0].reason == RELEASE.reason


@pytest.mark.parametrize(
    ("action", "what"),
    [
        (Action("ana", "release", "meter", "  "), "has no reason"),
        (Action("", "release", "meter", "why"), "has no principal"),
        (Action("ana", "destroy", "meter", "why"), "no action 'destroy'"),
    ],
)
def test_who_why_and_what_are_required(meter, action, what):
    with Ledger(meter.home) as ledger:
        with pytest.raises(DeclarationError, match=what):
            record(ledger, action)
        assert actions(ledger) == ()


def test_a_ledger_of_the_version_before_gets_the_trail(tmp_path):
    path = tmp_path / "x.sqlite"
    open_database(path, MIGRATIONS[:2]).close()
    later = open_database(path, MIGRATIONS)
    assert later.execute("SELECT count(*) FROM actions").fetchone() == (0,)
    later.close()
