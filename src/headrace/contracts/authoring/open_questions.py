"""What a contract leaves to a person: texts that begin with TODO, and a status that is proposed.

Drafts mark what data cannot tell, such as a unit or when a row is known, instead of inventing it.
A contract with such a mark loads as a draft or a proposal, where its place admits a text at all,
and under no other status.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.contracts.model import Contract
from headrace.core.errors import DeclarationError
from headrace.core.strict_yaml import Node, is_mark

PROPOSED = "proposed"
# Under these a contract may still have marks.
UNFINISHED = (PROPOSED, "draft")


@dataclass(frozen=True)
class Undecided:
    """A mark: where it stands in the document, the column it is about, and its text."""

    path: str
    field: str | None
    text: str


def undecided(document: Node) -> list[Undecided]:
    """Every mark of a document, in its order."""
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
            own = name if path.endswith(".properties") else field
            yield from _marks(inner, f"{path}[{name}]", own)


def _name(value: object) -> str | None:
    """Of an entry of a list: a column or table by its name, a custom property by its own."""
    if not isinstance(value, dict):
        return None
    name = value.get("property", value.get("name"))
    return name if isinstance(name, str) else None


def refuse_marks(document: Node, status: object) -> None:
    """DeclarationError if a contract that is in force still has marks."""
    if status in UNFINISHED:
        return
    marks = undecided(document)
    if marks:
        raise DeclarationError(
            f"{len(marks)} things are not decided yet, the first is {marks[0].text!r}",
            where=f"{document.file}: {marks[0].path}",
            fix=f"decide them (headrace contract lint {document.file}), or write status: draft",
        )


def must_be_decided(contract: Contract) -> None:
    """DeclarationError if the contract is only proposed: nothing may be published under it."""
    if contract.status == PROPOSED:
        raise DeclarationError(
            f"the contract {contract.table} {contract.version} is proposed, and nobody decided yet "
            "that it holds",
            where=str(contract.path),
            fix=f"decide what `headrace contract lint {contract.path}` lists, "
            "then write status: active",
        )
