"""The year of flights on a cluster: the frame of the embedded host, to the last bit."""

import pyarrow as pa
import pytest

from headrace.cluster import sail, training_frame
from headrace.features import training_frame as embedded_frame
from headrace.pipeline.build_context import BuildContext


@pytest.mark.slow
@pytest.mark.parametrize("reasons", [False, True])
def test_the_year_is_the_same(year, reasons):
    context = BuildContext(year.pipeline, year.home)
    views, contracts, mode = year.pipeline.views, year.pipeline.contracts, year.pipeline.mode
    with sail() as session:
        found = training_frame(
            session, context.spine, views, context.history, contracts, mode=mode, reasons=reasons
        ).table()
    wanted = embedded_frame(context.spine, views, context.history, contracts, mode, reasons=reasons)
    assert found.schema.equals(wanted.schema)
    assert found.num_rows > 300_000
    assert same_bytes(found, wanted)


def same_bytes(one: pa.Table, other: pa.Table) -> bool:
    """Floats by their bits; NaN and -0 occur in no column of features."""
    return all(
        one[name].combine_chunks().equals(other[name].combine_chunks())
        and as_bits(one[name]).equals(as_bits(other[name]))
        for name in one.column_names
    )


def as_bits(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.fill_null(0.0).view(pa.int64()) if pa.types.is_float64(array.type) else array
