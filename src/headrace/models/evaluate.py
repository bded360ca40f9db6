"""Evaluation of a model on held-out rows, compared with a baseline model without history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import DAY
from headrace.datasets.reader import Dataset
from headrace.models.metrics import Floats, day_block_interval
from headrace.models.record import ModelRecord
from headrace.models.score import last_known, predict, predict_baseline, require_definitions
from headrace.models.tasks import PredictionTask, label_place

# Segments with fewer rows are reported, but marked as thin.
THIN = 200


@dataclass(frozen=True)
class Forecasts:
    """Rows of one split: labels, times, forecasts and segment columns, all of the same length.

    `base_rate` is the constant forecast. `last_value` are the last known values of the label, if
    the model has this baseline.
    """

    task: PredictionTask
    y: Floats
    t: npt.NDArray[np.int64]
    model: Floats
    baseline: Floats
    base_rate: float | tuple[float, ...]
    segments: pa.Table
    last_value: Floats | None = None

    @property
    def baselines(self) -> dict[str, tuple[Floats, str]]:
        """Return {key in the metrics: (forecasts, name in sentences)}, most important first."""
        constant = np.broadcast_to(np.asarray(self.base_rate, np.float64), self.model.shape)
        last = {} if self.last_value is None else {"last_value": self.last_value}
        predictions = {"baseline": self.baseline, "constant": constant, **last}
        names = ("the baseline", self.task.constant_name, "the last known value")
        return {
            key: (predictions[key], name) for key, name in zip(predictions, names, strict=False)
        }


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
            task=record.task,
            y=truth(record, table),
            t=moments(table),
            model=predict(record, table, definitions=dataset.manifest.definitions),
            baseline=predict_baseline(record, table),
            base_rate=record.base_rate,
            segments=table.select(list(record.segments)),
            last_value=last_known(record, table),
        ),
        rounds=rounds,
        seed=seed,
    )


def truth(record: ModelRecord, table: pa.Table) -> Floats:
    """Return the labels of `table` as the model's task reads them.

    Raises:
        DeclarationError: a label does not fit the task, or is a class that training lacked.
    """
    return record.task.observed(
        table.column(record.target), label_place(record.name, record.target)
    )


def moments(table: pa.Table) -> npt.NDArray[np.int64]:
    times: npt.NDArray[np.int64] = table.column("t").cast(pa.int64()).to_numpy()
    return times


def assess(forecasts: Forecasts, *, rounds: int, seed: int) -> dict[str, Any]:
    """Return all metrics as JSON values; `{"rows": 0}` without rows."""
    if not len(forecasts.y):
        return {"rows": 0}
    task, y, baselines = forecasts.task, forecasts.y, forecasts.baselines
    return {
        "rows": len(y),
        **task.counts(y),
        "days": len(np.unique(forecasts.t // DAY)),
        "model": task.scores(y, forecasts.model),
        **{key: task.scores(y, other) for key, (other, _) in baselines.items()},
        **{
            f"against_{key}": compare(forecasts, other, name, rounds, seed)
            for key, (other, name) in baselines.items()
        },
        "calibration": task.calibration(y, forecasts.model),
        **task.details(y, forecasts.model),
        "segments": {
            name: by_segment(forecasts, forecasts.segments.column(name))
            for name in forecasts.segments.column_names
        },
    }


def compare(
    forecasts: Forecasts, other: Floats, name: str, rounds: int, seed: int
) -> dict[str, Any]:
    """Compare losses, model minus `other`; a negative difference favours the model."""
    task = forecasts.task
    difference = task.losses(forecasts.y, forecasts.model) - task.losses(forecasts.y, other)
    interval = day_block_interval(forecasts.t, difference, rounds, seed)
    beats, loses = interval["high"] < 0, interval["low"] > 0
    verdict = "beats" if beats else ("loses to" if loses else "cannot be told from")
    sentence = (
        f"the model {verdict} {name}: {task.title} {interval['difference']:+.4f} "
        f"[{interval['low']:+.4f}, {interval['high']:+.4f}] over {interval['blocks']} days"
    )
    return {"metric": task.primary, **interval, "beats": beats, "says": sentence}


def by_segment(forecasts: Forecasts, column: pa.ChunkedArray) -> list[dict[str, Any]]:
    """Return the metrics for each value of `column`, ordered by value, null last."""
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    values, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    present = sorted(value for value in values if value is not None)
    order = [values.index(value) for value in (*present, *([None] if None in values else []))]
    return [_segment(forecasts, values[n], codes == n) for n in order]


def _segment(forecasts: Forecasts, value: object, rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
    y, model, baseline = forecasts.y[rows], forecasts.model[rows], forecasts.baseline[rows]
    figures = forecasts.task.segment(y, model, baseline)
    return {"value": value, "rows": len(y), "thin": len(y) < THIN, **figures}
