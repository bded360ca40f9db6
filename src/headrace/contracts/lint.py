"""Hints about a contract: missing declarations that its consumers or the gate will need."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.contracts.authoring.open_questions import PROPOSED, undecided
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract, Field
from headrace.contracts.odcs.preserved_parts import custom
from headrace.core.declarations.strict_yaml import Node, read_document
from headrace.core.errors import DeclarationError


@dataclass(frozen=True)
class Hint:
    """Hint about a column, or about the table itself if `field` is None."""

    field: str | None
    rule: str
    text: str
    fix: str


def lint(contract: Contract) -> list[Hint]:
    """Return all hints: open questions first, then hints on the table, then on its columns."""
    return [
        *_undecided(Node(contract.path, "", contract.document)),
        *_table_hints(contract),
        *_not_enforced(contract),
        *(hint for field in contract.fields for hint in _field_hints(field)),
    ]


def lint_file(path: Path) -> list[Hint]:
    """Return the hints of a contract file; only its open questions and the error if loading fails.

    Raises:
        DeclarationError: if the contract does not load and has no open questions.
    """
    try:
        contract = load_contract(path)
    except DeclarationError as error:
        questions = [*_undecided(read_document(path))]
        if not questions:
            raise
        return [*questions, Hint(None, "does_not_load", error.what, error.fix or error.where)]
    return lint(contract)


def _undecided(document: Node) -> Iterator[Hint]:
    for mark in undecided(document):
        fix = f"write it at {mark.path}"
        yield Hint(mark.field, "undecided", mark.text, fix)
    status = document.value.get("status") if isinstance(document.value, dict) else None
    if status == PROPOSED:
        fix = "answer the open questions, then write status: active"
        yield Hint(None, "proposed", "nothing is published under a proposed contract", fix)


def _table_hints(contract: Contract) -> Iterator[Hint]:
    if "support" not in contract.document:
        yield Hint(
            None,
            "no_support",
            f"there is no channel to reach {contract.owner}",
            "support: [{channel: <where>, scope: issues}]",
        )
    if not contract.consumers:
        yield Hint(
            None,
            "no_consumers",
            "no consumers are listed whom a change would break",
            "list its readers under consumers, or status: retired",
        )
    if contract.coverage is None:
        yield Hint(
            None,
            "no_coverage",
            "a partition without a delivery is not reported",
            "{property: coverage, value: {first: <slot>, last: <slot>}}",
        )
    if not contract.primary_key:
        yield Hint(
            None,
            "no_key",
            "without a primary key there are no corrections, and a row delivered twice is two rows",
            "give the columns that identify a row primaryKey and primaryKeyPosition",
        )
    if contract.kind == "state":
        return
    if contract.max_events is None:
        yield Hint(
            None,
            "no_max_events",
            "sums over windows are not proven to fit into int64",
            "{property: maxEvents, value: <most rows of one entity in a window>}",
        )
    known_at = contract.known_at.expression.expression.strip()
    if known_at in {"event_time", contract.event_time.expression.expression.strip()}:
        yield Hint(
            None,
            "known_at_once",
            "rows count as known when they happen: leakage, if they arrive later",
            "add the delay to the expression of knownAt",
        )


# Keys of an imported document that state requirements on the data.
_DEMANDS = ("quality", "logicalTypeOptions", "relationships", "enum", "unique")


def _not_enforced(contract: Contract) -> Iterator[Hint]:
    """Yield hints on imported requirements that no check enforces."""
    table = contract.document["schema"][0]
    for owner in (table, *table["properties"]):
        preserved = custom(owner, "unread") or {}
        field = None if owner is table else owner["name"]
        for key in _DEMANDS:
            if key in preserved:
                text = f"the imported {key} is preserved, and no check enforces it"
                yield Hint(field, "not_enforced", text, "write an expectation, or remove it")


def _field_hints(field: Field) -> Iterator[Hint]:
    if field.type == "number" and field.unit is None:
        yield Hint(
            field.name,
            "no_unit",
            "a change of its unit could not be named",
            "{property: unit, value: <unit>}",
        )
    if field.type == "number" and field.max_abs is None:
        yield Hint(
            field.name,
            "no_limit",
            "no value is too great for it, and its sums are not proven to fit",
            "{property: maxAbs, value: <the greatest possible value>}",
        )
    if field.description.strip().rstrip(".").casefold() == field.name.casefold().replace("_", " "):
        yield Hint(
            field.name,
            "says_nothing",
            "its description repeats its name",
            "say what it measures, and of what",
        )
