"""Many logs as one: the number of the log becomes part of every key and of every entity.

So one job answers for all of them, and the oracle is asked for each alone.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings

from headrace.features import Column
from tests.features.logs import SCHEMA, SHAPES, VIEWS, expected_frame, logs, random_log, table_of

BATCHED_SHAPES = {
    name: replace(
        shape,
        primary_key=("log", *shape.primary_key),
        columns={"log": Column(pa.int64()), **shape.columns},
    )
    for name, shape in SHAPES.items()
}
BATCHED_VIEWS = tuple(
    replace(
        view,
        entity=(*view.entity, "log"),
        entity_map=dict(view.entity_map),
    )
    for view in VIEWS
)
KINDS = {"who": pa.string(), "place": pa.int64(), "target": pa.int64(), "t": pa.int64()}


@dataclass(frozen=True)
class Batch:
    """The rows of all logs, shuffled, and their spines one after the other."""

    table: pa.Table
    spine: pa.Table
    expected: dict[str, list[Any]]

    def history(self, name, columns):
        assert name in BATCHED_SHAPES
        return self.table.select([*columns, "event_time", "known_at", "committed_at", "_deleted"])


def batch_of(given_logs, seed=0) -> Batch:
    """In recorded mode; rows of a log in declared mode are committed when they are known."""
    rows, spine, expected = [], [], {}
    for number, log in enumerate(given_logs):
        declared = log.mode == "declared"
        rows += [
            (number, {**row, "committed_at": row["known_at"]} if declared else row)
            for row in log.rows
        ]
        spine += [{**row, "log": number} for row in log.spine]
        for name, values in expected_frame(log).items():
            expected.setdefault(name, []).extend(values)
    random.Random(seed).shuffle(rows)
    numbers = pa.array([number for number, _ in rows], pa.int64())
    table = table_of([row for _, row in rows]).add_column(0, pa.field("log", pa.int64()), numbers)
    assert table.schema.names == ["log", *SCHEMA.names]
    schema = pa.schema([*KINDS.items(), ("log", pa.int64())])
    return Batch(table, pa.Table.from_pylist(spine, schema), expected)


def many_logs(count):
    """Logs as hypothesis makes them, always the same, and some dense ones."""
    found = [random_log(seed) for seed in range(40)]

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(logs)
    def collect(log):
        found.append(log)

    collect()
    assert len(found) >= count
    return found
