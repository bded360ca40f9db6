"""Rows as a team's code gets them: the model's columns with the fitted transforms of the dataset.

Scikit-learn gets numbers and booleans as float64 (NaN for null) and each column with a vocabulary
as a dictionary of its values. A `Trainer` gets columns of the release as they are, text as text;
only declared imputation and scaling are applied.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headrace.datasets.fits.fits import Fits, Step, apply_steps, filled, typed_column
from headrace.datasets.manifest import ManifestColumn

OTHER = "(other)"  # category of values outside a vocabulary that has one for them


def learner_rows(
    table: pa.Table, columns: Sequence[ManifestColumn], fits: Fits, kind: str
) -> pa.Table:
    """Return the inputs of a learner of this `kind`: `columns`, then indicator columns."""
    convert = _estimator_column if kind == "sklearn" else _plain_column
    arrays = {
        column.name: convert(typed_column(table, column), fits.steps.get(column.name, ()))
        for column in columns
    }
    for name in fits.indicators(columns):
        missing = table.column(name).is_null(nan_is_null=True)
        arrays[f"{name}__missing"] = missing.cast(pa.float64())
    return pa.table(arrays).combine_chunks()


def _estimator_column(cells: pa.ChunkedArray, steps: Sequence[Step]) -> pa.Array:
    values = apply_steps(cells, steps)
    if not steps or steps[-1]["kind"] != "vocabulary":
        return pa.array(values)
    missing = np.isnan(values)
    places = pa.array(np.where(missing, 0, values).astype(np.int32), mask=missing)
    vocabulary = list(steps[-1]["values"])
    if steps[-1]["unknown"] != "null":
        vocabulary = [*map(str, vocabulary), OTHER]
    categories = pa.array(vocabulary) if vocabulary else pa.array([], pa.string())
    return pa.DictionaryArray.from_arrays(places, categories)


def _plain_column(cells: pa.ChunkedArray, steps: Sequence[Step]) -> pa.Array | pa.ChunkedArray:
    declared = [step for step in steps if step["kind"] != "vocabulary"]
    if not declared:
        return cells
    if pa.types.is_string(cells.type):
        return filled(cells, declared)
    return pa.array(apply_steps(cells, declared))
