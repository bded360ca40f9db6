"""Step of a proposal: a change in the data, and the edit of the contract that follows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.contracts.authoring.editing import Edited
from headrace.contracts.model import Field

COLUMNS = ("schema", 0, "properties")
Edit = Callable[[Edited], None]


@dataclass(frozen=True)
class RevisionStep:
    """Change in the data, and the contract edit for it; `edit` is None if a person must decide.

    `kind` is one of added, vanished, renamed, retyped, finer, raised, null_text, sentinel,
    nullable, level, meaning, rows.
    """

    field: str | None
    kind: str
    text: str
    edit: Edit | None = None
    otherwise: "RevisionStep | None" = None  # fallback if the contract does not load after the edit

    def as_json(self) -> dict[str, Any]:
        proposed = self.edit is not None
        return {"field": self.field, "kind": self.kind, "text": self.text, "proposed": proposed}


def with_custom(name: str, **properties: object) -> Edit:
    """Set custom properties of column `name`."""

    def edit(contract: Edited) -> None:
        for key, value in properties.items():
            contract.custom(*COLUMNS, name, name=key, to=value)

    return edit


def without_column(field: Field) -> Edit:
    def edit(text: Edited) -> None:
        text.remove(*COLUMNS, field.name)
        retired = sorted({*retired_ids(text), *([] if field.id is None else [field.id])})
        text.custom("schema", 0, name="retiredFieldIds", to=retired)

    return edit


def retired_ids(text: Edited) -> list[int]:
    """Return the field ids that the contract already lists as retired."""
    place = ("schema", 0, "customProperties", "retiredFieldIds", "value")
    return list(text.value(*place)) if text.has(*place) else []


def with_alias(field: Field, header: str) -> Edit:
    return with_custom(field.name, aliases=[*field.aliases, header])


def with_column(after: str, lines: Sequence[str]) -> Edit:
    """Insert a column after column `after`; `lines` come from `column_lines`."""
    first = lines[0].index("- ") + 2
    return lambda text: text.insert_after(*COLUMNS, after, lines=[line[first:] for line in lines])


def with_type(field: Field, kind: str, custom: Mapping[str, object]) -> Edit:
    """Change the type of a column; set its `custom` properties, and drop those that are None."""

    def edit(text: Edited) -> None:
        text.set(*COLUMNS, field.name, "logicalType", to=kind)
        for name, value in custom.items():
            if value is not None:
                text.custom(*COLUMNS, field.name, name=name, to=value)
            elif text.has(*COLUMNS, field.name, "customProperties", name):
                _drop(text, field.name, name)

    return edit


def _drop(text: Edited, column: str, name: str) -> None:
    """Drop a custom property from a list in block or flow style."""
    place = (*COLUMNS, column, "customProperties")
    if text.is_block(*place):
        text.remove(*place, name)
        return
    remaining = [entry for entry in text.value(*place) if entry["property"] != name]
    text.set(*place, to=remaining)


def optional(name: str) -> Edit:
    """Allow null in a column."""
    return lambda text: text.set(*COLUMNS, name, "required", to=False)


def with_level(field: Field, codes: Sequence[str]) -> Edit:
    def edit(text: Edited) -> None:
        place = (*COLUMNS, field.name, "customProperties", "levels", "value")
        for code in codes:
            text.set(*place, code, to=f"TODO: what {code} means")

    return edit
