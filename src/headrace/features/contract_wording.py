"""What contracts say of the values of columns, and how two of them differ, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace.contracts.model import Contract
from headrace.contracts.semantic_digest import meaning_parts, time_parts
from headrace.features.canonical_parts import Form, told
from headrace.features.table_shapes import Contracts

# Per table: `columns` (name: parts) and `times`; plain JSON values.
Said: TypeAlias = Mapping[str, Mapping[str, Any]]


def said(contracts: Contracts | None) -> Said:
    """Per table what its contract says of its columns and its times; nothing for bare shapes."""
    return {
        table: {"columns": meaning_parts(contract), "times": time_parts(contract)}
        for table, contract in (contracts or {}).items()
        if isinstance(contract, Contract)
    }


@dataclass(frozen=True)
class Explained:
    """Words for a part whose digest is another; what is not known to both sides is not told."""

    old: Said
    new: Said

    def meaning(self, part: str, old_table: str, new_table: str) -> str:
        one, other = self.old.get(old_table, {}), self.new.get(new_table, {})
        if part == "times":
            texts = _told_difference(one.get("times", {}), other.get("times", {}))
            return ", ".join(texts) or "when rows happen or are known is another"
        column = part.removeprefix("meaning of ")
        texts = _column(one.get("columns", {}), other.get("columns", {}), column)
        return f"{column}: {', '.join(texts) or 'its contract says something else of its values'}"


def _column(old: Form, new: Form, column: str) -> Iterator[str]:
    one, other = old.get(column), new.get(column)
    if one is None or other is None:
        return
    yield from _told_difference(_without_inputs(one), _without_inputs(other))
    for name in sorted(one["from"].keys() & other["from"].keys()):
        if one["from"][name] != other["from"][name]:
            yield from (f"through {name} {text}" for text in _column(old, new, name))


def _without_inputs(parts: Form) -> Form:
    return {name: value for name, value in parts.items() if name != "from"}


def _told_difference(one: Form, other: Form) -> Iterator[str]:
    for name in [name for name in one if name in other]:
        if one[name] != other[name]:
            yield f"{name} {told('', one[name])} -> {told('', other[name])}"
