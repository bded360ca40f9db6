"""Sensors start, and are evaluated, as the environment of the code server says."""

import dagster as dg
import pytest

from headrace.core.errors import DeclarationError
from headrace.dagster.sensors.deliveries import build_sensor, deliveries_sensor
from headrace.dagster.sensors.settings import run_starts_within


@pytest.fixture
def sensors(defs, pipeline):
    build = defs.resolve_job_def("build")
    return lambda: (deliveries_sensor(pipeline, [build]), build_sensor(pipeline, build))


def test_left_alone_they_are_off_and_rest_a_minute(sensors):
    for sensor in sensors():
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
        assert sensor.minimum_interval_seconds == 60
    assert run_starts_within(180.0) == 180.0


def test_they_follow_the_environment(sensors, monkeypatch):
    monkeypatch.setenv("HEADRACE_SENSORS", "running")
    monkeypatch.setenv("HEADRACE_SENSOR_INTERVAL", "1")
    monkeypatch.setenv("HEADRACE_RUN_STARTS_WITHIN", "45")
    for sensor in sensors():
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.minimum_interval_seconds == 1
    assert run_starts_within(180.0) == 45.0


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("HEADRACE_SENSORS", "yes", "'yes' is not a state of sensors"),
        ("HEADRACE_SENSOR_INTERVAL", "soon", "'soon' is not a number of seconds"),
        ("HEADRACE_SENSOR_INTERVAL", "0", "'0' is not a number of seconds"),
    ],
)
def test_another_setting_is_an_error(sensors, monkeypatch, name, text, problem):
    monkeypatch.setenv(name, text)
    with pytest.raises(DeclarationError, match=problem):
        sensors()
