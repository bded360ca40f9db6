"""Days of one trouble are one incident: one page, and one note when all of it is over."""

from pathlib import Path

import pytest

from headrace.alerts import AlertStore, Condition, Config
from headrace.alerts.config import WAIT, load_config
from headrace.alerts.deliver import deliver
from headrace.alerts.store import SAME_INCIDENT
from headrace.core.clock import DAY, HOUR, SECOND
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.sqlite import open_database

BEGIN = 1_000 * DAY


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "A")
    with AlertStore(Home(tmp_path)) as found:
        yield found


@pytest.fixture
def sent(store):
    """Sends what is due; (kind, title, ids) of all that was sent so far."""
    arrived: list[tuple[str, str, str]] = []

    def send(target, text):
        arrived.append((text.facts["kind"], text.title, text.body))

    def until(now):
        deliver(store, Config(), lambda: now, send)
        return [kind for kind, _, _ in arrived]

    until.arrived = arrived
    return until


def nothing(day: int, cause: str = "missing") -> Condition:
    slot = f"2024-01-{day:02}"
    verdict = "MISSING" if cause == "missing" else "ERROR"
    return Condition(
        "meter", slot, f"slot:{slot}", cause, verdict, "no delivery", "why", "metering"
    )


def blocked(day: int, cause: str = "unit_change:kwh") -> Condition:
    return Condition(
        "meter", f"2024-01-{day:02}", f"b{day}{cause}", cause, "BLOCK", "unit", "why", "metering"
    )


@pytest.mark.parametrize("make", [nothing, blocked])
def test_days_of_one_trouble_are_paged_once(store, sent, make):
    for day in (1, 2, 3):
        assert store.open(make(day), ["A"], BEGIN + day * DAY)
        assert sent(BEGIN + day * DAY) == ["opened"]
    first, *others = store.open_alerts()
    assert [one.incident for one in others] == [first.alert_id] * 2
    for day, kinds in ((1, ["opened"]), (3, ["opened"]), (2, ["opened", "closed"])):
        store.close_alert(make(day).alert_id, "delivered", BEGIN + 4 * DAY)
        assert sent(BEGIN + 4 * DAY) == kinds
    assert sent.arrived[-1][1].startswith("Closed: meter 2024-01-01")


def test_what_cannot_be_read_and_then_is_missing_is_one_outage(store, sent):
    store.open(nothing(1, "source"), ["A"], BEGIN)
    store.open(nothing(1, "missing"), ["A"], BEGIN + DAY)
    assert sent(BEGIN + DAY) == ["opened"]


def test_another_cause_another_table_and_a_later_time_are_other_incidents(store, sent):
    store.open(blocked(1), ["A"], BEGIN)
    store.open(blocked(2, "frozen:kwh"), ["A"], BEGIN)
    store.open(blocked(3), ["A"], BEGIN + SAME_INCIDENT)
    assert sent(BEGIN + SAME_INCIDENT) == ["opened"] * 3
    store.close_alert(blocked(3).alert_id, "released", BEGIN + SAME_INCIDENT)
    assert sent(BEGIN + SAME_INCIDENT) == [*["opened"] * 3, "closed"]


def test_what_came_back_after_its_end_is_told_again(store, sent):
    store.open(blocked(1), ["A"], BEGIN)
    sent(BEGIN)
    store.close_alert(blocked(1).alert_id, "superseded", BEGIN + HOUR)
    store.open(blocked(2), ["A"], BEGIN + DAY)
    assert sorted(sent(BEGIN + DAY)) == ["closed", "opened", "opened"]


def test_a_short_outage_is_never_told(store, sent):
    store.open(nothing(1, "source"), ["A"], BEGIN, wait=2 * HOUR)
    assert sent(BEGIN + HOUR) == []
    store.close_alert(nothing(1, "source").alert_id, "delivered", BEGIN + HOUR)
    assert sent(BEGIN + DAY) == []


def test_what_waits_is_about_the_day_that_is_left(store, sent):
    store.open(nothing(1), ["A"], BEGIN, wait=12 * HOUR)
    store.open(nothing(2), ["A"], BEGIN + HOUR, wait=12 * HOUR)
    store.close_alert(nothing(1).alert_id, "delivered", BEGIN + 2 * HOUR)
    assert sent(BEGIN + 11 * HOUR) == []
    assert sent(BEGIN + 12 * HOUR) == ["opened"]
    assert sent.arrived[0][1].startswith("MISSING meter 2024-01-02")
    assert "Other alerts of meter with this cause: 1." in sent.arrived[0][2]
    store.close_alert(nothing(2).alert_id, "delivered", BEGIN + DAY)
    assert sent(BEGIN + DAY) == ["opened", "closed"]


def test_alerts_of_before_are_incidents_of_their_own(tmp_path):
    """Migration 2: what was opened by an older version is joined by nothing, and still ends."""
    from headrace.alerts import store as module

    home = Home(tmp_path)
    old = open_database(home.alerts, module.MIGRATIONS[:1])
    condition = blocked(1)
    with AlertStore(Home(tmp_path / "other")) as other:
        other.open(condition, ["A"], BEGIN)
        (row,) = other._connection.execute("SELECT condition FROM alerts").fetchall()
    old.execute(
        "INSERT INTO alerts (alert_id, tbl, slot, batch_id, condition, opened_at)"
        " VALUES (?, 'meter', '2024-01-01', 'b1', ?, ?)",
        (condition.alert_id, row[0], BEGIN),
    )
    old.execute(
        "INSERT INTO messages (alert_id, kind, target, due_at, state) VALUES (?,?,?,?,'sent')",
        (condition.alert_id, "opened", "A", BEGIN),
    )
    old.commit()
    old.close()
    with AlertStore(home) as store:
        store.open(blocked(2), ["A"], BEGIN + SECOND)
        first, second = store.open_alerts()
        assert (first.incident, second.incident) == ("", second.alert_id)
        store.close_alert(first.alert_id, "released", BEGIN + DAY)
        assert store.due_targets(BEGIN + DAY) == ["A"]
        assert {one.kind for one in store.claim("A", BEGIN + DAY)} == {"opened", "closed"}


def test_waits_stand_in_the_file(tmp_path: Path):
    path = tmp_path / "alerts.yaml"
    path.write_text("version: 1\nwait: {source: 30m}\n")
    assert load_config(path).wait == {**WAIT, "source": 30 * 60 * SECOND}
    assert load_config(tmp_path / "none.yaml").wait == WAIT


@pytest.mark.parametrize("text", ["{source: soon}", "{source: -1h}", "{blocked: 1h}"])
def test_a_wait_that_is_none_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "alerts.yaml"
    path.write_text(f"version: 1\nwait: {text}\n")
    with pytest.raises(DeclarationError):
        load_config(path)
