"""What a contract says about the rows of a batch, and which delivered columns each rule needs."""

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
def _inputs(contract_hash: str, names: frozenset[str], contract: "Same") -> frozenset[str]:
    del contract_hash
    by_name = {f.name: f for f in contract.it.columns}
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found or name not in by_name:
            continue
        found.add(name)
        rule = by_name[name].derivation
        if rule is not None:
            todo += _named(rule)
    return frozenset(name for name in found if by_name[name].derivation is None)


class Same:
    """A contract as a cache key: the hash beside it tells contracts apart."""

    def __init__(self, it: Contract) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same)

    def __hash__(self) -> int:
        return 0


def delivered_inputs(contract: Contract, names: Iterable[str]) -> frozenset[str]:
    """The delivered columns that these columns are, or are derived from."""
    return _inputs(contract.hash, frozenset(names), Same(contract))


def time_names(contract: Contract) -> frozenset[str]:
    """What the expressions of event time and known-at name."""
    return contract.event_time.expression.inputs | contract.known_at.expression.inputs


def _named(rule: Derivation) -> Iterator[str]:
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
    """{name: (expression, columns it names)} of relations and invariants."""
    named = {f.name for f in contract.fields} | {"event_time", "known_at"}
    found = {r.name: (r.expression.expression, r.expression.inputs) for r in contract.relations}
    for invariant in contract.invariants:
        words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", invariant.expression))
        found[invariant.name] = (invariant.expression, frozenset(words & named))
    return found


@dataclass(frozen=True)
class Broken:
    """Rows that break each rule, and rules that could not be evaluated at all.

    Attributes:
        rows: by rule, the rows for which it is false, or for which its expression fails.
        failures: by rule that no row could be asked about, the error.
    """

    rows: Mapping[str, Bools]
    failures: Mapping[str, str] = field(default_factory=dict)


def broken_rules(
    contract: Contract, arrays: Mapping[str, pa.Array], rows: int, untyped: AbstractSet[str]
) -> Broken:
    """Evaluate each rule whose columns are in `arrays` and depend on no `untyped` column."""
    possible = {
        name: rule
        for name, rule in rules(contract).items()
        if rule[1] <= arrays.keys() and not delivered_inputs(contract, rule[1]) & untyped
    }
    if not possible or not rows:
        return Broken({name: np.zeros(rows, bool) for name in possible})
    needed = frozenset[str]().union(*(inputs for _, inputs in possible.values()))
    given = {name: arrays[name] for name in sorted(needed)}
    try:
        made = evaluate(given, [Expression(n, sql, "boolean") for n, (sql, _) in possible.items()])
    except duckdb.Error:  # on some row, of some rule: each is asked alone
        return _one_by_one(given, {name: sql for name, (sql, _) in possible.items()})
    return Broken({name: ~_truth(made, name, null=True) for name in possible})


def _one_by_one(given: Mapping[str, pa.Array], possible: Mapping[str, str]) -> Broken:
    """Evaluate rule by rule; a row on which an expression fails does not keep the rule."""
    found: dict[str, Bools] = {}
    failures: dict[str, str] = {}
    for name, sql in possible.items():
        # Only after a failure: `TRY` asks row by row, which is slow where many rows fail.
        attempt = Expression(name, f"TRY(coalesce(({sql}), TRUE))", "boolean")
        try:
            found[name] = ~_truth(evaluate(given, [attempt]), name, null=False)
        except duckdb.Error as error:
            failures[name] = str(error).splitlines()[0]
    return Broken(found, failures)


def _truth(made: pa.Table, name: str, *, null: bool) -> Bools:
    column = made.column(name).combine_chunks().fill_null(null)
    truth: Bools = column.to_numpy(zero_copy_only=False)
    return truth
