"""Parts of a model that a team's code has trained, before they are stored."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.datasets.fits.fits import Fits
from headrace.datasets.manifest import ManifestColumn
from headrace.models.learners.bundle import LearnerTraining
from headrace.models.learners.rows import learner_rows
from headrace.models.tasks import Floats, PredictionTask

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from headrace.models.spec import ModelSpec

_PREFIX = ".training-"


@dataclass(frozen=True)
class LearnedPart:
    """Model or baseline that the team's code has trained; it predicts from the stored files."""

    columns: tuple[ManifestColumn, ...]
    training: LearnerTraining
    part: str
    rounds: int = 0
    gain: Mapping[str, float] = field(default_factory=dict, hash=False)

    def forecast(self, fits: Fits, table: pa.Table) -> Floats:
        rows = learner_rows(table, self.columns, fits, self.training.kind)
        return self.training.predict(self.part, rows)


def learn(
    training: LearnerTraining,
    part: str,
    columns: tuple[ManifestColumn, ...],
    tables: tuple[pa.Table, pa.Table],
    fits: Fits,
    *,
    labels: tuple[str, pa.DataType | None],
) -> LearnedPart:
    """Train `part` on the first of the `tables`; the second has the rows of the valid split.

    `labels` are the label column and the type in which the code gets it; None for its own type.
    """
    name, kind = labels
    rows, valid = (
        learner_rows(table, columns, fits, training.kind).append_column(
            name, table.column(name).cast(kind or table.column(name).type)
        )
        for table in tables
    )
    training.train(part, rows, valid, name)
    return LearnedPart(columns, training, part)


def label_type(task: PredictionTask) -> pa.DataType | None:
    """Return the type of labels for the team's code; None for the type of the release."""
    return {"binary": pa.int64(), "regression": pa.float64()}.get(task.name)


def learning(
    spec: "ModelSpec", task: PredictionTask, beside: Path | None = None
) -> "AbstractContextManager[LearnerTraining | None]":
    """Return a context of one training of the team's code; None within it for LightGBM.

    Its temporary folder lies in `beside`, or where the system keeps temporary files.
    """
    return nullcontext() if spec.code is None else _learning(spec, task, beside)


@contextmanager
def _learning(
    spec: "ModelSpec", task: PredictionTask, beside: Path | None
) -> Iterator[LearnerTraining]:
    if spec.code is None:
        raise AssertionError(spec)
    classes = (0, 1) if task.name == "binary" else tuple(task.form().get("classes", ()))
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
        _remove_remains(beside)
    with (
        tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=beside) as folder,
        LearnerTraining(
            spec.name, spec.code, Path(folder), seed=spec.seed, task=task.name, classes=classes
        ) as training,
    ):
        yield training


def _remove_remains(folder: Path) -> None:
    """Remove the files of trainings whose process was killed."""
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            os.kill(int(path.name.removeprefix(_PREFIX).partition("-")[0]), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:  # of another user, and alive
            continue
