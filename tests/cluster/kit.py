"""The same tables and spines in the forms that a cluster may be given."""

import pyarrow as pa
import pytest

from headrace.cluster.session import quiet
from tests.features.logs import bits, plain_lists

SAIL, SPARK = "on_sail", pytest.param("on_spark", marks=pytest.mark.spark)
SLOWLY = pytest.param("on_spark", marks=[pytest.mark.spark, pytest.mark.slow])
on_both = pytest.mark.parametrize("session", [SAIL, SPARK], indirect=True)


def differing(got, expected):
    """Names and rows of the values whose bits differ."""
    have = plain_lists(got)
    return [
        f"{name}[{i}]: expected {wanted!r}, got {value!r}"
        for name in expected
        for i, (value, wanted) in enumerate(zip(have[name], expected[name], strict=True))
        if bits(value) != bits(wanted)
    ]


def typed(session, table: pa.Table):
    """The table as the engine's own columns."""
    with quiet():
        from pyspark.sql.pandas.types import from_arrow_schema

        return session.createDataFrame(table, schema=from_arrow_schema(table.schema))


def typed_history(session, log):
    """A log's table as DataFrames; `asked` gets the columns of each reading."""
    asked = []

    def history(name, columns):
        asked.append((name, columns))
        return typed(session, log.history(name, columns)).repartition(3)

    return history, asked


def numbered(spine: pa.Table) -> pa.Table:
    """The spine with the order of its rows in a column, and its rows in another order."""
    numbers = pa.array(range(spine.num_rows), pa.int64())
    return spine.append_column("number", numbers).take(numbers[::-1])
