"""Interface of a task; training, metrics, comparison, serving and monitors ask it, not its name."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError

Floats = npt.NDArray[np.float64]
Class = str | int


class PredictionTask(ABC):
    """Kind of prediction, for labels `y` and predictions `p` of the same length.

    `y` is float64: the label, or the number of its class. `p` is float64: one number per row, or
    for classes one row of probabilities per row.

    Attributes:
        name: task of the declaration.
        loss: loss of the declaration; None if the task has only one.
        primary: key of the mean loss in the metrics; it decides comparisons and promotions.
        title: name of the mean loss in sentences.
        constant_name: name of the constant prediction in sentences.
        predicts: what a prediction is, in sentences.
        reported: keys of the metrics in tables, most important first.
        least_days: number of UTC days with rows that a comparison needs to promote a model.
    """

    name: ClassVar[str]
    loss: ClassVar[str | None] = None
    primary: ClassVar[str]
    title: ClassVar[str]
    constant_name: ClassVar[str]
    predicts: ClassVar[str]
    reported: ClassVar[tuple[str, ...]]
    least_days: ClassVar[int] = 30

    @property
    @abstractmethod
    def params(self) -> dict[str, Any]:
        """LightGBM parameters that the task sets."""

    def fitted(self, labels: pa.ChunkedArray, where: str) -> "PredictionTask":
        """Return the task with what it learns from training labels; by default itself.

        Raises:
            DeclarationError: the labels do not fit the task; `where` names model and column.
        """
        self.observed(labels, where)
        return self

    @abstractmethod
    def observed(self, labels: pa.ChunkedArray, where: str) -> Floats:
        """Return labels as `y`.

        Raises:
            DeclarationError: a label does not fit the task; `where` names model and column.
        """

    def observed_leniently(self, labels: pa.ChunkedArray, where: str) -> Floats:
        """Return labels as `y`; a class that the model does not know counts as impossible to it."""
        return self.observed(labels, where)

    def can_learn(self, labels: pa.ChunkedArray, valid: pa.ChunkedArray) -> bool:
        """Return True if a model can be trained on `labels` and evaluated on `valid`."""
        del valid
        return len(pc.unique(labels)) > 1

    @abstractmethod
    def losses(self, y: Floats, p: Floats) -> Floats:
        """Return the loss of each row; its mean is the metric `primary`."""

    @abstractmethod
    def scores(self, y: Floats, p: Floats) -> dict[str, Any]:
        """Return the metrics of predictions as JSON values, including `primary` and `reported`."""

    @abstractmethod
    def constant(self, y: Floats) -> float | tuple[float, ...]:
        """Return the best prediction that is equal for all rows with training labels `y`."""

    @abstractmethod
    def calibration(self, y: Floats, p: Floats) -> Any:  # noqa: ANN401 - JSON
        """Return predictions and labels in bins of the prediction, for plots."""

    def counts(self, y: Floats) -> dict[str, Any]:
        """Return what labels are counted by, beside the number of rows."""
        del y
        return {}

    def details(self, y: Floats, p: Floats) -> dict[str, Any]:
        """Return parts of the evaluation that only this task has."""
        del y, p
        return {}

    def segment(self, y: Floats, model: Floats, baseline: Floats) -> dict[str, Any]:
        """Return the metrics of one segment."""
        return {
            "observed": float(y.mean()),
            "mean_prediction": float(model.mean()),
            self.primary: float(self.losses(y, model).mean()),
            f"baseline_{self.primary}": float(self.losses(y, baseline).mean()),
        }

    def margin(self, margin: float, loss: float) -> float:
        """Return a margin of the declaration in units of the loss; `loss` is the champion's."""
        del loss
        return margin

    def last_known(self, values: Floats, constant: float) -> Floats:
        """Return predictions from last known values; NaN becomes the constant prediction.

        Raises:
            DeclarationError: the last known value of this label is not a prediction.
        """
        raise DeclarationError(
            f"a last known value is not a prediction of the task {self.name}",
            where=f"last_value; last label {values[-1:]}, constant {constant}",
            fix='drop last_value, or declare task="regression"',
        )

    def monitored(self, labels: pa.ChunkedArray, p: Floats, where: str) -> dict[str, pa.Array]:
        """Return the columns by which a monitor judges predictions: `loss` and its companions.

        They are null for rows without a label. See `monitoring.profiles.prediction_losses`.

        Raises:
            DeclarationError: a label does not fit the task.
        """
        labelled = labels.is_valid().to_numpy()
        y, p = self.observed_leniently(labels.filter(pa.array(labelled)), where), p[labelled]
        columns = {}
        for name, values in {"loss": self.losses(y, p), **self.companions(y, p)}.items():
            spread = np.full(len(labelled), np.nan)
            spread[labelled] = values
            columns[name] = pa.array(spread)
        return columns

    def companions(self, y: Floats, p: Floats) -> dict[str, Floats]:
        """Return by row what a monitor needs beside the loss: `residual` or `promised`."""
        del y, p
        return {}

    @abstractmethod
    def answer(self, p: Any) -> dict[str, Any]:  # noqa: ANN401 - a number or a row of numbers
        """Return the prediction of one row as JSON values, as a server answers it."""

    def score(self, p: Any) -> float | None:  # noqa: ANN401 - a number or a row of numbers
        """Return the prediction of one row as a number; None if it is not one number."""
        return float(p)

    @property
    @abstractmethod
    def answer_schema(self) -> dict[str, dict[str, Any]]:
        """JSON schema of each value of `answer`."""

    def form(self) -> dict[str, Any]:
        """Return the task as JSON values, for the record of a bundle; {} for binary."""
        return {"name": self.name, **({"loss": self.loss} if self.loss else {})}


def label_place(model: str, target: str) -> str:
    """Return where an error about labels is: model and column."""
    return f"model {model}, label column {target}"


def numbers(labels: pa.ChunkedArray, task: str, where: str, fix: str) -> Floats:
    """Return number or boolean labels as float64.

    Raises:
        DeclarationError: the labels have another type, or one is missing or not finite.
    """
    kind = labels.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DeclarationError(f"a {kind} cannot be the label of a {task}", where=where, fix=fix)
    values: Floats = labels.cast(pa.float64()).to_numpy()
    if not np.isfinite(values).all():
        raise DeclarationError(
            f"{int((~np.isfinite(values)).sum())} labels are missing or not finite",
            where=where,
            fix="drop these rows from the dataset, or correct them in the contract",
        )
    return values
