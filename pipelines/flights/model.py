"""`flights_late`: gradient-boosted trees on `flights_delay`, and their baseline."""

from headrace.features.spec import RowTransform
from headrace.models import ModelSpec
from pipelines.flights.features import SPINE, VIEWS

# Features from the timetable alone: carrier, route, and features of the row's own columns.
_ROW = {*SPINE.columns, "t"}
CALENDAR = tuple(
    view.name for view in VIEWS if isinstance(view, RowTransform) and set(view.inputs) <= _ROW
)
ROUTE = ("carrier", "origin", "dest")

MODEL = ModelSpec(
    name="flights_late",
    dataset="flights_delay",
    context=ROUTE,
    baseline=(*ROUTE, *CALENDAR),
    segments=("origin", "carrier", "month"),
    # 63 bins per column take a third of the time of 255, and are not worse on the validation weeks.
    params={
        "learning_rate": 0.1,
        "num_leaves": 31,
        "max_bin": 63,
        "min_data_in_leaf": 200,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "cat_smooth": 20,
    },
    num_rounds=300,
    early_stopping=20,
)
