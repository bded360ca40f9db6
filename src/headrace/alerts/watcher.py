"""One look: what is new, what is over, what is to be sent. Any process may look, at any time."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.alerts import conditions
from headrace.alerts.config import Config, load_config
from headrace.alerts.deliver import deliver
from headrace.alerts.model import SOURCE, Condition
from headrace.alerts.notifier import Notify, notify
from headrace.alerts.store import AlertStore
from headrace.core.clock import DAY, now_us
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.partition_state import SlotResult
from headrace.lake.table import Table
from headrace.sources.base import Resuming

log = logging.getLogger(__name__)


@dataclass
class Looked:
    """What a look changed: ids of alerts, the number of messages, failures by target."""

    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    sent: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        told = f"{len(self.opened)} opened, {len(self.closed)} closed, {self.sent} messages sent"
        return told + "".join(f"; {target}: {why}" for target, why in self.failed.items())

    def to_json(self) -> dict[str, Any]:
        return {
            "opened": self.opened,
            "closed": self.closed,
            "sent": self.sent,
            "failed": self.failed,
        }


def look(
    home: Home,
    tables: Sequence[Table],
    *,
    config: Config | None = None,
    clock: Callable[[], int] = now_us,
    send: Notify = notify,
) -> Looked:
    """Open, close and send, for these tables. Without `alerts.yaml` nothing is touched.

    Raises:
        DeclarationError: `alerts.yaml` cannot be read.
    """
    config = config or load_config()
    done = Looked()
    if config.path is None:
        return done
    with AlertStore(home) as store:
        with Ledger(home) as ledger:
            for table in tables:
                _look_at(ledger, store, table, config, clock(), done=done)
        sent = deliver(store, config, clock, send)
    done.sent, done.failed = sent.messages, sent.failed or {}
    return done


def note(home: Home, table: Table, results: Iterable[SlotResult]) -> None:
    """Sources that a run could not read: only the run knows of them.

    What is wrong with alerts never fails the run; the next `look` says it aloud.
    """
    failed = [result for result in results if result.state == "failed"]
    now = now_us()
    tell(
        home,
        [conditions.unreadable(table, one.slot, "; ".join(one.reasons), now) for one in failed],
    )


def tell(home: Home, found: Sequence[Condition]) -> None:
    """Open alerts of what only the caller knows of; each is opened once, however often it is told.

    What is wrong with alerts is logged, and stops nobody.
    """
    try:
        config = load_config()
        if found and config.path is not None:
            with AlertStore(home) as store, store.transaction():
                new = [one for one in found if not _lasts(store, one)]
                _open(store, new, config, now_us(), Looked())
    except HeadraceError as error:
        log.warning("alerts: %s", error)


def _lasts(store: AlertStore, condition: Condition) -> bool:
    """An outage that was told, and that is not over."""
    return condition.cause == SOURCE and any(
        (alert.condition.cause, alert.condition.slot) == (SOURCE, condition.slot)
        for alert in store.open_alerts(condition.table)
    )


def look_quietly(home: Home, tables: Sequence[Table]) -> Looked:
    """`look`, for the end of a run: a notifier's trouble is logged and never fails the run."""
    try:
        return look(home, tables)
    except HeadraceError as error:
        log.warning("alerts: %s", error)
        return Looked(failed={"alerts.yaml": error.what})


def _look_at(
    ledger: Ledger, store: AlertStore, table: Table, config: Config, now: int, *, done: Looked
) -> None:
    answering = _answering(store, table)
    since = store.looked(table.name)
    newest = conditions.judged_since(ledger, table)
    found = [*conditions.held_back(ledger, table, now), *conditions.missing(ledger, table, now)]
    found += conditions.passed_with_marks(ledger, table, now - DAY if since is None else since)
    with store.transaction():
        # First what is over: a batch that was judged anew changes its cause.
        for alert in store.open_alerts(table.name):
            why = conditions.over(ledger, table, alert)
            if why or (alert.condition.cause == SOURCE and (why := answering)):
                store.close_alert(alert.alert_id, why, now)
                done.closed.append(alert.alert_id)
        _open(store, found, config, now, done)
        store.mark_looked(table.name, newest)


def _answering(store: AlertStore, table: Table) -> str:
    """Why an outage is over; "" if it is not, or there is none.

    The source itself is asked: of what it had delivered before, a run that finds nothing new would
    say nothing.
    """
    alerts = [alert for alert in store.open_alerts(table.name) if alert.condition.cause == SOURCE]
    if not alerts or isinstance(table.source, Resuming):
        return ""
    try:
        table.source.deliveries(alerts[-1].condition.slot)
    except Exception:  # noqa: BLE001 - whatever it is, it is no answer
        return ""
    return "the source can be read again"


def _open(
    store: AlertStore, found: Iterable[Condition], config: Config, now: int, done: Looked
) -> None:
    for condition in found:
        if condition.verdict in config.quiet:
            continue
        wait = config.wait.get(condition.cause, 0)
        if store.open(condition, config.targets(condition.owner), now, wait=wait):
            done.opened.append(condition.alert_id)
