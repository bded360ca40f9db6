"""Contracts: the meaning of a table, declared once in ODCS 3.2 YAML and enforced on every batch.

`load_contract(path)` reads a contract; `conform(contract, rows, batch_id)` applies it to a batch.
If a delivery breaks its contract, the result has violations and no table. A row that breaks a row
rule is listed in `bad_rows`, and the gate quarantines it.

ODCS keys declare names, types, keys, nullability, owner, grain, class and SQL derivations;
everything else is a custom property. `keys` defines every key and its meaning, as shown in
docs/reference/yaml-contract.md.
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
