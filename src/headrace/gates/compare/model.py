"""What a comparison found, as data that is kept as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Stats:
    """One column of one batch. `low`, `median`, `high` are JSON values, None of text's median.

    `rows`, `nulls`, `low` and `high` are of every row; the others of every n-th of a long batch.
    """

    rows: int
    nulls: int
    distinct: int
    low: Any = None
    median: Any = None
    high: Any = None


@dataclass(frozen=True)
class Bars:
    """Shares of the rows that have a value, one for each bar; of text the bars have names.

    `low` and `high` are where the first bar of numbers begins and the last one ends.
    """

    this: tuple[float, ...]
    other: tuple[float, ...]
    names: tuple[str, ...] = ()
    low: Any = None
    high: Any = None


@dataclass(frozen=True)
class Compared:
    """A column in both batches; None where one has no such column.

    Attributes:
        distance: see the module.
        usual: the greatest distance among good batches that followed each other; None if unknown.
        outside: the range of good batches, of a column of numbers that leaves it far behind.
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
        """How much further than usual it moved: what the reader should look at first."""
        return self.distance - (self.usual or 0.0) + bool(self.outside)


@dataclass(frozen=True)
class Usual:
    """What good batches say of a column: how far it moves, and, of plain numbers, from where to
    where it goes; None of moments and text.
    """

    distance: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Columns, those that moved furthest beyond the usual first.

    `every` is n where a batch is so long that only every n-th row was looked at one by one.
    """

    rows: int
    other_rows: int
    columns: tuple[Compared, ...]
    every: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Comparison":
        """Back from `to_json`."""
        return cls(
            document["rows"],
            document["other_rows"],
            tuple(map(_compared, document["columns"])),
            document["every"],
        )


def _compared(document: Mapping[str, Any]) -> Compared:
    def stats(found: Mapping[str, Any] | None) -> Stats | None:
        return None if found is None else Stats(**found)

    bars = document["bars"]
    if bars is not None:
        bars = Bars(**{k: tuple(v) if isinstance(v, list) else v for k, v in bars.items()})
    outside = None if document["outside"] is None else tuple(document["outside"])
    both = {"this": stats(document["this"]), "other": stats(document["other"])}
    return Compared(**{**document, **both, "bars": bars, "outside": outside})
