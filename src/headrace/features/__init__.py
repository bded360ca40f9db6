"""Features: declared once, and computed by the same kernel in training and in serving."""

from headrace.features.canonical import canonical, definition_hash
from headrace.features.definition_changes import Change, Diff, diff, stored_forms
from headrace.features.frames.training_frame import Host, apply_transforms, training_frame, vector
from headrace.features.kernel.calendar import calendar
from headrace.features.kernel.visibility import History
from headrace.features.labels import attach_label
from headrace.features.spec import (
    SEMANTICS_VERSION,
    Count,
    Distinct,
    FeatureView,
    First,
    Label,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Min,
    Mode,
    Rows,
    RowTransform,
    Spine,
    Std,
    Sum,
    View,
    Where,
    Window,
    output_columns,
)
from headrace.features.spines import build_spine
from headrace.features.table_shapes import Column, TableShape, shape_of
from headrace.features.transforms import passed_on, ratio
from headrace.features.validate import validate

__all__ = [
    "SEMANTICS_VERSION",
    "Change",
    "Column",
    "Count",
    "Diff",
    "Distinct",
    "FeatureView",
    "First",
    "History",
    "Host",
    "Label",
    "Last",
    "LastRow",
    "Lookup",
    "Max",
    "Mean",
    "Min",
    "Mode",
    "RowTransform",
    "Rows",
    "Spine",
    "Std",
    "Sum",
    "TableShape",
    "View",
    "Where",
    "Window",
    "apply_transforms",
    "attach_label",
    "build_spine",
    "calendar",
    "canonical",
    "definition_hash",
    "diff",
    "output_columns",
    "passed_on",
    "ratio",
    "shape_of",
    "stored_forms",
    "training_frame",
    "validate",
    "vector",
]
