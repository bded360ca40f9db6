"""Alerts of a monitor's incidents: one for each incident, closed when it ends.

An incident opens no alert if another alert covers its fault (a missing or blocked batch, a champion
that was rolled back), so that nobody is paged twice.
"""

import logging
from collections.abc import Iterable

from headrace.alerts.config import Config, load_config
from headrace.alerts.model import INVESTIGATE, Condition
from headrace.alerts.store import AlertStore
from headrace.core.clock import now_us
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.evidence.model import day_text

log = logging.getLogger(__name__)
_CAUSE = "window:"


def condition(monitor: str, owner: str, incident: Incident) -> Condition:
    """Return the incident as a condition for the monitor's owner."""
    slot = day_text(incident.first.first)
    return Condition(
        table=monitor,
        slot=slot,
        batch_id=f"slot:{slot}",
        cause=f"{_CAUSE}{incident.first.end}",
        verdict=INVESTIGATE,
        words=incident.sentence,
        reason=incident.sentence,
        owner=owner,
    )


def window_end(cause: str) -> int:
    """Return the end (epoch day) of the first window of the incident that an alert is about."""
    return int(cause.removeprefix(_CAUSE))


def record_incidents(home: Home, monitor: str, owner: str, incidents: Iterable[Incident]) -> None:
    """Open and close alerts for these incidents; the next `update_alerts` sends the messages.

    Errors of alerts never fail the run; the next `update_alerts` raises them.
    """
    try:
        config = load_config()
        if config.path is not None:
            with AlertStore(home) as store, store.transaction():
                _record_incidents(store, config, monitor, owner, list(incidents))
    except HeadraceError as error:
        log.warning("alerts: %s", error)


def _record_incidents(
    store: AlertStore, config: Config, monitor: str, owner: str, incidents: list[Incident]
) -> None:
    now = now_us()
    open_incidents = {
        condition(monitor, owner, incident).alert_id: incident
        for incident in incidents
        if incident.is_open and not incident.has_other_alert
    }
    for alert in store.open_alerts(monitor):
        if alert.condition.verdict == INVESTIGATE and alert.alert_id not in open_incidents:
            store.close_alert(alert.alert_id, "no window shows it any longer", now)
    for alert_id, incident in open_incidents.items():
        alerted = condition(monitor, owner, incident)
        if alerted.verdict not in config.quiet:
            store.open(alerted, config.targets(owner), now)
        if incident.acknowledged is not None:
            store.acknowledge(alert_id, incident.acknowledged.principal, now)
