"""Statistics of each delivery of a table, computed in one pass over groups of deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.sql import ident
from headrace.gates.checks.column_context import family_of

MOST_LEVELS = 40
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass
class Series:
    """Statistics of one column; every list has one entry per delivery.

    Attributes:
        name: the column's name.
        family: number, string, timestamp, boolean or another Arrow name.
        integral: True for an integer column.
        present: number of non-null rows.
        minimum, maximum: extremes of numbers, or of the lengths of texts; NaN if there are none.
        mean: mean of numbers; NaN if there are none.
        distinct: number of distinct texts; -1 if they were not counted.
        levels: the distinct texts; None if the column is not text or has too many of them.
    """

    name: str
    family: str
    integral: bool
    present: list[int] = field(default_factory=list)
    minimum: list[float] = field(default_factory=list)
    maximum: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    distinct: list[int] = field(default_factory=list)
    levels: list[frozenset[str]] | None = field(default_factory=list)

    @property
    def all_levels(self) -> list[str] | None:
        return None if self.levels is None else sorted(frozenset().union(*self.levels))


@dataclass
class Statistics:
    """Statistics of deliveries in time order.

    `slots` are their partitions; `repeated` counts rows whose key already occurred in the delivery.
    """

    slots: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    columns: dict[str, Series] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.slots)


class Measure:
    """Collector of a table's statistics; groups of deliveries are added in time order."""

    def __init__(self, schema: pa.Schema, key: Sequence[str]) -> None:
        self.key = list(key)
        self.statistics = Statistics()
        for column in schema:
            integral = bool(pa.types.is_integer(column.type))
            self.statistics.columns[column.name] = Series(
                column.name, family_of(column.type), integral
            )

    def add(
        self, db: duckdb.DuckDBPyConnection, rows: str, delivery: str, slots: dict[Any, str]
    ) -> None:
        """Add the statistics of a group of deliveries.

        Args:
            db: a DuckDB connection.
            rows: source of the rows: a name, or a SELECT in brackets.
            delivery: SQL expression that identifies the delivery of a row.
            slots: partition by value of this expression, in time order.
        """
        selected = [f"({delivery}) AS delivery", "count(*) AS n", f"{self._repeated()} AS repeated"]
        for number, series in enumerate(self.statistics.columns.values()):
            selected += [f"{text} AS {name}{number}" for name, text in _aggregates(series)]
        query = f"SELECT {', '.join(selected)} FROM {rows} GROUP BY 1"  # noqa: S608
        cursor = db.execute(query)
        names = [column[0] for column in cursor.description or ()]
        rows_by_delivery = {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
        present = [slot for slot in slots if slot in rows_by_delivery]
        for key in present:
            self._note(slots[key], rows_by_delivery[key])
        for series in self.statistics.columns.values():
            self._levels(db, series, f"SELECT ({delivery}) AS d, * FROM {rows}", present)  # noqa: S608

    def _repeated(self) -> str:
        if not self.key:
            return "0"
        keys = ", ".join(map(ident, self.key))
        return f"count(*) - count(DISTINCT ({keys}))"

    def _note(self, slot: str, row: dict[str, Any]) -> None:
        self.statistics.slots.append(slot)
        self.statistics.rows.append(row["n"])
        self.statistics.repeated.append(row["repeated"])
        for number, series in enumerate(self.statistics.columns.values()):
            series.present.append(row[f"present{number}"])
            series.minimum.append(_float(row.get(f"least{number}")))
            series.maximum.append(_float(row.get(f"most{number}")))
            series.mean.append(_float(row.get(f"mean{number}")))
            series.distinct.append(row.get(f"distinct{number}", -1))

    def _levels(
        self, db: duckdb.DuckDBPyConnection, series: Series, rows: str, present: Sequence[Any]
    ) -> None:
        if series.family != "string":
            series.levels = None
        if series.levels is None:
            return
        limit, name = MOST_LEVELS * len(present), ident(series.name)
        query = (
            f"SELECT DISTINCT d, {name} FROM ({rows}) WHERE {name} IS NOT NULL LIMIT {limit + 1}"  # noqa: S608
        )
        pairs = db.execute(query).fetchall()
        by_delivery: dict[Any, set[str]] = {key: set() for key in present}
        for delivery, level in pairs:
            if delivery in by_delivery:
                by_delivery[delivery].add(level)
        series.levels += [frozenset(by_delivery[key]) for key in present]
        if len(pairs) > limit or len(frozenset().union(*series.levels)) > MOST_LEVELS:
            series.levels = None


def _aggregates(series: Series) -> list[tuple[str, str]]:
    name = ident(series.name)
    aggregates = [("present", f"count({name})")]
    if series.family == "number":
        value = name if series.integral else f"CASE WHEN isfinite({name}) THEN {name} END"
        aggregates[0] = ("present", f"count({value})")
        aggregates += [
            ("least", f"min({value})"),
            ("most", f"max({value})"),
            ("mean", f"avg({value})"),
        ]
    if series.family == "string":
        length = f"length({name})"
        aggregates += [("least", f"min({length})"), ("most", f"max({length})")]
        aggregates += [("distinct", f"count(DISTINCT {name})")]
    return aggregates


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
