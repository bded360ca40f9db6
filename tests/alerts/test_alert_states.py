"""The life of alerts, whatever happens in whatever order: told once, and never once it is over."""

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from headrace.alerts.config import Config
from headrace.alerts.deliver import deliver
from headrace.alerts.model import Condition
from headrace.alerts.notifier import SendError
from headrace.alerts.store import LEASE, LONGEST, AlertStore, backoff
from headrace.core.home import Home
from tests.examples import examples

TARGETS = ("A", "B")
SECOND = 1_000_000


class Killed(BaseException):
    """What SIGKILL does: nothing after it runs in this process."""


class Alerts(RuleBasedStateMachine):
    known = Bundle("known")

    @initialize()
    def begin(self):
        self.open_files = contextlib.ExitStack()
        folder = self.open_files.enter_context(tempfile.TemporaryDirectory())
        self.open_files.enter_context(mock.patch.dict(os.environ, {t: t for t in TARGETS}))
        self.store = self.open_files.enter_context(AlertStore(Home(Path(folder))))
        self.now, self.count = SECOND, 0
        self.arrived: list[tuple[str, str, str]] = []  # (kind, target, alert id), in order
        self.uncertain: set[str] = set()  # alerts that were being sent when a process died
        self.silent: dict[str, int] = {}  # alert -> arrivals before it was over or taken

    def teardown(self):
        self.open_files.close()

    @rule(target=known)
    def something_happens(self):
        self.count += 1
        condition = _condition(self.count)
        assert self.store.open(condition, TARGETS, self.now)
        return condition

    @rule(condition=known)
    def it_is_found_again(self, condition):
        assert not self.store.open(condition, TARGETS, self.now)

    @rule(condition=known)
    def somebody_acknowledges(self, condition):
        self.store.acknowledge(condition.alert_id, "ana", self.now)
        self.silent.setdefault(condition.alert_id, len(self.arrived))

    @rule(condition=known)
    def it_is_over(self, condition):
        self.store.close_alert(condition.alert_id, "released", self.now)
        self.silent.setdefault(condition.alert_id, len(self.arrived))

    @rule(seconds=st.sampled_from([1, 40, 130, 4000]))
    def time_passes(self, seconds):
        self.now += seconds * SECOND

    @rule(
        fate=st.sampled_from(["refused", "killed before", "killed after"]), lived=st.integers(0, 2)
    )
    def a_process_meets_its_fate(self, fate, lived):
        """It sends so many messages before."""
        left = [lived]

        def send(target, text):
            left[0] -= 1
            if left[0] < 0 and fate != "killed after":
                raise SendError("no") if fate == "refused" else Killed
            self._take(target, text)
            if left[0] < 0:
                raise Killed

        try:
            deliver(self.store, Config(), lambda: self.now, send)
        except Killed:
            self.uncertain |= {alert.alert_id for alert in self.store.alerts()}

    @rule()
    def a_process_lives(self):
        deliver(self.store, Config(), lambda: self.now, self._take)

    @rule()
    def in_the_end_everybody_knows(self):
        self.now += LEASE + LONGEST + 1
        self.a_process_lives()
        for alert in self.store.alerts():
            told, over = (
                {t for t in TARGETS if (kind, t, alert.alert_id) in self.arrived}
                for kind in ("opened", "closed")
            )
            if alert.state == "open":
                assert told == set(TARGETS)
                assert alert.notified_at
            if alert.state == "closed":
                assert told <= over

    def _take(self, target, text):
        self.arrived += [(text.facts["kind"], target, alert_id) for alert_id in text.ids]

    @invariant()
    def nothing_arrives_twice_unless_a_sender_died(self):
        twice = {key[2] for key, times in Counter(self.arrived).items() if times > 1}
        assert twice <= self.uncertain

    @invariant()
    def nobody_hears_the_end_of_what_they_never_heard_of(self):
        for place, (kind, target, alert_id) in enumerate(self.arrived):
            if kind == "closed" and alert_id not in self.uncertain:
                assert ("opened", target, alert_id) in self.arrived[:place]

    @invariant()
    def an_end_is_the_end(self):
        for alert_id, since in self.silent.items():
            later = [key for key in self.arrived[since:] if key[2] == alert_id]
            assert not [key for key in later if key[0] == "opened"]


TestAlerts = Alerts.TestCase
TestAlerts.settings = settings(max_examples=examples(40), stateful_step_count=25, deadline=None)


def _condition(number):
    slot = f"2024-01-{number % 28 + 1:02}"
    return Condition(
        "meter", slot, f"b{number}", f"of {number}", "BLOCK", "words", "a reason", "metering"
    )


def test_an_end_is_told_also_where_the_sender_died_after_the_page_went_out(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "A")
    arrived = []

    def send(target, text):
        arrived.append(text.facts["kind"])
        if len(arrived) == 1:
            raise Killed

    with AlertStore(Home(tmp_path)) as store:
        store.open(_condition(1), ["A"], SECOND)
        with contextlib.suppress(Killed):
            deliver(store, Config(), lambda: SECOND, send)
        store.close_alert(_condition(1).alert_id, "released", SECOND)
        deliver(store, Config(), lambda: SECOND, send)
    assert arrived == ["opened", "closed"]


def test_waits_grow_to_an_hour():
    waits = [backoff(tries) // SECOND for tries in (1, 2, 3, 4, 8, 100)]
    assert waits == [30, 60, 120, 240, 3600, 3600]
