"""Contracts: the meaning of a table, declared once in ODCS 3.2 YAML and enforced on every batch.

`load_contract(path)` reads a contract; `conform(contract, rows, batch_id)` applies it to a batch.
If a delivery as a whole breaks its contract, the result has violations and no table. A single row
that breaks a rule is listed in `bad_rows`, and the gate quarantines it.

ODCS keys declare the names, types, primary key, nullability, owner, grain, privacy class and SQL
derivations of a table. All other declarations are custom properties. The module `keys` defines the
meaning of every key; docs/reference/yaml-contract.md lists them.
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
