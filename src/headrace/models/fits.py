"""What a model learned about its columns before the trees: vocabularies, fitted once, kept exactly.

A fit sees the training split only (rule 22) and travels in the bundle; serving never refits it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.content_hash import canonical_type
from headrace.datasets.manifest import Column
from headrace.errors import DeclarationError
from headrace.files import canonical_json, digest

Matrix = npt.NDArray[np.float64]
Value = str | int | bool


@dataclass(frozen=True)
class Fits:
    """Per categorical column its values in ascending order; a value's code is its place."""

    vocabularies: Mapping[str, tuple[Value, ...]]

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "vocabularies": {name: list(values) for name, values in self.vocabularies.items()},
        }

    def to_bytes(self) -> bytes:
        return canonical_json(self.to_json())

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "Fits":
        return cls({name: tuple(values) for name, values in form["vocabularies"].items()})


def fit(train: pa.Table, categorical: Sequence[str]) -> Fits:
    """Vocabularies of `categorical` over the training rows; nulls are no value."""
    found = {name: pc.unique(train.column(name)).drop_null() for name in sorted(categorical)}
    return Fits({name: tuple(sorted(values.to_pylist())) for name, values in found.items()})


def encode(table: pa.Table, columns: Sequence[Column], fits: Fits) -> Matrix:
    """float64 [rows, columns]; null, and a value the vocabulary lacks, as NaN.

    Raises DeclarationError for a column that is missing or of another type than in training.
    """
    matrix = np.empty((table.num_rows, len(columns)))
    for place, column in enumerate(columns):
        matrix[:, place] = _numbers(_column(table, column), fits.vocabularies.get(column.name))
    return matrix


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


def _numbers(column: pa.ChunkedArray, vocabulary: tuple[Value, ...] | None) -> Matrix:
    if vocabulary is not None:
        column = pc.index_in(column, value_set=pa.array(vocabulary, column.type), skip_nulls=True)
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: Matrix = column.cast(pa.float64()).to_numpy()
    return values
