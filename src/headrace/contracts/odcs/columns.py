"""A column of an ODCS document as one of ours: name, type, key, and what is left over."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.keys import COLUMN, COLUMN_CUSTOM, TIMESTAMP_OPTIONS, TYPES, UTC
from headrace.contracts.model import RESERVED
from headrace.contracts.odcs.preserved_parts import Document, custom, parted
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
# What Headrace has no type for is delivered as text.
_AS_TEXT = {
    "date": "dates stay texts",
    "time": "times of day stay texts",
    "object": "nested, delivered as one text",
    "array": "nested, delivered as one text",
    "map": "nested, delivered as one text",
    "vector": "nested, delivered as one text",
}


# On an exported column of ours: its transformLogic is the producer's, and derives nothing here.
DELIVERED = "delivered"
# Says why a suite would refuse an expectation on columns; None if it takes it.
Accept = Callable[[Expectation, Sequence[Subject]], str | None]


@dataclass
class Translated:
    """What became of the demands of one column, or of the table.

    `pairs`: expectations, and the part of the document that they stand for. `notes` are sentences
    on what was changed, or is kept and not enforced.
    """

    accept: Accept
    pairs: list[tuple[list[Expectation], Document]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, was: Document, subject: Subject | None, subjects: Sequence[Subject]) -> None:
        """Raises Untranslatable if nothing says the same, or a suite would refuse it."""
        expectations = from_part(was, subject)
        for expectation in expectations:
            refused = self.accept(expectation, subjects)
            if refused is not None:
                raise Untranslatable(refused)
        self.pairs.append((expectations, was))


def is_ours(column: Mapping[str, Any]) -> bool:
    """Whether Headrace wrote the column: then its `transformLogic` derives it."""
    return custom(column, "fieldId") is not None or custom(column, "hidden") is not None


def column_of(
    source: Mapping[str, Any], number: int, key: int | None, taken: set[str], done: Translated
) -> tuple[Document, Document]:
    """One property of a table, and what is left over of it: see `demands`.

    Args:
        source: as in the document.
        number: its field id, if it has none.
        key: its place in the primary key.
        taken: names in use, in lower case; its own are added.
        done: takes notes.
    """
    if is_ours(source):
        return _own_column(source, key, taken, done)
    made, rest = parted(source, set(COLUMN.names) - {"transformLogic"} - _options_aside(source))
    given = str(source.get("name", ""))
    made["name"] = _name(given, taken)
    if made["name"] != given:
        done.notes.append(f"{given!r} is the column {made['name']!r}")
        rest["name"] = given
    properties: Document = {"fieldId": number, **_aliases(source, made["name"], taken, done)}
    _typed(source, made, rest, done)
    properties |= _scale(source, made["logicalType"])
    made.setdefault("description", f"TODO: what {given} means")
    _key(made, rest, key, done)
    if "transformLogic" in source:
        done.notes.append(f"{given}: transformLogic says how it was made, and derives nothing here")
    made, rest = _own_properties(made, rest, properties)
    order = ("name", "logicalType", "physicalType", "required", "primaryKey", "primaryKeyPosition")
    ordered = {name: made[name] for name in (*order, *made) if name in made}
    return ordered, rest


def _own_column(
    source: Mapping[str, Any], key: int | None, taken: set[str], done: Translated
) -> tuple[Document, Document]:
    """A column that we exported."""
    foreign = custom(source, DELIVERED) is True
    left_out = _options_aside(source) | ({"transformLogic"} if foreign else set())
    made, rest = parted(source, set(COLUMN.names) - left_out)
    _typed(source, made, rest, done)
    _key(made, rest, key, done)
    taken.add(str(made["name"]).casefold())
    return _own_properties(made, rest, {})


def _name(given: str, taken: set[str]) -> str:
    reserved = {name for name, _, _ in RESERVED}
    name = given if _NAME.fullmatch(given) and given not in reserved else _plain(given)
    while name.casefold() in taken or name in reserved:
        name = f"{name}_given"
    taken.add(name.casefold())
    return name


def _plain(text: str) -> str:
    name = "_".join(re.findall(r"[a-z0-9]+", text.lower())) or "column"
    return name if name[0].isalpha() else f"n_{name}"


def _aliases(source: Mapping[str, Any], name: str, taken: set[str], done: Translated) -> Document:
    """The names under which it is delivered: as the document calls it, and physically."""
    given = [source.get("name"), source.get("physicalName")]
    found = [str(fromkey) for fromkey in dict.fromkeys(given) if fromkey and fromkey != name]
    free = [
        one for one in found if one.casefold() == name.casefold() or one.casefold() not in taken
    ]
    taken |= {one.casefold() for one in free}
    for one in found:
        if one not in free:
            done.notes.append(f"{name}: {one!r} is taken, and no alias of it: SQL knows no cases")
    return {"aliases": free} if free else {}


def _options_aside(source: Mapping[str, Any]) -> set[str]:
    """Options of the type that are not ours: ours say that moments are in UTC."""
    options = source.get("logicalTypeOptions") or {}
    ours = source.get("logicalType") == "timestamp" and set(options) <= set(TIMESTAMP_OPTIONS.names)
    utc = options.get("defaultTimezone", "UTC") in UTC
    return set() if ours and utc else {"logicalTypeOptions"}


def _typed(source: Mapping[str, Any], made: Document, rest: Document, done: Translated) -> None:
    """Give the column a type of ours, and keep the one that is none."""
    made["logicalType"] = _type(source, done)
    if made["logicalType"] != source.get("logicalType") and "logicalType" in source:
        rest["logicalType"] = source["logicalType"]


def _type(source: Mapping[str, Any], done: Translated) -> str:
    name, given, physical = (
        source.get("name"),
        source.get("logicalType"),
        source.get("physicalType"),
    )
    found = next((ours for pattern, ours in _PHYSICAL if re.match(pattern, str(physical))), None)
    if given == "number" and found == "integer":
        return "integer"  # what the store cannot have, the column has not
    if given in TYPES:
        return str(given)
    if given in _AS_TEXT:
        done.notes.append(f"{name}: {given}: {_AS_TEXT[given]}")
        return "string"
    if found is None:
        return "TODO"
    done.notes.append(f"{name}: its type is read from {physical!r}")
    return found


def _scale(source: Mapping[str, Any], kind: str) -> Document:
    """A decimal with so many digits is kept exactly, as far as it fits."""
    match = _DECIMAL.match(str(source.get("physicalType", "")))
    if kind != "number" or match is None:
        return {}
    digits, scale = int(match[1]), int(match[2])
    fits = 0 <= scale <= digits <= 18
    return {"scale": scale, "maxAbs": 10 ** (digits - scale)} if fits else {}


def _key(made: Document, rest: Document, key: int | None, done: Translated) -> None:
    if key is not None:
        made |= {"primaryKey": True, "primaryKeyPosition": key}
    elif made.get("primaryKey") is True:
        rest |= {name: made.pop(name) for name in _KEY_WORDS if name in made}
        done.notes.append(f"{made['name']}: a number that is not exact can be no key")


_KEY_WORDS = ("primaryKey", "primaryKeyPosition")


def _own_properties(made: Document, rest: Document, new: Document) -> tuple[Document, Document]:
    """Custom properties that we read, those that are new, and the rest of them."""
    kept, foreign, unread = own_properties(made.pop("customProperties", None), COLUMN_CUSTOM.names)
    names = {one["property"] for one in kept}
    own = [{"property": key, "value": one} for key, one in new.items() if key not in names]
    made["customProperties"] = [*own, *kept]
    return made, {**unread, **rest, **({"customProperties": foreign} if foreign else {})}


def own_properties(
    properties: object, names: Collection[str]
) -> tuple[list[Document], list[Document], Document]:
    """Custom properties that are ours, those of others, and what was kept unread before."""
    kept: list[Document] = []
    foreign: list[Document] = []
    unread: Document = {}
    for one in properties if isinstance(properties, list) else []:
        name = one.get("property")
        if name == DELIVERED and one.get("value") is True:
            continue
        if name == "unread" and isinstance(one.get("value"), dict):
            unread |= one["value"]
        elif name in names and "vendor" not in one and all(k["property"] != name for k in kept):
            kept.append(one)
        else:
            foreign.append(one)
    return kept, foreign, unread


def subject_of(made: Document) -> Subject:
    return Subject(made["name"], made["logicalType"], custom(made, "scale"))


def demands(
    rest: Document, subject: Subject, subjects: Sequence[Subject], done: Translated
) -> None:
    """Turn what `rest` demands of a column into expectations; it keeps what could not be turned."""
    for key in ("unique", "enum"):
        if rest.get(key):
            _turn(rest, {key: rest[key]}, subject, subjects, done)
    options = dict(rest.get("logicalTypeOptions") or {})
    for names in (("minLength", "maxLength"), ("pattern",), LIMITS):
        taken = {name: options[name] for name in names if name in options}
        if taken:
            _turn(rest, {"logicalTypeOptions": taken}, subject, subjects, done)
    quality(rest, subject, subjects, done)
    for key, value in (rest.get("logicalTypeOptions") or {}).items():
        if key not in {"minLength", "maxLength", "pattern", *LIMITS}:
            done.notes.append(f"{subject.name}: {key} {value} is kept and not enforced")
    for key in ("relationships", "encryptedName", "deprecated"):
        if key in rest:
            done.notes.append(f"{subject.name}: {key} is kept and not enforced")


def _turn(
    rest: Document, was: Document, subject: Subject, subjects: Sequence[Subject], done: Translated
) -> None:
    """One part of `rest` into expectations, or a note why not."""
    (key, value), *_ = was.items()
    try:
        done.take(was, subject, subjects)
    except Untranslatable as why:
        done.notes.append(f"{subject.name}: {key} is kept and not enforced: {why}")
        return
    left = {}
    if key == "logicalTypeOptions":
        left = {name: one for name, one in rest[key].items() if name not in value}
    rest.pop(key)
    if left:
        rest[key] = left


def quality(
    rest: Document, subject: Subject | None, subjects: Sequence[Subject], done: Translated
) -> None:
    """The quality rules of a column, or of the table, which has `subjects`."""
    if not rest.get("quality"):
        return
    left = []
    for rule in map(modern, rest.pop("quality")):
        try:
            done.take({"quality": [rule]}, subject, subjects)
        except Untranslatable as why:
            left.append(rule)
            name = rule.get("name") or rule.get("id") or rule.get("metric") or rule.get("type")
            about = subject.name if subject else "table"
            done.notes.append(f"{about}: {name} is kept and not enforced: {why}")
    if left:
        rest["quality"] = left


def _can_be_key(column: Mapping[str, Any]) -> bool:
    """Not a number that is kept as a float: it tells no rows apart."""
    kind = _type(column, Translated(lambda *_: None))
    exact = custom(column, "scale") is not None or bool(_scale(column, kind))
    return kind != "number" or exact


def keys_of(columns: Sequence[Mapping[str, Any]]) -> Iterator[int | None]:
    """The place of each column in the primary key, counted from 1 without gaps."""
    given = [
        (one.get("primaryKeyPosition") if one.get("primaryKeyPosition", -1) > 0 else 10_000, n)
        for n, one in enumerate(columns)
        if one.get("primaryKey") is True and _can_be_key(one)
    ]
    places = {n: place for place, (_, n) in enumerate(sorted(given), 1)}
    yield from (places.get(n) for n in range(len(columns)))
