"""Parts of an imported ODCS document that Headrace does not read, preserved verbatim.

The custom property `unread` of the contract, its table or a column holds these parts, as a mapping
of ODCS keys. An export restores them.
"""

from collections.abc import Collection, Mapping
from typing import Any

from headrace.contracts.keys import UNREAD

Document = dict[str, Any]


def partition_keys(
    source: Mapping[str, Any], readable: Collection[str]
) -> tuple[Document, Document]:
    """Split `source` into the entries with `readable` keys and the others."""
    return (
        {key: value for key, value in source.items() if key in readable},
        {key: value for key, value in source.items() if key not in readable},
    )


def with_unread(owner: Document, rest: Mapping[str, Any]) -> Document:
    """Return `owner` with `rest` in its custom property `unread`."""
    if not rest:
        return owner
    properties = [*owner.get("customProperties", []), {"property": UNREAD, "value": dict(rest)}]
    return {**owner, "customProperties": properties}


def restore_unread(owner: Mapping[str, Any]) -> Document:
    """Return `owner` with the parts from its custom property `unread` restored."""
    properties = owner.get("customProperties", [])
    readable = [property_ for property_ in properties if property_.get("property") != UNREAD]
    preserved = [
        property_["value"] for property_ in properties if property_.get("property") == UNREAD
    ]
    restored = {**owner, "customProperties": readable}
    for rest in preserved:
        restored = merged(restored, rest)
    if not restored["customProperties"]:
        del restored["customProperties"]
    return restored


def merged(base: Mapping[str, Any], addition: Mapping[str, Any]) -> Document:
    """Merge recursively: mappings are merged, lists joined, other values taken from `addition`."""
    result = dict(base)
    for key, value in addition.items():
        current = result.get(key)
        if isinstance(current, Mapping) and isinstance(value, Mapping):
            result[key] = merged(current, value)
        elif isinstance(current, list) and isinstance(value, list):
            result[key] = [*current, *value]
        else:
            result[key] = value
    return result


def custom(owner: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  (any YAML value)
    """Return the value of the custom property `name`; None if `owner` does not have it."""
    for entry in owner.get("customProperties") or []:
        if entry.get("property") == name:
            return entry.get("value")
    return None
