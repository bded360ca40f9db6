"""The model in charge, kept in memory for as long as it is in charge."""

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
from headrace.datasets.manifest import Column
from headrace.features.kernel.row_content import Cell
from headrace.models import ModelRecord, model_taints
from headrace.models.record import load_record
from headrace.models.registry import pointer
from headrace.models.score import require_definitions
from headrace.serving.vectors import Vector

_logger = logging.getLogger(__name__)
# A recall is told by every server within so many seconds; between them it costs nothing.
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
    """A model, ready to score."""

    record: ModelRecord
    fits: Fits
    trees: Any  # lightgbm.Booster

    @property
    def name(self) -> str:
        return f"{self.record.name}@{self.record.bundle_id}"

    def scores(self, vectors: Sequence[Vector]) -> list[float]:
        """Probability of the target for each vector."""
        rows = [{**vector.request, **vector.values, "t": vector.t} for vector in vectors]
        arrays = {column.name: _array(column, rows) for column in self.record.features}
        matrix = encode(pa.table(arrays), self.record.features, self.fits)
        return [float(score) for score in self.trees.predict(matrix)]


class Scorer:
    """The champion of `name` under `home`; each use looks whether it is another one now."""

    def __init__(self, home: Home, name: str) -> None:
        self._home, self._name = home, name
        self._loaded: Loaded | None = None
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._looked: tuple[str, float] | None = None
        self._taints: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the model, whichever bundle is in charge."""
        return self._name

    def taints(self) -> tuple[str, ...]:
        """What taints the model in charge, a sentence each; looked at every few seconds.

        It goes on answering: an endpoint must not fall silent because of a recall. It says so in
        its answers, its health, its metrics and its log, until another model is in charge.
        """
        champion = pointer(self._home, self._name)
        if champion is None:
            return ()
        with self._looking:  # not the other lock, under which a model may be loading
            now, looked = time.monotonic(), self._looked
            if looked and looked[0] == champion.bundle_id and now - looked[1] < LOOK_EVERY:
                return self._taints
            taints = self._look(champion.bundle_id)
            if taints != self._taints:
                for one in taints:
                    _logger.warning(
                        "model %s is tainted and goes on answering: %s", self._name, one
                    )
            self._looked, self._taints = (champion.bundle_id, now), taints
            return taints

    def _look(self, bundle: str) -> tuple[str, ...]:
        try:
            record = load_record(self._home, self._name, bundle)
            return tuple(map(str, model_taints(self._home, record)))
        except HeadraceError as error:
            return (f"it cannot be told what it was trained on: {error.what}",)

    def current(self, definitions: Mapping[str, str]) -> Loaded:
        """The model in charge; `definitions` (view -> hash) are those of the vectors it is to see.

        Raises:
            DeclarationError: a view that the model uses had another definition in training.
            StateError: there is no model, or its bundle is damaged.
        """
        champion = pointer(self._home, self._name)
        if champion is None:
            raise StateError(
                f"no model {self._name} is in charge yet",
                where="serving",
                fix="train one: `headrace run`; features alone are at /v1/vectors",
            )
        with self._lock:
            if self._loaded is None or self._loaded.record.bundle_id != champion.bundle_id:
                self._loaded = _load(load_record(self._home, self._name, champion.bundle_id))
            loaded = self._loaded
        require_definitions(loaded.record, definitions)
        return loaded


def _load(record: ModelRecord) -> Loaded:
    import lightgbm

    return Loaded(record, record.fits(), lightgbm.Booster(model_str=record.text()))


def _array(column: Column, rows: Sequence[Mapping[str, Cell]]) -> pa.Array:
    values = [row[column.name] for row in rows]
    if column.type == "float64":  # infinities are texts in JSON
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, _TYPES[column.type])
