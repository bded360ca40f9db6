"""Alerts under the daemon: a sensor looks at the ledger, and tells the owners what is new or over.

It looks at what is, not at runs: a batch blocked by the command line or by a consumer of a stream,
and one released there, are seen alike. What was told is remembered with the alerts, so the sensor
needs no cursor, and several may look at once.
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
    """Return the sensor that sends alerts. It launches no run, and is on from the start."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=interval(SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells owners of batches that the gate stopped, once for each batch and cause,"
        " and when it is over. Routes: alerts.yaml.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from headrace.alerts import load_config, update_alerts

        config = load_config()
        if config.path is None:
            return dg.SkipReason("no alerts.yaml at the project's root: nobody is told")
        done = update_alerts(home(), tables, config=config)
        for target, why in done.failed.items():
            context.log.warning("%s: %s", target, why)
        return dg.SkipReason(str(done))

    return alerts
