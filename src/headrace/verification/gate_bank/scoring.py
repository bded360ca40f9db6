"""Scores of a verdict on an altered delivery: was it stopped, and is its headline right?

The headline is the first failed result, which on-call acts on. It is right if it names the kind of
change that was made, in a column that was altered. It is wrong if it names another kind of change,
or speaks of unaltered columns only. A check that states a fact about an altered column, such as
values out of range, is neither.
"""

from dataclasses import dataclass
from typing import Literal

from headrace.gates.verdict import Judgement, Result

Stop = Literal["stopped", "warned", "passed"]
Head = Literal["right", "neutral", "wrong", "none"]

# Families of changes that a named semantic change states; for kinds in no row, none.
_FAMILIES: dict[str, frozenset[str]] = {
    kind: frozenset(families.split())
    for kind, families in {
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
        "repeated_rows": "repeated",
        "shifted_rows": "shifted",
        "key_shift": "keys",
        "file_form": "file",
    }.items()
}
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
