"""An ODCS document of any tool as contracts of ours, one for each of its tables.

What the standard does not say is marked TODO for a person, and the contract is only proposed. What
we do not read is kept word for word as `unread` and comes back on export; demands on the data
become expectations where one says exactly the same, and are listed as not enforced where none does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.contracts.authoring.open_questions import PROPOSED
from headrace.contracts.keys import (
    CONTRACT,
    CONTRACT_CUSTOM,
    DESCRIPTION,
    STATUSES,
    TABLE,
    TABLE_CUSTOM,
    TEAM,
)
from headrace.contracts.model import FIRST_FIELD_ID
from headrace.contracts.odcs.columns import (
    Accept,
    Translated,
    column_of,
    demands,
    is_ours,
    keys_of,
    own_properties,
    quality,
    subject_of,
)
from headrace.contracts.odcs.foreign_properties import NEEDED
from headrace.contracts.odcs.preserved_parts import Document, custom, parted, with_unread
from headrace.contracts.odcs.quality_export import to_quality
from headrace.contracts.odcs.quality_import import Expectation

API = "v3.2.0"
_TERMS = ("consumers", "licence", "allowedPurposes", "privacyClass")
# What other tools need to know of an invariant, which is ours as a custom property.
OF_INVARIANT = "headrace-invariant-"


@dataclass(frozen=True)
class Imported:
    """One table: its contract and expectations as documents, and what was changed or left aside."""

    table: str
    document: Document
    expectations: tuple[Expectation, ...]
    notes: tuple[str, ...]


def tables_of(source: Mapping[str, Any]) -> list[str]:
    """The names of the tables of a document."""
    return [str(one.get("name", "")) for one in source.get("schema") or []]


def import_table(source: Mapping[str, Any], number: int, accept: Accept) -> Imported:
    """The contract of the table at place `number` of a document."""
    tables = source["schema"]
    done = Translated(accept)
    ours = any(is_ours(one) for one in tables[number].get("properties") or [])
    expectations: list[Expectation] = []
    table = _table(source, tables[number], done, expectations, ours=ours)
    document = _contract(source, table, done, several=len(tables) > 1, ours=ours)
    return Imported(table["name"], document, tuple(expectations), tuple(done.notes))


def _contract(
    source: Mapping[str, Any], table: Document, done: Translated, *, several: bool, ours: bool
) -> Document:
    read, rest = parted({**source, "schema": None}, CONTRACT.names)
    kept, foreign, unread = own_properties(
        read.pop("customProperties", None), CONTRACT_CUSTOM.names
    )
    made: Document = {"apiVersion": API, "kind": "DataContract"}
    if several:
        unread["id"] = read["id"]
        read["id"] = f"{read['id']}-{table['name']}"
    if str(read.get("name", "")) != table["name"] and read.get("name"):
        unread["name"] = read["name"]
    made |= {"id": str(read.get("id", table["name"])), "name": table["name"]}
    made["version"] = _version(read, done)
    made["status"] = _status(read, done, ours=ours)
    made["description"], more = _description(read, table["name"])
    unread |= more
    made["team"], more = _team(read.get("team"))
    unread |= more
    done_with = {*made, "schema", "customProperties"}
    made |= {key: value for key, value in read.items() if key not in done_with}
    made["customProperties"] = _with_new(kept, {name: NEEDED[name] for name in _TERMS})
    unread |= rest
    if foreign:
        unread["customProperties"] = foreign
    done.notes += [f"{key} is kept and not read" for key in rest]
    made = with_unread(made, unread)
    return {**made, "schema": [table]}


def _version(read: Document, done: Translated) -> str:
    given = str(read.get("version", ""))
    parts = re.fullmatch(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", given)
    if parts is None:
        done.notes.append(f"version {given!r} is no number: 0.1.0")
        return "0.1.0"
    found = ".".join(str(int(part or 0)) for part in parts.groups())
    if found != given:
        done.notes.append(f"version {given!r} is {found}")
    return found


def _status(read: Document, done: Translated, *, ours: bool) -> str:
    given = read.get("status")
    if ours and given in STATUSES:
        return str(given)
    if given not in {None, PROPOSED}:
        done.notes.append(f"its status was {given}; it is proposed until a person decided")
    return PROPOSED


def _description(read: Document, table: str) -> tuple[Document, Document]:
    given = read.get("description")
    known, rest = parted(given if isinstance(given, dict) else {}, DESCRIPTION.names)
    made = {"purpose": f"TODO: what {table} is for", **known}
    return made, ({"description": rest} if rest else {})


def _team(given: object) -> tuple[Document, Document]:
    """Before 3.1 a team was a list of its members."""
    team = {"members": given} if isinstance(given, list) else given
    known, rest = parted(team if isinstance(team, dict) else {}, TEAM.names)
    made = {"name": "TODO: who answers for it", **known}
    return made, ({"team": rest} if rest else {})


def _table(
    source: Mapping[str, Any],
    given: Mapping[str, Any],
    done: Translated,
    expectations: list[Expectation],
    *,
    ours: bool,
) -> Document:
    read, rest = parted(given, TABLE.names)
    kept, foreign, unread = own_properties(
        read.pop("customProperties", None), {*TABLE_CUSTOM.names, "hiddenColumns"}
    )
    hidden = [one for one in kept if one["property"] == "hiddenColumns"]
    kept = [one for one in kept if one["property"] != "hiddenColumns"]
    columns = _columns(given.get("properties") or [], hidden, done, expectations)
    unread |= _rules(rest, columns, done, expectations)
    if foreign:
        unread["customProperties"] = foreign
    done.notes += [f"table: {key} is kept and not enforced" for key in rest if key != "quality"]
    made = {**read, "name": _table_name(str(read["name"]), unread)}
    made.setdefault("dataGranularityDescription", "TODO: what is one row?")
    made["customProperties"] = _with_new(kept, {} if ours else _times(source, columns))
    made = with_unread(made, unread)
    return {**{key: one for key, one in made.items() if key != "properties"}, "properties": columns}


def _rules(
    rest: Document, columns: list[Document], done: Translated, expectations: list[Expectation]
) -> Document:
    """What is left of a table, its rules turned into expectations as far as that goes."""
    if rest.get("quality"):
        rest["quality"] = [one for one in rest["quality"] if not _of_invariant(one)]
        if not rest["quality"]:
            del rest["quality"]
    before = len(done.pairs)
    quality(rest, None, [subject_of(column) for column in columns], done)
    pairs = _named(done.pairs[before:], expectations)
    return {**rest, **({"translated": pairs} if pairs else {})}


def _with_new(kept: list[Document], new: Document) -> list[Document]:
    """Custom properties, those first that the document lacks."""
    names = {one["property"] for one in kept}
    own = [{"property": key, "value": one} for key, one in new.items() if key not in names]
    return [*own, *kept]


def _table_name(given: str, unread: Document) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", given):
        return given
    unread["name"] = given
    name = "_".join(re.findall(r"[a-z0-9]+", given.lower())) or "table"
    return name if name[0].isalpha() else f"t_{name}"


def _of_invariant(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("id", "")).startswith(OF_INVARIANT)


def _times(source: Mapping[str, Any], columns: list[Document]) -> Document:
    """What no standard document says: when a row happened, and from when it can be used."""
    candidates = [column["name"] for column in columns if column["logicalType"] == "timestamp"]
    which = ", ".join(candidates) or "no column is a timestamp"
    sla = [
        f"{one.get('property')} {one.get('value')} {one.get('unit', '')}".strip()
        for one in source.get("slaProperties") or []
        if str(one.get("property", "")).casefold() in _LATENESS
    ]
    late = f" The document says: {', '.join(sla)}." if sla else ""
    return {
        "tableKind": "TODO",
        "eventTime": {
            "expression": "TODO",
            "description": f"TODO: when did a row happen? Of: {which}",
        },
        "knownAt": {
            "expression": "TODO",
            "description": f"TODO: from when can a row be used?{late}",
        },
    }


_LATENESS = {"latency", "freshness", "timeofavailability", "frequency", "timetodetect"}


def _columns(
    given: list[Document],
    hidden: list[Document],
    done: Translated,
    expectations: list[Expectation],
) -> list[Document]:
    taken: set[str] = set()
    numbers = _numbers(given)
    parts = [
        column_of(one, FIRST_FIELD_ID if is_ours(one) else next(numbers), key, taken, done)
        for one, key in zip(given, keys_of(given), strict=True)
    ]
    subjects = [subject_of(column) for column, _ in parts]
    made = []
    for (column, rest), subject in zip(parts, subjects, strict=True):
        before = len(done.pairs)
        demands(rest, subject, subjects, done)
        pairs = _named(done.pairs[before:], expectations)
        made.append(with_unread(column, {**rest, **({"translated": pairs} if pairs else {})}))
    for one in (entry for kept in hidden for entry in kept["value"]):
        at = next((n for n, col in enumerate(made, 1) if col["name"] == one["after"]), 0)
        made.insert(at, one["column"])
    return made


def _numbers(given: list[Document]) -> Iterator[int]:
    """Field ids that none of the columns has."""
    used = {custom(one, "fieldId") for one in given}
    yield from (number for number in range(FIRST_FIELD_ID, 100_000) if number not in used)


def _named(
    pairs: list[tuple[list[Expectation], Document]], expectations: list[Expectation]
) -> list[Document]:
    """Give expectations their ids and reasons; what of the document each of them stands for.

    A part that an export would write just so from the expectations need not be kept.
    """
    made = []
    for group, was in pairs:
        rule = (was.get("quality") or [{}])[0]
        for one in group:
            one["meta"] = {"id": _id(one, rule, expectations), **(one.get("meta") or {})}
            if rule.get("description"):
                one["meta"].setdefault("reason", str(rule["description"]).strip())
            expectations.append(one)
        if was != {"quality": [rule for one in group for rule in to_quality(one)]}:
            made.append({"expectations": [one["meta"]["id"] for one in group], "was": was})
            for one in group:
                one["meta"].setdefault("reason", _reason(was))
    return made


def _reason(was: Document) -> str:
    return f"The contract's {', '.join(was)} says so."


def _id(one: Expectation, rule: Mapping[str, Any], expectations: list[Expectation]) -> str:
    taken = {other["meta"]["id"] for other in expectations}
    kwargs = one["kwargs"]
    about = kwargs.get("column") or "_".join(kwargs.get("column_list", ())) or "table"
    kind = one["type"].removeprefix("expect_").removeprefix("column_").removeprefix("table_")
    wanted = str(rule.get("id") or rule.get("name") or f"{about}_{kind}")
    return next(name for name in _tries(wanted) if name not in taken)


def _tries(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in range(2, 10_000))
