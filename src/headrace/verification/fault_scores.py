"""Scores of a verdict on an altered delivery: was it stopped, and is its headline right?

The headline is the first failed result, which on-call acts on. It is right if it names the kind of
change that was made, in a column that was altered. It is wrong if it names another kind of change,
or speaks of unaltered columns only. A check that states a fact about an altered column, such as
values out of range, is neither.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.verdict import Judgement, Result

Stop = Literal["stopped", "warned", "passed"]
Head = Literal["right", "neutral", "wrong", "none"]

# Families of changes that a semantic change states by its kind; the first is its own.
_STATED: dict[str, str] = {
    "unit_change": "unit",
    "sign_change": "sign",
    "rename": "schema",
    "swap": "swap",
    "zone_shift": "zone",
    "wrong_period": "wrong_period wrong_delivery",
    "recoding": "recode",
    "merge": "merge",
    "decimal_comma": "type",
    "timestamp_precision": "precision",
    "precision": "precision",
    "frozen": "stuck constant",
    "constant": "constant stuck",
    "clipped": "clipped",
    "truncation": "missing_rows",
    "missing_hours": "missing_rows",
    "missing_level": "missing_rows",
    "nulls": "nulls",
    "stale_rows": "wrong_delivery",
    "repeated_delivery": "wrong_delivery",
    "unseen_values": "recode constant",
    "sentinel": "sentinel",
    "new_level": "recode constant",
    "duplicates": "repeated",
    "doubled_rows": "repeated",
    "repeated_rows": "repeated",
    "shifted_rows": "shifted",
    "key_shift": "keys",
    "file_form": "file",
}
_FAMILIES = {kind: frozenset(families.split()) for kind, families in _STATED.items()}
# Families that describe a fault as well as its own: a measure that is 0 in all rows is constant.
_AS_WELL: dict[str, frozenset[str]] = {
    "sentinel": frozenset({"sentinel", "stuck", "constant"}),
    "stuck": frozenset({"stuck", "constant"}),
    "constant": frozenset({"constant", "stuck", "sentinel"}),
    "merge": frozenset({"merge", "missing_rows", "constant"}),
}
_FACTS = {  # families that a check of the suite states by its type
    "expect_column_values_to_not_be_null": "nulls",
    "expect_table_row_count_to_be_between": "missing_rows",
    "expect_column_values_to_be_unique": "repeated",
    "expect_compound_columns_to_be_unique": "repeated",
}
_BY_CONTRACT = frozenset({"schema", "type", "file"})


@dataclass(frozen=True)
class Score:
    """Score of one verdict on an altered delivery."""

    stop: Stop
    head: Head


def outcome_of(
    judgement: Judgement, columns: tuple[str, ...], family: str, *, repaired: bool
) -> Score:
    """Score a verdict.

    Args:
        judgement: of the altered delivery.
        columns: altered columns, by their names in the contract; () if whole rows were.
        family: kind of change that was made.
        repaired: True if exactly the clean rows without the altered ones are published.
    """
    worst = next(iter(judgement.failed), None)
    head: Head = "none" if worst is None else _head(worst, family, columns)
    if repaired or not judgement.verdict.publishes:
        return Score("stopped", head)
    return Score("passed" if worst is None else "warned", head)


def published_as_clean(
    judgement: Judgement, clean: Judgement, unaltered: set[int] | None = None
) -> bool:
    """Return True if rows were removed, and exactly the clean rows are published.

    Args:
        judgement: of the altered delivery.
        clean: of the clean delivery.
        unaltered: lines of the clean rows that are still delivered; None for all.
    """
    removed = judgement.quarantined_count + judgement.repeated
    if removed <= clean.quarantined_count + clean.repeated:
        return False
    return _published(judgement) == _published(clean, unaltered)


def _published(judgement: Judgement, lines: set[int] | None = None) -> Counter[str]:
    """Return the rows that are published, as text, without their file and line."""
    if not judgement.verdict.publishes:
        return Counter()
    rows = judgement.passing
    if lines is not None:
        rows = rows.filter(pc.is_in(rows["_line"], pa.array(sorted(lines), rows["_line"].type)))
    return Counter(repr(row) for row in rows.drop_columns(["_batch", "_line"]).to_pylist())


def family_of(kind: str) -> str:
    """Return the family of changes that a semantic change of this kind states."""
    return _STATED[kind].split()[0]


def _head(result: Result, family: str, columns: tuple[str, ...]) -> Head:
    accepted = _AS_WELL.get(family, frozenset({family}))
    touches = not columns or not result.columns or bool(set(columns) & set(result.columns))
    if result.kind == "semantic":
        families = _FAMILIES.get(result.type)
        if families is None:
            return "neutral" if touches else "wrong"
        return "right" if families & accepted and touches else "wrong"
    if not touches:
        return "wrong"
    if result.kind == "contract" and family in _BY_CONTRACT:
        return "right"
    return "right" if _FACTS.get(result.type) in accepted else "neutral"
