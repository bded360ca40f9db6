"""Settings of the sensors, from environment variables of the code server and the daemon.

HEADRACE_SENSORS            default state of sensors: `running` or `stopped` (default)
HEADRACE_SENSOR_INTERVAL    seconds between two evaluations; overrides each sensor's own interval
HEADRACE_RUN_STARTS_WITHIN  seconds after which a run that no worker has started counts as dead
"""

import os

import dagster as dg

from headrace.core.errors import DeclarationError

SENSOR_STATUS = "HEADRACE_SENSORS"
SENSOR_INTERVAL = "HEADRACE_SENSOR_INTERVAL"
RUN_STARTS_WITHIN = "HEADRACE_RUN_STARTS_WITHIN"


def interval(seconds: int) -> int:
    """Return the seconds between two evaluations of a sensor; `seconds` is the default."""
    return int(_seconds(os.environ.get(SENSOR_INTERVAL), seconds, SENSOR_INTERVAL))


def status() -> dg.DefaultSensorStatus:
    """Return the state of sensors that were never switched on or off.

    Raises:
        DeclarationError: the setting is neither `running` nor `stopped`.
    """
    setting = os.environ.get(SENSOR_STATUS, "stopped")
    states = {
        "running": dg.DefaultSensorStatus.RUNNING,
        "stopped": dg.DefaultSensorStatus.STOPPED,
    }
    if setting not in states:
        raise DeclarationError(
            f"{setting!r} is not a state of sensors", where=SENSOR_STATUS, fix="running or stopped"
        )
    return states[setting]


def run_starts_within(seconds: float) -> float:
    """Return the seconds after which a run that no worker has started counts as dead."""
    return _seconds(os.environ.get(RUN_STARTS_WITHIN), seconds, RUN_STARTS_WITHIN)


def _seconds(text: str | None, default: float, name: str) -> float:
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise DeclarationError(
            f"{text!r} is not a number of seconds", where=name, fix="a whole number, at least 1"
        )
    return float(text)
