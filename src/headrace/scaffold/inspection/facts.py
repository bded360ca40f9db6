"""Statistics of a file's rows, typed by the drafted contract: days, categories, ranges, gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts import Conformed, Contract, conform, load_contract
from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident
from headrace.core.time_zones import to_local
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.declarations import NO_DELAYS, Delays
from headrace.scaffold.inspection.domains import is_calendar, is_code, is_place
from headrace.scaffold.inspection.file_inspection import InspectedColumn, Look
from headrace.sources.parsing.csv_rows import csv_rows

Ints = npt.NDArray[np.int64]
MOST_LEVELS = 40


@dataclass(frozen=True)
class ValueRange:
    """Smallest and greatest stored value of a column."""

    low: int | float
    high: int | float


@dataclass(frozen=True)
class Facts:
    """Typed rows of the file that have an event time, in file order, with statistics of them.

    `undated` are the line numbers of the other rows.
    """

    look: Look
    contract_text: str
    contract: Contract
    table: pa.Table
    undated: tuple[int, ...]
    delays: Delays = NO_DELAYS

    @cached_property
    def event_us(self) -> Ints:
        times: Ints = self.table["event_time"].cast(pa.int64()).to_numpy()
        return times

    @cached_property
    def day_numbers(self) -> Ints:
        """Local day of each row's event time, in days since 1970-01-01."""
        days: Ints = to_local(self.event_us, self.look.ask.zone) // DAY
        return days

    @cached_property
    def days(self) -> list[str]:
        """ISO days with rows, in order."""
        return [iso_day(day) for day in np.unique(self.day_numbers).tolist()]

    @cached_property
    def span_days(self) -> int:
        return int(self.day_numbers.max() - self.day_numbers.min()) + 1

    @cached_property
    def every_day(self) -> bool:
        """True if nearly every day has rows, so that a day without rows is unusual."""
        return len(self.days) >= 0.95 * self.span_days

    @cached_property
    def rows_per_day(self) -> Ints:
        counts: Ints = np.unique(self.day_numbers, return_counts=True)[1]
        return counts

    def is_clock(self, column: InspectedColumn) -> bool:
        """Return True for an integer column of HHMM times, such as 517 or 2359."""
        if column.type != "integer" or words(column.header)[-1:] != ["time"]:
            return False
        values = self.table[column.name].drop_null().to_numpy()
        fits = bool(len(values)) and bool(((values >= 0) & (values <= 2400)).all())
        return fits and bool((values % 100 < 60).all()) and int(values.max()) > 100

    def is_name(self, column: InspectedColumn) -> bool:
        """Return True if a column is not a measure: a date part, clock time, id or coordinate."""
        by_name = is_calendar(column) or is_code(column) or is_place(column)
        return by_name or self.is_clock(column)

    def nulls(self, name: str) -> int:
        return int(self.table[name].null_count)

    def levels(self, name: str) -> list[str] | None:
        """Return a column's distinct texts, sorted, if they are few enough to be categories."""
        levels = pc.unique(self.table[name]).drop_null().to_pylist()
        few = 0 < len(levels) <= MOST_LEVELS and len(levels) * 5 <= self.table.num_rows
        return sorted(levels) if few else None

    def distinct(self, names: Sequence[str]) -> int:
        return int(self.table.group_by(list(names)).aggregate([]).num_rows)

    def range(self, name: str) -> ValueRange | None:
        bounds = pc.min_max(self.table[name]).as_py()
        return None if bounds["min"] is None else ValueRange(bounds["min"], bounds["max"])

    def median(self, name: str) -> int | float:
        middle = float(self._scalar(f"SELECT median({ident(name)}) FROM given"))  # noqa: S608
        return int(middle) if pa.types.is_int64(self.table[name].type) else middle

    def gap(self, entity: Sequence[str]) -> int:
        """Return the median time between rows of an entity, in microseconds; 0 if none repeats."""
        by = ", ".join(map(ident, entity)) or "1"
        us = "epoch_us(event_time)"
        gaps = f"SELECT {us} - lag({us}) OVER (PARTITION BY {by} ORDER BY {us}) AS gap FROM given"  # noqa: S608
        return int(self._scalar(f"SELECT coalesce(median(gap), 0) FROM ({gaps}) WHERE gap > 0"))  # noqa: S608

    def _scalar(self, query: str) -> float:
        with duckdb.connect() as db:
            db.register("given", self.table)
            value: float = db.execute(query).fetchall()[0][0]
            return value


def iso_day(day: int) -> str:
    return str(np.datetime64(day, "D"))


def facts(look: Look, contract_text: str, delays: Delays = NO_DELAYS) -> Facts:
    """Type the rows of the file by its drafted contract.

    Raises:
        DeclarationError: if the file breaks the contract, or no row has an event time.
    """
    contract = contract_of(contract_text, look.ask.table_name)
    conformed = conform(contract, csv_rows(look.payload, contract.null_tokens), "sample")
    table = conformed.table
    if table is None:
        raise _broken(look, conformed)
    usable = pc.and_(pc.is_valid(table["event_time"]), pc.is_valid(table["known_at"]))
    undated = table.filter(pc.invert(usable))["_line"].to_pylist()
    dated = table.filter(usable)
    if not dated.num_rows:
        raise DeclarationError("no row has a time", where=str(look.ask.data), fix="see --time")
    return Facts(look, contract_text, contract, dated, tuple(undated), delays)


def contract_of(text: str, table: str) -> Contract:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{table}.yaml"
        path.write_text(text, encoding="utf-8")
        return load_contract(path)


def _broken(look: Look, conformed: Conformed) -> DeclarationError:
    first = "; ".join(str(violation) for violation in conformed.violations[:3])
    return DeclarationError(
        "the file breaks the contract that was drafted from it"
        f" (violations: {conformed.violation_count}): {first}",
        where=str(look.ask.data),
        fix="fix or remove these rows; a draft needs a clean file",
    )
