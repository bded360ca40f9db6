"""An answer of the online store: a `Vector` that makes its Arrow row only when it is asked for."""

from collections.abc import Mapping
from functools import cached_property

import pyarrow as pa

from headrace.features.kernel.row_content import Cell
from headrace.serving.vectors import Frontier, Vector, plain_cells


class OnlineVector(Vector):
    """As `Vector`; `stale` names the views that are older than they declare."""

    stale: tuple[str, ...]

    def __init__(  # noqa: PLR0917
        self,
        asked: Mapping[str, Cell],
        t: int,
        found: Mapping[str, Cell],
        types: Mapping[str, pa.DataType],
        key: tuple[str, ...],
        frontier: Frontier,
        definition: str,
        stale: tuple[str, ...] = (),
    ) -> None:
        # The fields of a frozen dataclass; its own __init__ would want the row.
        self.__dict__.update(
            _asked=asked, _t=t, _found=found, _types=types, key=key, features=tuple(found),
            frontier=frontier, definition=definition, stale=stale,
        )  # fmt: skip

    @cached_property
    def row(self) -> pa.Table:
        values = {**self._asked, "t": self._t, **self._found}
        arrays = [pa.array([value], self._types[name]) for name, value in values.items()]
        return pa.table(arrays, names=list(values))

    @cached_property
    def values(self) -> dict[str, Cell]:
        """The features as plain values; timestamps as int microseconds UTC."""
        return plain_cells(dict(self._found))

    @cached_property
    def request(self) -> dict[str, Cell]:
        """The request as the spine stores it: scaled numbers as integers."""
        return plain_cells(dict(self._asked))

    @property
    def t(self) -> int:
        """Microseconds UTC."""
        return int(self._t)

    _asked: Mapping[str, Cell]
    _t: int
    _found: Mapping[str, Cell]
    _types: Mapping[str, pa.DataType]
