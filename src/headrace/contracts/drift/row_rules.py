"""Row rules of a contract (relations and invariants), and the delivered columns they depend on."""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.contracts.expressions import Expression, evaluate
from headrace.contracts.model import Contract, Derivation, Sql

Bools = npt.NDArray[np.bool_]


@lru_cache(maxsize=512)
def _inputs(contract_hash: str, names: frozenset[str], contract: "_ContractKey") -> frozenset[str]:
    del contract_hash
    by_name = {f.name: f for f in contract.contract.columns}
    closure: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in closure or name not in by_name:
            continue
        closure.add(name)
        rule = by_name[name].derivation
        if rule is not None:
            todo += _inputs_of(rule)
    return frozenset(name for name in closure if by_name[name].derivation is None)


class _ContractKey:
    """Contract as an argument that `lru_cache` ignores: the contract's hash is the cache key."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ContractKey)

    def __hash__(self) -> int:
        return 0


def delivered_inputs(contract: Contract, names: Iterable[str]) -> frozenset[str]:
    """Return the delivered columns among `names`, and those from which the others are derived."""
    return _inputs(contract.hash, frozenset(names), _ContractKey(contract))


def time_names(contract: Contract) -> frozenset[str]:
    """Return the columns that the expressions of event time and known-at use."""
    return contract.event_time.expression.inputs | contract.known_at.expression.inputs


def _inputs_of(rule: Derivation) -> Iterator[str]:
    if isinstance(rule, Sql):
        yield from rule.inputs
        return
    for name in ("year", "month", "day", "clock", "after", "of"):
        value = getattr(rule, name, None)
        if isinstance(value, str):
            yield value
    if rule.zone.by:
        yield rule.zone.by


def rules(contract: Contract) -> dict[str, tuple[str, frozenset[str]]]:
    """Return {name: (SQL expression, columns it uses)} for all relations and invariants."""
    available = {f.name for f in contract.fields} | {"event_time", "known_at"}
    by_name = {r.name: (r.expression.expression, r.expression.inputs) for r in contract.relations}
    for invariant in contract.invariants:
        words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", invariant.expression))
        by_name[invariant.name] = (invariant.expression, frozenset(words & available))
    return by_name


@dataclass(frozen=True)
class RuleBreaks:
    """Rows that break each rule, and rules that could not be evaluated at all.

    Attributes:
        rows: {rule: mask of the rows where it is false or its expression fails}.
        failures: {rule that could not be evaluated: error message}.
    """

    rows: Mapping[str, Bools]
    failures: Mapping[str, str] = field(default_factory=dict)


def broken_rules(
    contract: Contract, arrays: Mapping[str, pa.Array], rows: int, untyped: AbstractSet[str]
) -> RuleBreaks:
    """Evaluate each rule whose columns are in `arrays` and do not depend on an `untyped` column."""
    possible = {
        name: rule
        for name, rule in rules(contract).items()
        if rule[1] <= arrays.keys() and not delivered_inputs(contract, rule[1]) & untyped
    }
    if not possible or not rows:
        return RuleBreaks({name: np.zeros(rows, bool) for name in possible})
    needed = frozenset[str]().union(*(inputs for _, inputs in possible.values()))
    inputs_ = {name: arrays[name] for name in sorted(needed)}
    try:
        table = evaluate(
            inputs_, [Expression(n, sql, "boolean") for n, (sql, _) in possible.items()]
        )
    except duckdb.Error:  # some rule fails on some row
        return _one_by_one(inputs_, {name: sql for name, (sql, _) in possible.items()})
    return RuleBreaks({name: ~_truth(table, name, null=True) for name in possible})


def _one_by_one(inputs_: Mapping[str, pa.Array], possible: Mapping[str, str]) -> RuleBreaks:
    """Evaluate each rule separately; rows on which its expression fails count as broken."""
    broken: dict[str, Bools] = {}
    failures: dict[str, str] = {}
    for name, sql in possible.items():
        # `TRY` evaluates row by row, which is slow if many rows fail: use it only after a failure.
        attempt = Expression(name, f"TRY(coalesce(({sql}), TRUE))", "boolean")
        try:
            broken[name] = ~_truth(evaluate(inputs_, [attempt]), name, null=False)
        except duckdb.Error as error:
            failures[name] = str(error).splitlines()[0]
    return RuleBreaks(broken, failures)


def _truth(table: pa.Table, name: str, *, null: bool) -> Bools:
    column = table.column(name).combine_chunks().fill_null(null)
    truth: Bools = column.to_numpy(zero_copy_only=False)
    return truth
