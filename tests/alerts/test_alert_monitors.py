"""An incident of a monitor is one alert: opened, acknowledged and closed with it."""

import pytest

from headrace.alerts.acknowledge import acknowledge
from headrace.alerts.message import message
from headrace.alerts.monitors import record_incidents
from headrace.alerts.store import AlertStore
from headrace.core.home import Home
from headrace.core.permissions import Grant, PermissionPolicy
from headrace.monitoring import DecisionLedger, Window
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Ack
from headrace.monitoring.decisions.retraining_decision import ROLLED_BACK

FIRST = Window(18_000, 18_007)
FOUND = Incident(FIRST, FIRST, frozenset({"data_fault:speed"}), "speed is missing.", is_open=True)


@pytest.fixture
def home(tmp_path, written):
    written()
    return Home(tmp_path / "home")


def alerts(home):
    with AlertStore(home) as store:
        return store.alerts()


def note(home, **changes):
    from dataclasses import replace

    record_incidents(home, "flights", "metering", [replace(FOUND, **changes)])


def test_one_alert_however_long_it_lasts(home):
    for weeks in range(3):
        last = Window(FIRST.first + 7 * weeks, FIRST.end + 7 * weeks)
        note(home, last=last)
    (alert,) = alerts(home)
    assert (alert.state, alert.condition.table) == ("open", "flights")
    assert dict(alert.messages) == {"waiting": 1}
    text = message([alert], "opened")
    assert text.title == "INVESTIGATE flights 2019-04-14: speed is missing."
    assert "headrace monitor explain 2019-04-14" in text.body
    assert "/monitor/flights" in text.body
    note(home, is_open=False)
    assert alerts(home)[0].state == "closed"


def test_what_another_alert_tells_is_not_told_twice(home):
    for topic in ("data_fault:weather:missing", "data_fault:weather:block"):
        note(home, topics=frozenset({topic, "volume:rows"}))
    note(home, reasons=("The scores rank worse.", ROLLED_BACK))
    assert alerts(home) == []


def test_an_acknowledged_incident_waits_for_nobody(home):
    note(home)
    note(home, acknowledged=Ack("flights", FIRST.end, "ana", "seen", 0))
    (alert,) = alerts(home)
    assert (alert.state, alert.acknowledged_by) == ("acknowledged", "ana")
    assert "waiting" not in alert.messages


def test_an_acknowledged_alert_is_an_acknowledged_window(home):
    note(home)
    policy = PermissionPolicy({"ana": Grant(frozenset({"ack"}))})
    acknowledge(home, alerts(home)[0].alert_id, principal="ana", reason="on it", policy=policy)
    (ack,) = DecisionLedger(home).acks("flights")
    assert (ack.window_end, ack.principal, ack.reason) == (FIRST.end, "ana", "on it")


def test_without_routes_nobody_is_told(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_ALERTS", str(tmp_path / "none.yaml"))
    note(home)
    assert alerts(home) == []
