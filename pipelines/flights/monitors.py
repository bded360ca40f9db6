"""Weekly monitor of the flights pipeline."""

from pathlib import Path

from headrace.monitoring import MonitorSpec

MONITOR = MonitorSpec(
    name="flights",
    policy_path=Path(__file__).with_name("monitors.yaml"),
    anchor="2013-01-01",
    # flights have New York dates: with five hours behind UTC a flight day is in one window all year
    offset="-5h",
    # Calendar columns always change: a new month is not drift.
    exclude=("dep_month", "dep_day_of_year", "dep_weekday"),
    # time until a label is mature: horizon 36 h + settle 12 h
    maturity="48h",
    max_age={"schedule": "2d", "outcomes": "2d", "weather": "2d"},
)
