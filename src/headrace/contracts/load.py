"""Loader of contract files; it rejects every key and rule that it does not know."""

import re
from pathlib import Path
from typing import Any

from headrace.contracts.authoring.open_questions import refuse_marks
from headrace.contracts.keys import (
    API_VERSIONS,
    CONTRACT,
    CONTRACT_CUSTOM,
    COVERAGE,
    DEFAULT_NULL_TOKENS,
    DESCRIPTION,
    DOCUMENT_KINDS,
    FORMS,
    INVARIANT,
    KINDS,
    ON_CONFLICT,
    STATUSES,
    TABLE,
    TABLE_CUSTOM,
    TEAM,
    TIME_RULE,
    UNREAD,
)
from headrace.contracts.load_derivations import known_zone, sql_rule, types_of
from headrace.contracts.load_fields import Defaults, read_fields
from headrace.contracts.model import (
    DELETED,
    FIRST_FIELD_ID,
    TIMESTAMP,
    Contract,
    Field,
    Invariant,
    LocalTime,
    NextClock,
    OnConflict,
    RowRelation,
    TimeRule,
    WallClock,
    ZoneRule,
)
from headrace.core.declarations.strict_yaml import Node, parse_document, read_document
from headrace.core.files import digest
from headrace.core.time_zones import zones_hash

# Part of every contract hash. Increase it if `conform` returns other rows for the same contract.
MEANING = 1


def load_contract(path: Path | str) -> Contract:
    """Load the contract in a YAML file; a DeclarationError names the place and the fix."""
    return _contract(read_document(Path(path)))


def parse_contract(text: str, path: Path) -> Contract:
    """Parse `text` as the contract at `path`; its reference files are relative to `path`."""
    return _contract(parse_document(text, path))


def _contract(document: Node) -> Contract:
    top = document.entries(CONTRACT)
    top["apiVersion"].choose(API_VERSIONS)
    top["kind"].choose(DOCUMENT_KINDS)
    custom = top["customProperties"].custom(CONTRACT_CUSTOM)
    status = top["status"].choose(STATUSES)
    refuse_marks(document, status)
    privacy = custom["privacyClass"].text()
    table = _only(top["schema"]).entries(TABLE)
    rules = table["customProperties"].custom(TABLE_CUSTOM)
    form = rules["sourceForm"].choose(FORMS) if "sourceForm" in rules else "text"
    columns = table["properties"].items()
    if not columns:
        raise table["properties"].error("the table has no columns", fix="list its columns")
    fields = read_fields(columns, Defaults(privacy, form))
    event_time, known_at = _times(rules, fields)
    return Contract(
        table=table["name"].text(),
        version=_version(top["version"]),
        kind=rules["tableKind"].choose(KINDS),
        status=status,
        description=top["description"].entries(DESCRIPTION)["purpose"].text(),
        grain=table["dataGranularityDescription"].text(),
        owner=top["team"].entries(TEAM)["name"].text(),
        consumers=custom["consumers"].texts(),
        licence=custom["licence"].text(),
        purposes=custom["allowedPurposes"].texts(),
        privacy=privacy,
        columns=fields,
        sequence=_sequence(rules, fields),
        event_time=event_time,
        known_at=known_at,
        invariants=_invariants(rules, fields),
        relations=_relations(rules, fields),
        slot_zone=_slot_zone(rules),
        coverage=_coverage(rules),
        max_events=rules["maxEvents"].integer(minimum=1) if "maxEvents" in rules else None,
        null_tokens=rules["nullTokens"].texts() if "nullTokens" in rules else DEFAULT_NULL_TOKENS,
        hash=_hash(document.value, fields),
        meaning_hash=_hash(_with_effect(document.value), fields),
        deleted=_deleted(rules, fields),
        conflicts=_conflicts(rules, fields),
        path=document.file,
        retired_ids=_retired(rules, fields),
        document=document.value,
    )


def _only(node: Node) -> Node:
    items = node.items()
    if len(items) != 1:
        raise node.error(f"{len(items)} tables in one contract", fix="write one file per table")
    return items[0]


def _version(node: Node) -> str:
    text = node.text()
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise node.error(f"{text!r} is not a version", fix="write it as '1.0.0'")
    return text


def _times(rules: dict[str, Node], fields: tuple[Field, ...]) -> tuple[TimeRule, TimeRule]:
    columns = types_of({field.name: field for field in fields})
    event = _time_rule(rules["eventTime"], "event_time", columns)
    known_at = _time_rule(rules["knownAt"], "known_at", {**columns, "event_time": TIMESTAMP})
    for field in fields:
        floored = field.derivation is None and not field.round_up
        if floored and known_at.expression.expression.strip() == field.name:
            raise rules["knownAt"].error(
                f"{field.name!r} is rounded down, but a known-at must not be early",
                fix=f"give {field.name!r} the custom property {{property: rounding, value: up}}",
            )
    return event, known_at


def _time_rule(node: Node, name: str, columns: dict[str, Any]) -> TimeRule:
    part = node.entries(TIME_RULE)
    sql = sql_rule(part["expression"], name, "timestamp", columns)
    return TimeRule(sql, part["description"].text())


def _deleted(rules: dict[str, Node], fields: tuple[Field, ...]) -> TimeRule | None:
    if "deleted" not in rules:
        return None
    node = rules["deleted"]
    if not any(field.primary_key_position for field in fields):
        raise node.error(
            "a table without a primary key has no rows to delete",
            fix="declare a primaryKey, or drop `deleted`",
        )
    part = node.entries(TIME_RULE)
    columns = {**types_of({field.name: field for field in fields}), "known_at": TIMESTAMP}
    sql = sql_rule(part["expression"], DELETED[0], "boolean", columns)
    return TimeRule(sql, part["description"].text())


def _conflicts(rules: dict[str, Node], fields: tuple[Field, ...]) -> OnConflict:
    if "conflicts" not in rules:
        return "quarantine"
    if not any(field.primary_key_position for field in fields):
        raise rules["conflicts"].error(
            "rows of a table without a primary key cannot be in conflict",
            fix="declare a primaryKey, or drop `conflicts`",
        )
    return rules["conflicts"].choose(ON_CONFLICT)


def _sequence(rules: dict[str, Node], fields: tuple[Field, ...]) -> str | None:
    if "sequence" not in rules:
        return None
    name = rules["sequence"].text()
    if not any(f.name == name and f.type == "integer" and f.derivation is None for f in fields):
        raise rules["sequence"].error(
            f"{name!r} is not a delivered integer column", fix="name one, or drop the sequence"
        )
    return name


def _invariants(rules: dict[str, Node], fields: tuple[Field, ...]) -> tuple[Invariant, ...]:
    if "invariants" not in rules:
        return ()
    columns = types_of({field.name: field for field in fields if not field.hidden})
    columns |= {"event_time": TIMESTAMP, "known_at": TIMESTAMP}
    by_name: dict[str, Invariant] = {}
    for node in rules["invariants"].items():
        part = node.entries(INVARIANT)
        name = part["name"].text()
        if name in by_name:
            raise node.error(f"invariant {name!r} is given twice", fix="rename one of the two")
        expression = sql_rule(part["expression"], name, "boolean", columns).expression
        by_name[name] = Invariant(name, expression, part["description"].text())
    return tuple(by_name.values())


def _relations(rules: dict[str, Node], fields: tuple[Field, ...]) -> tuple[RowRelation, ...]:
    if "relations" not in rules:
        return ()
    columns = types_of({field.name: field for field in fields if field.derivation is None})
    by_name: dict[str, RowRelation] = {}
    for node in rules["relations"].items():
        part = node.entries(INVARIANT)
        name = part["name"].text()
        if name in by_name:
            raise node.error(f"relation {name!r} is given twice", fix="rename one of the two")
        expression = sql_rule(part["expression"], name, "boolean", columns)
        by_name[name] = RowRelation(name, expression, part["description"].text())
    return tuple(by_name.values())


def _slot_zone(rules: dict[str, Node]) -> str | None:
    if "slotZone" not in rules:
        return None
    return known_zone(rules["slotZone"], rules["slotZone"].text())


def _coverage(rules: dict[str, Node]) -> tuple[str, str] | None:
    if "coverage" not in rules:
        return None
    part = rules["coverage"].entries(COVERAGE)
    first, last = part["first"].text(), part["last"].text()
    if first > last:
        raise rules["coverage"].error(f"{first} is after {last}", fix="swap first and last")
    return first, last


def _retired(rules: dict[str, Node], fields: tuple[Field, ...]) -> tuple[int, ...]:
    """Read the field ids of removed columns, which older files still contain."""
    if "retiredFieldIds" not in rules:
        return ()
    retired = tuple(
        node.integer(minimum=FIRST_FIELD_ID) for node in rules["retiredFieldIds"].items()
    )
    for field in fields:
        if field.id in retired:
            raise rules["retiredFieldIds"].error(
                f"{field.name!r} uses the field id {field.id} of a removed column",
                fix=f"give it one that was never used: {_free_id(fields, retired)}",
            )
    return retired


def _free_id(fields: tuple[Field, ...], retired: tuple[int, ...]) -> int:
    return max([*retired, *(field.id for field in fields if field.id is not None)]) + 1


# Keys for prose, people, terms of use and drift detection. They affect neither which rows pass nor
# what values mean, so they are not part of `meaning_hash`.
_WITHOUT_EFFECT = frozenset(
    {
        "id", "version", "status", "description", "team", "support", "tags", "domain", "tenant",
        "dataProduct", "price", "roles", "slaProperties", "slaDefaultElement", "businessName",
        "authoritativeDefinitions", "contractCreatedTs", "dataGranularityDescription",
        "classification", "consumers", "licence", "allowedPurposes", "privacyClass", "coverage",
        "retiredFieldIds", "relations", "explainedBy", "slotZone", UNREAD,
    }
)  # fmt: skip


def _with_effect(value: object) -> object:
    """Drop keys without effect on validation, so that editing them re-validates no batches."""
    if isinstance(value, dict):
        return {
            key: _with_effect(inner) for key, inner in value.items() if key not in _WITHOUT_EFFECT
        }
    if isinstance(value, list):
        entries = [
            entry
            for entry in value
            if not (isinstance(entry, dict) and _property_name(entry) in _WITHOUT_EFFECT)
        ]
        return [_with_effect(entry) for entry in entries]
    return value


def _property_name(value: dict[str, object]) -> object:
    """Return the name of a custom property."""
    return value.get("property")


def _hash(document: object, fields: tuple[Field, ...]) -> str:
    """Hash the document, its reference files, its time zones' tables, and `MEANING`."""
    rules = [zone for field in fields if (zone := _zone_of(field)) is not None]
    zones = frozenset[str]().union(*(rule.zones for rule in rules))
    return digest(
        {
            "meaning": MEANING,
            "document": document,
            "references": sorted({rule.reference.sha for rule in rules if rule.reference}),
            "zones": zones_hash(*sorted(zones)) if zones else None,
        }
    )


def _zone_of(field: Field) -> ZoneRule | None:
    rule = field.derivation
    return rule.zone if isinstance(rule, LocalTime | NextClock | WallClock) else None
