"""Model for a study: it is trained on the first part of a history and scores all later rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.datasets.fits.fits import Fits, encode
from headrace.datasets.fits.fitting import fit
from headrace.datasets.hashing.content_hash import canonical_type
from headrace.datasets.manifest import ManifestColumn
from headrace.models.score import score
from headrace.models.spec import FIXED

Floats = npt.NDArray[np.float64]
PARAMS = {
    "learning_rate": 0.1, "num_leaves": 31, "max_bin": 63, "min_data_in_leaf": 50,
    "feature_fraction": 0.7, "bagging_fraction": 0.8, "bagging_freq": 1, "cat_smooth": 20,
    "seed": 7,
}  # fmt: skip
ROUNDS, PATIENCE = 300, 20
VALIDATION_SHARE = 0.2  # share of the training rows (the last ones) used for early stopping


@dataclass(frozen=True)
class StudyScorer:
    """Model in LightGBM's text format, its input columns in order, and its fitted transforms."""

    text: str
    columns: tuple[ManifestColumn, ...]
    fits: Fits = field(hash=False)

    def __call__(self, frame: pa.Table) -> Floats:
        """Return the probability of 1 for each row (float64)."""
        return score(self.text, self.columns, self.fits, frame)

    def to_json(self) -> dict[str, Any]:
        columns = [asdict(column) for column in self.columns]
        return {"text": self.text, "columns": columns, "fits": self.fits.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "StudyScorer":
        columns = tuple(ManifestColumn(**column) for column in value["columns"])
        return cls(value["text"], columns, Fits.from_json(value["fits"]))


def learn(frame: pa.Table, label: npt.NDArray[np.int64], names: Sequence[str]) -> StudyScorer:
    """Train gradient-boosted trees on the columns `names` of `frame`, whose rows are time-ordered.

    Text columns are categorical. The last fifth of the rows is used for early stopping. The same
    rows and the same library version give the same bytes.
    """
    import lightgbm

    columns = tuple(
        ManifestColumn(name, canonical_type(frame.schema.field(name).type, name), "feature")
        for name in names
    )
    fits = fit(frame, [column.name for column in columns if column.type == "string"])
    matrix = encode(frame, columns, fits)
    cut = int(len(matrix) * (1 - VALIDATION_SHARE))
    places = [at for at, column in enumerate(columns) if column.type == "string"]
    params = {**PARAMS, **FIXED}
    # Columns are passed by position, because LightGBM refuses JSON characters in names.
    first = lightgbm.Dataset(
        matrix[:cut], label[:cut], categorical_feature=places, params=dict(params)
    )
    rest = lightgbm.Dataset(matrix[cut:], label[cut:], reference=first, params=dict(params))
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(params, first, ROUNDS, valid_sets=[rest], callbacks=[stop])
    text = booster.model_to_string(num_iteration=int(booster.best_iteration))
    return StudyScorer(text, columns, fits)
