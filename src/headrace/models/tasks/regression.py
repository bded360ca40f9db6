"""Task `regression`: a number, with squared, absolute or Poisson loss."""

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.models.metrics import Bin, Floats
from headrace.models.tasks.base import PredictionTask, numbers

_BINS, _RESIDUAL_BINS = 10, 20
_SMALLEST_MEAN = 1e-9  # of a Poisson prediction
# A count of 0 does not say that no event is possible. A last count of 0 predicts a half, the mean
# of the rate under Jeffreys' prior.
_SMALLEST_COUNT = 0.5


class Regression(PredictionTask):
    """Number, with squared loss: the model predicts the mean.

    Margins are shares of the champion's loss, because the unit of the loss depends on the label.
    """

    name: ClassVar[str] = "regression"
    loss: ClassVar[str | None] = "squared"
    primary: ClassVar[str] = "mse"
    title: ClassVar[str] = "mean squared error"
    constant_name: ClassVar[str] = "the mean"
    predicts: ClassVar[str] = "the number that is expected of the target"
    reported: ClassVar[tuple[str, ...]] = ("rmse", "mae", "bias")

    @property
    def params(self) -> dict[str, Any]:
        return {"objective": "regression"}

    def observed(self, labels: pa.ChunkedArray, where: str) -> Floats:
        return numbers(labels, "regression", where, 'declare task="multiclass" for classes')

    def losses(self, y: Floats, p: Floats) -> Floats:
        squares: Floats = np.square(y - p)
        return squares

    def scores(self, y: Floats, p: Floats) -> dict[str, Any]:
        mse = float(np.square(y - p).mean())
        return {
            "mse": mse,
            "rmse": float(np.sqrt(mse)),
            "mae": float(np.abs(y - p).mean()),
            "bias": float((p - y).mean()),
            "mean_prediction": float(p.mean()),
            "observed": float(y.mean()),
        }

    def constant(self, y: Floats) -> float:
        return float(y.mean())

    def calibration(self, y: Floats, p: Floats) -> list[Bin]:
        """Return mean prediction and mean label in ten bins with equal numbers of rows."""
        order = np.argsort(p, kind="stable")
        return [
            Bin(
                low=float(p[rows[0]]),
                high=float(p[rows[-1]]),
                rows=len(rows),
                mean_prediction=float(p[rows].mean()),
                observed=float(y[rows].mean()),
            )
            for rows in np.array_split(order, _BINS)
            if len(rows)
        ]

    def details(self, y: Floats, p: Floats) -> dict[str, Any]:
        """Return a histogram of the residuals, label minus prediction, without the outer 2 %."""
        residual = y - p
        low, high = np.quantile(residual, [0.01, 0.99])
        counts, edges = np.histogram(residual, _RESIDUAL_BINS, (low, high))
        return {"residuals": {"edges": edges.tolist(), "rows": counts.tolist()}}

    def margin(self, margin: float, loss: float) -> float:
        return margin * loss

    def last_known(self, values: Floats, constant: float) -> Floats:
        return np.where(np.isnan(values), constant, values)

    def companions(self, y: Floats, p: Floats) -> dict[str, Floats]:
        return {"residual": y - p}

    def answer(self, p: Any) -> dict[str, Any]:  # noqa: ANN401 - a number
        return {"prediction": float(p)}

    @property
    def answer_schema(self) -> dict[str, dict[str, Any]]:
        return {"prediction": {"type": "number"}}


class AbsoluteRegression(Regression):
    """Number, with absolute loss: the model predicts the median."""

    loss: ClassVar[str | None] = "absolute"
    primary: ClassVar[str] = "mae"
    title: ClassVar[str] = "mean absolute error"
    constant_name: ClassVar[str] = "the median"
    reported: ClassVar[tuple[str, ...]] = ("mae", "rmse", "bias")

    @property
    def params(self) -> dict[str, Any]:
        return {"objective": "regression_l1"}

    def losses(self, y: Floats, p: Floats) -> Floats:
        distances: Floats = np.abs(y - p)
        return distances

    def constant(self, y: Floats) -> float:
        return float(np.median(y))


class PoissonRegression(Regression):
    """Count, or another number that is not negative, with Poisson deviance as loss."""

    loss: ClassVar[str | None] = "poisson"
    primary: ClassVar[str] = "poisson_deviance"
    title: ClassVar[str] = "mean Poisson deviance"
    reported: ClassVar[tuple[str, ...]] = ("poisson_deviance", "rmse", "mae", "bias")

    @property
    def params(self) -> dict[str, Any]:
        return {"objective": "poisson"}

    def fitted(self, labels: pa.ChunkedArray, where: str) -> PredictionTask:
        if not self.observed(labels, where).any():
            raise DeclarationError(
                "all training labels are 0", where=where, fix="widen the training split"
            )
        return self

    def observed(self, labels: pa.ChunkedArray, where: str) -> Floats:
        y = super().observed(labels, where)
        if len(y) and y.min() < 0:
            raise DeclarationError(
                f"a label is {float(y.min()):g}, and a Poisson loss needs labels of at least 0",
                where=where,
                fix='declare loss="squared" or loss="absolute"',
            )
        return y

    def losses(self, y: Floats, p: Floats) -> Floats:
        mean = np.maximum(p, _SMALLEST_MEAN)
        logs = y * np.log(np.where(y > 0, y, 1.0) / mean)
        deviances: Floats = 2 * np.where(y > 0, logs - y + mean, mean)
        return deviances

    def scores(self, y: Floats, p: Floats) -> dict[str, Any]:
        return {"poisson_deviance": float(self.losses(y, p).mean()), **super().scores(y, p)}

    def last_known(self, values: Floats, constant: float) -> Floats:
        return super().last_known(np.maximum(values, _SMALLEST_COUNT), constant)
