"""Parts of an ODCS document that Headrace does not read, kept word for word where they stood.

They are the custom property `unread` of the contract, of its table or of a column: a mapping of
ODCS keys. An export puts them back.
"""

from collections.abc import Collection, Mapping
from typing import Any

from headrace.contracts.keys import UNREAD

Document = dict[str, Any]


def parted(source: Mapping[str, Any], known: Collection[str]) -> tuple[Document, Document]:
    """The entries under keys that are known, and the others."""
    return (
        {key: value for key, value in source.items() if key in known},
        {key: value for key, value in source.items() if key not in known},
    )


def with_unread(owner: Document, rest: Mapping[str, Any]) -> Document:
    """`owner` with `rest` in its custom properties."""
    if not rest:
        return owner
    properties = [*owner.get("customProperties", []), {"property": UNREAD, "value": dict(rest)}]
    return {**owner, "customProperties": properties}


def put_back(owner: Mapping[str, Any]) -> Document:
    """`owner` with what it keeps unread in its place again."""
    properties = owner.get("customProperties", [])
    own = [property_ for property_ in properties if property_.get("property") != UNREAD]
    kept = [property_["value"] for property_ in properties if property_.get("property") == UNREAD]
    made = {**owner, "customProperties": own}
    for rest in kept:
        made = merged(made, rest)
    if not made["customProperties"]:
        del made["customProperties"]
    return made


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Document:
    """Mappings merge, lists follow one another, and of other values the second counts."""
    made = dict(one)
    for key, value in other.items():
        there = made.get(key)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            made[key] = merged(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            made[key] = [*there, *value]
        else:
            made[key] = value
    return made


def custom(owner: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  (any YAML value)
    """The value of a custom property; None if there is none."""
    for one in owner.get("customProperties") or []:
        if one.get("property") == name:
            return one.get("value")
    return None
