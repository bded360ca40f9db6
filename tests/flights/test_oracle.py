"""Features and labels of flights are the plain-Python oracle's, bit for bit."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.datasets import label_cuts, open_release
from headrace.features import oracle, output_columns
from headrace.features.oracle_audit import audit, audit_label
from headrace.features.spec import RowTransform
from headrace.features.table_shapes import shapes_of
from headrace.pipeline.build import labelled_frame
from headrace.pipeline.build_context import BuildContext
from pipelines.flights.features import VIEWS

# The oracle takes half a minute for a thousand rows of one carrier's flights.
SIZES = [120, pytest.param(1_000, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def context(built):
    return BuildContext(built.pipeline, built.home)


@pytest.fixture(scope="module")
def frame(context):
    return labelled_frame(context)


@pytest.fixture(scope="module", params=SIZES)
def chosen(frame, request):
    """Random rows of the spine, and some of those without a label for each reason there is."""
    chance = np.random.default_rng(2013)
    reasons = np.asarray(frame["label_reason"].to_pylist(), dtype=object)
    rows = []
    for reason in ("cancelled", "not_arrived", "immature"):
        rows += chance.permutation(np.flatnonzero(reasons == reason))[:6].tolist()
    rows += chance.permutation(frame.num_rows).tolist()
    return list(dict.fromkeys(rows))[: request.param]


STORED = [view for view in VIEWS if not isinstance(view, RowTransform)]
COMPUTED = [view for view in VIEWS if isinstance(view, RowTransform)]


@pytest.mark.parametrize(
    "views", [*([view] for view in STORED), COMPUTED], ids=[*(v.name for v in STORED), "row"]
)
def test_random_rows_of_every_feature(context, frame, chosen, views):
    assert audit(frame, views, context.history, context.pipeline.contracts, chosen) == []


def test_their_labels(context, frame, chosen):
    pipeline = context.pipeline
    cuts = label_cuts(pipeline.dataset, frame["t"].to_numpy())[chosen].tolist()
    found = audit_label(
        frame, pipeline.label, context.history, pipeline.contracts, chosen, cuts=cuts
    )
    assert found == []


def test_they_are_the_rows_that_the_oracle_would_ask_about(context, frame, chosen):
    """A spine row depends on the versions of its own key alone."""
    pipeline = context.pipeline
    shape = shapes_of(pipeline.contracts)["schedule"]
    columns = [*shape.primary_key, *pipeline.spine.columns]
    wanted = frame.select([*columns, "t"]).take(pa.array(chosen)).to_pylist()
    keys = {tuple(row[name] for name in shape.primary_key): row for row in wanted}
    plan = context.history("schedule", list(shape.columns))
    rows = plain(plan.filter(pa.array([key in keys for key in keys_of(plan, shape.primary_key)])))
    assert len(rows) == len(keys) == len(chosen)
    for row in rows:
        (asked,) = oracle.spine_rows(pipeline.spine, [row], shape)
        found = keys[tuple(row[name] for name in shape.primary_key)]
        got = {name: micros(found[name]) for name in asked}
        assert got == asked


def test_released_rows_are_those_of_the_frame(context, frame, chosen, built):
    """Nothing on the way from the frame to the release touches a value."""
    dataset = open_release(f"{built.pipeline.dataset.name}@latest", store=built.home.store)
    key = list(built.pipeline.dataset.key)
    names = [*key, *output_columns(built.pipeline.views), "late"]
    part = frame.take(pa.array(chosen))
    ours = dict(zip(keys_of(part, key), part.select(names).to_pylist(), strict=True))
    released = dataset.arrow
    inside = pa.array([k in ours for k in keys_of(released, key)])
    rows = released.select(names).filter(inside).to_pylist()
    assert len(rows) > 0.6 * len(chosen)  # what has no label is not released
    for row in rows:
        assert repr(row) == repr(ours[tuple(row[name] for name in key)])


def keys_of(table: pa.Table, names) -> list[tuple]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def plain(table: pa.Table) -> list[dict]:
    """Rows as the oracle takes them: timestamps as microseconds."""
    columns = {
        name: (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pa.table(columns).to_pylist()


def micros(value):
    return value if not hasattr(value, "timestamp") else pa.scalar(value).cast(pa.int64()).as_py()
