"""What a monitor has to have looked at: one alert an incident, closed when it has ended.

An incident that another alert is about already (nothing came, a batch was held back, a champion was
rolled back) is told by that alert, and a second page would say the same.
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
    """The incident as something that the monitor's owner should know."""
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
    """The end (epoch day) of the first window of the incident that an alert is about."""
    return int(cause.removeprefix(_CAUSE))


def note_incidents(home: Home, monitor: str, owner: str, incidents: Iterable[Incident]) -> None:
    """Open and close alerts by these incidents; the next `look` sends what is to be sent.

    What is wrong with alerts never fails the run; the next `look` says it aloud.
    """
    try:
        config = load_config()
        if config.path is not None:
            with AlertStore(home) as store, store.transaction():
                _note(store, config, monitor, owner, list(incidents))
    except HeadraceError as error:
        log.warning("alerts: %s", error)


def _note(
    store: AlertStore, config: Config, monitor: str, owner: str, incidents: list[Incident]
) -> None:
    now = now_us()
    going = {
        condition(monitor, owner, incident).alert_id: incident
        for incident in incidents
        if incident.is_open and not incident.told_otherwise
    }
    for alert in store.open_alerts(monitor):
        if alert.condition.verdict == INVESTIGATE and alert.alert_id not in going:
            store.close_alert(alert.alert_id, "no window has it any more", now)
    for alert_id, one in going.items():
        given = condition(monitor, owner, one)
        if given.verdict not in config.quiet:
            store.open(given, config.targets(owner), now)
        if one.acknowledged is not None:
            store.acknowledge(alert_id, one.acknowledged.principal, now)
