"""What a dataset or a model learned of its columns: fitted once, kept exactly (rule 22).

A fit sees the training split only, as known at the training cut. It is a JSON object of the store,
listed in the manifest, and travels in the bundle of a model: training and serving apply it with the
same function, to one row as to millions, and nothing ever fits it again.
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
from headrace.datasets.manifest import Column

FORMAT = 2
Matrix = npt.NDArray[np.float64]
Step = Mapping[str, Any]


@dataclass(frozen=True)
class Fits:
    """By column, what is done to it, in order.

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
        """The columns whose values have places, not sizes."""
        return {
            name: tuple(steps[-1]["values"])
            for name, steps in self.steps.items()
            if steps and steps[-1]["kind"] == "vocabulary"
        }

    def indicators(self, columns: Sequence[Column]) -> list[str]:
        """Of these columns, those that a column of 0 and 1 says of where they were null."""
        return [
            column.name
            for column in columns
            if any(step.get("indicator") for step in self.steps.get(column.name, ()))
        ]

    def outputs(self, columns: Sequence[Column]) -> list[str]:
        """Names of what `encode` gives."""
        named = [f"{name}__missing" for name in self.indicators(columns)]
        return [*(column.name for column in columns), *named]

    @property
    def format(self) -> int:
        """1 where there is nothing but plain vocabularies, as all fits were once."""
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
        """Raises StateError for a newer format."""
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
    """The column (numbers as float64) after the steps that take values for nulls."""
    for step in steps:
        if step["kind"] != "impute":
            continue
        if pa.types.is_string(column.type):
            column = pc.fill_null(column, pa.scalar(step["value"], column.type))
        else:
            values = _numbers(column)
            column = pa.chunked_array([np.where(np.isnan(values), float(step["value"]), values)])
    return column


def encode(table: pa.Table, columns: Sequence[Column], fits: Fits) -> Matrix:
    """float64 [rows, outputs]; null, and a value that a vocabulary lacks, as NaN.

    The columns in order, then those that say where some of them were null. Raises DeclarationError
    for a column that is missing or of another type than in training.
    """
    marked = fits.indicators(columns)
    matrix = np.empty((table.num_rows, len(columns) + len(marked)))
    for place, column in enumerate(columns):
        found = _column(table, column)
        matrix[:, place] = apply_steps(found, fits.steps.get(column.name, ()))
        if column.name in marked:
            at = len(columns) + marked.index(column.name)
            matrix[:, at] = found.is_null(nan_is_null=True).to_numpy()
    return matrix


def apply_steps(column: pa.ChunkedArray, steps: Sequence[Step]) -> Matrix:
    """float64 [rows]: the column after its steps; each value hangs on its own row alone."""
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
    known = pa.array(step["values"], column.type)
    places: Matrix = (
        pc.index_in(column, value_set=known, skip_nulls=True).cast(pa.float64()).to_numpy()
    )
    if step["unknown"] == "null":
        return places
    missing = column.is_null().to_numpy()
    return np.where(np.isnan(places) & ~missing, float(len(known)), places)


def _column(table: pa.Table, column: Column) -> pa.ChunkedArray:
    if column.name not in table.column_names:
        raise DeclarationError(
            f"the model needs column {column.name!r}",
            where="encode",
            fix=f"the table has {', '.join(table.column_names)}",
        )
    found = table.column(column.name)
    if (kind := canonical_type(found.type, column.name)) != column.type:
        raise DeclarationError(
            f"column {column.name!r} is {kind}, the model was trained on {column.type}",
            where="encode",
            fix="cast it",
        )
    return found


def _numbers(column: pa.ChunkedArray) -> Matrix:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: Matrix = column.cast(pa.float64()).to_numpy()
    return values
