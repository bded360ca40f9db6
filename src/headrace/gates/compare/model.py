"""Result of a comparison of two batches, which is stored as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Stats:
    """Statistics of one column of one batch. `low`, `median`, `high` are JSON values.

    The median of text is None. `rows`, `nulls`, `low` and `high` are of every row; the others of
    every n-th row of a long batch.
    """

    rows: int
    nulls: int
    distinct: int
    low: Any = None
    median: Any = None
    high: Any = None


@dataclass(frozen=True)
class Bars:
    """Share of the rows with a value in each bar; bars of text have names.

    `low` and `high` are the start of the first and the end of the last bar of numbers.
    """

    this: tuple[float, ...]
    other: tuple[float, ...]
    names: tuple[str, ...] = ()
    low: Any = None
    high: Any = None


@dataclass(frozen=True)
class ColumnComparison:
    """Column in both batches; None if a batch has no such column.

    Attributes:
        distance: see `distance`.
        usual: the greatest distance between consecutive good batches; None if unknown.
        outside: the range of good batches, if a column of numbers is far outside it.
    """

    name: str
    type: str
    this: Stats | None
    other: Stats | None
    distance: float
    usual: float | None = None
    bars: Bars | None = None
    outside: tuple[Any, Any] | None = None

    @property
    def excess(self) -> float:
        """Change beyond the usual one, by which columns are sorted."""
        return self.distance - (self.usual or 0.0) + bool(self.outside)


@dataclass(frozen=True)
class Usual:
    """Usual change of a column between good batches, and the range of plain numbers.

    `low` and `high` are None for moments and text.
    """

    distance: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Compared columns, those that changed most beyond the usual first.

    `every` is n if a batch is so long that only every n-th row was examined.
    """

    rows: int
    other_rows: int
    columns: tuple[ColumnComparison, ...]
    every: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Comparison":
        """Read what `to_json` returned."""
        return cls(
            document["rows"],
            document["other_rows"],
            tuple(map(_compared, document["columns"])),
            document["every"],
        )


def _compared(document: Mapping[str, Any]) -> ColumnComparison:
    def stats(entry: Mapping[str, Any] | None) -> Stats | None:
        return None if entry is None else Stats(**entry)

    bars = document["bars"]
    if bars is not None:
        bars = Bars(**{k: tuple(v) if isinstance(v, list) else v for k, v in bars.items()})
    outside = None if document["outside"] is None else tuple(document["outside"])
    both = {"this": stats(document["this"]), "other": stats(document["other"])}
    return ColumnComparison(**{**document, **both, "bars": bars, "outside": outside})
