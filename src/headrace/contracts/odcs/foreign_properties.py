"""Custom properties of other tools whose names we also use, but with another meaning."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from headrace.contracts.authoring.yaml_values import block
from headrace.contracts.load import parse_contract
from headrace.contracts.odcs.preserved_parts import Document
from headrace.core.declarations.strict_yaml import is_mark
from headrace.core.errors import DeclarationError

_PLACE = re.compile(r"(schema\[0\])?(?:\.properties\[(\d+)\])?\.?customProperties\[([^\]]+)\]")
_MAX_ATTEMPTS = 1000
# Properties that a contract needs to load, with the TODO marks that replace unusable values.
NEEDED: dict[str, Any] = {
    "consumers": ["TODO: who reads it"],
    "licence": "TODO: an SPDX id, or whose leave it takes",
    "allowedPurposes": ["TODO: what it may be used for"],
    "privacyClass": "TODO: public, internal, personal, …",
    "tableKind": "TODO",
    "eventTime": {"expression": "TODO", "description": "TODO: when did a row happen?"},
    "knownAt": {"expression": "TODO", "description": "TODO: from when can a row be used?"},
}
_STAND_INS = {"tableKind": "event", "logicalType": "string"}
_SOMEWHEN = "CAST('2000-01-01T00:00:00Z' AS TIMESTAMPTZ)"


def settled(document: Document, path: Path) -> tuple[Document, list[str], str]:
    """Move every custom property that the loader rejects to the preserved parts.

    Returns:
        The contract, notes on the moved properties, and the error that still prevents loading
        ("" if there is none but open questions).
    """
    contract, notes = deepcopy(document), list[str]()
    for _ in range(_MAX_ATTEMPTS):
        try:
            parse_contract(block(_with_placeholders(contract)), path)
        except DeclarationError as error:
            note = _set_aside(contract, error)
            if note is None:
                return contract, notes, str(error)
            notes.append(note)
        else:
            break
    return contract, notes, ""


def _with_placeholders(value: Any, key: str = "") -> Any:  # noqa: ANN401  (any YAML value)
    """Replace TODO marks that would prevent loading with placeholder values."""
    if isinstance(value, dict):
        name = value.get("property", "")
        return {
            name_: _with_placeholders(inner, str(name) if name_ == "value" else name_)
            for name_, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_placeholders(entry, key) for entry in value]
    if is_mark(value) and key in {*_STAND_INS, "expression"}:
        return _STAND_INS.get(key, _SOMEWHEN)
    return value


def _set_aside(document: Document, error: DeclarationError) -> str | None:
    """Move the custom property that caused `error` to the preserved parts, and return a note.

    Returns None if no custom property caused the error.
    """
    match = _PLACE.search(error.where.partition(": ")[2])
    if match is None or match[3] in {"unread", "fieldId"}:
        return None
    owner = document["schema"][0] if match[1] else document
    if match[2]:
        owner = owner["properties"][int(match[2])]
    properties = owner["customProperties"]
    wrong = next(property_ for property_ in properties if property_["property"] == match[3])
    if is_mark(wrong["value"]):
        return None
    properties.remove(wrong)
    _preserve(properties, wrong)
    if match[3] in NEEDED:
        properties.append({"property": match[3], "value": NEEDED[match[3]]})
    prefix = f"{owner['name']}: " if match[1] else ""
    return f"{prefix}custom property {match[3]!r} has another meaning in the document: {error.what}"


def _preserve(properties: list[Document], wrong: Document) -> None:
    unread = next(
        (property_ for property_ in properties if property_["property"] == "unread"), None
    )
    if unread is None:
        unread = {"property": "unread", "value": {}}
        properties.append(unread)
    unread["value"].setdefault("customProperties", []).append(wrong)
