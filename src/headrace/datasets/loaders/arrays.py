"""Columns of a release as numpy arrays that a learner takes, and what becomes of nulls and text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.manifest import Manifest
from headrace.datasets.names import choose
from headrace.datasets.store import Store
from headrace.errors import DeclarationError

Array = npt.NDArray[Any]
Form = Literal["xy", "columns"]
Nulls = float | Literal["nan", "refuse"]
Vocabularies = Mapping[str, Sequence[Any]]
X, Y = "x", "y"
_NUMBERS = ("float64", "int64", "bool")
_MOMENTS = ("timestamp", "local_timestamp", "date")


@dataclass(frozen=True)
class Encoder:
    """How rows become arrays.

    Attributes:
        types: the dtypes of all columns of the release.
        columns: the columns in the order of the arrays; for `xy` those of the matrix.
        target: the label's column, with `xy`; "" otherwise.
        form: `xy`: `x`, a matrix [rows, columns] of `dtype`, and `y` [rows], in the label's own
            dtype. `columns`: an array for each column; moments as int64 microseconds UTC, days as
            int64 days since 1970.
        dtype: of floating point; float32 holds whole numbers up to 2^24 exactly.
        nulls: what a null becomes: NaN, a number, or an error. There is no NaN among whole numbers:
            with `columns` a null there is an error, unless `nulls` is a number.
        vocabularies: the values of categorical columns; the code of a value is its place. With `xy`
            a value that is null or not in it is a null; with `columns` its code is the length of
            the vocabulary, so that an embedding of length + 1 holds all.
    """

    ref: str
    types: Mapping[str, str]
    columns: tuple[str, ...]
    target: str
    form: Form = "xy"
    dtype: str = "float32"
    nulls: Nulls = "nan"
    vocabularies: Vocabularies = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabularies", dict(self.vocabularies or {}))
        self._check_options()
        for name in self.columns:
            self._check_column(name)

    def _check_options(self) -> None:
        number = isinstance(self.nulls, int | float) and not isinstance(self.nulls, bool)
        for what, given, known in (
            ("form", self.form, ("xy", "columns")),
            ("dtype", self.dtype, ("float32", "float64")),
            ("nulls", "nan" if number else self.nulls, ("nan", "refuse")),
        ):
            if given not in known:
                raise DeclarationError(
                    f"there is no {what} {given!r}", where=self.ref, fix=choose(str(given), known)
                )
        if self.form == "xy" and not self.columns:
            raise DeclarationError(
                "no feature is selected", where=self.ref, fix='select some, or form="columns"'
            )

    def _check_column(self, name: str) -> None:
        kind = self.types[name]
        fine = (*_NUMBERS, *_MOMENTS) if self.form == "columns" else _NUMBERS
        if name in self.vocabularies or kind in fine:
            return
        others = ", ".join(f'"{one}"' for one in self.columns if one != name)
        fixes = [f"leave it out: select(columns=[{others}])"]
        if kind in _MOMENTS:
            fixes.append('form="columns" gives it as int64')
        else:
            fixes.append(f'give its values, in order: vocabularies={{"{name}": [...]}}')
        raise DeclarationError(
            f"column {name!r} is {kind}, which is no number, and no fit of the release has a"
            " vocabulary of it",
            where=self.ref,
            fix="; or ".join(fixes),
        )

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that must be read."""
        return tuple(dict.fromkeys((*self.columns, *([self.target] if self.target else []))))

    def encode(self, table: pa.Table) -> dict[str, Array]:
        """Arrays by name. Raises DeclarationError for a null where none may be."""
        if self.form == "columns":
            return {name: self._alone(table.column(name), name) for name in self.columns}
        matrix = np.empty((table.num_rows, len(self.columns)), self.dtype)
        for place, name in enumerate(self.columns):
            matrix[:, place] = self._in_matrix(table.column(name), name)
        return {X: matrix, Y: self._whole(table.column(self.target), self.target, None)}

    def _in_matrix(self, column: pa.ChunkedArray, name: str) -> Array:
        if name in self.vocabularies:
            column = self._codes(column, name)
        if column.null_count:
            column = self._filled(column.cast(pa.float64()), name)
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        found: Array = column.to_numpy()
        return found

    def _alone(self, column: pa.ChunkedArray, name: str) -> Array:
        if name in self.vocabularies:
            return self._whole(self._codes(column, name), name, len(self.vocabularies[name]))
        if self.types[name] == "float64":
            filled = self._filled(column, name) if column.null_count else column
            found: Array = filled.to_numpy().astype(self.dtype)
            return found
        return self._whole(column, name, None if isinstance(self.nulls, str) else self.nulls)

    def _filled(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        """A column of floats without nulls, as `nulls` says; arrays show a null as NaN."""
        if self.nulls == "refuse":
            raise self._null(name, column.null_count)
        return column if isinstance(self.nulls, str) else pc.fill_null(column, float(self.nulls))

    def _whole(self, column: pa.ChunkedArray, name: str, fill: float | None) -> Array:
        """A column without nulls in its own dtype; moments as int64."""
        if column.null_count and fill is None:
            raise self._null(name, column.null_count)
        if pa.types.is_date(column.type):
            column = column.cast(pa.int32())
        if not pa.types.is_floating(column.type) and not pa.types.is_boolean(column.type):
            column = column.cast(pa.int64())
        if column.null_count:
            column = pc.fill_null(column, pa.scalar(fill, pa.float64()).cast(column.type))
        found: Array = column.to_numpy()
        return found.astype(self.dtype) if pa.types.is_floating(column.type) else found

    def _codes(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        values = pa.array(self.vocabularies[name], column.type)
        return pc.index_in(column, value_set=values, skip_nulls=True)

    def _null(self, name: str, count: int) -> DeclarationError:
        return DeclarationError(
            f"column {name!r} has {count:,} nulls, and no value is said to stand for them",
            where=self.ref,
            fix=f'say one: nulls=-1; or leave them out: select(where=("{name}", "is not null"))',
        )


def vocabularies_of(store: Store, manifest: Manifest) -> dict[str, tuple[Any, ...]]:
    """The vocabularies among the fits of a release, by column: fitted on its training rows."""
    found: dict[str, tuple[Any, ...]] = {}
    for digest in manifest.fits.values():
        form = store.get_json(digest)
        listed = form.get("vocabularies", {}) if isinstance(form, dict) else {}
        found |= {str(name): tuple(values) for name, values in listed.items()}
    return found
