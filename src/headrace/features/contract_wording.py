"""Meaning of columns as their contracts declare it, and descriptions of its changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace.contracts.model import Contract
from headrace.contracts.semantic_digest import meaning_parts, time_parts
from headrace.features.canonical_parts import Form, value_text
from headrace.features.table_shapes import Contracts

# By table: {"columns": {name: parts}, "times": parts}, as JSON values.
ContractMeanings: TypeAlias = Mapping[str, Mapping[str, Any]]


def contract_meanings(contracts: Contracts | None) -> ContractMeanings:
    """Return the meaning of columns and times by table; tables without a contract are omitted."""
    return {
        table: {"columns": meaning_parts(contract), "times": time_parts(contract)}
        for table, contract in (contracts or {}).items()
        if isinstance(contract, Contract)
    }


@dataclass(frozen=True)
class Explained:
    """Descriptions of changed meanings; only properties that both contracts have are compared."""

    old: ContractMeanings
    new: ContractMeanings

    def meaning(self, part: str, old_table: str, new_table: str) -> str:
        before, after = self.old.get(old_table, {}), self.new.get(new_table, {})
        if part == "times":
            texts = _difference_texts(before.get("times", {}), after.get("times", {}))
            return ", ".join(texts) or "event time or known-at is defined differently"
        column = part.removeprefix("meaning of ")
        texts = _column(before.get("columns", {}), after.get("columns", {}), column)
        return f"{column}: {', '.join(texts) or 'its contract describes the values differently'}"


def _column(old: Form, new: Form, column: str) -> Iterator[str]:
    before, after = old.get(column), new.get(column)
    if before is None or after is None:
        return
    yield from _difference_texts(_without_inputs(before), _without_inputs(after))
    for name in sorted(before["from"].keys() & after["from"].keys()):
        if before["from"][name] != after["from"][name]:
            yield from (f"through {name} {text}" for text in _column(old, new, name))


def _without_inputs(parts: Form) -> Form:
    return {name: value for name, value in parts.items() if name != "from"}


def _difference_texts(before: Form, after: Form) -> Iterator[str]:
    for name in [name for name in before if name in after]:
        if before[name] != after[name]:
            yield f"{name} {value_text('', before[name])} -> {value_text('', after[name])}"
