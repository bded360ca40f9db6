"""Features of a flight, two hours before its scheduled departure.

Delays are those of flights whose outcome was known by then, not of flights that are still in the
air or on the ground. `late` is the label's own column, so its means are point-in-time means of the
target. The timetable of the next hours is known: it was published the evening before.
"""

from headrace.features import (
    FeatureView,
    First,
    Last,
    Lookup,
    Max,
    Mean,
    Min,
    Rows,
    Spine,
    Std,
    Sum,
    Where,
    Window,
    calendar,
    passed_on,
    ratio,
)

ZONE = "America/New_York"
SPINE = Spine(
    "schedule", "-2h", columns=("dest", "sched_dep_at", "sched_arr_at", "distance", "sched_minutes")
)

HOURS_3, HOURS_6, DAY, WEEK, MONTH = (
    Window(start) for start in ("-3h", "-6h", "-1d", "-7d", "-28d")
)
# Departure is at t + 2h: windows of one hour and of 15 minutes around it, and the hours before.
AROUND, CLOSE, BEFORE = Window("1h", "3h"), Window("105m", "135m"), Window("0s", "2h")
CANCELLED = Where("status", "==", "cancelled")

VIEWS = (
    FeatureView(
        "carrier",
        "outcomes",
        ("carrier",),
        (
            Rows(DAY),
            Rows(DAY, where=CANCELLED),
            Mean("arrival_delay", HOURS_3),
            Mean("arrival_delay", DAY),
            Std("arrival_delay", WEEK),
            Mean("late", DAY),
            Mean("late", MONTH),
        ),
    ),
    FeatureView(
        "origin",
        "outcomes",
        ("origin",),
        (
            Rows(HOURS_3),
            Rows(HOURS_6),
            Rows(HOURS_6, where=CANCELLED),
            Mean("dep_delay", HOURS_3),
            Max("dep_delay", HOURS_3),
            Mean("arrival_delay", HOURS_3),
            Mean("arrival_delay", DAY),
            Std("arrival_delay", DAY),
            Mean("late", HOURS_6),
            Mean("late", WEEK),
        ),
    ),
    FeatureView(
        "dest",
        "outcomes",
        ("dest",),
        (
            Rows(HOURS_6),
            Mean("arrival_delay", HOURS_6),
            Mean("arrival_delay", DAY),
            Std("arrival_delay", WEEK),
            Mean("late", WEEK),
            Mean("late", MONTH),
        ),
    ),
    FeatureView(
        "route",
        "outcomes",
        ("origin", "dest"),
        (
            Rows(WEEK),
            Mean("arrival_delay", DAY),
            Mean("arrival_delay", WEEK),
            Std("arrival_delay", MONTH),
            Mean("air_time", WEEK),
            Mean("late", MONTH),
            Last("arrival_delay", DAY),
        ),
    ),
    FeatureView(
        "carrier_origin",
        "outcomes",
        ("carrier", "origin"),
        (
            Mean("dep_delay", HOURS_6),
            Mean("arrival_delay", HOURS_6),
            Mean("late", DAY),
            Mean("late", WEEK),
            Max("arrival_delay", HOURS_6),
            Last("arrival_delay", HOURS_6),
            Last("dep_delay", HOURS_6),
        ),
    ),
    # The same flight number on earlier days, because some flights are usually late.
    FeatureView(
        "number",
        "outcomes",
        ("carrier", "flight", "origin"),
        (
            Rows(MONTH),
            Mean("arrival_delay", MONTH),
            Mean("late", MONTH),
            Last("arrival_delay", WEEK),
        ),
    ),
    FeatureView("runway", "schedule", ("origin",), (Rows(AROUND), Rows(CLOSE), Rows(BEFORE))),
    FeatureView(
        "bank", "schedule", ("carrier", "origin"), (Rows(AROUND), Mean("distance", BEFORE))
    ),
    FeatureView("inbound", "schedule", ("dest",), (Rows(AROUND),)),
    Lookup(
        "weather",
        "weather",
        ("origin",),
        ("temp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
        max_age="6h",
    ),
    FeatureView(
        "sky",
        "weather",
        ("origin",),
        (
            Sum("precip", HOURS_6),
            Sum("precip", DAY),
            Min("visib", HOURS_6),
            Max("wind_gust", HOURS_6),
            First("pressure", HOURS_6),
        ),
    ),
    Lookup(
        "airport",
        "airports",
        ("faa",),
        ("lat", "lon", "alt"),
        max_age=None,
        entity_map={"faa": "dest"},
    ),
    ratio("carrier_cancelled_1d", "carrier__rows_where_status_cancelled_1d", "carrier__rows_1d"),
    ratio("origin_cancelled_6h", "origin__rows_where_status_cancelled_6h", "origin__rows_6h"),
    calendar("dep_minute", "sched_dep_at", "minute_of_day", ZONE),
    calendar("dep_hour", "sched_dep_at", "hour", ZONE),
    calendar("dep_weekday", "sched_dep_at", "weekday", ZONE),
    calendar("dep_month", "sched_dep_at", "month", ZONE),
    calendar("dep_day_of_year", "sched_dep_at", "day_of_year", ZONE),
    calendar("arr_minute", "sched_arr_at", "minute_of_day", ZONE),
    passed_on("miles", "distance", "int64"),
    passed_on("scheduled_minutes", "sched_minutes", "int64"),
)
