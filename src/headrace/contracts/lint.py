"""Hints about a contract, such as missing declarations that consumers or the gate will need."""

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
    """Return the hints about a contract file.

    If the contract does not load, these are its open questions and the error.

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
        fix = f"write the answer at {mark.path}"
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
            f"the contract lists no channel for reaching {contract.owner}",
            "support: [{channel: <where>, scope: issues}]",
        )
    if not contract.consumers:
        yield Hint(
            None,
            "no_consumers",
            "the contract lists no consumers, so a check cannot name those whom a change breaks",
            "list the readers of the table under consumers, or write status: retired",
        )
    if contract.coverage is None:
        yield Hint(
            None,
            "no_coverage",
            "without coverage, a partition that has no delivery is not reported",
            "{property: coverage, value: {first: <slot>, last: <slot>}}",
        )
    if not contract.primary_key:
        yield Hint(
            None,
            "no_key",
            "without a primary key, a later delivery cannot correct a row, "
            "and a row in two deliveries is stored twice",
            "add primaryKey and primaryKeyPosition to the columns that identify a row",
        )
    if contract.kind == "state":
        return
    if contract.max_events is None:
        yield Hint(
            None,
            "no_max_events",
            "without maxEvents, sums over feature windows are not proven to fit into int64",
            "{property: maxEvents, value: <most rows of one entity in a window>}",
        )
    known_at = contract.known_at.expression.expression.strip()
    if known_at in {"event_time", contract.event_time.expression.expression.strip()}:
        yield Hint(
            None,
            "known_at_once",
            "a row counts as known when it happens; if it arrives later, features leak the future",
            "add the arrival delay to the expression of knownAt",
        )


# Keys of an imported document that state requirements on the data.
_DEMANDS = ("quality", "logicalTypeOptions", "relationships", "enum", "unique")


def _not_enforced(contract: Contract) -> Iterator[Hint]:
    """Yield a hint for each imported requirement that no check enforces."""
    table = contract.document["schema"][0]
    for owner in (table, *table["properties"]):
        preserved = custom(owner, "unread") or {}
        field = None if owner is table else owner["name"]
        for key in _DEMANDS:
            if key in preserved:
                text = f"the imported {key} is preserved, but no check enforces it"
                yield Hint(field, "not_enforced", text, "write an expectation, or remove it")


def _field_hints(field: Field) -> Iterator[Hint]:
    if field.type == "number" and field.unit is None:
        yield Hint(
            field.name,
            "no_unit",
            "without a unit, a change of unit cannot be reported by name",
            "{property: unit, value: <unit>}",
        )
    if field.type == "number" and field.max_abs is None:
        yield Hint(
            field.name,
            "no_limit",
            "without maxAbs, no value is rejected as too large, and sums are not proven to fit",
            "{property: maxAbs, value: <the greatest possible value>}",
        )
    if field.description.strip().rstrip(".").casefold() == field.name.casefold().replace("_", " "):
        yield Hint(
            field.name,
            "says_nothing",
            "the description only repeats the name of the column",
            "describe which quantity the column measures, and for which object",
        )
