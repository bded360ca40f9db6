"""Import of another tool's ODCS document: one contract for each of its tables.

Facts that ODCS cannot express become TODO marks for a person, and the contract gets the status
`proposed`. Parts that we do not read are preserved verbatim as `unread` and restored on export.
Requirements on the data become exactly equivalent expectations, or are listed as not enforced.
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
from headrace.contracts.odcs.preserved_parts import Document, custom, partition_keys, with_unread
from headrace.contracts.odcs.quality_export import to_quality
from headrace.contracts.odcs.quality_import import Expectation

API = "v3.2.0"
_TERMS = ("consumers", "licence", "allowedPurposes", "privacyClass")
# Id prefix of exported quality rules that express an invariant (a custom property in our contract).
OF_INVARIANT = "headrace-invariant-"


@dataclass(frozen=True)
class Imported:
    """Imported table: its contract and its suite's expectations as documents, and notes."""

    table: str
    document: Document
    expectations: tuple[Expectation, ...]
    notes: tuple[str, ...]


def tables_of(source: Mapping[str, Any]) -> list[str]:
    """Return the names of the tables of a document."""
    return [str(table.get("name", "")) for table in source.get("schema") or []]


def import_table(source: Mapping[str, Any], number: int, accept: Accept) -> Imported:
    """Import the table at position `number` of a document."""
    tables = source["schema"]
    translated = Translated(accept)
    is_own = any(is_ours(column) for column in tables[number].get("properties") or [])
    expectations: list[Expectation] = []
    table = _table(source, tables[number], translated, expectations, is_own=is_own)
    document = _contract(source, table, translated, several=len(tables) > 1, is_own=is_own)
    return Imported(table["name"], document, tuple(expectations), tuple(translated.notes))


def _contract(
    source: Mapping[str, Any],
    table: Document,
    translated: Translated,
    *,
    several: bool,
    is_own: bool,
) -> Document:
    read, rest = partition_keys({**source, "schema": None}, CONTRACT.names)
    readable, foreign, unread = own_properties(
        read.pop("customProperties", None), CONTRACT_CUSTOM.names
    )
    contract: Document = {"apiVersion": API, "kind": "DataContract"}
    if several:
        unread["id"] = read["id"]
        read["id"] = f"{read['id']}-{table['name']}"
    if str(read.get("name", "")) != table["name"] and read.get("name"):
        unread["name"] = read["name"]
    contract |= {"id": str(read.get("id", table["name"])), "name": table["name"]}
    contract["version"] = _version(read, translated)
    contract["status"] = _status(read, translated, is_own=is_own)
    contract["description"], rest_ = _description(read, table["name"])
    unread |= rest_
    contract["team"], rest_ = _team(read.get("team"))
    unread |= rest_
    handled = {*contract, "schema", "customProperties"}
    contract |= {key: value for key, value in read.items() if key not in handled}
    contract["customProperties"] = _with_new(readable, {name: NEEDED[name] for name in _TERMS})
    unread |= rest
    if foreign:
        unread["customProperties"] = foreign
    translated.notes += [f"{key} is preserved but not read" for key in rest]
    contract = with_unread(contract, unread)
    return {**contract, "schema": [table]}


def _version(read: Document, translated: Translated) -> str:
    declared = str(read.get("version", ""))
    parts = re.fullmatch(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", declared)
    if parts is None:
        translated.notes.append(f"version {declared!r} is not a number: 0.1.0 is used")
        return "0.1.0"
    version = ".".join(str(int(part or 0)) for part in parts.groups())
    if version != declared:
        translated.notes.append(f"version {declared!r} is read as {version}")
    return version


def _status(read: Document, translated: Translated, *, is_own: bool) -> str:
    status = read.get("status")
    if is_own and status in STATUSES:
        return str(status)
    if status not in {None, PROPOSED}:
        translated.notes.append(
            f"its status was {status}; it is proposed until a person approves it"
        )
    return PROPOSED


def _description(read: Document, table: str) -> tuple[Document, Document]:
    description = read.get("description")
    readable, rest = partition_keys(
        description if isinstance(description, dict) else {}, DESCRIPTION.names
    )
    description_ = {"purpose": f"TODO: what {table} is for", **readable}
    return description_, ({"description": rest} if rest else {})


def _team(declared: object) -> tuple[Document, Document]:
    """Return (team, unread parts); before ODCS 3.1, the team was a list of members."""
    team = {"members": declared} if isinstance(declared, list) else declared
    readable, rest = partition_keys(team if isinstance(team, dict) else {}, TEAM.names)
    team_ = {"name": "TODO: who answers for it", **readable}
    return team_, ({"team": rest} if rest else {})


def _table(
    source: Mapping[str, Any],
    table_source: Mapping[str, Any],
    translated: Translated,
    expectations: list[Expectation],
    *,
    is_own: bool,
) -> Document:
    read, rest = partition_keys(table_source, TABLE.names)
    readable, foreign, unread = own_properties(
        read.pop("customProperties", None), {*TABLE_CUSTOM.names, "hiddenColumns"}
    )
    hidden = [entry for entry in readable if entry["property"] == "hiddenColumns"]
    readable = [entry for entry in readable if entry["property"] != "hiddenColumns"]
    columns = _columns(table_source.get("properties") or [], hidden, translated, expectations)
    unread |= _rules(rest, columns, translated, expectations)
    if foreign:
        unread["customProperties"] = foreign
    translated.notes += [
        f"table: {key} is preserved but not enforced" for key in rest if key != "quality"
    ]
    table = {**read, "name": _table_name(str(read["name"]), unread)}
    table.setdefault("dataGranularityDescription", "TODO: what is one row?")
    table["customProperties"] = _with_new(readable, {} if is_own else _times(source, columns))
    table = with_unread(table, unread)
    return {
        **{key: part for key, part in table.items() if key != "properties"},
        "properties": columns,
    }


def _rules(
    rest: Document, columns: list[Document], translated: Translated, expectations: list[Expectation]
) -> Document:
    """Translate a table's quality rules into expectations; return the unread parts."""
    if rest.get("quality"):
        rest["quality"] = [part for part in rest["quality"] if not _of_invariant(part)]
        if not rest["quality"]:
            del rest["quality"]
    before = len(translated.pairs)
    quality(rest, None, [subject_of(column) for column in columns], translated)
    pairs = _with_ids(translated.pairs[before:], expectations)
    return {**rest, **({"translated": pairs} if pairs else {})}


def _with_new(readable: list[Document], new: Document) -> list[Document]:
    """Return the custom properties, preceded by those of `new` that are not among them."""
    names = {entry["property"] for entry in readable}
    added = [
        {"property": key, "value": setting} for key, setting in new.items() if key not in names
    ]
    return [*added, *readable]


def _table_name(source_name: str, unread: Document) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", source_name):
        return source_name
    unread["name"] = source_name
    name = "_".join(re.findall(r"[a-z0-9]+", source_name.lower())) or "table"
    return name if name[0].isalpha() else f"t_{name}"


def _of_invariant(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("id", "")).startswith(OF_INVARIANT)


def _times(source: Mapping[str, Any], columns: list[Document]) -> Document:
    """Return TODO marks for facts that ODCS lacks: table kind, event time and known-at."""
    candidates = [column["name"] for column in columns if column["logicalType"] == "timestamp"]
    candidates_text = ", ".join(candidates) or "no column is a timestamp"
    sla = [
        f"{entry.get('property')} {entry.get('value')} {entry.get('unit', '')}".strip()
        for entry in source.get("slaProperties") or []
        if str(entry.get("property", "")).casefold() in _LATENESS
    ]
    late = f" The document says: {', '.join(sla)}." if sla else ""
    return {
        "tableKind": "TODO",
        "eventTime": {
            "expression": "TODO",
            "description": f"TODO: when did a row happen? Of: {candidates_text}",
        },
        "knownAt": {
            "expression": "TODO",
            "description": f"TODO: from when can a row be used?{late}",
        },
    }


_LATENESS = {"latency", "freshness", "timeofavailability", "frequency", "timetodetect"}


def _columns(
    sources: list[Document],
    hidden: list[Document],
    translated: Translated,
    expectations: list[Expectation],
) -> list[Document]:
    used_names: set[str] = set()
    numbers = _numbers(sources)
    parts = [
        column_of(
            source,
            FIRST_FIELD_ID if is_ours(source) else next(numbers),
            key,
            used_names,
            translated,
        )
        for source, key in zip(sources, keys_of(sources), strict=True)
    ]
    subjects = [subject_of(column) for column, _ in parts]
    columns = []
    for (column, rest), subject in zip(parts, subjects, strict=True):
        before = len(translated.pairs)
        demands(rest, subject, subjects, translated)
        pairs = _with_ids(translated.pairs[before:], expectations)
        columns.append(with_unread(column, {**rest, **({"translated": pairs} if pairs else {})}))
    for hidden_column in (entry for entry_ in hidden for entry in entry_["value"]):
        at = next(
            (n for n, col in enumerate(columns, 1) if col["name"] == hidden_column["after"]), 0
        )
        columns.insert(at, hidden_column["column"])
    return columns


def _numbers(columns: list[Document]) -> Iterator[int]:
    """Yield unused field ids."""
    used = {custom(column, "fieldId") for column in columns}
    yield from (number for number in range(FIRST_FIELD_ID, 100_000) if number not in used)


def _with_ids(
    pairs: list[tuple[list[Expectation], Document]], expectations: list[Expectation]
) -> list[Document]:
    """Set ids and reasons of the expectations; return the parts of the document to preserve.

    A part that the export would reproduce exactly from its expectations is not preserved.
    """
    parts = []
    for group, was in pairs:
        rule = (was.get("quality") or [{}])[0]
        for expectation in group:
            expectation["meta"] = {
                "id": _id(expectation, rule, expectations),
                **(expectation.get("meta") or {}),
            }
            if rule.get("description"):
                expectation["meta"].setdefault("reason", str(rule["description"]).strip())
            expectations.append(expectation)
        if was != {"quality": [rule for expectation in group for rule in to_quality(expectation)]}:
            parts.append(
                {"expectations": [expectation["meta"]["id"] for expectation in group], "was": was}
            )
            for expectation in group:
                expectation["meta"].setdefault("reason", _reason(was))
    return parts


def _reason(was: Document) -> str:
    return f"The contract's {', '.join(was)} says so."


def _id(expectation: Expectation, rule: Mapping[str, Any], expectations: list[Expectation]) -> str:
    used_ids = {other["meta"]["id"] for other in expectations}
    kwargs = expectation["kwargs"]
    subject = kwargs.get("column") or "_".join(kwargs.get("column_list", ())) or "table"
    kind = (
        expectation["type"].removeprefix("expect_").removeprefix("column_").removeprefix("table_")
    )
    preferred = str(rule.get("id") or rule.get("name") or f"{subject}_{kind}")
    return next(name for name in _id_candidates(preferred) if name not in used_ids)


def _id_candidates(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in range(2, 10_000))
