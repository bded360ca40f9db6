"""Small worlds to watch: daily rows drawn from one distribution, and ways to change them."""

import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY, parse_iso
from headrace.monitoring import MonitorSpec

FIRST = parse_iso("2020-01-06")
ROWS = 150


def world(weeks=26, seed=0, rows=ROWS):
    """A stationary frame: `rows` a day of an integer, two reals, a flag and a string."""
    rng = np.random.default_rng(seed)
    days = weeks * 7
    n = days * rows
    real = rng.normal(50, 10, n)
    real[rng.random(n) < 0.02] = np.nan
    return pa.table(
        {
            "t": FIRST + np.repeat(np.arange(days), rows) * DAY + rng.integers(0, DAY, n),
            "count": rng.poisson(12, n),
            "speed": real,
            "ratio": rng.gamma(2, 1, n),
            "flag": rng.random(n) < 0.3,
            "carrier": rng.choice(["AA", "B6", "DL", "UA"], n, p=[0.4, 0.3, 0.2, 0.1]),
        }
    )


def weeks_of(frame):
    return (frame["t"].to_numpy() - FIRST) // (7 * DAY)


def changed(frame, column, change, weeks):
    """`frame` with `change` applied to the values of `column` in the given weeks."""
    values = frame[column].to_numpy(zero_copy_only=False).copy()
    chosen = np.isin(weeks_of(frame), list(weeks))
    new = np.where(chosen, change(values), values)
    if new.dtype == object:
        array = pa.array(list(new), pa.string())
    else:
        array = pa.array(new, frame[column].type)
    return frame.set_column(frame.column_names.index(column), column, array)


def scored(frame, seed=0, flipped=()):
    """Scores that are right about their own uncertainty; labels of `flipped` weeks are turned."""
    rng = np.random.default_rng(seed)
    score = rng.beta(1.2, 3, frame.num_rows)
    label = (rng.random(frame.num_rows) < score).astype(np.int64)
    turned = np.isin(weeks_of(frame), list(flipped))
    label = np.where(turned, 1 - label, label)
    return pa.table({"t": frame["t"], "score": score, "label": label})


def spec(tmp_path, policy="version: 1\n", **changes):
    path = tmp_path / "monitors.yaml"
    path.write_text(policy)
    return MonitorSpec("world", path, "2020-01-06", **changes)


LATER = FIRST + 1000 * DAY
