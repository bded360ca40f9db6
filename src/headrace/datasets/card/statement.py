"""Hand-written statements about a dataset, read from a file beside the pipeline.

    version: 1
    statements:
      - field: biases
        text: Airports with a curfew report no arrivals at night.
        by: Ana Ruiz, data steward
        on: "2026-03-01"

For a field without a statement the card shows `not_stated`.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.core.declarations.strict_yaml import Key, Keys, choice, read_document
from headrace.core.errors import DeclarationError

NOT_STATED = "not_stated"
FORMAT = 1
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# {field: its label on the card}.
FIELDS = {
    "collection": "How the data was collected, before it reached the pipeline",
    "annotation": "Who or what determined the labels",
    "consent": "What the people in the data were informed of, and what they agreed to",
    "biases": "Known biases",
    "limitations": "Known limits",
    "use_cases": "Uses for which the dataset was tested and is suitable",
    "not_for": "What the dataset must not be used for",
    "social_impact": "Who may benefit from its use, and who may be harmed",
    "maintenance": "Who maintains the dataset, and how often it is updated",
    "citation": "How to cite it",
    "contact": "Person to contact",
    "licence": "The licence under which the release itself is distributed",
}
CARD = Keys((
    Key("version", f"`{FORMAT}`", "Version of the format.", required=True),
    Key("statements", "list of statements", "At most one for each field.", required=True),
))  # fmt: skip
STATEMENT = Keys((
    Key("field", choice(FIELDS), "Field of the card.", required=True),
    Key("text", "text", "The statement.", required=True),
    Key("by", "text", "The person who makes the statement.", required=True),
    Key("on", "`YYYY-MM-DD`", "The day on which the statement was made."),
))  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """A statement by the person `by`; `on` is the ISO day, or "" if none is given."""

    field: str
    text: str
    by: str
    on: str = ""

    def __post_init__(self) -> None:
        if self.field not in FIELDS:
            raise DeclarationError(
                f"{self.field!r} is not a field of the card",
                where="a statement of a card",
                fix=f"one of {', '.join(FIELDS)}",
            )
        if not self.text.strip() or not self.by.strip():
            raise DeclarationError(
                f"the statement on {self.field} has no text, or names no person",
                where="a statement of a card",
                fix="give text and by; omit the statement if no person can make it",
            )
        if self.on and not _DAY.fullmatch(self.on):
            raise DeclarationError(
                f"{self.on!r} is not a day", where="a statement of a card", fix="as in 2026-03-01"
            )


def load_card(path: Path | str) -> tuple[Statement, ...]:
    """Read the statements of a `card.yaml`. Raises DeclarationError for an invalid file."""
    top = read_document(Path(path)).entries(CARD)
    top["version"].choose((FORMAT,))
    statements = []
    for node in top["statements"].items():
        part = node.entries(STATEMENT)
        name = part["field"].choose(tuple(FIELDS))
        on = part["on"].text() if "on" in part else ""
        statements.append(Statement(name, part["text"].text().strip(), part["by"].text(), on))
    check_once(statements, str(path))
    return tuple(statements)


def check_once(statements: Sequence[Statement], where: str) -> None:
    names = [statement.field for statement in statements]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise DeclarationError(
            f"{doubled[0]} is stated twice", where=where, fix="keep one statement for each field"
        )


def to_json(statements: Sequence[Statement]) -> dict[str, object]:
    """The statements as the JSON object that a release stores."""
    return {"format": FORMAT, "statements": [asdict(statement) for statement in statements]}


def from_json(form: dict[str, object]) -> dict[str, Statement]:
    """{field: statement}, from the output of `to_json`."""
    from typing import Any, cast

    listed = cast("list[dict[str, Any]]", form["statements"])
    return {entry["field"]: Statement(**entry) for entry in listed}
