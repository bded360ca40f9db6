"""What each delivery of a table holds, in figures: one pass, some deliveries at a time."""

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
    """One column, a value a delivery.

    Attributes:
        family: number, string, timestamp, boolean or another Arrow name; `whole` numbers.
        present: rows that have a value.
        least, most: of numbers, the values; of text, the lengths; NaN without any.
        mean: of numbers; NaN without any.
        distinct: different values, of text; -1 where they were not counted.
        levels: the different texts of each delivery; None if there are too many of them.
    """

    name: str
    family: str
    whole: bool
    present: list[int] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    distinct: list[int] = field(default_factory=list)
    levels: list[frozenset[str]] | None = field(default_factory=list)

    @property
    def all_levels(self) -> list[str] | None:
        return None if self.levels is None else sorted(frozenset().union(*self.levels))


@dataclass
class Statistics:
    """`slots` and `rows` of each delivery in order of time; `repeated` rows have another's key."""

    slots: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    columns: dict[str, Series] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.slots)


class Measure:
    """Gathers the statistics of a table, some deliveries at a time and in their order."""

    def __init__(self, schema: pa.Schema, key: Sequence[str]) -> None:
        self.key = list(key)
        self.found = Statistics()
        for one in schema:
            whole = bool(pa.types.is_integer(one.type))
            self.found.columns[one.name] = Series(one.name, family_of(one.type), whole)

    def add(
        self, db: duckdb.DuckDBPyConnection, rows: str, delivery: str, slots: dict[Any, str]
    ) -> None:
        """Measure some deliveries.

        Args:
            db: a connection.
            rows: what to select from: a name, or a SELECT in brackets.
            delivery: SQL expression that tells the deliveries apart.
            slots: the slot of each value of it, in order of time.
        """
        wanted = [f"({delivery}) AS delivery", "count(*) AS n", f"{self._repeated()} AS repeated"]
        for number, series in enumerate(self.found.columns.values()):
            wanted += [f"{text} AS {name}{number}" for name, text in _aggregates(series)]
        query = f"SELECT {', '.join(wanted)} FROM {rows} GROUP BY 1"  # noqa: S608
        cursor = db.execute(query)
        names = [one[0] for one in cursor.description or ()]
        told = {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
        present = [slot for slot in slots if slot in told]
        for one in present:
            self._note(slots[one], told[one])
        for series in self.found.columns.values():
            self._levels(db, series, f"SELECT ({delivery}) AS d, * FROM {rows}", present)  # noqa: S608

    def _repeated(self) -> str:
        if not self.key:
            return "0"
        keys = ", ".join(map(ident, self.key))
        return f"count(*) - count(DISTINCT ({keys}))"

    def _note(self, slot: str, row: dict[str, Any]) -> None:
        self.found.slots.append(slot)
        self.found.rows.append(row["n"])
        self.found.repeated.append(row["repeated"])
        for number, series in enumerate(self.found.columns.values()):
            series.present.append(row[f"present{number}"])
            series.least.append(_float(row.get(f"least{number}")))
            series.most.append(_float(row.get(f"most{number}")))
            series.mean.append(_float(row.get(f"mean{number}")))
            series.distinct.append(row.get(f"distinct{number}", -1))

    def _levels(
        self, db: duckdb.DuckDBPyConnection, series: Series, rows: str, present: Sequence[Any]
    ) -> None:
        if series.family != "string":
            series.levels = None
        if series.levels is None:
            return
        most, name = MOST_LEVELS * len(present), ident(series.name)
        query = f"SELECT DISTINCT d, {name} FROM ({rows}) WHERE {name} IS NOT NULL LIMIT {most + 1}"  # noqa: S608
        pairs = db.execute(query).fetchall()
        found: dict[Any, set[str]] = {one: set() for one in present}
        for delivery, level in pairs:
            if delivery in found:
                found[delivery].add(level)
        series.levels += [frozenset(found[one]) for one in present]
        if len(pairs) > most or len(frozenset().union(*series.levels)) > MOST_LEVELS:
            series.levels = None


def _aggregates(series: Series) -> list[tuple[str, str]]:
    name = ident(series.name)
    wanted = [("present", f"count({name})")]
    if series.family == "number":
        given = name if series.whole else f"CASE WHEN isfinite({name}) THEN {name} END"
        wanted[0] = ("present", f"count({given})")
        wanted += [("least", f"min({given})"), ("most", f"max({given})"), ("mean", f"avg({given})")]
    if series.family == "string":
        length = f"length({name})"
        wanted += [("least", f"min({length})"), ("most", f"max({length})")]
        wanted += [("distinct", f"count(DISTINCT {name})")]
    return wanted


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
