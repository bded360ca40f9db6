"""Predictions of stored models, from their trees, fitted transforms and declared columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.datasets.fits.fits import Fits, encode
from headrace.datasets.manifest import ManifestColumn
from headrace.features.canonical import SPINE
from headrace.models.learners.rows import learner_rows
from headrace.models.record import BASELINE, LIGHTGBM, MODEL, ModelRecord

Floats = npt.NDArray[np.float64]


def predict(record: ModelRecord, table: pa.Table, *, definitions: Mapping[str, str]) -> Floats:
    """Return the prediction for each row of `table`, float64.

    A prediction is a probability of label 1 (binary), a number (regression), or a row of
    probabilities, one for each class of `record.task` (multiclass).

    `definitions` (view -> definition hash) are those that computed the features of `table`. Raises
    DeclarationError as `require_definitions` does.
    """
    require_definitions(record, definitions)
    return _predict(record, MODEL, record.features, table)


def require_definitions(record: ModelRecord, definitions: Mapping[str, str]) -> None:
    """Raise DeclarationError if a view that the model uses has a changed definition hash.

    A feature of the view could then have another meaning than in training.
    """
    differing = sorted(
        view for view in used_views(record) if definitions.get(view) != record.definitions[view]
    )
    if differing:
        raise DeclarationError(
            f"features of {', '.join(differing)} are not those the model was trained on",
            where=f"{record.ref}, trained on {record.dataset}",
            fix="release the dataset with these definitions and train on it",
        )


def predict_baseline(record: ModelRecord, table: pa.Table) -> Floats:
    """Return the predictions of the baseline model as `predict` does."""
    return _predict(record, BASELINE, record.baseline, table)


def _predict(
    record: ModelRecord, file: str, columns: Sequence[ManifestColumn], table: pa.Table
) -> Floats:
    if record.learner == LIGHTGBM:
        return score(record.text(file), columns, record.fits(), table)
    part = Path(file).stem
    rows = learner_rows(table, columns, record.fits(), record.learner)
    return record.stored_learner().predict(part, rows)


def used_views(record: ModelRecord) -> set[str]:
    """Return the views and transforms of the model's features, and the spine.

    If a feature comes from a row transform (no `__` in its name), all views are returned, because
    the transform may read any of them.
    """
    names = [column.name for column in record.features if column.role == "feature"]
    if any("__" not in name for name in names):
        return set(record.definitions)
    return {name.split("__", maxsplit=1)[0] for name in names} | ({SPINE} & set(record.definitions))


def score(trees: str, columns: Sequence[ManifestColumn], fits: Fits, table: pa.Table) -> Floats:
    """Predict with a LightGBM model in text format on the encoded `columns` of `table`."""
    import lightgbm

    matrix = encode(table, columns, fits)
    booster = lightgbm.Booster(model_str=trees)
    if not len(matrix):
        outputs = booster.num_model_per_iteration()
        return np.empty(0 if outputs == 1 else (0, outputs))
    predictions: Floats = np.asarray(booster.predict(matrix), dtype=np.float64)
    return predictions


def last_known(record: ModelRecord, table: pa.Table) -> Floats | None:
    """Return the predictions from last known values; None if the model has no such baseline.

    Where no value is known, the constant prediction takes its place.
    """
    if record.last_value is None or isinstance(record.base_rate, tuple):
        return None
    values = table.column(record.last_value).cast(pa.float64()).to_numpy()
    return record.task.last_known(values, record.base_rate)
