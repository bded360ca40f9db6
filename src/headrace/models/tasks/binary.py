"""Task `binary`: the probability that a label is 1."""

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.models.metrics import (
    Bin,
    Floats,
    auc,
    average_precision,
    brier,
    calibration,
    calibration_error,
    log_loss,
    losses,
)
from headrace.models.tasks.base import PredictionTask, numbers


class Binary(PredictionTask):
    """Probability of label 1 among labels 0 and 1, with log loss (natural logarithm)."""

    name: ClassVar[str] = "binary"
    primary: ClassVar[str] = "log_loss"
    title: ClassVar[str] = "log loss"
    constant_name: ClassVar[str] = "the constant base rate"
    predicts: ClassVar[str] = "the probability of the target"
    reported: ClassVar[tuple[str, ...]] = (
        *("log_loss", "brier", "auc", "average_precision", "calibration_error"),
    )
    least_days: ClassVar[int] = 1

    @property
    def params(self) -> dict[str, Any]:
        return {"objective": "binary"}

    def observed(self, labels: pa.ChunkedArray, where: str) -> Floats:
        y = numbers(labels, "binary model", where, 'declare task="multiclass" for classes')
        if not np.isin(y, (0.0, 1.0)).all():
            outside = float(y[~np.isin(y, (0.0, 1.0))][0])
            raise DeclarationError(
                f"a label is {outside:g}, not 0 or 1",
                where=where,
                fix='declare task="regression" for numbers, task="multiclass" for classes',
            )
        return y

    def losses(self, y: Floats, p: Floats) -> Floats:
        return losses(y, p)

    def scores(self, y: Floats, p: Floats) -> dict[str, Any]:
        return {
            "log_loss": log_loss(y, p),
            "brier": brier(y, p),
            "auc": auc(y, p),
            "average_precision": average_precision(y, p),
            "calibration_error": calibration_error(calibration(y, p)),
            "mean_prediction": float(p.mean()),
            "observed": float(y.mean()),
        }

    def constant(self, y: Floats) -> float:
        return float(y.mean())

    def calibration(self, y: Floats, p: Floats) -> list[Bin]:
        return calibration(y, p)

    def counts(self, y: Floats) -> dict[str, Any]:
        return {"positives": int(y.sum())}

    def segment(self, y: Floats, model: Floats, baseline: Floats) -> dict[str, Any]:
        return {**super().segment(y, model, baseline), "auc": auc(y, model)}

    def monitored(self, labels: pa.ChunkedArray, p: Floats, where: str) -> dict[str, pa.Array]:
        """Return the score and the label of each row; null while the label is unknown."""
        del where
        return {"score": pa.array(p), "label": labels.cast(pa.int64())}

    def answer(self, p: Any) -> dict[str, Any]:  # noqa: ANN401 - a number
        return {"score": float(p)}

    @property
    def answer_schema(self) -> dict[str, dict[str, Any]]:
        return {"score": {"type": "number"}}

    def form(self) -> dict[str, Any]:
        return {}


BINARY = Binary()
