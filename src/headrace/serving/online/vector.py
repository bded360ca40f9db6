"""Answer of the online store: a `Vector` that builds its Arrow row only on access."""

from collections.abc import Mapping
from functools import cached_property

import pyarrow as pa

from headrace.features.kernel.row_content import Cell
from headrace.serving.vectors import Frontier, Vector, plain_cells


class OnlineVector(Vector):
    """Vector from the online store; `stale` are the views that exceed their staleness limit."""

    stale: tuple[str, ...]

    def __init__(  # noqa: PLR0917
        self,
        request: Mapping[str, Cell],
        t: int,
        values: Mapping[str, Cell],
        types: Mapping[str, pa.DataType],
        key: tuple[str, ...],
        frontier: Frontier,
        definition: str,
        stale: tuple[str, ...] = (),
    ) -> None:
        # Set the fields of the frozen dataclass directly: its generated __init__ requires `row`.
        self.__dict__.update(
            _request=request, _t=t, _values=values, _types=types, key=key, features=tuple(values),
            frontier=frontier, definition=definition, stale=stale,
        )  # fmt: skip

    @cached_property
    def row(self) -> pa.Table:
        values = {**self._request, "t": self._t, **self._values}
        arrays = [pa.array([value], self._types[name]) for name, value in values.items()]
        return pa.table(arrays, names=list(values))

    @cached_property
    def values(self) -> dict[str, Cell]:
        """Features as plain values; timestamps as int microseconds UTC."""
        return plain_cells(dict(self._values))

    @cached_property
    def request(self) -> dict[str, Cell]:
        """Request as the spine stores it: scaled numbers as integers."""
        return plain_cells(dict(self._request))

    @property
    def t(self) -> int:
        """Prediction time in microseconds UTC."""
        return int(self._t)

    _request: Mapping[str, Cell]
    _t: int
    _values: Mapping[str, Cell]
    _types: Mapping[str, pa.DataType]
