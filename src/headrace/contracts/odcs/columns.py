"""Import of one column of an ODCS document: name, type, key, and the parts we do not read."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.keys import COLUMN, COLUMN_CUSTOM, TIMESTAMP_OPTIONS, TYPES, UTC
from headrace.contracts.model import RESERVED
from headrace.contracts.odcs.preserved_parts import Document, custom, partition_keys
from headrace.contracts.odcs.quality_import import (
    LIMITS,
    Expectation,
    Subject,
    Untranslatable,
    from_part,
    modern,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PHYSICAL = (
    (r"(?i)^(big|small|tiny|medium)?int(eger)?\d*\b|^u?int(8|16|32|64)|^long$|^serial", "integer"),
    (r"(?i)^(decimal|numeric|number|double|float|real|money)", "number"),
    (r"(?i)^(n?var)?char|^n?text|^string|^uuid|^uniqueidentifier|^clob|^json|^enum", "string"),
    (r"(?i)^bool|^bit$", "boolean"),
    (r"(?i)^timestamp|^datetime", "timestamp"),
    (r"(?i)^date\b|^time\b", "string"),
)
_DECIMAL = re.compile(r"(?i)^(?:decimal|numeric|number)\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)$")
# Logical types that Headrace lacks: such columns become strings.
_AS_TEXT = {
    "date": "dates stay texts",
    "time": "times of day stay texts",
    "object": "nested, delivered as one text",
    "array": "nested, delivered as one text",
    "map": "nested, delivered as one text",
    "vector": "nested, delivered as one text",
}


# Custom property that marks an exported column as delivered: its transformLogic describes how the
# producer computes the column, and is not a derivation in our contract.
DELIVERED = "delivered"
# Function that returns the reason why a suite would reject an expectation; None if it would accept
# the expectation.
Accept = Callable[[Expectation, Sequence[Subject]], str | None]


@dataclass
class Translated:
    """Result of translating ODCS requirements on a table and its columns into expectations.

    `pairs` are (expectations, part of the document that they express). `notes` are sentences about
    parts that the import changed, and about parts that it preserved but that no check enforces.
    """

    accept: Accept
    pairs: list[tuple[list[Expectation], Document]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, was: Document, subject: Subject | None, subjects: Sequence[Subject]) -> None:
        """Translate `was` into expectations and add them.

        Raises Untranslatable if there is no equivalent, or the suite rejects it.
        """
        expectations = from_part(was, subject)
        for expectation in expectations:
            refused = self.accept(expectation, subjects)
            if refused is not None:
                raise Untranslatable(refused)
        self.pairs.append((expectations, was))


def is_ours(column: Mapping[str, Any]) -> bool:
    """Return True if Headrace exported the column; its `transformLogic` is then our derivation."""
    return custom(column, "fieldId") is not None or custom(column, "hidden") is not None


def column_of(
    source: Mapping[str, Any],
    number: int,
    key: int | None,
    used_names: set[str],
    translated: Translated,
) -> tuple[Document, Document]:
    """Import one column of a table; return (column, unread parts).

    `demands` later translates the requirements among the unread parts.

    Args:
        source: the column's entry in the document.
        number: field id to use if the column has none.
        key: position of the column in the primary key; None if it is not a key column.
        used_names: column names in use, in lower case; the column's own names are added.
        translated: result to which notes are added.
    """
    if is_ours(source):
        return _own_column(source, key, used_names, translated)
    column, rest = partition_keys(
        source, set(COLUMN.names) - {"transformLogic"} - _unreadable_options(source)
    )
    source_name = str(source.get("name", ""))
    column["name"] = _name(source_name, used_names)
    if column["name"] != source_name:
        translated.notes.append(f"{source_name!r} is imported as column {column['name']!r}")
        rest["name"] = source_name
    properties: Document = {
        "fieldId": number,
        **_aliases(source, column["name"], used_names, translated),
    }
    _set_type(source, column, rest, translated)
    properties |= _scale(source, column["logicalType"])
    column.setdefault("description", f"TODO: what {source_name} means")
    _key(column, rest, key, translated)
    if "transformLogic" in source:
        translated.notes.append(
            f"{source_name}: transformLogic is kept as documentation; it is not evaluated"
        )
    column, rest = _own_properties(column, rest, properties)
    order = ("name", "logicalType", "physicalType", "required", "primaryKey", "primaryKeyPosition")
    ordered = {name: column[name] for name in (*order, *column) if name in column}
    return ordered, rest


def _own_column(
    source: Mapping[str, Any], key: int | None, used_names: set[str], translated: Translated
) -> tuple[Document, Document]:
    """Import a column that Headrace exported."""
    foreign = custom(source, DELIVERED) is True
    excluded = _unreadable_options(source) | ({"transformLogic"} if foreign else set())
    column, rest = partition_keys(source, set(COLUMN.names) - excluded)
    _set_type(source, column, rest, translated)
    _key(column, rest, key, translated)
    used_names.add(str(column["name"]).casefold())
    return _own_properties(column, rest, {})


def _name(source_name: str, used_names: set[str]) -> str:
    reserved = {name for name, _, _ in RESERVED}
    name = (
        source_name
        if _NAME.fullmatch(source_name) and source_name not in reserved
        else _plain(source_name)
    )
    while name.casefold() in used_names or name in reserved:
        name = f"{name}_given"
    used_names.add(name.casefold())
    return name


def _plain(text: str) -> str:
    name = "_".join(re.findall(r"[a-z0-9]+", text.lower())) or "column"
    return name if name[0].isalpha() else f"n_{name}"


def _aliases(
    source: Mapping[str, Any], name: str, used_names: set[str], translated: Translated
) -> Document:
    """Return the column's `aliases`: its name in the document and its physical name."""
    source_names = [source.get("name"), source.get("physicalName")]
    candidates = [
        str(fromkey) for fromkey in dict.fromkeys(source_names) if fromkey and fromkey != name
    ]
    free = [
        alias
        for alias in candidates
        if alias.casefold() == name.casefold() or alias.casefold() not in used_names
    ]
    used_names |= {alias.casefold() for alias in free}
    for alias in candidates:
        if alias not in free:
            translated.notes.append(
                f"{name}: {alias!r} is in use and cannot be an alias: SQL ignores case"
            )
    return {"aliases": free} if free else {}


def _unreadable_options(source: Mapping[str, Any]) -> set[str]:
    """Return {"logicalTypeOptions"} unless they are options of a UTC timestamp, which we read."""
    options = source.get("logicalTypeOptions") or {}
    is_supported = source.get("logicalType") == "timestamp" and set(options) <= set(
        TIMESTAMP_OPTIONS.names
    )
    utc = options.get("defaultTimezone", "UTC") in UTC
    return set() if is_supported and utc else {"logicalTypeOptions"}


def _set_type(
    source: Mapping[str, Any], column: Document, rest: Document, translated: Translated
) -> None:
    """Set the column's type to one of ours; preserve the original in `rest` if it differs."""
    column["logicalType"] = _type(source, translated)
    if column["logicalType"] != source.get("logicalType") and "logicalType" in source:
        rest["logicalType"] = source["logicalType"]


def _type(source: Mapping[str, Any], translated: Translated) -> str:
    name, logical, physical = (
        source.get("name"),
        source.get("logicalType"),
        source.get("physicalType"),
    )
    from_physical = next(
        (kinds for pattern, kinds in _PHYSICAL if re.match(pattern, str(physical))), None
    )
    if logical == "number" and from_physical == "integer":
        return "integer"  # the producer's database stores integers
    if logical in TYPES:
        return str(logical)
    if logical in _AS_TEXT:
        translated.notes.append(f"{name}: {logical}: {_AS_TEXT[logical]}")
        return "string"
    if from_physical is None:
        return "TODO"
    translated.notes.append(f"{name}: the type is taken from the physicalType {physical!r}")
    return from_physical


def _scale(source: Mapping[str, Any], kind: str) -> Document:
    """Return `scale` and `maxAbs` for a DECIMAL(digits, scale) of up to 18 digits, else {}."""
    match = _DECIMAL.match(str(source.get("physicalType", "")))
    if kind != "number" or match is None:
        return {}
    digits, scale = int(match[1]), int(match[2])
    fits = 0 <= scale <= digits <= 18
    return {"scale": scale, "maxAbs": 10 ** (digits - scale)} if fits else {}


def _key(column: Document, rest: Document, key: int | None, translated: Translated) -> None:
    if key is not None:
        column |= {"primaryKey": True, "primaryKeyPosition": key}
    elif column.get("primaryKey") is True:
        rest |= {name: column.pop(name) for name in _KEY_WORDS if name in column}
        translated.notes.append(f"{column['name']}: a number that is not exact cannot be a key")


_KEY_WORDS = ("primaryKey", "primaryKeyPosition")


def _own_properties(column: Document, rest: Document, new: Document) -> tuple[Document, Document]:
    """Return (column with the custom properties that we read and those in `new`, unread parts)."""
    readable, foreign, unread = own_properties(
        column.pop("customProperties", None), COLUMN_CUSTOM.names
    )
    names = {entry["property"] for entry in readable}
    added = [
        {"property": key, "value": setting} for key, setting in new.items() if key not in names
    ]
    column["customProperties"] = [*added, *readable]
    return column, {**unread, **rest, **({"customProperties": foreign} if foreign else {})}


def own_properties(
    properties: object, names: Collection[str]
) -> tuple[list[Document], list[Document], Document]:
    """Split custom properties into (ours, those of other tools, parts that an import preserved)."""
    readable: list[Document] = []
    foreign: list[Document] = []
    unread: Document = {}
    for entry in properties if isinstance(properties, list) else []:
        name = entry.get("property")
        if name == DELIVERED and entry.get("value") is True:
            continue
        if name == "unread" and isinstance(entry.get("value"), dict):
            unread |= entry["value"]
        elif (
            name in names and "vendor" not in entry and all(k["property"] != name for k in readable)
        ):
            readable.append(entry)
        else:
            foreign.append(entry)
    return readable, foreign, unread


def subject_of(column: Document) -> Subject:
    return Subject(column["name"], column["logicalType"], custom(column, "scale"))


def demands(
    rest: Document, subject: Subject, subjects: Sequence[Subject], translated: Translated
) -> None:
    """Translate a column's requirements in `rest` into expectations where an equivalent exists."""
    for key in ("unique", "enum"):
        if rest.get(key):
            _translate_part(rest, {key: rest[key]}, subject, subjects, translated)
    options = dict(rest.get("logicalTypeOptions") or {})
    for names in (("minLength", "maxLength"), ("pattern",), LIMITS):
        group = {name: options[name] for name in names if name in options}
        if group:
            _translate_part(rest, {"logicalTypeOptions": group}, subject, subjects, translated)
    quality(rest, subject, subjects, translated)
    for key, value in (rest.get("logicalTypeOptions") or {}).items():
        if key not in {"minLength", "maxLength", "pattern", *LIMITS}:
            translated.notes.append(f"{subject.name}: {key} {value} is preserved but not enforced")
    for key in ("relationships", "encryptedName", "deprecated"):
        if key in rest:
            translated.notes.append(f"{subject.name}: {key} is preserved but not enforced")


def _translate_part(
    rest: Document,
    was: Document,
    subject: Subject,
    subjects: Sequence[Subject],
    translated: Translated,
) -> None:
    """Translate the part `was` of `rest` into expectations and remove it from `rest`.

    If there is no equivalent expectation, leave `rest` unchanged and add a note.
    """
    (key, value), *_ = was.items()
    try:
        translated.take(was, subject, subjects)
    except Untranslatable as why:
        translated.notes.append(
            f"{subject.name}: {key} is preserved but not enforced (cannot be translated: {why})"
        )
        return
    remaining = {}
    if key == "logicalTypeOptions":
        remaining = {name: option for name, option in rest[key].items() if name not in value}
    rest.pop(key)
    if remaining:
        rest[key] = remaining


def quality(
    rest: Document, subject: Subject | None, subjects: Sequence[Subject], translated: Translated
) -> None:
    """Translate quality rules of a column, or of the table if `subject` is None."""
    if not rest.get("quality"):
        return
    untranslated = []
    for rule in map(modern, rest.pop("quality")):
        try:
            translated.take({"quality": [rule]}, subject, subjects)
        except Untranslatable as why:
            untranslated.append(rule)
            name = rule.get("name") or rule.get("id") or rule.get("metric") or rule.get("type")
            owner = subject.name if subject else "table"
            translated.notes.append(
                f"{owner}: {name} is preserved but not enforced (cannot be translated: {why})"
            )
    if untranslated:
        rest["quality"] = untranslated


def _can_be_key(column: Mapping[str, Any]) -> bool:
    """Return False for a number stored as a float, which cannot identify rows."""
    kind = _type(column, Translated(lambda *_: None))
    exact = custom(column, "scale") is not None or bool(_scale(column, kind))
    return kind != "number" or exact


def keys_of(columns: Sequence[Mapping[str, Any]]) -> Iterator[int | None]:
    """Yield each column's position in the primary key, from 1 without gaps; None if not in it."""
    positions = [
        (
            column.get("primaryKeyPosition")
            if column.get("primaryKeyPosition", -1) > 0
            else 10_000,
            n,
        )
        for n, column in enumerate(columns)
        if column.get("primaryKey") is True and _can_be_key(column)
    ]
    places = {n: place for place, (_, n) in enumerate(sorted(positions), 1)}
    yield from (places.get(n) for n in range(len(columns)))
