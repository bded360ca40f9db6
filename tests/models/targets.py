"""Labels of each task, made from the features of `tests.datasets.frames`, and models for them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tests.datasets.frames import frame, put
from tests.models.conftest import MODEL

PARTS = {
    "squared": {"task": "regression"},
    "absolute": {"task": "regression", "loss": "absolute"},
    "poisson": {"task": "regression", "loss": "poisson"},
    "multiclass": {"task": "multiclass"},
}


def spec(kind, **changes):
    """Return a small model of the task; regressions have a last known value."""
    last = {} if kind == "multiclass" else {"last_value": "calendar__l?st"}
    return replace(MODEL, **{**PARTS[kind], **last, **changes})


def labelled_frame(kind, seed=0, labels=None, **options):
    """Return the frame with labels of the task, and with a noisy copy of them as last value."""
    rows = frame(seed=seed, **options)
    rng = np.random.default_rng(seed + 1)
    delay = np.nan_to_num(rows["carrier_1d__delay_mean"].to_numpy(zero_copy_only=False))
    mean = 12 + 6 * delay + 0.3 * rows["weather__wind"].to_numpy()
    number = {
        "squared": lambda: mean + rng.normal(0, 3, len(mean)),
        "absolute": lambda: mean + rng.standard_t(2, len(mean)) * 3,
        "poisson": lambda: rng.poisson(np.exp(np.clip(mean, 0, 30) / 12)),
        "multiclass": lambda: np.digitize(mean + rng.normal(0, 3, len(mean)), [10, 18]),
    }[kind]()
    values = number if labels is None else labels(number)
    missing = rows["late"].is_null().to_numpy()
    last = pa.array(number + rng.integers(0, 9, len(number)), mask=rng.random(len(number)) < 0.2)
    rows = rows.add_column(rows.num_columns - 2, "calendar__last", last)
    return put(rows, "late", pa.array(values, mask=missing))


def names(number):
    """Return class numbers as texts."""
    return np.array(["early", "on time", "late"], dtype=object)[number]
