"""Fit transforms on the training split, exactly and independently of the row order."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.datasets.exact_sums import deviation, mean, quantile
from headrace.datasets.fits.fits import Fits, Step, filled
from headrace.datasets.fits.transforms import Impute, Scale, Transform, Value, Vocabulary


def fit(train: pa.Table, categorical: Sequence[str], fitted: Fits | None = None) -> Fits:
    """Add a vocabulary to `fitted` for each `categorical` column that has none."""
    declared = fitted or Fits({})
    steps = dict(declared.steps)
    for name in sorted(set(categorical) - set(declared.vocabularies)):
        before = steps.get(name, ())
        column = filled(train.column(name), before)
        steps[name] = (*before, _fit_vocabulary(column, Vocabulary((name,))))
    return Fits(dict(sorted(steps.items())))


def fit_column(column: pa.ChunkedArray, transforms: Sequence[Transform]) -> tuple[Step, ...]:
    """Fit `transforms`, in order, on the values of the training rows."""
    steps: list[Step] = []
    for transform in transforms:
        if isinstance(transform, Impute):
            steps.append(_fit_impute(column, transform))
        elif isinstance(transform, Scale):
            steps.append(_fit_scale(filled(column, steps), transform))
        else:
            steps.append(_fit_vocabulary(filled(column, steps), transform))
    return tuple(steps)


def _fit_impute(column: pa.ChunkedArray, declared: Impute) -> Step:
    if declared.by == "constant":
        value = _checked(declared.value, column)
    elif declared.by == "mode":
        value = _mode(_present(column, declared))
    elif declared.by == "mean":
        value = mean(_finite(column, declared))
    else:
        value = quantile(np.sort(_finite(column, declared)), Fraction(1, 2))
    return {"kind": "impute", "value": value, "indicator": declared.indicator}


def _fit_scale(column: pa.ChunkedArray, declared: Scale) -> Step:
    values = np.sort(_finite(column, declared))
    try:
        step = _scaled(values, declared)
        if all(np.isfinite(step.get(name, 0.0)) for name in ("center", "scale")):
            return step
    except OverflowError:
        pass
    raise DeclarationError(
        "the range of the values exceeds the largest float",
        where=f"Scale({declared.columns!r})",
        fix="bound the feature, or scale by='quantile'",
    )


def _scaled(values: npt.NDArray[Any], declared: Scale) -> Step:
    """Fitted step of `declared` for sorted values."""
    if declared.by == "quantile":
        places = [Fraction(n, declared.bins) for n in range(1, declared.bins + 1)]
        edges = sorted({quantile(values, place) for place in places})
        return {"kind": "quantile", "edges": edges}
    if declared.by == "standard":
        center, scale = mean(values), deviation(values)
    elif declared.by == "minmax":
        center, scale = float(values[0]), float(values[-1]) - float(values[0])
    else:
        low, center, high = (quantile(values, Fraction(n, 4)) for n in (1, 2, 3))
        scale = high - low
    return {"kind": "scale", "center": center, "scale": scale or 1.0}


def _fit_vocabulary(column: pa.ChunkedArray, declared: Vocabulary) -> Step:
    counted = pc.value_counts(column.drop_null().combine_chunks())
    often = counted.filter(pc.greater_equal(counted.field("counts"), declared.min_count))
    values = sorted(often.field("values").to_pylist())
    return {"kind": "vocabulary", "values": values, "unknown": declared.unknown}


def _mode(column: pa.ChunkedArray) -> Value:
    counted = pc.value_counts(column.combine_chunks())
    highest = pc.max(counted.field("counts"))
    modes: list[Value] = (
        counted.filter(pc.equal(counted.field("counts"), highest)).field("values").to_pylist()
    )
    return min(modes)


def _checked(value: Value | None, column: pa.ChunkedArray) -> Value:
    text = pa.types.is_string(column.type)
    if text != isinstance(value, str) or value is None:
        raise DeclarationError(
            f"{value!r} is not a value of a {column.type} column",
            where="Impute(by='constant')",
            fix="a text for a text column, a number for any other",
        )
    return value if text else float(value)


def _present(column: pa.ChunkedArray, declared: Transform) -> pa.ChunkedArray:
    values = column.drop_null()
    if pa.types.is_floating(values.type):
        values = values.filter(pc.invert(pc.is_nan(values)))
    if not len(values):
        raise DeclarationError(
            "the training rows have no value in the column",
            where=f"{type(declared).__name__}({declared.columns!r})",
            fix="Impute(by='constant', value=...), or leave the column out",
        )
    return values


def _finite(column: pa.ChunkedArray, declared: Transform) -> npt.NDArray[Any]:
    cells = _present(column, declared)
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    number_type = pa.int64() if pa.types.is_integer(cells.type) else pa.float64()
    values: npt.NDArray[Any] = cells.cast(number_type).to_numpy() + 0  # -0.0 is 0.0
    if not np.isfinite(values).all():
        raise DeclarationError(
            "the column has infinite values, so its mean or scale is undefined",
            where=f"{type(declared).__name__}({declared.columns!r})",
            fix="bound the feature, or scale by='quantile' after bounding it",
        )
    return values
