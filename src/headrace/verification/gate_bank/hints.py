"""Contracts without hints: only what a table needs to be read at all."""

from dataclasses import replace
from typing import Literal

from headrace.contracts import Contract
from headrace.contracts.model import Field

Hints = Literal["full", "stripped"]
_WIDEST = 10**15  # in stored units: wider than any measure, and exact as a float


def without_hints(contract: Contract) -> Contract:
    """Return the contract with names, types, keys, null tokens and rules of time only.

    Units, greatest values, sentinels, meanings of codes, explanatory keys, relations, invariants
    and the declaration that rows are states are removed. The number of decimals remains, since
    it is part of a column's type.
    """
    return replace(
        contract,
        kind="event",
        columns=tuple(_bare(column) for column in contract.columns),
        relations=(),
        invariants=(),
    )


def _bare(column: Field) -> Field:
    return replace(
        column,
        description="",
        # The rules of time read the time of day in HHMM, which is a form and not a measure.
        unit=column.unit if column.unit == "HHMM" else None,
        max_abs=None if column.scale is None else _WIDEST,
        sentinels=(),
        levels={},
        explained_by=(),
    )
