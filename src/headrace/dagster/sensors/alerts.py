"""Alerts under the daemon: a sensor reads the ledger and notifies owners of new and ended alerts.

The sensor reads the state of batches, not of runs. So it also notices batches that were blocked or
approved from the command line or by a stream consumer. Sent notifications are stored with the
alerts, so the sensor needs no cursor, and several sensors may run at once.
"""

from collections.abc import Callable, Sequence

import dagster as dg

from headrace.core.home import Home
from headrace.dagster.sensors.settings import interval
from headrace.lake.table import Table

SECONDS = 30


def alert_sensor(
    tables: Sequence[Table], home: Callable[[], Home] = Home.find
) -> dg.SensorDefinition:
    """Return the sensor that sends alerts. It launches no runs, and is on by default."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=interval(SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notifies owners of batches that the gate stopped, once for each batch and"
        " cause, and again when the alert is closed. Routes: alerts.yaml.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from headrace.alerts import load_config, update_alerts

        config = load_config()
        if config.path is None:
            return dg.SkipReason("no alerts.yaml at the project's root: nobody is notified")
        outcome = update_alerts(home(), tables, config=config)
        for target, why in outcome.failed.items():
            context.log.warning("%s: %s", target, why)
        return dg.SkipReason(str(outcome))

    return alerts
