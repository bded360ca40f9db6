"""Update of alerts: open new ones, close resolved ones, send messages. Any process may run it."""

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
class AlertUpdate:
    """Changes of one update: ids of alerts, the number of messages, failures by target."""

    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    sent: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"opened: {len(self.opened)}, closed: {len(self.closed)}, messages sent: {self.sent}"
        return text + "".join(f"; {target}: {why}" for target, why in self.failed.items())

    def to_json(self) -> dict[str, Any]:
        return {
            "opened": self.opened,
            "closed": self.closed,
            "sent": self.sent,
            "failed": self.failed,
        }


def update_alerts(
    home: Home,
    tables: Sequence[Table],
    *,
    config: Config | None = None,
    clock: Callable[[], int] = now_us,
    send: Notify = notify,
) -> AlertUpdate:
    """Open, close and send alerts of these tables. Does nothing without `alerts.yaml`.

    Raises:
        DeclarationError: `alerts.yaml` cannot be read.
    """
    config = config or load_config()
    update = AlertUpdate()
    if config.path is None:
        return update
    with AlertStore(home) as store:
        with Ledger(home) as ledger:
            for table in tables:
                _update_table(ledger, store, table, config, clock(), update=update)
        sent = deliver(store, config, clock, send)
    update.sent, update.failed = sent.messages, sent.failed or {}
    return update


def report_unreadable_sources(home: Home, table: Table, results: Iterable[SlotResult]) -> None:
    """Open alerts for sources that a run could not read, which the ledger does not record.

    Errors of alerts never fail the run; the next `update_alerts` raises them.
    """
    failed = [result for result in results if result.state == "failed"]
    now = now_us()
    open_alerts(
        home,
        [
            conditions.unreadable(table, result.slot, "; ".join(result.reasons), now)
            for result in failed
        ],
    )


def open_alerts(home: Home, conditions_: Sequence[Condition]) -> None:
    """Open alerts for conditions that the ledger does not record; repeated conditions open none.

    Errors of alerts are logged, not raised.
    """
    try:
        config = load_config()
        if conditions_ and config.path is not None:
            with AlertStore(home) as store, store.transaction():
                new = [
                    condition for condition in conditions_ if not _is_same_outage(store, condition)
                ]
                _open(store, new, config, now_us(), AlertUpdate())
    except HeadraceError as error:
        log.warning("alerts: %s", error)


def _is_same_outage(store: AlertStore, condition: Condition) -> bool:
    """Return True if an alert of the same outage is open."""
    return condition.cause == SOURCE and any(
        (alert.condition.cause, alert.condition.slot) == (SOURCE, condition.slot)
        for alert in store.open_alerts(condition.table)
    )


def update_alerts_quietly(home: Home, tables: Sequence[Table]) -> AlertUpdate:
    """Run `update_alerts` at the end of a run: errors are logged and never fail the run."""
    try:
        return update_alerts(home, tables)
    except HeadraceError as error:
        log.warning("alerts: %s", error)
        return AlertUpdate(failed={"alerts.yaml": error.what})


def _update_table(
    ledger: Ledger,
    store: AlertStore,
    table: Table,
    config: Config,
    now: int,
    *,
    update: AlertUpdate,
) -> None:
    recovered = _source_recovery(store, table)
    since = store.last_checked(table.name)
    newest = conditions.last_verdict_at(ledger, table)
    conditions_ = [
        *conditions.blocked_batches(ledger, table, now),
        *conditions.missing(ledger, table, now),
    ]
    conditions_ += conditions.flagged_batches(ledger, table, now - DAY if since is None else since)
    with store.transaction():
        # Close first: re-validating a batch changes its cause.
        for alert in store.open_alerts(table.name):
            why = conditions.closing_reason(ledger, table, alert)
            if why or (alert.condition.cause == SOURCE and (why := recovered)):
                store.close_alert(alert.alert_id, why, now)
                update.closed.append(alert.alert_id)
        _open(store, conditions_, config, now, update)
        store.mark_checked(table.name, newest)


def _source_recovery(store: AlertStore, table: Table) -> str:
    """Return why an outage is over; "" if it is not, or there is none.

    This reads the source again, since a run without new deliveries does not prove that it works.
    """
    alerts = [alert for alert in store.open_alerts(table.name) if alert.condition.cause == SOURCE]
    if not alerts or isinstance(table.source, Resuming):
        return ""
    try:
        table.source.deliveries(alerts[-1].condition.slot)
    except Exception:  # noqa: BLE001 - any error means that it still fails
        return ""
    return "the source can be read again"


def _open(
    store: AlertStore,
    conditions_: Iterable[Condition],
    config: Config,
    now: int,
    update: AlertUpdate,
) -> None:
    for condition in conditions_:
        if condition.verdict in config.quiet:
            continue
        wait = config.wait.get(condition.cause, 0)
        if store.open(condition, config.targets(condition.owner), now, wait=wait):
            update.opened.append(condition.alert_id)
