"""Result of a comparison of two batches, which is stored as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Stats:
    """Statistics of one column of one batch.

    `low`, `median` and `high` are JSON values; the median of text is None. In a long batch,
    `distinct` and `median` are computed from every n-th row, the others from all rows.
    """

    rows: int
    nulls: int
    distinct: int
    low: Any = None
    median: Any = None
    high: Any = None


@dataclass(frozen=True)
class Bars:
    """Share of the non-null rows in each bar, for the two batches.

    `names` are the labels of bars of text; `low` and `high` are the ends of a histogram's range.
    """

    this: tuple[float, ...]
    other: tuple[float, ...]
    names: tuple[str, ...] = ()
    low: Any = None
    high: Any = None


@dataclass(frozen=True)
class ColumnComparison:
    """Comparison of one column in two batches.

    Attributes:
        this, other: statistics of the column in each batch; None if the batch lacks it.
        distance: distance of the two columns, see `headrace.gates.compare.distance`.
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
        """Distance minus the usual distance, plus 1 if values are far outside the usual range.

        Columns are sorted by this number, key columns last.
        """
        return self.distance - (self.usual or 0.0) + bool(self.outside)


@dataclass(frozen=True)
class Usual:
    """Greatest change of a column between good batches, and the range of its values in them.

    `low` and `high` are None for timestamps and text.
    """

    distance: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Comparison of two batches; the columns with the most unusual change come first.

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
        """Build a comparison from the document of `to_json`."""
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
