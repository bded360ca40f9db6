"""Small declarations that several drafts share."""

from dataclasses import dataclass

from headrace.contracts.model import LogicalType
from headrace.scaffold.inspection.file_inspection import InspectedColumn
from headrace.scaffold.inspection.timestamp_parsing import TimeForm


@dataclass(frozen=True)
class Derived:
    """A column that a contract computes from the row, by SQL over stored values."""

    name: str
    type: LogicalType
    words: str
    sql: str
    max_abs: int | None = None


@dataclass(frozen=True)
class Later:
    """A column with a moment at or after the event: the row is not complete before it."""

    column: InspectedColumn
    form: TimeForm


@dataclass(frozen=True)
class Delays:
    """Delays of rows after their event; within `usual_us` nearly all rows are known.

    `clocks` are the names of columns with a clock without a date.
    """

    later: tuple[Later, ...] = ()
    clocks: tuple[str, ...] = ()
    usual_us: int = 0

    @property
    def dates(self) -> bool:
        """True if a part is a date: its day has to be over."""
        return any(delay.form.dates for delay in self.later)


NO_DELAYS = Delays()
