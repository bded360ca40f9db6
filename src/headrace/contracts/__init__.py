"""Contracts: the meaning of a table, declared once in ODCS 3.2 YAML and enforced on every batch.

`load_contract(path)` reads one; `conform(contract, rows, batch_id)` applies it. A delivery that
breaks its contract has violations and no table; a row that breaks a row rule is listed in
`bad_rows`, for the gate to quarantine.

ODCS says names, types, keys, nullability, owner, grain, class and SQL derivations; the rest are
custom properties. `keys` holds every key with its meaning, as docs/reference/yaml-contract.md shows
them.
"""

from headrace.contracts.conform import Conformed, RowProblem, Violation, conform
from headrace.contracts.evolution.compatibility import (
    ContractChange,
    ContractComparison,
    Level,
    compare,
    compare_all,
)
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract, Derivation, Field, Invariant, TimeRule

__all__ = [
    "Conformed",
    "Contract",
    "ContractChange",
    "ContractComparison",
    "Derivation",
    "Field",
    "Invariant",
    "Level",
    "RowProblem",
    "TimeRule",
    "Violation",
    "compare",
    "compare_all",
    "conform",
    "load_contract",
]
