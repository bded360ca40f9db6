"""A made-up dataset: flights-like keys, features with signal, labels that came or did not."""

import numpy as np
import pyarrow as pa

from headrace.core.clock import HOUR, parse_iso
from headrace.datasets import DatasetSpec, InputTable, TimeSplits
from headrace.features.spec import Label

LABEL = Label(
    "late",
    table="outcomes",
    key=("flight",),
    columns=("late",),
    horizon="36h",
    settle="12h",
    status="status",
    excluded=("cancelled",),
)
SPEC = DatasetSpec(
    name="delays",
    key=("flight", "origin"),
    label=LABEL,
    splits=TimeSplits("2013-03-01", "2013-04-01", "2013-05-01"),
    cutoff="2013-04-28",
    left_out=("cancelled", "no outcome"),
    description="made up",
)
DEFINITIONS = {"carrier_1d": "a" * 64, "weather": "b" * 64, "calendar": "c" * 64}
CONTRACT = {
    "contract_version": "1.0.0",
    "contract_hash": "d" * 64,
    "licence": "CC0-1.0",
    "purposes": ("training", "monitoring"),
}
INPUTS = {
    "outcomes": InputTable(
        snapshot_id=11,
        verdicts={"PASS": 3},
        batches=("b2", "b1", "b3"),
        owner="airport",
        **CONTRACT,
    ),
    "weather": InputTable(snapshot_id=12, batches=("w1",), **CONTRACT),
}


def frame(rows=4_000, seed=0, first="2013-01-01", last="2013-05-03"):
    """`rows` rows of key, t, one spine column, four features, label and reason."""
    rng = np.random.default_rng(seed)
    start, end = parse_iso(first), parse_iso(last)
    t = np.sort(rng.integers(start // HOUR, end // HOUR, rows)) * HOUR
    carrier = rng.choice(["AA", "B6", "UA", "ZZ"], rows, p=[0.3, 0.3, 0.39, 0.01])
    delay, wind = rng.normal(size=rows), rng.gamma(2.0, 5.0, rows)
    hour = (t // HOUR) % 24
    risk = 0.9 * delay + 0.05 * wind + 0.05 * hour - 1.6 + (carrier == "UA") * 0.5
    late = (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.int64)
    reason = np.where(rng.random(rows) < 0.03, "cancelled", "")
    return pa.table(
        {
            "flight": pa.array([f"F{n:06d}" for n in range(rows)]),
            "origin": pa.array(rng.choice(["EWR", "JFK", "LGA"], rows)),
            "t": pa.array(t),
            "distance": pa.array(rng.integers(100, 3000, rows)),
            "carrier_1d__delay_mean": pa.array(delay, mask=rng.random(rows) < 0.1),
            "weather__wind": pa.array(wind),
            "calendar__hour": pa.array(hour),
            "calendar__carrier": pa.array(carrier),
            "late": pa.array(late, mask=reason == "cancelled"),
            "label_reason": pa.array(reason, mask=reason == ""),
        }
    )


def put(table, column, values):
    """`table` with a column replaced."""
    return table.set_column(table.column_names.index(column), column, values)
