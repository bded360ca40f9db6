"""Evaluation of a model on held-out rows, compared with a baseline model without history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import DAY
from headrace.datasets.reader import Dataset
from headrace.models.metrics import (
    Floats,
    auc,
    average_precision,
    brier,
    calibration,
    calibration_error,
    day_block_interval,
    log_loss,
    losses,
)
from headrace.models.record import ModelRecord
from headrace.models.score import predict, predict_baseline, require_definitions

# Segments with fewer rows are reported, but marked as thin.
THIN = 200


@dataclass(frozen=True)
class Forecasts:
    """Rows of one split: labels, times, forecasts and segment columns, all of the same length."""

    y: Floats
    t: npt.NDArray[np.int64]
    model: Floats
    baseline: Floats
    base_rate: float
    segments: pa.Table


def evaluate(
    record: ModelRecord,
    dataset: Dataset,
    split: str = "test",
    *,
    rounds: int = 2_000,
    seed: int = 7,
    purpose: str | None = None,
) -> dict[str, Any]:
    """Return the metrics of a stored model on a split of any release with the same definitions.

    The `evaluation` split needs a `purpose`, and the access is recorded beside the release.
    Training and the comparison with the champion never read this split.
    """
    require_definitions(record, dataset.manifest.definitions)  # before an access is recorded
    table = dataset.split(split, purpose=purpose).arrow
    return assess(
        Forecasts(
            y=truth(table, record.target),
            t=moments(table),
            model=predict(record, table, definitions=dataset.manifest.definitions),
            baseline=predict_baseline(record, table),
            base_rate=record.base_rate,
            segments=table.select(list(record.segments)),
        ),
        rounds=rounds,
        seed=seed,
    )


def truth(table: pa.Table, target: str) -> Floats:
    target_values: Floats = table.column(target).cast(pa.float64()).to_numpy()
    return target_values


def moments(table: pa.Table) -> npt.NDArray[np.int64]:
    times: npt.NDArray[np.int64] = table.column("t").cast(pa.int64()).to_numpy()
    return times


def assess(forecasts: Forecasts, *, rounds: int, seed: int) -> dict[str, Any]:
    """Return all metrics as JSON values; `{"rows": 0}` without rows."""
    if not len(forecasts.y):
        return {"rows": 0}
    constant = np.full(len(forecasts.y), forecasts.base_rate)
    return {
        "rows": len(forecasts.y),
        "positives": int(forecasts.y.sum()),
        "days": len(np.unique(forecasts.t // DAY)),
        "model": scores(forecasts.y, forecasts.model),
        "baseline": scores(forecasts.y, forecasts.baseline),
        "constant": scores(forecasts.y, constant),
        "against_baseline": compare(forecasts, forecasts.baseline, "the baseline", rounds, seed),
        "against_constant": compare(forecasts, constant, "the constant base rate", rounds, seed),
        "calibration": calibration(forecasts.y, forecasts.model),
        "segments": {
            name: by_segment(forecasts, forecasts.segments.column(name))
            for name in forecasts.segments.column_names
        },
    }


def scores(y: Floats, p: Floats) -> dict[str, float | None]:
    return {
        "log_loss": log_loss(y, p),
        "brier": brier(y, p),
        "auc": auc(y, p),
        "average_precision": average_precision(y, p),
        "calibration_error": calibration_error(calibration(y, p)),
        "mean_prediction": float(p.mean()),
        "observed": float(y.mean()),
    }


def compare(
    forecasts: Forecasts, other: Floats, name: str, rounds: int, seed: int
) -> dict[str, Any]:
    """Compare log losses, model minus `other`; a negative difference favours the model."""
    difference = losses(forecasts.y, forecasts.model) - losses(forecasts.y, other)
    interval = day_block_interval(forecasts.t, difference, rounds, seed)
    beats, loses = interval["high"] < 0, interval["low"] > 0
    verdict = "beats" if beats else ("loses to" if loses else "cannot be told from")
    sentence = (
        f"the model {verdict} {name}: log loss {interval['difference']:+.4f} "
        f"[{interval['low']:+.4f}, {interval['high']:+.4f}] over {interval['blocks']} days"
    )
    return {"metric": "log_loss", **interval, "beats": beats, "says": sentence}


def by_segment(forecasts: Forecasts, column: pa.ChunkedArray) -> list[dict[str, Any]]:
    """Return the metrics for each value of `column`, ordered by value, null last."""
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    values, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    present = sorted(value for value in values if value is not None)
    order = [values.index(value) for value in (*present, *([None] if None in values else []))]
    return [_segment(forecasts, values[n], codes == n) for n in order]


def _segment(forecasts: Forecasts, value: object, rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
    y, model, baseline = forecasts.y[rows], forecasts.model[rows], forecasts.baseline[rows]
    return {
        "value": value,
        "rows": len(y),
        "thin": len(y) < THIN,
        "observed": float(y.mean()),
        "mean_prediction": float(model.mean()),
        "log_loss": log_loss(y, model),
        "baseline_log_loss": log_loss(y, baseline),
        "auc": auc(y, model),
    }
