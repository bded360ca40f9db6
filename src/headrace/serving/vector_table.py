"""Conversion of feature vectors to a table of feature columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from headrace.features.kernel.row_content import Cell


class FeatureValues(Protocol):
    """Interface of a vector: feature values by name."""

    @property
    def values(self) -> Mapping[str, Cell]: ...


def as_columns(
    answers: Sequence[FeatureValues], types: pa.Schema, names: Sequence[str]
) -> pa.Table:
    """Convert vectors to a table with the columns `names`, typed as in `types`.

    Raises:
        TypeError: a float64 column has a value that is not a float.
    """
    values = [answer.values for answer in answers]
    columns = [_column([row[name] for row in values], types.field(name).type) for name in names]
    return pa.table(columns, names=list(names))


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).view(kind)
    if pa.types.is_float64(kind):
        return pa.array([None if v is None else _float(v) for v in values], kind)
    return pa.array(values, kind)


def _float(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, str):  # infinities are strings in JSON
        return float(value)
    if not isinstance(value, float):
        raise TypeError(f"{value!r} was served for a float64 feature")
    return value
