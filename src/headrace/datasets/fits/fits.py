"""Fitted transforms of a dataset or a model: fitted once, stored exactly.

Transforms are fitted only on the training split, with the data known at the training cut. A fit is
a JSON object that the manifest lists; a model's bundle contains it too. Training and serving apply
it with the same function and never refit it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json, digest
from headrace.datasets.fits.transforms import Value
from headrace.datasets.hashing.content_hash import canonical_type
from headrace.datasets.manifest import ManifestColumn

FORMAT = 2
Matrix = npt.NDArray[np.float64]
Step = Mapping[str, Any]


@dataclass(frozen=True)
class Fits:
    """Steps of each column, in order.

    A step is one of

        {"kind": "impute", "value": 0.5, "indicator": false}
        {"kind": "scale", "center": 1.5, "scale": 2.0}
        {"kind": "quantile", "edges": [1.0, 2.0]}
        {"kind": "vocabulary", "values": ["a", "b"], "unknown": "null"}
    """

    steps: Mapping[str, tuple[Step, ...]] = field(hash=False)

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON."""
        return digest(self.to_json())

    @property
    def vocabularies(self) -> dict[str, tuple[Value, ...]]:
        """Vocabularies by column, for columns whose values are encoded as positions."""
        return {
            name: tuple(steps[-1]["values"])
            for name, steps in self.steps.items()
            if steps and steps[-1]["kind"] == "vocabulary"
        }

    def indicators(self, columns: Sequence[ManifestColumn]) -> list[str]:
        """Those of `columns` that get an indicator column, which is 1 for null and 0 otherwise."""
        return [
            column.name
            for column in columns
            if any(step.get("indicator") for step in self.steps.get(column.name, ()))
        ]

    def outputs(self, columns: Sequence[ManifestColumn]) -> list[str]:
        """Names of the columns of the matrix that `encode` returns."""
        indicator_names = [f"{name}__missing" for name in self.indicators(columns)]
        return [*(column.name for column in columns), *indicator_names]

    @property
    def format(self) -> int:
        """Format 1 if all steps are plain vocabularies, as in old fits; otherwise FORMAT."""
        plain = all(
            [step["kind"] for step in steps] == ["vocabulary"] and steps[0]["unknown"] == "null"
            for steps in self.steps.values()
        )
        return 1 if plain else FORMAT

    def to_json(self) -> dict[str, Any]:
        if self.format == 1:
            values = {name: list(values) for name, values in self.vocabularies.items()}
            return {"format": 1, "vocabularies": values}
        steps = {name: [dict(step) for step in steps] for name, steps in self.steps.items()}
        return {"format": FORMAT, "steps": steps}

    def to_bytes(self) -> bytes:
        return canonical_json(self.to_json())

    @classmethod
    def from_json(cls, form: Mapping[str, Any], where: str = "fits") -> "Fits":
        """Parse the output of `to_json`. Raises StateError for a newer format."""
        if form["format"] == 1:
            return cls({name: (_plain(values),) for name, values in form["vocabularies"].items()})
        if form["format"] > FORMAT:
            raise StateError(
                f"the fits have format {form['format']}, this Headrace reads up to {FORMAT}",
                where=where,
                fix="upgrade headrace",
            )
        return cls({name: tuple(steps) for name, steps in form["steps"].items()})

    def only(self, names: Iterable[str]) -> "Fits":
        return Fits({name: self.steps[name] for name in names if name in self.steps})


def _plain(values: Iterable[Value]) -> Step:
    return {"kind": "vocabulary", "values": list(values), "unknown": "null"}


def filled(column: pa.ChunkedArray, steps: Sequence[Step]) -> pa.ChunkedArray:
    """The column (numbers as float64) after its imputation steps."""
    for step in steps:
        if step["kind"] != "impute":
            continue
        if pa.types.is_string(column.type):
            column = pc.fill_null(column, pa.scalar(step["value"], column.type))
        else:
            values = _numbers(column)
            column = pa.chunked_array([np.where(np.isnan(values), float(step["value"]), values)])
    return column


def encode(table: pa.Table, columns: Sequence[ManifestColumn], fits: Fits) -> Matrix:
    """Encode a table as float64 [rows, outputs]; nulls and values not in a vocabulary become NaN.

    The outputs are `columns` in order, then the indicator columns. Raises DeclarationError for a
    column that is missing or has another type than in training.
    """
    marked = fits.indicators(columns)
    matrix = np.empty((table.num_rows, len(columns) + len(marked)))
    for place, column in enumerate(columns):
        cells = typed_column(table, column)
        matrix[:, place] = apply_steps(cells, fits.steps.get(column.name, ()))
        if column.name in marked:
            at = len(columns) + marked.index(column.name)
            matrix[:, at] = cells.is_null(nan_is_null=True).to_numpy()
    return matrix


def apply_steps(column: pa.ChunkedArray, steps: Sequence[Step]) -> Matrix:
    """Apply `steps` to a column: float64 [rows]. Each value depends only on its own row."""
    column = filled(column, steps)
    last: Step = steps[-1] if steps else {"kind": "impute"}
    if last["kind"] == "vocabulary":
        return _places(column, last)
    values = _numbers(column)
    if last["kind"] == "scale":
        scaled: Matrix = (values - last["center"]) / last["scale"]
        return scaled
    if last["kind"] == "quantile":
        edges = np.array(last["edges"])
        shares = np.searchsorted(edges, values, side="right") / len(edges)
        return np.where(np.isnan(values), np.nan, shares)
    return values


def _places(column: pa.ChunkedArray, step: Step) -> Matrix:
    vocabulary = pa.array(step["values"], column.type)
    places: Matrix = (
        pc.index_in(column, value_set=vocabulary, skip_nulls=True).cast(pa.float64()).to_numpy()
    )
    if step["unknown"] == "null":
        return places
    missing = column.is_null().to_numpy()
    return np.where(np.isnan(places) & ~missing, float(len(vocabulary)), places)


def typed_column(table: pa.Table, column: ManifestColumn) -> pa.ChunkedArray:
    """Return a column of `table`. Raises DeclarationError if it is missing or of another type."""
    if column.name not in table.column_names:
        raise DeclarationError(
            f"the model needs column {column.name!r}",
            where="encode",
            fix=f"the table has {', '.join(table.column_names)}",
        )
    cells = table.column(column.name)
    if (kind := canonical_type(cells.type, column.name)) != column.type:
        raise DeclarationError(
            f"column {column.name!r} is {kind}, the model was trained on {column.type}",
            where="encode",
            fix="cast it",
        )
    return cells


def _numbers(column: pa.ChunkedArray) -> Matrix:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: Matrix = column.cast(pa.float64()).to_numpy()
    return values
