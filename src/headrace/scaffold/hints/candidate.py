"""Candidate relation, before it is tested on all rows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RelationCandidate:
    """Relation as SQL over stored values.

    `shuffled` is the column whose rows are shuffled to see if the relation holds by chance; empty
    for the first of `columns`.
    """

    name: str
    sql: str
    columns: tuple[str, ...]
    description: str
    shuffled: str = ""
