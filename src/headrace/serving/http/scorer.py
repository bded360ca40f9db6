"""Scorer that keeps the current champion in memory, and reloads it when the champion changes."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headrace.core.errors import HeadraceError, StateError
from headrace.core.home import Home
from headrace.datasets.fits.fits import Fits, encode
from headrace.datasets.manifest import ManifestColumn
from headrace.features.kernel.row_content import Cell
from headrace.models import ModelRecord, model_taints
from headrace.models.learners.bundle import StoredLearner
from headrace.models.learners.rows import learner_rows
from headrace.models.record import LIGHTGBM, load_record
from headrace.models.registry import pointer
from headrace.models.score import require_definitions
from headrace.models.tasks import BINARY, PredictionTask
from headrace.serving.vectors import Vector

_logger = logging.getLogger(__name__)
# Seconds between two checks for recalled training data.
LOOK_EVERY = 5.0
_TYPES = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class Loaded:
    """Model that is ready to score, with its trees or, in a worker process, the team's code."""

    record: ModelRecord
    fits: Fits
    trees: Any  # lightgbm.Booster, or None
    learner: StoredLearner | None = None

    @property
    def name(self) -> str:
        return f"{self.record.name}@{self.record.bundle_id}"

    def scores(self, vectors: Sequence[Vector]) -> list[Any]:
        """Return the prediction for each vector: a number, or a list of probabilities.

        Raises:
            LearnerError: the team's code failed, or gave a wrong answer.
        """
        rows = [{**vector.request, **vector.values, "t": vector.t} for vector in vectors]
        arrays = {column.name: _array(column, rows) for column in self.record.features}
        table, columns = pa.table(arrays), self.record.features
        if self.learner is not None:
            inputs = learner_rows(table, columns, self.fits, self.record.learner)
            return list(self.learner.predict("model", inputs).tolist())
        matrix = encode(table, columns, self.fits)
        scores: list[Any] = self.trees.predict(matrix).tolist()
        return scores


class Scorer:
    """Scores with the champion of model `name`; each call checks if the champion has changed.

    `task` is the declared task of the model, for descriptions.
    """

    def __init__(self, home: Home, name: str, task: PredictionTask = BINARY) -> None:
        self._home, self._name, self.task = home, name, task
        self._loaded: Loaded | None = None
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._checked: tuple[str, float] | None = None
        self._taints: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the model, without the bundle id."""
        return self._name

    def taints(self) -> tuple[str, ...]:
        """Return a sentence for each taint of the champion; cached for `LOOK_EVERY` seconds.

        A tainted model still answers, so that a recall does not take an endpoint down. The answers,
        the health check, the metrics and the process log report the taint until another model is
        promoted.
        """
        champion = pointer(self._home, self._name)
        if champion is None:
            return ()
        with self._looking:  # not `_lock`, which is held while a model loads
            now, checked = time.monotonic(), self._checked
            if checked and checked[0] == champion.bundle_id and now - checked[1] < LOOK_EVERY:
                return self._taints
            taints = self._look(champion.bundle_id)
            if taints != self._taints:
                for taint in taints:
                    _logger.warning(
                        "model %s is tainted but continues to answer: %s", self._name, taint
                    )
            self._checked, self._taints = (champion.bundle_id, now), taints
            return taints

    def _look(self, bundle: str) -> tuple[str, ...]:
        try:
            record = load_record(self._home, self._name, bundle)
            return tuple(map(str, model_taints(self._home, record)))
        except HeadraceError as error:
            return (f"its training data is unknown: {error.what}",)

    def current(self, definitions: Mapping[str, str]) -> Loaded:
        """Return the champion; `definitions` (view -> hash) are those of the vectors to score.

        Raises:
            DeclarationError: a view that the model uses has another definition than in training.
            StateError: there is no model, or its bundle is damaged.
            LearnerError: the worker process of the team's code cannot load the model.
        """
        champion = pointer(self._home, self._name)
        if champion is None:
            raise StateError(
                f"there is no current model {self._name} yet",
                where="serving",
                fix="train one: `headrace run`; or request features alone from /v1/vectors",
            )
        with self._lock:
            if self._loaded is None or self._loaded.record.bundle_id != champion.bundle_id:
                self._loaded = _load(load_record(self._home, self._name, champion.bundle_id))
            loaded = self._loaded
        require_definitions(loaded.record, definitions)
        return loaded


def _load(record: ModelRecord) -> Loaded:
    if record.learner != LIGHTGBM:
        learner = record.stored_learner()
        learner.warm()
        return Loaded(record, record.fits(), None, learner)
    import lightgbm

    return Loaded(record, record.fits(), lightgbm.Booster(model_str=record.text()))


def _array(column: ManifestColumn, rows: Sequence[Mapping[str, Cell]]) -> pa.Array:
    values = [row[column.name] for row in rows]
    if column.type == "float64":  # infinities are strings in JSON
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, _TYPES[column.type])
