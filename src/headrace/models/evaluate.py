"""How a model does on rows it never saw, against a baseline that knows no history."""

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

# A segment of fewer rows is listed, and its numbers are marked as thin.
THIN = 200


@dataclass(frozen=True)
class Judged:
    """Rows of one split with truth, forecasts and segment columns, all of one length."""

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
    """Return metrics of a stored model on one split of any release with the same definitions.

    The split `evaluation` needs a `purpose`: that it was looked at is recorded beside the release.
    Training and the comparison with the champion never do.
    """
    require_definitions(record, dataset.manifest.definitions)  # before a look is spent on it
    table = dataset.split(split, purpose=purpose).arrow
    return assess(
        Judged(
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
    found: Floats = table.column(target).cast(pa.float64()).to_numpy()
    return found


def moments(table: pa.Table) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = table.column("t").cast(pa.int64()).to_numpy()
    return found


def assess(judged: Judged, *, rounds: int, seed: int) -> dict[str, Any]:
    """All metrics as JSON values; `{"rows": 0}` when there is nothing to judge."""
    if not len(judged.y):
        return {"rows": 0}
    constant = np.full(len(judged.y), judged.base_rate)
    return {
        "rows": len(judged.y),
        "positives": int(judged.y.sum()),
        "days": len(np.unique(judged.t // DAY)),
        "model": scores(judged.y, judged.model),
        "baseline": scores(judged.y, judged.baseline),
        "constant": scores(judged.y, constant),
        "against_baseline": compare(judged, judged.baseline, "the baseline", rounds, seed),
        "against_constant": compare(judged, constant, "the constant base rate", rounds, seed),
        "calibration": calibration(judged.y, judged.model),
        "segments": {
            name: by_segment(judged, judged.segments.column(name))
            for name in judged.segments.column_names
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


def compare(judged: Judged, other: Floats, name: str, rounds: int, seed: int) -> dict[str, Any]:
    """Log loss of the model minus that of `other`; below zero the model is better."""
    difference = losses(judged.y, judged.model) - losses(judged.y, other)
    found = day_block_interval(judged.t, difference, rounds, seed)
    beats, loses = found["high"] < 0, found["low"] > 0
    verdict = "beats" if beats else ("loses to" if loses else "cannot be told from")
    says = (
        f"the model {verdict} {name}: log loss {found['difference']:+.4f} "
        f"[{found['low']:+.4f}, {found['high']:+.4f}] over {found['blocks']} days"
    )
    return {"metric": "log_loss", **found, "beats": beats, "says": says}


def by_segment(judged: Judged, column: pa.ChunkedArray) -> list[dict[str, Any]]:
    """One line per value, ordered by value, null last."""
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    values, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    known = sorted(value for value in values if value is not None)
    order = [values.index(value) for value in (*known, *([None] if None in values else []))]
    return [_segment(judged, values[n], codes == n) for n in order]


def _segment(judged: Judged, value: object, rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
    y, model, baseline = judged.y[rows], judged.model[rows], judged.baseline[rows]
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
