"""Files of a learner in a bundle: source, lock, and what training wrote.

    learner.json       declaration, lock, and the sha256 of each file below
    limits.json        deadlines and memory of the worker; not part of the bundle id
    source/...         copy of the team's source
    model/..., baseline/...   what training wrote

Training and predictions run from these files in a worker process, never from the checkout.
"""

import atexit
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.errors import LearnerError, StateError
from headrace.core.files import canonical_json, write_json
from headrace.core.home import project_root
from headrace.models.learners.declaration import CodeLearner, WorkerLimits
from headrace.models.learners.installed import lock, require_same, versions_of
from headrace.models.learners.source_tree import SourceFile, source_tree
from headrace.models.learners.worker import Worker
from headrace.models.learners.worker_task import WorkerTask

LEARNER, LIMITS, SOURCE = "learner.json", "limits.json", "source"
PARTS = ("model", "baseline")
FORMAT = 1
_SUM_TOLERANCE = 1e-4  # of probabilities, which may be float32
WARM = 4  # greatest number of warm workers of this process
Predictions = npt.NDArray[np.float64]


def learner_inputs(learner: CodeLearner) -> dict[str, Any]:
    """Return what determines the result of training besides the rows, as JSON values."""
    return {
        **learner.form(),
        "source": {
            file.name: file.sha256 for file in source_tree(learner.entry, learner.source).listing()
        },
        "packages": versions_of(learner.pinned_packages, learner.entry),
    }


def library_of(learner: CodeLearner) -> str:
    """Return the kind of the learner with the versions that it pins."""
    versions = versions_of(learner.pinned_packages, learner.entry)
    return ", ".join([learner.kind, *(f"{name} {version}" for name, version in versions.items())])


class LearnerTraining:
    """Training of a learner in `folder`, which then holds the learner's files of a bundle.

    Use it as a context manager: at its end the worker process is stopped.
    """

    def __init__(
        self,
        model: str,
        learner: CodeLearner,
        folder: Path,
        *,
        seed: int,
        task: str = "binary",
        classes: Sequence[Any] = (0, 1),
    ) -> None:
        self._learner, self.folder = learner, folder
        self.kind = learner.kind
        self._versions = versions_of(learner.pinned_packages, f"model {model}, {learner.entry}")
        self._tree = source_tree(learner.entry, learner.source)
        self._tree.write(folder / SOURCE)
        form = {
            **learner.form(),
            "format": FORMAT,
            "seed": seed,
            "task": task,
            "classes": list(classes),
        }
        self._form = form
        checkout = (*_project(), *self._tree.roots)
        self._task = _task(model, form, folder, checkout)
        self._worker = Worker(self._task, learner.limits)
        self._trained: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def train(self, part: str, rows: pa.Table, valid: pa.Table, label: str) -> None:
        """Train `part`; its process then ends, so that predictions need only the files.

        Raises:
            LearnerError: the code failed, or wrote no file.
        """
        target = self.folder / part
        target.mkdir(parents=True)
        self._worker.train(part, rows, valid, label)
        self._worker.stop()
        if not _listing(target):
            raise LearnerError(
                f"{self._learner.entry} wrote no file in training",
                where=self._task.where,
                fix="write the trained model to the folder that is the third argument",
            )

    def predict(self, part: str, rows: pa.Table) -> Predictions:
        return _predict(self._worker, part, rows)

    def finish(self) -> bytes:
        """Write the limits, and return the content of learner.json."""
        write_limits(self.folder, self._learner.limits)
        parts = {part: _listing(self.folder / part) for part in PARTS}
        form = {
            **self._form,
            "packages": self._versions,
            "lock": lock(),
            "files": {
                SOURCE: [file.to_json() for file in self._tree.listing()],
                **{part: [file.to_json() for file in files] for part, files in parts.items()},
            },
        }
        return canonical_json(form)


@dataclass(frozen=True)
class StoredLearner:
    """Learner of a bundle, ready to predict in a worker process."""

    model: str
    folder: Path
    form: Mapping[str, Any]

    @classmethod
    def open(cls, model: str, folder: Path) -> "StoredLearner":
        """Return the learner of the bundle in `folder`."""
        path = folder / LEARNER
        form = json.loads(path.read_text())
        if form["format"] > FORMAT:
            raise StateError(
                f"the learner has format {form['format']}, this Headrace reads up to {FORMAT}",
                where=str(path),
                fix="upgrade headrace",
            )
        return cls(model, folder, form)

    def predict(self, part: str, rows: pa.Table) -> Predictions:
        """Predict with `part`: float64 [rows], or [rows, classes] for several classes.

        Raises:
            LearnerError: the code failed or gave a wrong answer.
            StateError: a file was altered, or a pinned package has another version.
        """
        if not rows.num_rows:
            several = self.form["task"] == "multiclass"
            return np.empty((0, len(self.form["classes"])) if several else 0)
        return _predict(self._worker(), part, rows)

    def warm(self) -> None:
        """Start the worker process and load the model."""
        self._worker().load(PARTS[0])

    def verify(self) -> None:
        """Raise StateError if files were altered or added, or if a pinned package changed."""
        for part, files in self.form["files"].items():
            actual = [file.to_json() for file in _listing(self.folder / part)]
            if actual != files:
                raise StateError(
                    f"files of {part} were altered",
                    where=str(self.folder / part),
                    fix="restore them, or remove the folder of the bundle and train again",
                )
        require_same(self.form["packages"], self.form["lock"], f"model {self.model}")

    def _worker(self) -> Worker:
        with _LOCK:
            key = str(self.folder)
            if key not in _WORKERS:
                self.verify()
                task = _task(self.model, self.form, self.folder, _project())
                limits = WorkerLimits.from_json(json.loads((self.folder / LIMITS).read_text()))
                _WORKERS[key] = Worker(task, limits)
            _WORKERS.move_to_end(key)
            idle = [name for name, worker in _WORKERS.items() if name != key and not worker.is_busy]
            for name in idle[: max(len(_WORKERS) - WARM, 0)]:
                _WORKERS.pop(name).stop()
            return _WORKERS[key]


_WORKERS: OrderedDict[str, Worker] = OrderedDict()
_LOCK = threading.Lock()


def _forget_workers() -> None:
    """Leave the workers to the parent, after a fork."""
    global _LOCK  # noqa: PLW0603 - another thread of the parent may hold it
    _LOCK = threading.Lock()
    _WORKERS.clear()


os.register_at_fork(after_in_child=_forget_workers)


@atexit.register
def stop_workers() -> None:
    """End all warm worker processes; they start again when they are needed."""
    with _LOCK:
        for worker in _WORKERS.values():
            worker.stop()
        _WORKERS.clear()


def write_limits(folder: Path, limits: WorkerLimits) -> None:
    """Store the limits of a bundle's worker, unless they are stored already."""
    path = folder / LIMITS
    if not path.exists() or json.loads(path.read_text()) != limits.to_json():
        write_json(path, limits.to_json())


def _task(
    model: str, form: Mapping[str, Any], folder: Path, checkout: Sequence[Path]
) -> WorkerTask:
    return WorkerTask(
        model=model,
        kind=form["kind"],
        entry=form["entry"],
        params=form["params"],
        trusted=tuple(form.get("trusted", ())),
        threads=form["threads"],
        seed=form["seed"],
        task=form["task"],
        classes=tuple(form["classes"]),
        source=folder / SOURCE,
        folders={part: folder / part for part in PARTS},
        checkout=tuple(checkout),
    )


def _project() -> tuple[Path, ...]:
    root = project_root()
    return (root,) if (root / "pyproject.toml").exists() else ()


def _listing(folder: Path) -> list[SourceFile]:
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise LearnerError(
                f"{path.name} is a symbolic link", where=str(path), fix="write a copy of the file"
            )
        if path.is_file():
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            name = path.relative_to(folder).as_posix()
            files.append(SourceFile(name, sha256, path.stat().st_size))
    return sorted(files, key=lambda file: file.name)


def _predict(worker: Worker, part: str, rows: pa.Table) -> Predictions:
    """Return checked predictions: float64 [rows], or [rows, classes] for several classes."""
    table = worker.predict(part, rows)
    task = worker.task
    width = len(task.classes) if task.task == "multiclass" else 1

    def wrong(what: str, fix: str) -> LearnerError:
        return LearnerError(f"`predict` of {task.entry} {what}", where=task.where, fix=fix)

    if table.num_rows != rows.num_rows:
        raise wrong(
            f"returned {table.num_rows} values for {rows.num_rows} rows",
            "return one value for each row, in their order",
        )
    if table.num_columns != width:
        raise wrong(
            f"returned {table.num_columns} values for each row, not {width}",
            f"return one probability for each of the classes {list(task.classes)}, in this order"
            if width > 1
            else "return the probability of class 1 alone"
            if task.task == "binary"
            else "return one number for each row",
        )
    matrix = np.column_stack([column.to_numpy() for column in table.columns])
    outside = ~np.isfinite(matrix)
    if task.task != "regression":
        outside |= (matrix < 0) | (matrix > 1)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        kind = "a finite number" if task.task == "regression" else "a probability"
        raise wrong(
            f"returned {matrix[row, column]} for row {row}, which is not {kind}",
            f"return {kind} for every row, also for rows with nulls",
        )
    if width > 1 and (wrong_sum := np.abs(matrix.sum(axis=1) - 1) > _SUM_TOLERANCE).any():
        row = int(np.argmax(wrong_sum))
        raise wrong(
            f"returned probabilities for row {row} whose sum is {matrix[row].sum():.6g}",
            "return probabilities whose sum is 1 in each row",
        )
    predictions: Predictions = matrix if width > 1 else matrix[:, 0]
    return predictions
