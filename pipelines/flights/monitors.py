"""What is watched of the flights pipeline, week by week."""

from pathlib import Path

from headrace.monitoring import MonitorSpec

MONITOR = MonitorSpec(
    name="flights",
    policy_path=Path(__file__).with_name("monitors.yaml"),
    anchor="2013-01-01",
    # flights are dated in New York: five hours behind UTC keeps a flight day in one piece all year
    offset="-5h",
    # The calendar moves by itself: a new month is no drift.
    exclude=("dep_month", "dep_day_of_year", "dep_weekday"),
    # as long as the label takes: horizon 36 h, settle 12 h
    maturity="48h",
    max_age={"schedule": "2d", "outcomes": "2d", "weather": "2d"},
)
