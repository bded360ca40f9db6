"""`flights_delay`: one row per scheduled flight, two hours before it is due to leave.

A flight belongs to the split with its prediction time; months are months in New York. Training
labels are read as of the end of September. Labels of the last two days of September are not mature
by then, so these flights are excluded, and so are the last two days of October.
"""

from pathlib import Path

from headrace.datasets import DatasetSpec, TimeSplits, Vocabulary
from headrace.datasets.card import load_card
from headrace.features.spec import Label

LABEL = Label(
    name="late",
    table="outcomes",
    key=("year", "month", "day", "carrier", "flight", "origin"),
    columns=("late",),
    # The longest flight arrives within a day and a half after its prediction; outcomes that are not
    # known by then get another half day. The 717 flights that landed without a stated delay have a
    # delay that the contract derives, and so a label.
    horizon="36h",
    settle="12h",
    status="status",
    excluded=("cancelled", "not_arrived"),
)

DATASET = DatasetSpec(
    name="flights_delay",
    key=LABEL.key,
    label=LABEL,
    splits=TimeSplits(
        train_until="2013-10-01T00:00:00-04:00",
        valid_until="2013-11-01T00:00:00-04:00",
        test_until="2014-01-01T00:00:00-05:00",
    ),
    # Two days after the last flight: some labels of late December are not mature by then.
    cutoff="2014-01-02T00:00:00Z",
    # A flight without an arrival has no delay. The manifest still counts these flights.
    left_out=("cancelled", "not_arrived", "no outcome"),
    # Categorical columns of the model; their codes are fitted on the training rows.
    fits=(Vocabulary(("carrier", "dest", "origin")),),
    purpose="delay-prediction",
    description=(
        "Flights from New York in 2013: does a flight arrive more than 15 minutes late, asked two "
        "hours before it is due to leave?"
    ),
    card=load_card(Path(__file__).with_name("card.yaml")),
)
