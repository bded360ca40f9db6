"""Data classes that several drafting modules share."""

from dataclasses import dataclass

from headrace.contracts.model import LogicalType
from headrace.scaffold.inspection.file_inspection import InspectedColumn
from headrace.scaffold.inspection.timestamp_parsing import TimeForm


@dataclass(frozen=True)
class Derived:
    """Derived column of a drafted contract; `sql` is over one row's stored values."""

    name: str
    type: LogicalType
    words: str
    sql: str
    max_abs: int | None = None


@dataclass(frozen=True)
class Later:
    """Time column with values at or after the event time; a row is complete only from then on."""

    column: InspectedColumn
    form: TimeForm


@dataclass(frozen=True)
class Delays:
    """Delays from event time until a row is complete; for nearly all rows, at most `usual_us`.

    `clocks` are the names of columns with a time of day but no date.
    """

    later: tuple[Later, ...] = ()
    clocks: tuple[str, ...] = ()
    usual_us: int = 0

    @property
    def dates(self) -> bool:
        """True if one of `later` is a date: the row is known only when that day is over."""
        return any(delay.form.dates for delay in self.later)


NO_DELAYS = Delays()
