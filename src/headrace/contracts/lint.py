"""What a contract leaves unsaid that its consumers, or the gate, will miss."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.contracts.authoring.open_questions import PROPOSED, undecided
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract, Field
from headrace.contracts.odcs.preserved_parts import custom
from headrace.core.errors import DeclarationError
from headrace.core.strict_yaml import Node, read_document


@dataclass(frozen=True)
class Hint:
    """`field` is None for the table itself."""

    field: str | None
    rule: str
    text: str
    fix: str


def lint(contract: Contract) -> list[Hint]:
    """All hints: what is undecided, then those of the table, then those of its columns."""
    return [
        *_undecided(Node(contract.path, "", contract.document)),
        *_of_table(contract),
        *_not_enforced(contract),
        *(hint for field in contract.fields for hint in _of(field)),
    ]


def lint_file(path: Path) -> list[Hint]:
    """The hints of a contract in a file, also of one that does not load for what is undecided.

    Raises:
        DeclarationError: it does not load, and nothing in it is undecided.
    """
    try:
        contract = load_contract(path)
    except DeclarationError as error:
        open_ = [*_undecided(read_document(path))]
        if not open_:
            raise
        return [*open_, Hint(None, "does_not_load", error.what, error.fix or error.where)]
    return lint(contract)


def _undecided(document: Node) -> Iterator[Hint]:
    for mark in undecided(document):
        fix = f"write it at {mark.path}"
        yield Hint(mark.field, "undecided", mark.text, fix)
    status = document.value.get("status") if isinstance(document.value, dict) else None
    if status == PROPOSED:
        fix = "when all is decided, write status: active"
        yield Hint(None, "proposed", "nothing is published under a proposed contract", fix)


def _of_table(contract: Contract) -> Iterator[Hint]:
    if "support" not in contract.document:
        yield Hint(
            None,
            "no_support",
            f"nobody knows how to reach {contract.owner}",
            "support: [{channel: <where>, scope: issues}]",
        )
    if not contract.consumers:
        yield Hint(
            None,
            "no_consumers",
            "nobody is named whom a change would break",
            "name those who read it under consumers, or status: retired",
        )
    if contract.coverage is None:
        yield Hint(
            None,
            "no_coverage",
            "a slot without a delivery is not missed",
            "{property: coverage, value: {first: <slot>, last: <slot>}}",
        )
    if not contract.primary_key:
        yield Hint(
            None,
            "no_key",
            "without a primary key it takes no corrections, and a row delivered twice is two",
            "give the columns that tell rows apart primaryKey and primaryKeyPosition",
        )
    if contract.kind == "state":
        return
    if contract.max_events is None:
        yield Hint(
            None,
            "no_max_events",
            "no sum over a window is proven to fit",
            "{property: maxEvents, value: <most rows of one entity in a window>}",
        )
    known = contract.known_at.expression.expression.strip()
    if known in {"event_time", contract.event_time.expression.expression.strip()}:
        yield Hint(
            None,
            "known_at_once",
            "rows count as known the moment they happen: a leak, if they come later",
            "add the delay to the expression of knownAt",
        )


# Of a document of another tool, what demands something of the data.
_DEMANDS = ("quality", "logicalTypeOptions", "relationships", "enum", "unique")


def _not_enforced(contract: Contract) -> Iterator[Hint]:
    """Demands that were imported, and that no expectation stands for."""
    table = contract.document["schema"][0]
    for owner in (table, *table["properties"]):
        kept = custom(owner, "unread") or {}
        field = None if owner is table else owner["name"]
        for key in _DEMANDS:
            if key in kept:
                text = f"the imported {key} is kept, and nothing holds the data to it"
                yield Hint(field, "not_enforced", text, "write an expectation, or take it out")


def _of(field: Field) -> Iterator[Hint]:
    if field.type == "number" and field.unit is None:
        yield Hint(
            field.name,
            "no_unit",
            "a change of its unit would have no name",
            "{property: unit, value: <unit>}",
        )
    if field.type == "number" and field.max_abs is None:
        yield Hint(
            field.name,
            "no_limit",
            "no value is too great for it, and no sum of it is proven to fit",
            "{property: maxAbs, value: <the greatest that can be true>}",
        )
    if field.description.strip().rstrip(".").casefold() == field.name.casefold().replace("_", " "):
        yield Hint(
            field.name,
            "says_nothing",
            "its description repeats its name",
            "say what it is, and of what",
        )
