"""Small declarations that several drafts share."""

from dataclasses import dataclass

from headrace.contracts.model import LogicalType


@dataclass(frozen=True)
class Derived:
    """A column that a contract computes from the row, by SQL over stored values."""

    name: str
    type: LogicalType
    words: str
    sql: str
    max_abs: int | None = None
