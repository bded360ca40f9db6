"""Columns of a release as numpy arrays for training, with rules for nulls and text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.datasets.fits.fits import Fits, apply_steps
from headrace.datasets.fits.release_fits import fits_of
from headrace.datasets.manifest import Manifest, ManifestColumn
from headrace.datasets.store.store import Store
from headrace.datasets.vocabulary import choose

Array = npt.NDArray[Any]
Form = Literal["xy", "columns"]
Nulls = float | Literal["nan", "refuse"]
NO_FITS = Fits({})
X, Y = "x", "y"
_NUMBERS = ("float64", "int64", "bool")
_MOMENTS = ("timestamp", "local_timestamp", "date")


@dataclass(frozen=True)
class Encoder:
    """Rules for encoding rows as arrays.

    Attributes:
        types: the dtypes of all columns of the release.
        columns: columns to encode, in order; with `xy`, the feature columns of the matrix.
        target: the label column with `xy`; "" otherwise.
        form: `xy` gives `x`, a matrix [rows, columns] of `dtype`, and `y` [rows] in the label's own
            dtype. `columns` gives an array for each column; timestamps become int64 microseconds
            UTC, dates int64 days since 1970.
        dtype: floating point type; float32 holds whole numbers up to 2^24 exactly.
        nulls: handling of nulls: NaN, a replacement number, or an error. Integers have no NaN: with
            `columns`, a null in an integer column is an error unless `nulls` is a number.
        fits: transforms fitted on training rows. With `xy` all steps of a column apply, as in a
            Headrace model, and values that are null or not in the vocabulary become NaN. With
            `columns` only vocabularies apply; values that are null or not in the vocabulary get its
            length as their code, so that an embedding of length + 1 holds all codes.
    """

    ref: str
    types: Mapping[str, str]
    columns: tuple[str, ...]
    target: str
    form: Form = "xy"
    dtype: str = "float32"
    nulls: Nulls = "nan"
    fits: Fits = NO_FITS

    def __post_init__(self) -> None:
        self._check_options()
        for name in self.columns:
            self._check_column(name)

    def _check_options(self) -> None:
        number = isinstance(self.nulls, int | float) and not isinstance(self.nulls, bool)
        for what, choice, choices in (
            ("form", self.form, ("xy", "columns")),
            ("dtype", self.dtype, ("float32", "float64")),
            ("nulls", "nan" if number else self.nulls, ("nan", "refuse")),
        ):
            if choice not in choices:
                raise DeclarationError(
                    f"there is no {what} {choice!r}",
                    where=self.ref,
                    fix=choose(str(choice), choices),
                )
        if self.form == "xy" and not self.columns:
            raise DeclarationError(
                "no feature is selected", where=self.ref, fix='select some, or form="columns"'
            )

    def _check_column(self, name: str) -> None:
        kind = self.types[name]
        fine = (*_NUMBERS, *_MOMENTS) if self.form == "columns" else _NUMBERS
        if name in self.fits.vocabularies or kind in fine:
            return
        quoted = ", ".join(f'"{column}"' for column in self.columns if column != name)
        fixes = [f"leave it out: select(columns=[{quoted}])"]
        if kind in _MOMENTS:
            fixes.append('form="columns" gives it as int64')
        else:
            fixes.append(f'give its values, in order: vocabularies={{"{name}": [...]}}')
        raise DeclarationError(
            f"column {name!r} is {kind}, which is not a number, and no fit of the release has a"
            " vocabulary for it",
            where=self.ref,
            fix="; or ".join(fixes),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output columns: of the matrix, in order, or of the dict."""
        xy = self.form == "xy"
        return tuple(self.fits.outputs(self._columns())) if xy else self.columns

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that must be read."""
        return tuple(dict.fromkeys((*self.columns, *([self.target] if self.target else []))))

    def encode(self, table: pa.Table) -> dict[str, Array]:
        """Arrays by name. Raises DeclarationError for a null that is not allowed."""
        if self.form == "columns":
            return {name: self._column_array(table.column(name), name) for name in self.columns}
        columns = self._columns()
        marked = self.fits.indicators(columns)
        matrix = np.empty((table.num_rows, len(columns) + len(marked)), self.dtype)
        for place, name in enumerate(self.columns):
            values = apply_steps(table.column(name), self.fits.steps.get(name, ()))
            matrix[:, place] = self._without_nan(values, name)
        for place, name in enumerate(marked, len(columns)):
            matrix[:, place] = table.column(name).is_null(nan_is_null=True).to_numpy()
        return {X: matrix, Y: self._plain_array(table.column(self.target), self.target, None)}

    def _columns(self) -> list[ManifestColumn]:
        return [ManifestColumn(name, self.types[name], "") for name in self.columns]

    def _without_nan(self, values: Array, name: str) -> Array:
        if self.nulls == "nan" or not (missing := np.isnan(values)).any():
            return values
        if self.nulls == "refuse":
            raise self._null(name, int(missing.sum()))
        return np.where(missing, float(self.nulls), values)

    def _column_array(self, column: pa.ChunkedArray, name: str) -> Array:
        if name in self.fits.vocabularies:
            return self._plain_array(
                self._codes(column, name), name, len(self.fits.vocabularies[name])
            )
        if self.types[name] == "float64":
            return self._without_nan(column.to_numpy(), name).astype(self.dtype)
        return self._plain_array(column, name, None if isinstance(self.nulls, str) else self.nulls)

    def _plain_array(self, column: pa.ChunkedArray, name: str, fill: float | None) -> Array:
        """A column as an array in its own dtype, nulls replaced by `fill`; timestamps as int64."""
        if column.null_count and fill is None:
            raise self._null(name, column.null_count)
        if pa.types.is_date(column.type):
            column = column.cast(pa.int32())
        if not pa.types.is_floating(column.type) and not pa.types.is_boolean(column.type):
            column = column.cast(pa.int64())
        if column.null_count:
            column = pc.fill_null(column, pa.scalar(fill, pa.float64()).cast(column.type))
        array: Array = column.to_numpy()
        return array.astype(self.dtype) if pa.types.is_floating(column.type) else array

    def _codes(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        values = pa.array(self.fits.vocabularies[name], column.type)
        return pc.index_in(column, value_set=values, skip_nulls=True)

    def _null(self, name: str, count: int) -> DeclarationError:
        return DeclarationError(
            f"column {name!r} has {count:,} nulls, and no replacement value is set",
            where=self.ref,
            fix=f'set one: nulls=-1; or drop the rows: select(where=("{name}", "is not null"))',
        )


def fits_for(
    store: Store,
    manifest: Manifest,
    vocabularies: Mapping[str, Sequence[Any]] | None,
    *,
    include_fitted: bool,
) -> Fits:
    """Fits of a release (if `include_fitted`), with `vocabularies` replacing fitted ones."""
    steps = dict(fits_of(store, manifest).steps) if include_fitted else {}
    for name, values in (vocabularies or {}).items():
        steps[name] = ({"kind": "vocabulary", "values": list(values), "unknown": "null"},)
    return Fits(steps)
