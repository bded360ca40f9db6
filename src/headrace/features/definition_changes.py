"""Comparison of two sets of feature definitions: changed features, with the reasons.

A feature also changes if one of its inputs changes. If the contracts of both sets are given, a
change in a column's meaning is described in detail.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json
from headrace.features.canonical import Definition, canonical
from headrace.features.canonical_parts import Form, Parts, parts_by_feature, value_text
from headrace.features.contract_wording import Explained, contract_meanings
from headrace.features.spec import SEMANTICS_VERSION
from headrace.features.table_shapes import Contracts

FORMAT = 1
_OF_COLUMN = ("type of ", "scale of ", "meaning of ")


@dataclass(frozen=True)
class ChangedPart:
    """Changed part of a feature; `old` and `new` are JSON values, `text` describes the change."""

    part: str
    old: Any
    new: Any
    text: str


@dataclass(frozen=True)
class Change:
    """Change of one feature.

    `what` is "added", "removed" or "changed"; `parts` are the changed parts of a changed feature.
    """

    what: str
    name: str
    parts: tuple[ChangedPart, ...] = ()
    detail: str = ""

    def __str__(self) -> str:
        texts = [part.text for part in self.parts] + ([self.detail] if self.detail else [])
        return f"{self.what} {self.name}" + (f": {'; '.join(texts)}" if texts else "")


@dataclass(frozen=True)
class Diff:
    """Removed, added and changed features, in this order, and names of the unchanged features."""

    changes: tuple[Change, ...]
    unchanged: tuple[str, ...] = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        lines = [str(change) for change in self.changes]
        return "\n".join([*lines, f"unchanged features: {len(self.unchanged)}"])

    def as_json(self) -> dict[str, Any]:
        """Return the names of features by kind of change; `changed` also has the changed parts."""
        by_kind = {
            kind: [change for change in self.changes if change.what == kind]
            for kind in ("added", "removed", "changed")
        }
        return {
            "added": [change.name for change in by_kind["added"]],
            "removed": [change.name for change in by_kind["removed"]],
            "changed": {
                change.name: [
                    {"part": p.part, "old": p.old, "new": p.new, "text": p.text}
                    for p in change.parts
                ]
                for change in by_kind["changed"]
            },
            "unchanged": list(self.unchanged),
        }


def stored_forms(definitions: Sequence[Definition], contracts: Contracts) -> dict[str, Any]:
    """Return definitions as a JSON document that `diff` can compare with later definitions.

    The document includes the meaning of the columns in their contracts, so that later changes can
    be described.
    """
    forms = [canonical(definition, contracts) for definition in definitions]
    tables = {form["table"]["name"] for form in forms if "table" in form}
    of_tables = {table: of for table, of in contract_meanings(contracts).items() if table in tables}
    document = {
        "format": FORMAT,
        "semantics": SEMANTICS_VERSION,
        "definitions": forms,
        "contracts": of_tables,
    }
    plain_document: dict[str, Any] = json.loads(canonical_json(document))
    return plain_document


def diff(
    old: Sequence[Definition | Form] | Mapping[str, Any],
    new: Sequence[Definition | Form] | Mapping[str, Any],
    contracts_old: Contracts | None = None,
    contracts_new: Contracts | None = None,
) -> Diff:
    """Compare two sets of feature definitions.

    Args:
        old: definitions, their canonical forms, or a document of `stored_forms`.
        new: the definitions to compare with, in one of the same forms.
        contracts_old: contracts of the tables by name. They are required if `old` has definitions;
            otherwise they only add detail to the descriptions. None uses `contracts_new`.
        contracts_new: contracts for `new`; None uses `contracts_old`.

    Raises:
        DeclarationError: there are definitions but no contracts.
        StateError: a stored document has another format.
    """
    contracts = [contracts_old or contracts_new, contracts_new or contracts_old]
    before, after = (
        parts_by_feature(_forms(side, side_contracts))
        for side, side_contracts in zip((old, new), contracts, strict=True)
    )
    rules = (_semantics(old), _semantics(new))
    explain = Explained(
        *(
            side.get("contracts", {})
            if isinstance(side, Mapping)
            else contract_meanings(side_contracts)
            for side, side_contracts in zip((old, new), contracts, strict=True)
        )
    )
    changed = {
        name: tuple(_differences(before[name], parts, explain))
        for name, parts in after.items()
        if name in before
    }
    if rules[0] != rules[1]:
        part = ChangedPart("semantics", *rules, f"semantics version {rules[0]} -> {rules[1]}")
        changed = {name: (part, *parts) for name, parts in changed.items()}
    _follow_inputs(after, changed)
    removed = [Change("removed", name) for name in before if name not in after]
    added = [_added(name, after, before) for name in after if name not in before]
    changes = [Change("changed", name, parts) for name, parts in changed.items() if parts]
    unchanged = tuple(name for name, parts in changed.items() if not parts)
    return Diff((*removed, *added, *changes), unchanged)


def _forms(side: Any, contracts: Contracts | None) -> list[Form]:  # noqa: ANN401 - see `diff`
    if isinstance(side, Mapping):
        if side.get("format") != FORMAT:
            raise StateError(
                f"definitions stored in format {side.get('format')!r}, not {FORMAT}",
                where="a comparison of definitions",
                fix="store them again with this version",
            )
        side = side["definitions"]
    forms = [definition for definition in side if isinstance(definition, Mapping)]
    if len(forms) < len(side) and contracts is None:
        raise DeclarationError(
            "definitions cannot be compared without the contracts of their tables",
            where="a comparison of definitions",
            fix="give contracts_old and contracts_new, or canonical forms",
        )
    return [
        definition if isinstance(definition, Mapping) else canonical(definition, contracts or {})
        for definition in side
    ]


def _semantics(side: Any) -> int:  # noqa: ANN401 - see `diff`
    return int(side["semantics"]) if isinstance(side, Mapping) else SEMANTICS_VERSION


def _added(name: str, after: Mapping[str, Parts], before: Mapping[str, Parts]) -> Change:
    former_names = [
        former_name
        for former_name, parts in before.items()
        if former_name not in after and parts == after[name]
    ]
    return Change(
        "added",
        name,
        detail=f"it has the definition of the former {former_names[0]}" if former_names else "",
    )


def _differences(old: Parts, new: Parts, explain: "Explained") -> Iterator[ChangedPart]:
    for part in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(part), new.get(part)
        # If a feature now uses another column, only that is reported, not the types of the columns.
        if before == after or (part.startswith(_OF_COLUMN) and not (part in old and part in new)):
            continue
        if part == "times" or part.startswith("meaning of "):
            text = explain.meaning(part, str(old["table"]), str(new["table"]))
        elif part.startswith("code of "):
            text = (
                f"{part} has changed"
                if before and after
                else f"{part} {value_text('', after or before)}"
            )
        else:
            text = f"{part} {value_text(part, before)} -> {value_text(part, after)}"
        yield ChangedPart(part, before, after, text)


def _follow_inputs(after: Mapping[str, Parts], changed: dict[str, tuple[ChangedPart, ...]]) -> None:
    """Mark a transform as changed if one of its inputs changed.

    Transforms are declared after their inputs, so one pass is enough.
    """
    for name, parts in after.items():
        for input_name in parts.get("inputs", []) if name in changed else []:
            if changed.get(input_name):
                text = f"its input {input_name} changes meaning"
                changed[name] = (*changed[name], ChangedPart("input", input_name, input_name, text))
