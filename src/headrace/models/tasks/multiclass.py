"""Task `multiclass`: the probability of each class, with log loss."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.models.metrics import CLIP, Bin, Floats, calibration, calibration_error
from headrace.models.tasks.base import Class, PredictionTask

_LISTED = 5  # classes that an error names


@dataclass(frozen=True)
class Multiclass(PredictionTask):
    """Probability of each of `classes`, with log loss (natural logarithm).

    The classes are the distinct training labels in ascending order; () before training. A class is
    a text or an integer.
    """

    classes: tuple[Class, ...] = ()

    name: ClassVar[str] = "multiclass"
    primary: ClassVar[str] = "log_loss"
    title: ClassVar[str] = "log loss"
    constant_name: ClassVar[str] = "the shares of the classes"
    predicts: ClassVar[str] = "the most probable class, and the probability of each class"
    reported: ClassVar[tuple[str, ...]] = ("log_loss", "accuracy", "calibration_error")

    @property
    def params(self) -> dict[str, Any]:
        count = {"num_class": len(self.classes)} if self.classes else {}
        return {"objective": "multiclass", **count}

    def fitted(self, labels: pa.ChunkedArray, where: str) -> PredictionTask:
        classes = tuple(sorted(pc.unique(_checked(labels, where)).to_pylist()))
        if len(classes) < 2:
            raise DeclarationError(
                f"all training labels are {classes[0]!r}" if classes else "there are no labels",
                where=where,
                fix="widen the training split, so that it has at least two classes",
            )
        return Multiclass(classes)

    def observed(self, labels: pa.ChunkedArray, where: str) -> Floats:
        y = self.observed_leniently(labels, where)
        if (y < 0).any():
            absent = pc.unique(labels.filter(pa.array(y < 0))).to_pylist()
            choices = ", ".join(map(repr, self.classes[:_LISTED]))
            raise DeclarationError(
                f"{int((y < 0).sum())} labels are of classes that the training rows lack: "
                f"{', '.join(map(repr, absent[:_LISTED]))}",
                where=where,
                fix=f"move the splits so that training has them; it has {choices}"
                f"{', ...' if len(self.classes) > _LISTED else ''}",
            )
        return y

    def observed_leniently(self, labels: pa.ChunkedArray, where: str) -> Floats:
        """Return class numbers; -1 for a class that is not in `classes`."""
        checked = _checked(labels, where)
        if isinstance(self.classes[0], str) != bool(pa.types.is_string(checked.type)):
            raise DeclarationError(
                f"the labels are {labels.type}, the classes of the model are "
                f"{type(self.classes[0]).__name__}",
                where=where,
                fix="release the label with the type of the training release",
            )
        values = pa.array(self.classes, checked.type)
        places: Floats = (
            pc.index_in(checked, value_set=values).fill_null(-1).cast(pa.float64()).to_numpy()
        )
        return places

    def can_learn(self, labels: pa.ChunkedArray, valid: pa.ChunkedArray) -> bool:
        classes = set(pc.unique(labels).to_pylist())
        return len(classes) > 1 and classes >= set(pc.unique(valid).to_pylist())

    def losses(self, y: Floats, p: Floats) -> Floats:
        place = y.astype(np.int64)
        likelihood = np.where(place < 0, 0.0, p[np.arange(len(y)), np.maximum(place, 0)])
        row_losses: Floats = -np.log(np.clip(likelihood, CLIP, 1))
        return row_losses

    def scores(self, y: Floats, p: Floats) -> dict[str, Any]:
        by_class = {
            str(name): {
                "rows": int((y == at).sum()),
                "observed": float((y == at).mean()),
                "mean_prediction": float(p[:, at].mean()),
                "calibration_error": calibration_error(self._bins(y, p, at)),
            }
            for at, name in enumerate(self.classes)
        }
        errors = [row["calibration_error"] for row in by_class.values()]
        return {
            "log_loss": float(self.losses(y, p).mean()),
            "accuracy": _accuracy(y, p),
            "calibration_error": float(np.mean(errors)),
            "classes": by_class,
        }

    def constant(self, y: Floats) -> tuple[float, ...]:
        shares = np.bincount(y.astype(np.int64), minlength=len(self.classes)) / len(y)
        return tuple(shares.tolist())

    def calibration(self, y: Floats, p: Floats) -> dict[str, list[Bin]]:
        return {str(name): self._bins(y, p, at) for at, name in enumerate(self.classes)}

    def _bins(self, y: Floats, p: Floats, at: int) -> list[Bin]:
        return calibration((y == at).astype(np.float64), p[:, at])

    def counts(self, y: Floats) -> dict[str, Any]:
        return {
            "classes": {str(name): int((y == at).sum()) for at, name in enumerate(self.classes)}
        }

    def segment(self, y: Floats, model: Floats, baseline: Floats) -> dict[str, Any]:
        return {
            "accuracy": _accuracy(y, model),
            "log_loss": float(self.losses(y, model).mean()),
            "baseline_log_loss": float(self.losses(y, baseline).mean()),
        }

    def companions(self, y: Floats, p: Floats) -> dict[str, Floats]:
        """Return the loss that the probabilities imply: the mean loss of labels drawn with them."""
        del y
        return {"promised": -(p * np.log(np.clip(p, CLIP, 1))).sum(axis=1)}

    def answer(self, p: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of probabilities
        probabilities = {
            str(name): float(value) for name, value in zip(self.classes, p, strict=True)
        }
        return {"class": self.classes[int(np.argmax(p))], "probabilities": probabilities}

    def score(self, p: Any) -> None:  # noqa: ANN401 - a row of probabilities
        del p

    @property
    def answer_schema(self) -> dict[str, dict[str, Any]]:
        numbers = {"type": "object", "additionalProperties": {"type": "number"}}
        return {"class": {"type": ["string", "integer"]}, "probabilities": numbers}

    def form(self) -> dict[str, Any]:
        return {**super().form(), "classes": list(self.classes)}


def _accuracy(y: Floats, p: Floats) -> float:
    """Share of rows whose most probable class is the label; the first class in a tie."""
    return float((p.argmax(axis=1) == y).mean())


def _checked(labels: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return labels as string or int64.

    Raises:
        DeclarationError: the labels have another type, or one is missing.
    """
    kind = labels.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)):
        raise DeclarationError(
            f"a {kind} cannot be a class",
            where=where,
            fix='make the label a text or an integer, or declare task="regression"',
        )
    if labels.null_count:
        raise DeclarationError(
            f"{labels.null_count} labels are missing",
            where=where,
            fix="drop these rows from the dataset, or correct them in the contract",
        )
    return labels if pa.types.is_string(kind) else labels.cast(pa.int64())
