"""Open questions of a contract: values that begin with TODO, and the status `proposed`.

A drafted contract has a TODO mark wherever the value cannot be derived from the data, such as a
unit or the rule for known-at. A contract with TODO marks loads only if its status is `draft` or
`proposed` and the marked keys accept text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.contracts.model import Contract
from headrace.core.declarations.strict_yaml import Node, is_mark
from headrace.core.errors import DeclarationError

PROPOSED = "proposed"
# Statuses of contracts that may contain TODO marks.
UNFINISHED = (PROPOSED, "draft")


@dataclass(frozen=True)
class Undecided:
    """TODO mark of a contract: path in the document, column (None outside columns) and text."""

    path: str
    field: str | None
    text: str


def undecided(document: Node) -> list[Undecided]:
    """Return all TODO marks of a document, in document order."""
    return list(_marks(document.value, "", None))


def _marks(value: object, path: str, field: str | None) -> Iterator[Undecided]:
    if is_mark(value):
        yield Undecided(path, field, str(value))
    elif isinstance(value, dict) and value.get("property") != "unread":
        for key, inner in value.items():
            yield from _marks(inner, f"{path}.{key}".lstrip("."), field)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            name = _name(inner) or str(place)
            column = name if path.endswith(".properties") else field
            yield from _marks(inner, f"{path}[{name}]", column)


def _name(value: object) -> str | None:
    """Return the name of a list entry (a column, table or custom property)."""
    if not isinstance(value, dict):
        return None
    name = value.get("property", value.get("name"))
    return name if isinstance(name, str) else None


def refuse_marks(document: Node, status: object) -> None:
    """Raise DeclarationError if the contract has TODO marks and is not a draft or proposal."""
    if status in UNFINISHED:
        return
    marks = undecided(document)
    if marks:
        raise DeclarationError(
            f"the contract has open questions ({len(marks)}); the first is {marks[0].text!r}",
            where=f"{document.file}: {marks[0].path}",
            fix=f"answer them (headrace contract lint {document.file}), or write status: draft",
        )


def must_be_decided(contract: Contract) -> None:
    """Raise DeclarationError if the contract is only proposed, since it may not publish data."""
    if contract.status == PROPOSED:
        raise DeclarationError(
            f"the contract {contract.table} {contract.version} is only proposed, not approved",
            where=str(contract.path),
            fix=f"answer the questions that `headrace contract lint {contract.path}` lists, "
            "then write status: active",
        )
