"""Custom properties of other tools that bear our names and mean something else."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from headrace.contracts.authoring.yaml_values import block
from headrace.contracts.load import parse_contract
from headrace.contracts.odcs.preserved_parts import Document
from headrace.core.errors import DeclarationError
from headrace.core.strict_yaml import is_mark

_PLACE = re.compile(r"(schema\[0\])?(?:\.properties\[(\d+)\])?\.?customProperties\[([^\]]+)\]")
_MOST = 1000
# Without these a contract does not load; they are marked where the document has other ones.
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
    """The contract with every custom property aside that the loader refuses.

    Returns:
        It, what was set aside, and why it will not load even when all marks are decided.
    """
    made, notes = deepcopy(document), list[str]()
    for _ in range(_MOST):
        try:
            parse_contract(block(_trial(made)), path)
        except DeclarationError as error:
            told = _set_aside(made, error)
            if told is None:
                return made, notes, str(error)
            notes.append(told)
        else:
            break
    return made, notes, ""


def _trial(value: Any, key: str = "") -> Any:  # noqa: ANN401  (any YAML value)
    """With stand-ins where a mark would keep it from loading."""
    if isinstance(value, dict):
        name = value.get("property", "")
        return {
            one: _trial(inner, str(name) if one == "value" else one) for one, inner in value.items()
        }
    if isinstance(value, list):
        return [_trial(one, key) for one in value]
    if is_mark(value) and key in {*_STAND_INS, "expression"}:
        return _STAND_INS.get(key, _SOMEWHEN)
    return value


def _set_aside(document: Document, error: DeclarationError) -> str | None:
    """Keep the property that the error is about unread; None if it is about something else."""
    found = _PLACE.search(error.where.partition(": ")[2])
    if found is None or found[3] in {"unread", "fieldId"}:
        return None
    owner = document["schema"][0] if found[1] else document
    if found[2]:
        owner = owner["properties"][int(found[2])]
    properties = owner["customProperties"]
    wrong = next(property_ for property_ in properties if property_["property"] == found[3])
    if is_mark(wrong["value"]):
        return None
    properties.remove(wrong)
    _keep(properties, wrong)
    if found[3] in NEEDED:
        properties.append({"property": found[3], "value": NEEDED[found[3]]})
    about = f"{owner['name']}: " if found[1] else ""
    return f"{about}the custom property {found[3]!r} means something else there: {error.what}"


def _keep(properties: list[Document], wrong: Document) -> None:
    unread = next(
        (property_ for property_ in properties if property_["property"] == "unread"), None
    )
    if unread is None:
        unread = {"property": "unread", "value": {}}
        properties.append(unread)
    unread["value"].setdefault("customProperties", []).append(wrong)
