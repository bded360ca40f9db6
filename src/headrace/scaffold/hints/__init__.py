"""Hints for contracts: units, keys, relations and closed sets that deliveries themselves show."""

from headrace.scaffold.hints.annotate import annotated
from headrace.scaffold.hints.model import ContractHint, HintEvidence
from headrace.scaffold.hints.propose import by_day, find_hints, propose_hints, with_hints

__all__ = [
    "ContractHint",
    "HintEvidence",
    "annotated",
    "by_day",
    "find_hints",
    "propose_hints",
    "with_hints",
]
